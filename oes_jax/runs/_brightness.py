"""Whether noise that is taken to be the same everywhere grows with brightness."""

import numpy as np

from oes_jax import inspection
from oes_jax.runs._job import Job

_LONGEST = 256  # side of the middle of an image that is looked at


def remark_brightness(job: Job, op_params) -> list[str]:
  """Return a line that says so where a measured image has noise that grows with brightness, and the noise model is Gaussian.

  Args:
    job: job whose fit needs to know the noise.
    op_params: parameters of its operator, which say what was seen.
  """
  data = job.data
  if data.simulated or not data.operator.tileable or not data.operator.measures_image or job.settings.noise.model != "gaussian":
    return []
  seen = data.operator.seen(op_params)
  shape = data.picture.values.shape
  place = tuple(slice(start := max(0, (length - _LONGEST) // 16 * 8), start + _LONGEST) for length in shape[:2])
  values = data.picture.values[place]
  mask = None if seen is None else np.any(np.broadcast_to(np.asarray(seen) > 0, shape)[place], -1)
  if mask is not None and not mask.any():
    return []
  noise = inspection.inspect_image(values, mask=mask, limits=data.limits).noise
  if noise is None or not inspection.depends_on_brightness(noise):
    return []
  line, unit = noise.brightness, data.limits[1] - data.limits[0]
  dark, bright = (100 * max(line.gain * value + line.intercept, 0) ** 0.5 / unit for value in (line.values[0], line.values[-1]))
  return [f"the noise grows with brightness, from {dark:.2g} % of the range where it is dark to {bright:.2g} % where it is bright, and is "
          f"taken to be {100 * noise.sigma:.2g} % everywhere: inspect names the noise.model and noise.peak that fit it"]
