"""The forward operator and the noise that settings ask for, with the files that they name."""

import dataclasses
import hashlib
import pathlib

import numpy as np
from scipy import ndimage

from oes_jax import files
from oes_jax import noise
from oes_jax import operators
from oes_jax.runs import _planes
from oes_jax.runs._settings import Settings

# Noise that is simulated where the settings name no strength.
_DEFAULT_STRENGTH = {"peak": 100.0, "share": 0.1}


def family_of(settings: Settings) -> operators.Family:
  """Return what is known of the operator before there is an image."""
  return operators.FAMILIES[settings.operator.name]


def is_simulated(settings: Settings, bundled: bool) -> bool:
  """Whether data.source is a clean image, of which the measurement is simulated; else it is the measurement."""
  if files.is_scan(settings.data.source):
    return False
  if settings.operator.simulate is not None:
    return settings.operator.simulate
  known = () if bundled else fitted_strength(settings)  # of a measured file
  given = [getattr(settings.noise, name) for name in noise.Strength._fields
           if getattr(settings.noise, name) is not None and name not in known]
  if family_of(settings).tileable and bundled and not any(given):  # each pixel is measured
    return not given  # noise.sigma=0 leaves nothing to restore, and no truth
  return bundled or any(given)


def fitted_strength(settings: Settings) -> tuple[str, ...]:
  """Return the fields of noise.Strength that the data fit reads; of Gaussian noise fit.sigma takes their place."""
  model = noise.NOISE_MODELS[settings.noise.model]
  recorrupted = settings.fit.objective == "recorrupted" and settings.noise.model != "gaussian"
  return model.reads if recorrupted else model.fits_with


def unread_strengths(settings: Settings) -> list[str]:
  """Return the fields of noise.Strength that are given, and that of a measurement nothing reads."""
  return [name for name in noise.Strength._fields if getattr(settings.noise, name) and name not in fitted_strength(settings)]


def strength(settings: Settings, simulated: bool) -> noise.Strength:
  """Return how strong the noise is: as asked for, by default where it is simulated; None where unknown.

  Raises:
    ValueError: the data fit needs to know it, and it is not given.
  """
  model = noise.NOISE_MODELS[settings.noise.model]
  default = {**_DEFAULT_STRENGTH, "sigma": family_of(settings).sigma}
  values = {name: getattr(settings.noise, name) for name in noise.Strength._fields}
  found = noise.Strength(**{name: default[name] if value is None and simulated and name in model.reads else value
                            for name, value in values.items()})
  for name in fitted_strength(settings):
    if not getattr(found, name):
      how = "; `oes-jax inspect FILE`, or oes_jax.inspect(array), prints it" if "peak" in model.reads else ""
      raise ValueError(f"noise.model={settings.noise.model!r} needs noise.{name}={getattr(found, name)} above 0: its data fit "
                       f"depends on it{how}.")
  return found


def image_shape(settings: Settings, measured: tuple[int, int, int], simulated: bool) -> tuple[int, int, int]:
  """Return (H, W, C) of the image, given that of data.source."""
  family = family_of(settings)
  if family.is_complex:
    return (*measured[:2], 2)
  finer = 1 if simulated else family.finer(settings.operator)
  return (finer * measured[0], finer * measured[1], measured[2])


def _file_of(settings: Settings) -> tuple[str, pathlib.Path] | None:
  """Return (setting of the operator that names a file, the file), or None.

  Raises:
    ValueError: there is no such file.
  """
  family = family_of(settings)
  key = family.file_setting
  path = None if key is None else getattr(settings.operator, key)
  if path is None or path in family.names:
    return None
  file = pathlib.Path(files.split_page(path)[0])
  if not file.is_file():
    raise ValueError(f"operator.{key}={path!r} does not exist; allowed: an image, an .npy file, "
                     f"{', '.join(family.names)}.")
  return key, file


def loses_measured_pixels(settings: Settings, simulated: bool) -> bool:
  """Whether pixels of a measured file are lost, where a mask or NaN says so."""
  return family_of(settings).loses_pixels and not simulated


def mark_nan(picture: files.Picture, mask: np.ndarray | None, name: str) -> tuple[np.ndarray | None, tuple[str, ...]]:
  """Return (mask that is 0 where a pixel is NaN too, lines that say so).

  Args:
    picture: image that was measured.
    mask: [H, W], 0 where a pixel is lost; None where no mask is given, and is returned where nothing is NaN either.
    name: what the image is called in messages.

  Raises:
    ValueError: all pixels are NaN.
  """
  seen = ~np.isnan(picture.values).any(-1)
  if mask is not None and mask.shape != seen.shape:
    return mask, ()  # filling them refuses it
  found = ~seen if mask is None else ~seen & (mask != 0)
  if not found.any():
    return mask, ()
  if not seen.any():
    raise ValueError(f"{name} holds nothing but NaN; allowed: some pixels that are numbers.")
  remark = f"{100 * found.mean():.3g} % of the pixels hold NaN, and count as lost"
  if mask is None:
    return seen, (remark,)
  return np.where(seen, mask, 0), (f"{remark}, beside those of operator.mask",)


