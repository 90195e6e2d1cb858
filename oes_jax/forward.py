"""The forward operator and the noise that a config asks for."""

import hashlib
import pathlib
from typing import Any

import numpy as np

from oes_jax import images
from oes_jax import intensity
from oes_jax import noise
from oes_jax import operators
from oes_jax import scans

# Noise that is simulated where the config names no strength.
_DEFAULT_STRENGTH = {"sigma": 0.1, "peak": 100.0, "share": 0.1}
# Operators whose measurement is an image: a user's file can be one.
MEASURE_IMAGES = ("identity", "inpainting", "super_resolution", "deblurring")
# Keys of config.operator that name a file, and the operators that read it.
_FILES = {"mask": ("inpainting",), "kernel": ("deblurring",)}
_KERNELS = ("gaussian", "motion")


def is_scan(source: str) -> bool:
  """Whether data.source is a file of measured arrays."""
  return source.lower().endswith(".npz")


def is_simulated(config, bundled: bool) -> bool:
  """Whether data.source is a clean image, of which the measurement is simulated; else it is the measurement."""
  if is_scan(config.data.source):
    return False
  if config.operator.simulate is not None:
    return config.operator.simulate
  given = [config.noise[name] for name in ("sigma", "peak", "share") if config.noise[name] is not None]
  if config.operator.name == "identity" and bundled and not any(given):
    return not given  # noise.sigma=0 leaves nothing to restore, and no truth
  return bundled or any(given)


def strength(config, simulated: bool) -> noise.Strength:
  """Return how strong the noise is: as the config says, by default where it is simulated; None where unknown."""
  reads = noise.NOISE_MODELS[config.noise.model].reads if simulated else ()
  values = {name: config.noise[name] for name in noise.Strength._fields}
  return noise.Strength(**{
      name: _DEFAULT_STRENGTH[name] if value is None and name in reads else value
      for name, value in values.items()})


def image_shape(config, measured: tuple[int, int, int], simulated: bool) -> tuple[int, int, int]:
  """Return (H, W, C) of the image, given that of data.source."""
  if config.operator.name == "mri":
    return (*measured[:2], 2)
  if simulated or config.operator.name != "super_resolution":
    return measured
  factor = config.operator.factor
  return (factor * measured[0], factor * measured[1], measured[2])


def is_complex(config) -> bool:
  """Whether the image has a real and an imaginary part."""
  return config.operator.name == "mri"


def intensity_range(config, values: np.ndarray) -> tuple[float, float]:
  """Return (low, high) of data.source; a magnitude starts at 0.

  Raises:
    ValueError: see intensity.intensity_range; or data.range does not start at 0 where it has to.
  """
  low, high = intensity.intensity_range(values, config.data.range)
  if not is_complex(config):
    return low, high
  if config.data.range is not None and low != 0:
    raise ValueError(f"data.range={tuple(config.data.range)} is of a magnitude; allowed: (0, high).")
  if values.shape[-1] != 1 or values.min() < 0:
    raise ValueError(f"data.source={config.data.source!r} has {values.shape[-1]} channels and values from "
                     f"{values.min()}; allowed: one channel that is not negative, the magnitude of an MR image.")
  return 0.0, high


def to_image(config, unit):
  """Return the image [H, W, C] that the generator restores, of data.source in the unit range."""
  if not is_complex(config):
    return unit
  return operators.complex_to_unit(unit[..., 0] * np.exp(1j * operators.smooth_phase(unit.shape))).astype(unit.dtype)


def to_view(config, image):
  """Return what is scored, shown and written of an image [H, W, C]: itself, or its magnitude."""
  return operators.magnitude_of_unit(image).astype(np.float32) if is_complex(config) else np.asarray(image)


def digest(config) -> str | None:
  """Return the sha256 of the operator's file; None where it has none.

  Raises:
    ValueError: there is no such file.
  """
  for key, names in _FILES.items():
    path = config.operator[key]
    if config.operator.name in names and path is not None and path not in _KERNELS:
      file = pathlib.Path(path)
      if not file.is_file():
        raise ValueError(f"operator.{key}={path!r} does not exist; allowed: an image, an .npy file"
                         + (f", {' or '.join(_KERNELS)}." if key == "kernel" else "."))
      return hashlib.sha256(file.read_bytes()).hexdigest()
  return None


def _read_plane(path: str, key: str) -> np.ndarray:
  """Read [H, W] from an image or an array; channels are averaged."""
  return images.read_picture(path, None, key=key).values.astype(np.float64).mean(-1)


