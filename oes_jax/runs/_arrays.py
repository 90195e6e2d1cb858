"""A job of arrays and objects in memory, in place of files and names: nothing is read or written."""

import dataclasses
from typing import Any, Mapping, NamedTuple

import numpy as np

from oes_jax import files
from oes_jax import fitting
from oes_jax import generators
from oes_jax import operators
from oes_jax.runs import _build
from oes_jax.runs import _data
from oes_jax.runs import _errors
from oes_jax.runs import _job
from oes_jax.runs._settings import Settings


class Given(NamedTuple):
  """What is given in memory.

  Attributes:
    measurement: array that was measured; or {name: array} of a scan.
    truth: clean image, only ever scored; or None.
    arrays: arrays of the operator's settings: "mask" [H, W] or "kernel" [k, l].
    operator: forward operator in place of the one that the settings name, or None.
    generator: generator in place of the one that the settings name, or None.
    loss: noise.Noise or a function (predicted, measured) -> loss of every value, in place of the noise model's
      fit; or None.
  """
  measurement: Any
  truth: Any = None
  arrays: Mapping[str, np.ndarray] = {}
  operator: operators.ForwardOperator | None = None
  generator: generators.Generator | None = None
  loss: Any = None


def _as_array(value: Any, name: str, *, kinds: str = "biuf") -> np.ndarray:
  """Return an argument as an array.

  Raises:
    ValueError: it is no array, or its values are of another kind.
  """
  array = np.asarray(value)
  if array.dtype.kind not in kinds:
    raise ValueError(f"{name} is a {type(value).__name__} of {array.dtype} values; allowed: an array of boolean, "
                     f"integer or real{' or complex' if 'c' in kinds else ''} numbers.")
  if array.size == 0:
    raise ValueError(f"{name} has shape {array.shape}; allowed: one or more values.")
  return array


def _as_picture(value: Any, name: str, *, finite: bool = True) -> files.Picture:
  """Return an array [H, W] or [H, W, C] as a picture."""
  values = _as_array(value, name)
  if values.ndim not in (2, 3):
    raise ValueError(f"{name} has shape {values.shape}; allowed: [H, W] or [H, W, C].")
  if finite and not np.isfinite(values).all():
    raise ValueError(f"{name} holds {np.size(values) - np.isfinite(values).sum()} NaN or infinite values; allowed: "
                     "finite ones; or operator='inpainting' with a mask that is 0 where they are.")
  squeezed = values.ndim == 2
  return files.Picture(values=values[..., None] if squeezed else values, alpha=None, squeezed=squeezed, suffix=".npy",
                       digest="", bundled=False)


def _read_scan(settings: Settings, given: Given) -> operators.Scan:
  """Return the scan of a dictionary of arrays.

  Raises:
    ValueError: the operator reads none, an array is missing or faulty.
  """
  family, name = _build.family_of(settings), settings.operator.name
  if family.read_scan is None:
    raise ValueError(f"measurement is a dictionary, which operator={name!r} does not read; allowed: an array.")
  missing = [key for key in family.arrays if key not in given.measurement]
  if missing:
    raise ValueError(f"measurement has no array {missing[0]!r}; allowed for operator={name!r}: "
                     f"{', '.join(family.arrays)}.")
  arrays = {key: np.asarray(value) for key, value in given.measurement.items()}
  for key, array in arrays.items():
    if array.dtype.kind in "fc" and not np.isfinite(array).all():
      raise ValueError(f"measurement[{key!r}] holds NaN or infinite values; allowed: finite ones.")
  try:
    return family.read_scan(arrays)
  except (ValueError, TypeError, AttributeError) as error:
    raise ValueError(f"measurement cannot be read as a scan: {error}.") from error


def _own_scan(settings: Settings, given: Given) -> operators.Scan:
  """Return what an operator of the caller's measured, as it is.

  Raises:
    ValueError: it has another shape than the operator gives, or a range is asked for.
  """
  if settings.data.range is not None:
    raise ValueError(f"data.range={settings.data.range!r} does not go with an operator of your own, which acts on an "
                     "image in (0, 1); allowed: None.")
  values = _as_array(given.measurement, "measurement", kinds="biufc")
  op_params = given.operator.init(np.random.default_rng(0))
  expected = operators.shape_of(given.operator, op_params)
  if values.shape != expected:
    raise ValueError(f"measurement has shape {values.shape}; allowed: {expected}, as the operator gives of an image "
                     f"{given.operator.image_shape}.")
  return operators.Scan(values.astype(np.complex64 if values.dtype.kind == "c" else np.float32),
                        given.operator.image_shape, {})


