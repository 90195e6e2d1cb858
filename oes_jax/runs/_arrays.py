"""A job of arrays and objects in memory, in place of files and names: nothing is written."""

import dataclasses
from typing import Any, Mapping, Sequence

import numpy as np

from oes_jax import files
from oes_jax import operators
from oes_jax.runs import _build
from oes_jax.runs import _data
from oes_jax.runs import _errors
from oes_jax.runs import _given
from oes_jax.runs import _job
from oes_jax.runs import _measure
from oes_jax.runs import _own_operator
from oes_jax.runs import _planes
from oes_jax.runs._given import Given
from oes_jax.runs._settings import Settings


def _read_scan(settings: Settings, given: Given) -> operators.Scan:
  """Return the scan of a dictionary of arrays.

  Raises:
    ValueError: the operator reads none, an array is missing or faulty.
  """
  family, operator = _build.family_of(settings), settings.operator.name
  if family.read_scan is None:
    raise ValueError(f"{given.name} is a dictionary, which operator={operator!r} does not read; allowed: an array.")
  if settings.operator.simulate:
    raise ValueError(f"operator.simulate=True does not go with {given.name}, the arrays of a scan; allowed: False.")
  arrays = {key: _given.as_array(value, f"{given.name}[{key!r}]", kinds="biufc")
            for key, value in given.measurement.items() if key in (*family.arrays, *family.optional)}
  try:
    return operators.read_scan(settings.operator, {**given.measurement, **arrays})
  except (ValueError, TypeError, AttributeError) as error:
    raise ValueError(f"{given.name} cannot be read as a scan: {error}.") from error


def _read(settings: Settings, given: Given, simulated: bool):
  """Return (operator, picture, scan or None, remarks)."""
  own = given.operator
  if own is not None and settings.data.channel_axis != -1:
    raise ValueError(f"data.channel_axis={settings.data.channel_axis} does not go with an operator of your own, whose images have "
                     "their channels last; allowed: -1.")
  if own is not None:
    if own.measures_image or simulated:
      return own, _own_operator.read_picture(settings, given, simulated), None, ()
    picture, scan = _own_operator.read_scan(settings, given)
    return own, picture, scan, scan.remarks
  if isinstance(given.measurement, Mapping):
    scan = _read_scan(settings, given)
    operator = operators.make_operator(settings.operator, scan.image_shape, scan=scan)
    return operator, _data.scan_picture(operator, scan), scan, scan.remarks
  arrays = {key: _plane(settings, key, array) for key, array in given.arrays.items()} or _build.read_planes(settings)
  lost, remarks = _build.loses_measured_pixels(settings, simulated), ()
  if "mask" in arrays:
    remarks = _planes.remark_mask(arrays["mask"])
  picture = _given.as_picture(given.measurement, given.name, finite=not lost, channel_axis=settings.data.channel_axis,
                              hint="; or operator='inpainting', which restores NaN, and what its mask says")
  if lost and (arrays or settings.operator.mask is None):
    mask, said = _build.mark_nan(picture, arrays.get("mask"), given.name)
    arrays, remarks = arrays if mask is None else {"mask": mask}, remarks + said
  picture = _build.fill_lost(settings, picture, arrays["mask"], given.name) if lost and arrays else picture
  remarks += _data.remark_channels(picture, "set data.channel_axis=0")
  return _named_operator(settings, given.name, arrays, picture.values.shape, simulated), picture, None, remarks


def _plane(settings: Settings, key: str, value: Any) -> np.ndarray:
  """Return an array of the operator's settings as [H, W], the mean of its channels."""
  name = settings.operator.name
  if _build.family_of(settings).file_setting != key:
    raise ValueError(f"operator.{key} is an array, which operator={name!r} does not read; allowed: None.")
  values = _given.as_array(value, f"operator.{key}")
  if values.ndim not in (2, 3) or not np.isfinite(values).all():
    raise ValueError(f"operator.{key} has shape {values.shape}; allowed: finite values, [H, W].")
  return _planes.plane_of(values, f"operator.{key}")


def _named_operator(settings: Settings, called: str, arrays: Mapping[str, np.ndarray], measured: Sequence[int],
                    simulated: bool) -> operators.ForwardOperator:
  """Return the operator that the settings name, of a measured image (H, W, C)."""
  family, name = _build.family_of(settings), settings.operator.name
  if not simulated and not family.measures_image:
    perhaps = f", perhaps {', '.join(family.optional)}" if family.optional else ""
    allowed = f"a dictionary of {', '.join(family.arrays)}{perhaps}" if family.arrays else "operator.simulate=True"
    raise ValueError(f"operator={name!r} measures no image, and {called} is an array; allowed: {allowed}.")
  if not simulated and family.loses_pixels and "mask" not in arrays:
    raise ValueError(f"operator={name!r} needs a mask; allowed: {{'name': {name!r}, 'mask': array}}, 0 where pixels "
                     f"are lost, or NaN there in {called} and no mask.")
  try:
    return operators.make_operator(settings.operator, _build.image_shape(settings, measured, simulated), arrays=arrays)
  except ValueError as error:
    raise ValueError(f"operator={name!r}: {error}") from error


