"""The forward operator and the noise that a config asks for."""

import dataclasses
import hashlib
import pathlib
from typing import Any

import numpy as np
from scipy import ndimage

from oes_jax import files
from oes_jax import intensity
from oes_jax import noise
from oes_jax import operators

# Noise that is simulated where the config names no strength.
_DEFAULT_STRENGTH = {"sigma": 0.1, "peak": 100.0, "share": 0.1}
_DEFAULT_SIGMA = {"super_resolution": 0.02, "deblurring": 0.02}  # of what loses detail before the noise comes
# Operators whose measurement is an image: a user's file can be one.
MEASURE_IMAGES = ("identity", "inpainting", "super_resolution", "deblurring")
_KERNELS = ("gaussian", "motion")
# Keys of config.operator that name a file: the operators that read it, and names that are none.
_FILES = {"mask": (("inpainting",), tuple(operators.DAMAGE)), "kernel": (("deblurring",), _KERNELS)}


def is_scan(source: str) -> bool:
  """Whether data.source is a file of measured arrays."""
  return source.lower().endswith(".npz")


def is_simulated(config, bundled: bool) -> bool:
  """Whether data.source is a clean image, of which the measurement is simulated; else it is the measurement."""
  if is_scan(config.data.source):
    return False
  if config.operator.simulate is not None:
    return config.operator.simulate
  known = () if bundled else noise.NOISE_MODELS[config.noise.model].fits_with  # the fit's, of a measured file
  given = [config.noise[name] for name in noise.Strength._fields
           if config.noise[name] is not None and name not in known]
  if config.operator.name == "identity" and bundled and not any(given):
    return not given  # noise.sigma=0 leaves nothing to restore, and no truth
  return bundled or any(given)


def strength(config, simulated: bool) -> noise.Strength:
  """Return how strong the noise is: as the config says, by default where it is simulated; None where unknown."""
  reads = noise.NOISE_MODELS[config.noise.model].reads if simulated else ()
  default = {**_DEFAULT_STRENGTH, "sigma": _DEFAULT_SIGMA.get(config.operator.name, _DEFAULT_STRENGTH["sigma"])}
  values = {name: config.noise[name] for name in noise.Strength._fields}
  return noise.Strength(**{
      name: default[name] if value is None and name in reads else value for name, value in values.items()})


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
  """Return (low, high) of data.source; a magnitude, and what some noise depends on, starts at 0.

  Raises:
    ValueError: see intensity.intensity_range; or the data or data.range do not start at 0 where they have to.
  """
  low, high = intensity.intensity_range(values, config.data.range)
  model = config.noise.model
  if not (is_complex(config) or noise.NOISE_MODELS[model].from_zero):
    return low, high
  if config.data.range is not None and low != 0:
    raise ValueError(f"data.range={tuple(config.data.range)} does not start at 0, as noise.model={model!r} and "
                     f"operator.name={config.operator.name!r} need it; allowed: (0, high).")
  if values.min() < 0 or is_complex(config) and values.shape[-1] != 1:
    raise ValueError(f"data.source={config.data.source!r} has {values.shape[-1]} channels and values from "
                     f"{values.min()}; allowed with noise.model={model!r}, operator.name={config.operator.name!r}: values "
                     "that are not negative, in one channel for mri.")
  return 0.0, high


def angles_of(config) -> np.ndarray:
  """Return the angles of a simulated tomography, in degrees."""
  return np.linspace(0, 180, config.operator.angles, endpoint=False)


def is_mask_file(config) -> bool:
  """Whether operator.mask names a file."""
  return config.operator.mask not in (None, *operators.DAMAGE)


def fill_lost(config, picture: files.Picture) -> files.Picture:
  """Put the nearest measured pixel where operator.mask says that one is lost: a file may hold anything there.

  Raises:
    ValueError: the mask has another shape, or a measured pixel is not finite.
  """
  seen = _read_plane(config, "mask") != 0
  if seen.shape != picture.values.shape[:2] or not seen.any():
    raise ValueError(f"operator.mask={config.operator.mask!r} is {seen.shape} with {seen.sum()} measured pixels, the "
                     f"image {picture.values.shape[:2]}; allowed: its shape, not 0 everywhere.")
  measured = picture.values[seen]
  if not np.isfinite(measured).all():
    raise ValueError(f"data.source={config.data.source!r} holds NaN or infinite values that are measured; allowed: "
                     "finite ones, or 0 there in operator.mask.")
  nearest = ndimage.distance_transform_edt(~seen, return_distances=False, return_indices=True)
  return dataclasses.replace(picture, values=picture.values[tuple(nearest)])


def to_image(config, unit):
  """Return the image [H, W, C] that the generator restores, of data.source in the unit range."""
  if not is_complex(config):
    return unit
  return operators.complex_to_unit(unit[..., 0] * np.exp(1j * operators.smooth_phase(unit.shape))).astype(unit.dtype)


