"""From what was measured to a Problem: ranges, units, lost and held-out values."""

from typing import Any

import numpy as np

from oes_jax import intensity
from oes_jax import metrics
from oes_jax import noise
from oes_jax import operators
from oes_jax.fitting import _objectives
from oes_jax.fitting import _recorruption


def choose_range(values: np.ndarray, given: tuple[float, float] | None, *, model: str = "gaussian",
                 is_complex: bool = False, computed: bool = False) -> tuple[float, float]:
  """Return (low, high), the values that map to 0 and 1, from the measurement alone.

  A magnitude, and what some noise depends on, starts at 0.

  Args:
    values: [H, W, C], in their own units.
    given: range asked for, or None.
    model: noise model, a key of noise.NOISE_MODELS.
    is_complex: whether the values are the magnitude of a complex image.
    computed: whether the values are the first image of a scan, see `intensity.intensity_range`.

  Raises:
    ValueError: the values or the range asked for do not start at 0 where they have to; or see
      `intensity.intensity_range`.
  """
  low, high = intensity.intensity_range(values, given, computed=computed)
  if not (is_complex or noise.NOISE_MODELS[model].from_zero):
    return low, high
  needs = "a complex image needs" if is_complex else f"noise model {model!r} needs"
  if given is not None and low != 0:
    raise ValueError(f"range={tuple(given)} does not start at 0, as {needs} it; allowed: (0, high).")
  if values.min() < 0 or is_complex and values.shape[-1] != 1:
    raise ValueError(f"the measurement has {values.shape[-1]} channels and values from {values.min()}; allowed, as {needs} "
                     f"it: values that are not negative{', in one channel' if is_complex else ''}.")
  return 0.0, high


def scan_estimate(operator: operators.ForwardOperator, op_params, scan: operators.Scan) -> np.ndarray:
  """Return the first image [H, W, C] of a scan, in its own units; of a complex one the magnitude [H, W, 1]."""
  image = (operators.first_magnitude if operator.is_complex else
           lambda operator, op_params, values: operator.estimate(op_params, values))(operator, op_params, scan.values)
  return np.asarray(image, np.float32)


def scan_to_unit(scan: operators.Scan, operator: operators.ForwardOperator, op_params, limits: tuple[float, float]):
  """Return what the operator makes of the image in the unit range, where it made the scan of the image itself."""
  low, high = limits
  of_ones = operator.apply(op_params, np.ones(scan.image_shape, np.float32))
  if operator.is_complex:
    return (scan.values / high + of_ones) / 2
  return (scan.values - low * of_ones) / (high - low)


def to_image(operator: operators.ForwardOperator, unit):
  """Return the image [H, W, C] that the generator restores, of data in the unit range; complex ones get a phase."""
  if not operator.is_complex:
    return unit
  phase = np.exp(1j * operators.smooth_phase(unit.shape))
  return operators.complex_to_unit(unit[..., 0] * phase).astype(unit.dtype)


def view_of(operator: operators.ForwardOperator):
  """Return the function image -> what is scored, shown and written of it: itself, or the magnitude of a complex one."""
  return operators.magnitude_of_unit if operator.is_complex else _same


def _same(image):
  return image


def psnr_of(view):
  """Return the score (truth, problem, image) -> {"psnr"} of what is seen of an image, over its valid pixels."""
  def score(truth, problem, image):
    return {"psnr": metrics.psnr(view(image), view(truth), problem.valid)}
  return score


def as_valid(pixels) -> metrics.Valid:
  """Return metrics.Valid of an array [..., 1] of 1 and 0."""
  return metrics.Valid(np.asarray(pixels), np.asarray(pixels).sum())


def pose(operator: operators.ForwardOperator, op_params, values, loss: Any, net_input, *,
         valid: metrics.Valid | None = None, seen=None, held_out: tuple[Any, float] | None = None,
         recorruption: _recorruption.Recorruption | None = None) -> _objectives.Problem:
  """Return the Problem of a measurement through an operator.

  Args:
    operator: operator that made it.
    op_params: its parameters.
    values: measured values, in the unit range of the image.
    loss: noise.Noise, or a function (predicted, measured) -> loss of every value.
    net_input: network input; None feeds the generator with the operator's first image.
    valid: pixels of the image, where it is smaller than its frame.
    seen: which values were measured, [..., 1] of 0 and 1; None: all.
    held_out: (PRNG key, share of the values) that a guard alone sees, or None.
    recorruption: how the measurement is made anew in every step, or None.
  """
  problem = _objectives.Problem(
      values, operator.bind(op_params), loss, net_input, valid, None if seen is None else as_valid(seen), None, operator.unit,
      operator.bind_first_image(op_params) if net_input is None else None, recorruption, operator.plug_and_play)
  if held_out is None:
    return problem
  problem = _objectives.hold_out(problem, *held_out)
  return problem.replace(**{name: metrics.Valid(*map(np.asarray, getattr(problem, name))) for name in ("fitted", "held_out")})