def fill_lost(settings: Settings, picture: files.Picture, mask: np.ndarray, name: str | None = None) -> files.Picture:
  """Put the nearest measured pixel where a mask says that one is lost: a file may hold anything there.

  Args:
    settings: all settings.
    picture: image with lost pixels.
    mask: [H, W], 0 where a pixel is lost.
    name: what the image is called in messages; None: data.source.

  Raises:
    ValueError: the mask has another shape, a measured pixel is not finite, or only the lost pixels differ.
  """
  seen, named = mask != 0, f"={settings.operator.mask!r}" if settings.operator.mask else ""
  if seen.shape != picture.values.shape[:2] or not seen.any():
    raise ValueError(f"operator.mask{named} is {seen.shape} with {seen.sum()} measured pixels, the "
                     f"image {picture.values.shape[:2]}; allowed: its shape, not 0 everywhere.")
  measured, lost = picture.values[seen], picture.values[~seen]
  if np.all(measured == measured[0]) and not np.all((lost == measured[0]) | np.isnan(lost)):
    raise ValueError(f"operator.mask{named}: all measured pixels hold {measured[0].tolist()}, and the lost ones do not, so that "
                     "it looks inverted; allowed: 0 where pixels are lost.")
  if not np.isfinite(measured).all():
    name = name or f"data.source={settings.data.source!r}"
    raise ValueError(f"{name} holds NaN or infinite values that are measured; allowed: finite ones, or 0 there in "
                     "operator.mask.")
  nearest = ndimage.distance_transform_edt(~seen, return_distances=False, return_indices=True)
  return dataclasses.replace(picture, values=picture.values[tuple(nearest)])


def operator_digest(settings: Settings) -> str | None:
  """Return the sha256 of the operator's file; None where it has none.

  Raises:
    ValueError: there is no such file.
  """
  named = _file_of(settings)
  return None if named is None else hashlib.sha256(named[1].read_bytes()).hexdigest()


def read_planes(settings: Settings) -> dict[str, np.ndarray]:
  """Return {setting of the operator: [H, W]} of the file that the settings name, if they name one."""
  named = _file_of(settings)
  return {} if named is None else {named[0]: _read_plane(settings, named[0])}


def _read_plane(settings: Settings, key: str) -> np.ndarray:
  """Read [H, W] from the image or array of a setting of the operator; channels are averaged, a mask is cropped."""
  crop = settings.data.crop if key == "mask" else None
  picture = files.read_picture(getattr(settings.operator, key), crop, key=f"operator.{key}")
  name, values = f"operator.{key}={getattr(settings.operator, key)!r}", picture.values
  if picture.is_negative:
    if values.dtype != bool:
      raise ValueError(f"{name} has white at 0; allowed: an image that has black at 0.")
    values = ~values  # a fax, as it is seen
  return _planes.plane_of(values, name, picture.alpha)


def read_scan(settings: Settings) -> tuple[operators.Scan, str] | None:
  """Read data.source where it is an NPZ, HDF5 or MAT file; None where it is an image.

  Returns:
    (scan, sha256 of the file).

  Raises:
    ValueError: it is faulty, or a key does not go with it.
  """
  source = settings.data.source
  if not files.is_scan(source):
    return None
  for key in ("crop", "max_side"):
    if getattr(settings.data, key) is not None:
      raise ValueError(f"data.{key}={getattr(settings.data, key)!r} does not go with a scan, data.source={source!r}; "
                       "allowed: None.")
  if settings.operator.simulate:
    raise ValueError(f"operator.simulate=True does not go with a scan, data.source={source!r}; allowed: None.")
  family = family_of(settings)
  if family.read_scan is None:
    allowed = ", ".join(name for name, family in operators.FAMILIES.items() if family.read_scan)
    raise ValueError(f"data.source={source!r} holds measured arrays, which operator.name={settings.operator.name!r} "
                     f"does not read; allowed: {allowed}; of an image, a TIFF, NPY or FITS file.")
  path, part = files.split_page(source)
  arrays, digest, remarks = files.read_arrays(path, (*family.arrays, *family.optional), part and part[0])
  try:
    scan = operators.read_scan(settings.operator, arrays)
    return scan._replace(remarks=remarks + scan.remarks), digest
  except (ValueError, TypeError, AttributeError) as error:
    raise ValueError(f"data.source={source!r} cannot be read as a scan: {error}.") from error


def make_operator(settings: Settings, shape: tuple[int, int, int], simulated: bool, scan: operators.Scan | None = None,
                  mask: np.ndarray | None = None) -> operators.ForwardOperator:
  """Return the operator of settings for an image (H, W, C), or that of a scan.

  Raises:
    ValueError, OSError: it does not go with the image, or its file cannot be read.
  """
  name, source, family = settings.operator.name, settings.data.source, family_of(settings)
  if scan is None and not simulated and not family.measures_image:
    raise ValueError(f"operator.name={name!r} measures no image, so data.source={source!r} is no "
                     "measurement of it; allowed: an .npz, .h5 or .mat file of mri or tomography, or operator.simulate=True, to "
                     "simulate one of a clean image.")
  arrays = read_planes(settings) if mask is None else {"mask": mask}
  if not simulated and family.loses_pixels and not arrays:
    raise ValueError(f"operator.name={name!r} needs operator.mask={settings.operator.mask!r} to be a file; allowed: an "
                     f"image that is 0 where pixels are lost, or NaN there in data.source={source!r} and no mask.")
  try:
    return operators.make_operator(settings.operator, shape, arrays=arrays, scan=scan)
  except ValueError as error:
    where = f"operator.name={name!r}" if scan is None else f"data.source={source!r}"
    raise ValueError(f"{where}: {error}") from error
