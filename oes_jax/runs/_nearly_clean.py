"""Images with hardly any noise: what of it is taken off, and whether a result has lost more than that."""

import numpy as np

from oes_jax import operators
from oes_jax.runs._job import Job

# Noise, in the unit range, below which an image is nearly clean.
_NEARLY_CLEAN = 0.01
# Share of the estimated noise that is taken off where fine texture lies all over, and `NoiseLevel.texture` from which it falls, and at
# which it has fallen to that: of 14 crops of 64 x 64 pixels with noise of 0.003 to 0.02, restored by BM3D, all of the estimate cost
# grass 9.3, 2.8 and 1.3 dB, gravel 2.2, camera 1.2 and chelsea 0.8; so none lost 0.1 dB (2026-11-28).
_TAKEN, _TEXTURED = 1 / 3, (1.0, 1.5)
# Correlation of neighbours from which weak noise may be fine texture too, and at which it is taken for that; noise below which it is
# weak, and at which it is wholly so, as also where few places are measured, of which texture cannot be told.
_ALIKE, _WEAK = (0.15, 0.3), (0.02, 0.01)
# Squared difference of a result and the measurement, in variances of the noise, beyond which the result has a larger error than the
# measurement: the noise that it took off adds one.
_LOST = 2


def spare_texture(operator: operators.ForwardOperator, level: operators.NoiseLevel) -> operators.NoiseLevel:
  """Return the level of the noise that is taken off: less than the estimated one where that may be of fine texture."""
  if not operator.tileable or level.sigma <= 0:
    return level
  ramp = lambda value, ends: float(np.clip((value - ends[0]) / (ends[1] - ends[0]), 0, 1))
  doubt = ramp(level.sigma, _WEAK)
  if level.texture is not None:
    doubt = max(ramp(level.texture, _TEXTURED), doubt * ramp(level.correlation or 0.0, _ALIKE))
  share = 1 - (1 - _TAKEN) * doubt
  return level._replace(sigma=share * level.sigma, bound=level.sigma) if share < 1 else level


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
  if operators.is_correlated(level.correlation):
    found.append("no PSNR is expected where the noise is not white")
  if level.bound is not None:
    found.append("fine texture, or noise that neighbouring pixels share, hides how strong the noise is: of the "
                 f"{100 * level.bound:.2g} % of the range that it seems to have {100 * level.sigma / level.bound:.0f} % are taken off, so that "
                 "no detail is lost, and no PSNR is expected; set fit.sigma where it is known")
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
  advice = [*(["fit.objective=recorrupted (preset quick)"] if job.settings.fit.objective == "plain" else ["a smaller fit.sigma"]),
            *(["a larger mask.keep_fraction"] if job.settings.mask.source != "dense" else []), "more weights.num_steps"]
  return [f"the result differs from the measurement by {100 * squared ** 0.5:.2g} % of the range, whose noise is about "
          f"{100 * sigma:.2g} %: it has lost detail, and is likely worse than the measurement; "
          f"{', or '.join(advice)} may lose less"]
