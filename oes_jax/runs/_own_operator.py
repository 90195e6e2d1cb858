"""What an operator of the caller's measured: an image, or anything else that it gives of one."""

import dataclasses

import numpy as np

from oes_jax import files
from oes_jax import operators
from oes_jax.runs import _build
from oes_jax.runs import _data
from oes_jax.runs import _given
from oes_jax.runs import _measure
from oes_jax.runs._given import Given
from oes_jax.runs._settings import Settings

# Change of the measured values where the image changes by 1, from which, and up to whose inverse, they are of the image's scale.
_SAME = 0.8


def _matched(given: Given, values: np.ndarray, op_params) -> np.ndarray:
  """Return what an operator of the caller's measured, in the shape that it gives.

  Raises:
    ValueError: it has another shape; [H, W] is taken for [H, W, 1].
  """
  operator = given.operator
  expected = operators.shape_of(operator, op_params)
  values = values[..., None] if (*values.shape, 1) == expected else values
  if values.shape != expected:
    raise ValueError(f"{given.name} has shape {values.shape}; allowed: {expected}, as the operator gives of an image "
                     f"{operator.image_shape}.")
  return values


def _remark_unit(settings: Settings, operator: operators.ForwardOperator) -> tuple[str, ...]:
  """Return a line that says how strong fit.sigma is in the measured values, where these have another scale than the image."""
  sigma, unit = settings.fit.sigma, operator.unit
  if sigma is None or _SAME < unit < 1 / _SAME:
    return ()
  return (f"fit.sigma={sigma:g} is taken for noise of a standard deviation of {sigma * unit:.3g} in the measured values, which "
          f"change by {unit:.3g} (operator.unit) where the image changes by 1",)


def read_scan(settings: Settings, given: Given) -> tuple[files.Picture, operators.Scan]:
  """Return (first image, scan) of what an operator of the caller's measured of an image in (0, 1), as it is.

  Raises:
    ValueError: it is not finite, has another shape than the operator gives, or a range is asked for.
  """
  operator = given.operator
  if settings.data.range is not None:
    raise ValueError(f"data.range={settings.data.range!r} does not go with an operator of your own, which acts on an "
                     "image in (0, 1); allowed: None.")
  values = _given.as_array(given.measurement, given.name, kinds="biufc")
  if values.dtype.kind not in "fc":
    raise ValueError(f"{given.name} holds {values.dtype} values, which nothing scales; allowed: real or complex floats, what "
                     "the operator gives of an image in (0, 1).")
  if not np.isfinite(values).all():
    raise ValueError(f"{given.name} holds NaN or infinite values; allowed: finite ones.")
  op_params = _measure.op_params_of(settings, operator)
  shape = np.shape(given.measurement)
  values = _matched(given, values, op_params).astype(np.complex64 if values.dtype.kind == "c" else np.float32)
  if operator.is_complex:  # such scans are taken for those of the complex image itself
    values = 2 * values - np.asarray(operator.apply(op_params, np.ones(operator.image_shape, np.float32)))
  scan = operators.Scan(values, operator.image_shape, {}, _remark_unit(settings, operator))
  picture = _data.scan_picture(operator, scan)
  return dataclasses.replace(picture, squeezed=picture.squeezed and shape != operator.image_shape), scan


def read_picture(settings: Settings, given: Given, simulated: bool) -> files.Picture:
  """Return the image that an operator of the caller's measured; or a clean one, where it is to be simulated."""
  operator = given.operator
  if operator.image_shape is None:
    return _given.as_picture(given.measurement, given.name)
  if simulated:
    picture = _given.as_picture(given.measurement, given.name)
    shape = (*picture.values.shape[:2], 2 if operator.is_complex else picture.values.shape[2])
    if shape != operator.image_shape:
      raise ValueError(f"{given.name} has shape {np.shape(given.measurement)}; allowed: that of an image of the "
                       f"operator, {operator.image_shape}.")
    return picture
  op_params = _measure.op_params_of(settings, operator)
  seen = operator.seen(op_params)
  picture = _given.as_picture(given.measurement, given.name, finite=seen is None)
  _matched(given, picture.values, op_params)
  if seen is None:
    return picture
  return _build.fill_lost(settings, picture, np.asarray(seen)[..., 0], given.name)