def _read_truth(given: Given, picture: files.Picture, whole: Sequence[int]) -> np.ndarray:
  """Return the clean values that are given, typed as those of the picture."""
  name, expected, dtype = f"truth{given.place}", (*whole[:2], picture.values.shape[2]), picture.values.dtype
  truth = _data.typed_as(_given.as_picture(given.truth, name, channel_axis=picture.channel_axis).values, dtype)
  if truth.shape != expected:
    raise ValueError(f"{name} has shape {np.shape(given.truth)}; allowed: that of the image, {expected}.")
  if truth.dtype != dtype:
    raise ValueError(f"{name} holds {truth.dtype} values; allowed: {dtype}, as the image.")
  return truth


def check_strength(settings: Settings) -> None:
  """Raise a ValueError where a strength of noise is given with a measurement and nothing reads it."""
  model = settings.noise.model
  for name in () if settings.operator.simulate else _build.unread_strengths(settings):
    own = "fit.sigma, with fit.objective='recorrupted', says how strong; " if (model, name) == ("gaussian", "sigma") else ""
    raise ValueError(f"noise.{name}={getattr(settings.noise, name)} adds noise to a clean image, and a measurement has its own, of "
                     f"which the fit of noise.model={model!r} does not read it; allowed: {own}None, or operator.simulate=True.")


def _check(settings: Settings, given: Given, data: _data.Data, whole: Sequence[int]) -> None:
  """Raise a ValueError where what is asked for does not go with what is given."""
  check_strength(settings)
  if settings.mask.source == "imp_oracle" and (data.truth is None or data.scan is not None):
    raise ValueError("mask.source='imp_oracle' prunes on the clean image; allowed: with "
                     f"truth{given.place}, and not of a scan.")
  if given.loss is not None and settings.fit.objective == "recorrupted":
    raise ValueError("loss does not go with fit.objective='recorrupted', which fits the squared error; allowed: "
                     "settings={'fit.objective': 'plain'}, or noise.model in settings.")
  own = given.operator is not None and data.operator.image_shape
  if settings.weights.combine and own and not operators.is_linear(data.operator):
    raise ValueError("weights.combine=True needs a linear operator, which the one that is given is not; allowed: "
                     "fit.sigma=None, and the plain objective; or weights.combine=False, with another output.image.")
  if settings.compute.tile and not data.operator.tileable:
    raise ValueError(f"compute.tile={settings.compute.tile} cuts an image that the operator measures as a whole; "
                     "allowed: None or 0.")
  if given.generator is not None and given.generator.image_shape != whole:
    raise ValueError(f"generator makes images {given.generator.image_shape}; allowed: {whole}, that of {given.name}.")
  if given.generator is not None and settings.generator.input == "measurement":
    fed = (*whole[:2], operators.count_first_image_channels(data.operator, whole))
    if given.generator.net_input_shape != fed:
      raise ValueError(f"generator takes a network input {given.generator.net_input_shape}; allowed with "
                       f"generator.input='measurement': {fed}, the first image of {given.name}; or generator.input='noise'.")


def range_of_array(settings: Settings, given: Given) -> tuple[float, float] | None:
  """Return the range (low, high) that an image in memory has by itself, lost pixels left out; None where it holds one value.

  Args:
    settings: all settings.
    given: arrays and objects.

  Raises:
    ValueError: an argument is not allowed.
  """
  operator, picture, scan, _ = _read(settings, given, bool(settings.operator.simulate))
  values = picture.values
  if scan is not None or values.min() == values.max():
    return None
  return _data.choose_limits(settings, values, given.name, is_complex=operator.is_complex)


def job_of_arrays(settings: Settings, given: Given) -> _job.Job:
  """Return the job of arrays and objects in memory; it has no folder.

  Args:
    settings: all settings; what is given takes the place of what they name.
    given: arrays and objects.

  Raises:
    ValueError: an argument is not allowed; the message names it.
  """
  _given.check_objects(given)
  # Messages and the summary call the arrays by these names, where files have their paths.
  settings = settings._replace(data=dataclasses.replace(
      settings.data, source=given.name, truth=None if given.truth is None else f"truth{given.place}"))
  simulated = bool(settings.operator.simulate)
  operator, picture, scan, remarks = _read(settings, given, simulated)
  limits = (0.0, 1.0)  # what an operator of the caller's acts on
  if given.operator is None or scan is None:
    limits = _data.choose_limits(settings, picture.values, given.name, is_complex=operator.is_complex,
                                 computed=scan is not None)
    remarks += () if scan is None else _data.remark_scan(scan, picture.values, limits)
  whole = tuple(operator.image_shape or picture.values.shape)
  truth = picture.values if simulated else None
  if given.truth is not None:
    truth = _read_truth(given, picture, whole)
  data = _data.Data(picture, limits, truth, simulated, _build.strength(settings, simulated), operator, scan, given.loss,
                    remarks)
  _check(settings, given, data, whole)
  with _errors.named("mask", {"16x16 with 1 channel": f"16x16 with 1 channel ({given.name})",
                              "a smaller data.crop": f"a smaller {given.name}"}):
    job = _job.make_job(settings, None, {}, data, whole, generator=given.generator)
  _measure.check_fit(job)
  return job