def to_view(config, image):
  """Return what is scored, shown and written of an image [H, W, C]: itself, or its magnitude."""
  return operators.magnitude_of_unit(image) if is_complex(config) else image


def operator_digest(config) -> str | None:
  """Return the sha256 of the operator's file; None where it has none.

  Raises:
    ValueError: there is no such file.
  """
  for key, (names, known) in _FILES.items():
    path = config.operator[key]
    if config.operator.name in names and path is not None and path not in known:
      file = pathlib.Path(files.split_page(path)[0])
      if not file.is_file():
        raise ValueError(f"operator.{key}={path!r} does not exist; allowed: an image, an .npy file, {', '.join(known)}.")
      return hashlib.sha256(file.read_bytes()).hexdigest()
  return None


def _read_plane(config, key: str) -> np.ndarray:
  """Read [H, W] from the image or array of a key of config.operator; channels are averaged, a mask is cropped."""
  crop = config.data.crop if key == "mask" else None
  picture = files.read_picture(config.operator[key], crop, key=f"operator.{key}")
  return picture.values.astype(np.float64).mean(-1)


def _lost_pixels(config, shape) -> np.ndarray | None:
  """Return operator.mask as [H, W], 0 where a pixel is lost; None: at random."""
  name = config.operator.mask
  if name is None:
    return None
  return operators.DAMAGE[name](shape) if name in operators.DAMAGE else _read_plane(config, "mask")


def _kernel(config) -> np.ndarray:
  settings = config.operator
  if settings.kernel == "gaussian":
    return operators.gaussian_kernel(settings.kernel_sigma)
  if settings.kernel == "motion":
    return operators.motion_kernel(settings.motion_length, settings.motion_angle)
  kernel = _read_plane(config, "kernel")
  if kernel.sum() <= 0:
    raise ValueError("its sum is not above 0")
  return kernel / kernel.sum()


def read_scan(config) -> files.Scan | None:
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
  return files.read_scan(source, config.operator.name)


def picture_of(config, scan: files.Scan) -> files.Picture:
  """Return the first estimate of a scan, in its own units: what stands for the file where an image would."""
  shape = (*scan.shape, 2 if is_complex(config) else scan.values.shape[-1])
  operator = make_operator(config, shape, False, scan)
  op_params = operator.init(np.random.default_rng(0))
  if is_complex(config):
    energy = np.sum(np.square(op_params[0]), (0, -1))[..., None]  # of the coils at every pixel
    estimate = np.linalg.norm(operators.adjoint(operator.apply, op_params, scan.values, shape), axis=-1,
                              keepdims=True) / np.maximum(energy, 1e-3 * energy.max())
  else:
    estimate = operator.estimate(op_params, scan.values)
  return files.Picture(values=np.asarray(estimate, np.float32), alpha=None, squeezed=estimate.shape[-1] == 1,
                        suffix=".npy", digest=scan.digest, bundled=False)


def scan_to_unit(config, scan: files.Scan, operator: operators.ForwardOperator, op_params, limits, shape):
  """Return what the operator makes of the image in the unit range, where it made `scan` of the image itself."""
  low, high = limits
  of_ones = operator.apply(op_params, np.ones(shape, np.float32))
  if is_complex(config):
    return (scan.values / high + of_ones) / 2
  return (scan.values - low * of_ones) / (high - low)


def make_operator(config, shape: tuple[int, int, int], simulated: bool,
                  scan: files.Scan | None = None) -> operators.ForwardOperator:
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
  if not simulated and settings.name == "inpainting" and not is_mask_file(config):
    raise ValueError(f"operator.name='inpainting' needs operator.mask={settings.mask!r} to be a file; allowed: an image "
                     "that is 0 where pixels are lost.")
  try:
    return _OPERATORS[settings.name](config, shape)
  except ValueError as error:
    raise ValueError(f"operator.name={settings.name!r}: {error}") from error


_OPERATORS = {
    "identity": lambda config, shape: operators.identity(),
    "inpainting": lambda config, shape: operators.inpainting(
        shape, kept=config.operator.kept, mask=_lost_pixels(config, shape)),
    "super_resolution": lambda config, shape: operators.downsampling(
        shape, factor=config.operator.factor, kernel=config.operator.downsampling),
    "deblurring": lambda config, shape: operators.blur(shape, kernel=_kernel(config)),
    "mri": lambda config, shape: operators.mri(
        shape, coils=operators.simulated_coils(shape, config.operator.coils), acceleration=config.operator.acceleration,
        centre=config.operator.centre),
    "tomography": lambda config, shape: operators.tomography(
        shape, angles=angles_of(config)),
    "fourier_rows": lambda config, shape: operators.fourier_rows(shape, share=config.operator.rows),
    "gaussian_rows": lambda config, shape: operators.gaussian_rows(shape, share=config.operator.rows),
}
OPERATOR_NAMES = tuple(_OPERATORS)
