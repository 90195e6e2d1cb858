"""What a measured image says of its own noise that a noise model of one strength everywhere does not."""

import numpy as np

from oes_jax import inspection
from oes_jax.runs._job import Job

_LONGEST = 256  # side of the middle of an image that is looked at
_MANY = 0.01  # share of the values that hold an end of them, from which that is said


def remark_noise(job: Job, op_params, clipped: float) -> list[str]:
  """Return lines that say so where values were cut off before they were stored, and where Gaussian noise grows with brightness.

  Args:
    job: job whose fit needs to know the noise.
    op_params: parameters of its operator, which say what was seen.
    clipped: share of clipped values that is said already.
  """
  data = job.data
  if data.simulated or not data.operator.tileable or not data.operator.measures_image or job.settings.noise.model != "gaussian":
    return []
  seen, shape = data.operator.seen(op_params), data.picture.values.shape
  place = tuple(slice(start := max(0, (length - _LONGEST) // 16 * 8), start + _LONGEST) for length in shape[:2])
  mask = None if seen is None else np.any(np.broadcast_to(np.asarray(seen) > 0, shape)[place], -1)
  if mask is not None and not mask.any():
    return []
  found = inspection.inspect_image(data.picture.values[place], mask=mask, limits=data.limits)
  low, high = found.values.low, found.values.high
  ends = () if clipped > _MANY else (
      (low, "lowest", "darker", "; or they hold no data, which operator.name=inpainting with operator.mask fills in"),
      (high, "highest", "brighter", ""))
  said = [f"{100 * end.share:.3g} % of the values are {end.value:g}, the {name} one: what was {lost} is cut off, and its noise with it{other}"
          for end, name, lost, other in ends if end.is_cut and end.share > _MANY]
  if found.noise is None or not inspection.depends_on_brightness(found.noise):
    return said
  line, unit = found.noise.brightness, data.limits[1] - data.limits[0]
  dark, bright = (100 * max(line.gain * value + line.intercept, 0) ** 0.5 / unit for value in (line.values[0], line.values[-1]))
  return [*said, f"the noise grows with brightness, from {dark:.2g} % of the range where it is dark to {bright:.2g} % where it is bright, "
          f"and is taken to be {100 * found.noise.sigma:.2g} % everywhere: inspect names the noise.model and noise.peak that fit it"]