def _kernel(settings) -> np.ndarray:
  if settings.kernel == "gaussian":
    return operators.gaussian_kernel(settings.kernel_sigma)
  if settings.kernel == "motion":
    return operators.motion_kernel(settings.motion_length, settings.motion_angle)
  kernel = _read_plane(settings.kernel, "operator.kernel")
  if kernel.sum() <= 0:
    raise ValueError("its sum is not above 0")
  return kernel / kernel.sum()


def read_scan(config) -> scans.Scan | None:
  """Read data.source where it is an NPZ file; None where it is an image.

  Raises:
    ValueError: it is faulty, or a key does not go with it.
  """
  source = config.data.source
  if not is_scan(source):
    return None
  for key in ("crop", "max_side"):
    if config.data[key] is not None:
      raise ValueError(f"data.{key}={config.data[key]!r} does not go with a scan, data.source={source!r}; allowed: None.")
  if config.operator.simulate:
    raise ValueError(f"operator.simulate=True does not go with a scan, data.source={source!r}; allowed: None.")
  return scans.read(source, config.operator.name)


def picture_of(config, scan: scans.Scan) -> images.Picture:
  """Return the first estimate of a scan, in its own units: what stands for the file where an image would."""
  shape = (*scan.shape, 2 if is_complex(config) else scan.values.shape[-1])
  operator = make_operator(config, shape, False, scan)
  op_params = operator.init(np.random.default_rng(0))
  if is_complex(config):
    estimate = np.linalg.norm(operators.adjoint(operator.apply, op_params, scan.values, shape), axis=-1, keepdims=True)
  else:
    estimate = operator.estimate(op_params, scan.values)
  return images.Picture(values=np.asarray(estimate, np.float32), alpha=None, squeezed=estimate.shape[-1] == 1,
                        suffix=".npy", digest=scan.digest, bundled=False)


def scan_to_unit(config, scan: scans.Scan, operator: operators.ForwardOperator, op_params, limits, shape):
  """Return what the operator makes of the image in the unit range, where it made `scan` of the image itself."""
  low, high = limits
  of_ones = operator.apply(op_params, np.ones(shape, np.float32))
  if is_complex(config):
    return (scan.values / high + of_ones) / 2
  return (scan.values - low * of_ones) / (high - low)


def make_operator(config, shape: tuple[int, int, int], simulated: bool,
                  scan: scans.Scan | None = None) -> operators.ForwardOperator:
  """Return the operator of a config for an image (H, W, C), or that of a scan.

  Raises:
    ValueError, OSError: it does not go with the image, or its file cannot be read.
  """
  settings: Any = config.operator
  if scan is not None:
    try:
      return {"mri": operators.mri, "tomography": operators.tomography}[settings.name](shape, **scan.given)
    except ValueError as error:
      raise ValueError(f"data.source={config.data.source!r}: {error}") from error
  if not simulated and settings.name not in MEASURE_IMAGES:
    raise ValueError(f"operator.name={settings.name!r} measures no image, so data.source={config.data.source!r} is no "
                     "measurement of it; allowed: an .npz file of mri or tomography, or operator.simulate=True, to "
                     "simulate one of a clean image.")
  if not simulated and settings.name == "inpainting" and settings.mask is None:
    raise ValueError("operator.name='inpainting' needs operator.mask=None to be a file; allowed: an image that is 0 "
                     "where pixels are lost.")
  try:
    return _OPERATORS[settings.name](settings, shape)
  except ValueError as error:
    raise ValueError(f"operator.name={settings.name!r}: {error}") from error


_OPERATORS = {
    "identity": lambda settings, shape: operators.identity(),
    "inpainting": lambda settings, shape: operators.inpainting(
        shape, kept=settings.kept,
        mask=None if settings.mask is None else _read_plane(settings.mask, "operator.mask")),
    "super_resolution": lambda settings, shape: operators.downsampling(shape, factor=settings.factor),
    "deblurring": lambda settings, shape: operators.blur(shape, kernel=_kernel(settings)),
    "mri": lambda settings, shape: operators.mri(
        shape, coils=operators.simulated_coils(shape, settings.coils), acceleration=settings.acceleration,
        centre=settings.centre),
    "tomography": lambda settings, shape: operators.tomography(
        shape, angles=np.linspace(0, 180, settings.angles, endpoint=False)),
    "fourier_rows": lambda settings, shape: operators.fourier_rows(shape, share=settings.rows),
    "gaussian_rows": lambda settings, shape: operators.gaussian_rows(shape, share=settings.rows),
}
NAMES = tuple(_OPERATORS)
