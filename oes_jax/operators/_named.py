"""Operators by name: what each is made of, and what has to be known of it before there is an image."""

from typing import Any, Callable, Mapping, NamedTuple, Sequence

import numpy as np

from oes_jax.operators import _compressed_sensing
from oes_jax.operators import _deblurring
from oes_jax.operators import _inpainting
from oes_jax.operators import _k_space
from oes_jax.operators import _mri
from oes_jax.operators import _operator
from oes_jax.operators import _scan
from oes_jax.operators import _super_resolution
from oes_jax.operators import _tomography


class Family(NamedTuple):
  """Operators of one name.

  Attributes:
    make: function (OperatorSettings, image shape (H, W, C), {setting: array}) -> ForwardOperator.
    estimate_name: name of the first image that its measurement gives.
    measures_image: whether the measurement is itself an image, which a file can hold.
    tileable: whether each pixel is measured by itself.
    is_complex: whether the image is complex.
    loses_pixels: whether a mask, which a measured file needs, says which pixels are lost.
    sigma: standard deviation of the noise that is simulated where none is named.
    finer: function of the settings: pixels of the image along a side of a measured one.
    read_scan: function (OperatorSettings, {name: array}) -> Scan of measured arrays, or None; see `read_scan`.
    arrays: names of the arrays that it needs.
    optional: names of those that it reads where they are there.
    file_setting: name of the setting that may also be an array or a file, or None.
    names: values of that setting that are no file.
  """
  make: Callable[[Any, Sequence[int], Mapping[str, np.ndarray]], _operator.ForwardOperator]
  estimate_name: str = ""
  measures_image: bool = False
  tileable: bool = False
  is_complex: bool = False
  loses_pixels: bool = False
  sigma: float = 0.1
  finer: Callable[[Any], int] = lambda settings: 1
  read_scan: Callable[[Any, Any], _scan.Scan] | None = None
  arrays: tuple[str, ...] = ()
  optional: tuple[str, ...] = ()
  file_setting: str | None = None
  names: tuple[str, ...] = ()


def _make_inpainting(settings, shape, arrays):
  mask = arrays.get("mask")
  if mask is None and settings.mask is not None:
    mask = _inpainting.DAMAGE[settings.mask](shape)
  return _inpainting.inpainting(shape, kept=settings.kept, mask=mask)


def _make_deblurring(settings, shape, arrays):
  kernel = arrays.get("kernel")
  if kernel is None:
    return _deblurring.blur(shape, kernel=_deblurring.KERNELS[settings.kernel](settings))
  if kernel.ndim != 2 or kernel.sum() <= 1e-6 * np.abs(kernel).sum():  # less is rounding
    raise ValueError("its sum is not above 0" if kernel.ndim == 2 else f"the kernel is {kernel.shape}; allowed: [k, l]")
  return _deblurring.blur(shape, kernel=kernel / kernel.sum())


def angles_of(settings) -> np.ndarray:
  """Return the angles, in degrees, of a simulated tomography: evenly over 180 degrees."""
  return np.linspace(0, 180, settings.angles, endpoint=False)


def make_operator(settings, image_shape: Sequence[int], *, arrays: Mapping[str, np.ndarray] | None = None,
                  scan: _scan.Scan | None = None) -> _operator.ForwardOperator:
  """Return the operator of settings for an image, or that of a scan.

  Args:
    settings: OperatorSettings.
    image_shape: shape (H, W, C) of the image.
    arrays: arrays in place of a setting's name: "mask" [H, W], 0 where a pixel is lost, or "kernel" [k, l].
    scan: what was measured, of an operator that reads scans; or None.

  Raises:
    ValueError: the operator is unknown, or does not go with the image.
  """
  if settings.name not in FAMILIES:
    raise ValueError(f"name={settings.name!r} is unknown; allowed: {', '.join(FAMILIES)}.")
  if scan is not None:
    return _OF_SCANS[settings.name](tuple(image_shape), **scan.given)
  return FAMILIES[settings.name].make(settings, tuple(image_shape), arrays or {})


def read_scan(settings, arrays: Mapping[str, np.ndarray]) -> _scan.Scan:
  """Return the scan that measured arrays are, of an operator that reads scans; what it does not read it remarks.

  Args:
    settings: OperatorSettings.
    arrays: {name: array}; None where one that is not read was not loaded.

  Raises:
    ValueError: an array is missing, holds NaN or infinite values or no numbers, or has another shape than it should.
  """
  family = FAMILIES[settings.name]
  missing = [name for name in family.arrays if name not in arrays]
  if missing:
    raise ValueError(f"it has no array {missing[0]!r}; allowed: {', '.join(family.arrays)}")
  read = {name: np.asarray(arrays[name]) for name in (*family.arrays, *family.optional) if name in arrays}
  for name, array in read.items():
    if array.dtype.kind not in "biufc":
      raise ValueError(f"{name} holds {array.dtype} values; allowed: numbers")
    if not np.isfinite(array).all():
      raise ValueError(f"{name} holds NaN or infinite values; allowed: finite ones")
  scan = family.read_scan(settings, read)
  unread = sorted(set(arrays) - set(read))
  remarks = (f"{', '.join(unread)} of the scan {'is' if len(unread) == 1 else 'are'} not read",) if unread else ()
  return scan._replace(remarks=scan.remarks + remarks)


_OF_SCANS = {"mri": _mri.mri, "tomography": _tomography.tomography}
FAMILIES = {
    "identity": Family(lambda settings, shape, arrays: _operator.identity(shape), "the measurement itself",
                       measures_image=True, tileable=True),
    "inpainting": Family(_make_inpainting, "mean of the rest", measures_image=True, loses_pixels=True,
                         file_setting="mask", names=tuple(_inpainting.DAMAGE)),
    "super_resolution": Family(
        lambda settings, shape, arrays: _super_resolution.downsampling(
            shape, factor=settings.factor, kernel=settings.downsampling),
        "bicubic", measures_image=True, sigma=0.02, finer=lambda settings: settings.factor),
    "deblurring": Family(_make_deblurring, "the measurement itself", measures_image=True, sigma=0.02,
                         file_setting="kernel", names=tuple(_deblurring.KERNELS)),
    "mri": Family(
        lambda settings, shape, arrays: _mri.mri(
            shape, coils=_mri.simulated_coils(shape, settings.coils), acceleration=settings.acceleration,
            centre=settings.centre),
        "zero-filled", is_complex=True, arrays=("kspace",), optional=("coil_maps", "sampling", "mask"),
        read_scan=lambda settings, arrays: _k_space.read_scan(arrays, centred=settings.centred, coil_axis=settings.coil_axis)),
    "tomography": Family(
        lambda settings, shape, arrays: _tomography.tomography(shape, angles=angles_of(settings)),
        "filtered back-projection", arrays=("sinogram", "angles", "shape"),
        read_scan=lambda settings, arrays: _tomography.read_scan(arrays, angle_unit=settings.angle_unit)),
    "fourier_rows": Family(lambda settings, shape, arrays: _compressed_sensing.fourier_rows(shape, share=settings.rows)),
    "gaussian_rows": Family(lambda settings, shape, arrays: _compressed_sensing.gaussian_rows(shape, share=settings.rows)),
}