def _read(settings: Settings, given: Given, simulated: bool):
  """Return (operator, picture, scan or None)."""
  own = given.operator
  if own is not None and not own.measures_image:
    scan = _own_scan(settings, given)
    return own, _data.scan_picture(own, scan), scan
  if isinstance(given.measurement, Mapping):
    scan = _read_scan(settings, given)
    operator = operators.make_operator(settings.operator, scan.image_shape, scan=scan)
    return operator, _data.scan_picture(operator, scan), scan
  lost = _build.family_of(settings).loses_pixels and "mask" in given.arrays and not simulated
  picture = _as_picture(given.measurement, "measurement", finite=not lost)
  picture = _build.fill_lost(settings, picture, given.arrays["mask"]) if lost else picture
  if own is None:
    own = _named_operator(settings, given, picture.values.shape, simulated)
  return own, picture, None


def _named_operator(settings: Settings, given: Given, measured, simulated: bool) -> operators.ForwardOperator:
  """Return the operator that the settings name, of a measured image (H, W, C)."""
  family, name = _build.family_of(settings), settings.operator.name
  if not simulated and not family.measures_image:
    allowed = f"a dictionary of {', '.join(family.arrays)}" if family.arrays else "operator.simulate=True"
    raise ValueError(f"operator={name!r} measures no image, and measurement is an array; allowed: {allowed}.")
  if not simulated and family.loses_pixels and "mask" not in given.arrays:
    raise ValueError(f"operator={name!r} needs a mask; allowed: {{'name': {name!r}, 'mask': array}}, 0 where pixels "
                     "are lost.")
  shape = _build.image_shape(settings, measured, simulated)
  try:
    return operators.make_operator(settings.operator, shape, arrays=given.arrays)
  except ValueError as error:
    raise ValueError(f"operator={name!r}: {error}") from error


def job_of_arrays(settings: Settings, given: Given) -> _job.Job:
  """Return the job of arrays and objects in memory; it has no folder.

  Args:
    settings: all settings; what is given takes the place of what they name.
    given: arrays and objects.

  Raises:
    ValueError: an argument is not allowed; the message names it.
  """
  # Messages call the measurement by this name, where a file has its path.
  settings = settings._replace(data=dataclasses.replace(settings.data, source="measurement"))
  simulated = bool(settings.operator.simulate)
  operator, picture, scan = _read(settings, given, simulated)
  own = given.operator is not None and scan is not None
  with _errors.named("data"):
    limits = (0.0, 1.0) if own else fitting.choose_range(
        picture.values, settings.data.range, model=settings.noise.model, is_complex=operator.is_complex)
  whole = operator.image_shape or picture.values.shape
  truth = picture.values if simulated else None
  if given.truth is not None:
    truth = _as_picture(given.truth, "truth").values
    expected = (*whole[:2], picture.values.shape[2])
    if truth.shape != expected:
      raise ValueError(f"truth has shape {np.shape(given.truth)}; allowed: that of the image, {expected}.")
    truth = truth.astype(picture.values.dtype) if truth.dtype.kind == picture.values.dtype.kind else truth
    if truth.dtype != picture.values.dtype:
      raise ValueError(f"truth holds {truth.dtype} values; allowed: {picture.values.dtype}, as the measurement.")
  data = _data.Data(picture, limits, truth, simulated, _build.strength(settings, simulated), operator, scan, given.loss)
  if given.generator is not None and given.generator.image_shape != tuple(whole):
    raise ValueError(f"generator makes images {given.generator.image_shape}; allowed: {tuple(whole)}, that of the "
                     "measurement.")
  with _errors.named("mask"):
    return _job.make_job(settings, None, {"inputs": {"operator": None}}, data, whole, generator=given.generator)
