"""Images with hardly any noise: what of it is taken off, and whether a result has lost more than that."""

import numpy as np

from oes_jax import operators
from oes_jax.runs._job import Job

# Noise, in the unit range, below which an image is nearly clean, and below which fine texture all over hides how strong it is: of
# 18 crops with noise of 0.002 to 0.008 such an estimate was up to 5 times too high, and what it took off cost up to 6 dB. With a
# third of it one lost 0.03 dB, and the others gained (2026-11-28).
_NEARLY_CLEAN, _HIDDEN, _TAKEN = 0.01, 0.015, 1 / 3
# Squared difference of a result and the measurement, in variances of the noise, beyond which the result has a larger error than the
# measurement: the noise that it took off adds one.
_LOST = 2


def spare_texture(operator: operators.ForwardOperator, level: operators.NoiseLevel) -> operators.NoiseLevel:
  """Return the level of the noise that is taken off: a third of one that may be that of texture."""
  hidden = operator.tileable and level.correlation is None and 0 < level.sigma < _HIDDEN
  return level._replace(sigma=_TAKEN * level.sigma, bound=level.sigma) if hidden else level


def remark_level(operator: operators.ForwardOperator, level: operators.NoiseLevel | None, said: bool = False) -> list[str]:
  """Return lines that say what in a noise level makes a restoration worse, or gains little; [] where none was estimated.

  Args:
    operator: forward operator.
    level: level of the noise, or None.
    said: whether what is clipped was said already, or is simulated.
  """
  if level is None:
    return []
  found = operators.noise_warnings(level._replace(clipped=0.0) if said else level)
  if level.bound is not None:
    found.append(f"fine texture may hide the noise, which is at most {100 * level.bound:.2g} % of the range: a third of that is taken "
                 "off, so that no detail is lost, and no PSNR is expected; set fit.sigma where it is known")
  elif operator.tileable and level.sigma < _NEARLY_CLEAN:
    found.append(f"the image is nearly clean, its noise about {100 * level.sigma:.2g} % of the range: little is gained; if detail "
                 "is lost, set a smaller fit.sigma")
  return found


def remark_lost_detail(job: Job, measurement, restored) -> list[str]:
  """Return a line that says so where a result is farther from the measurement than its noise explains.

  Args:
    job: finished job.
    measurement: Measurement of the job, whose noise is estimated where its level is not known.
    restored: the result, [H, W, C] in the unit range.
  """
  operator, params, values, level = job.data.operator, measurement.op_params, measurement.values, measurement.noise_level
  if not operator.tileable or job.settings.noise.model != "gaussian" or values.shape != np.shape(restored):
    return []
  try:
    level = operators.estimate_noise_level(operator, params, values) if level is None else level
  except ValueError:  # too few neighbours
    return []
  seen = operator.seen(params)
  squared = np.mean((np.asarray(restored, np.float64) - values) ** 2, where=True if seen is None else np.asarray(seen) > 0)
  sigma = level.bound or level.sigma
  if squared <= _LOST * max(sigma, 1e-4) ** 2:
    return []
  return [f"the result differs from the measurement by {100 * squared ** 0.5:.2g} % of the range, whose noise is about "
          f"{100 * sigma:.2g} %: it has lost detail, and is likely worse than the measurement; fit.objective=recorrupted (preset "
          "quick) loses less, or a larger mask.keep_fraction, or more weights.num_steps"]
