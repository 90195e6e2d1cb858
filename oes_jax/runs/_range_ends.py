"""Whether a result is finite, and not cut off at an end of its range, which a sharper image than the measured one may need wider."""

import numpy as np

from oes_jax import intensity
from oes_jax.runs._job import Job
from oes_jax.runs._job import SEED_STRIDE
from oes_jax.runs._measure import Measurement

_END = 0.005  # of the unit range, which the sigmoid at the end of a generator only nears
# Pixels, and share of them, up to which nothing is said.
_FEW, _SMALL_SHARE = 3, 2e-4


def _reference(job: Job, measurement: Measurement, shape: tuple[int, ...]) -> np.ndarray:
  """Return what was measured in the pixels of the image: values, enlarged where they are coarser, or the first image."""
  values = np.asarray(measurement.values)
  if not job.data.operator.measures_image or values.ndim != 3 or shape[0] % values.shape[0] or shape[1] % values.shape[1]:
    return np.asarray(measurement.estimate)
  return values.repeat(shape[0] // values.shape[0], 0).repeat(shape[1] // values.shape[1], 1)


def _holds_beyond(job: Job) -> tuple[bool, bool]:
  """Return whether there are values below and above the range: in the type of the file, and below 0 where some are."""
  values, (low, high) = job.data.picture.values, job.data.limits
  dtype, from_zero = values.dtype, low == 0 or low < 0 <= values.min()
  ends = job.data.picture.full_range
  if dtype.kind == "b":
    ends = (0, 1)
  elif ends is None and dtype.kind in "iu":
    ends = (np.iinfo(dtype).min, np.iinfo(dtype).max)
  return not from_zero and (ends is None or low > ends[0]), ends is None or high < ends[1]


def remark_ends(job: Job, measurement: Measurement, restored) -> list[str]:
  """Return lines that say how many pixels of a result lie at an end of its range, where what was measured does not.

  Nothing is said where pixels are measured one by one, so that nothing gets brighter than it was; of a simulated measurement,
  whose range is that of the clean image; and where there is nothing beyond the range, in the type of the file or below 0.

  Args:
    job: finished job.
    measurement: measurement of the job.
    restored: the result, [H, W, C] in the unit range.
  """
  data = job.data
  if data.operator.tileable or data.simulated:
    return []
  unit, (low, high), lines = np.asarray(restored), data.limits, []
  reference = np.broadcast_to(_reference(job, measurement, unit.shape), unit.shape)
  at_top, at_bottom = (np.where(end(unit), ~end(reference), False).any(-1)
                       for end in (lambda image: image >= 1 - _END, lambda image: image <= _END))
  places = [(at_bottom, "bottom", "darker"), (at_top, "top", "brighter")]
  places = [place for place, held in zip(places, _holds_beyond(job)) if held]
  if data.operator.is_complex:  # either end of a part is a large magnitude
    places = [(at_bottom | at_top, "top", "brighter")]
  own = data.scan is not None and not data.scan.given
  remedy = "scale the operator and what it measured" if own else "set data.range wider"
  for cut, name, details in places:
    count = int(cut.sum())
    if count > max(_FEW, _SMALL_SHARE * cut.size):
      lines.append(f"{count} pixels ({100 * count / cut.size:.3g} %) of the result lie at the {name} of the range "
                   f"{intensity.say_range(low, high)}: {details} details are cut off there; {remedy}")
  return lines


def is_later_member(job: Job) -> bool:
  """Whether a job restores a measurement that an earlier member of an ensemble restores too, and says the same of it."""
  drawn, seed = job.settings.noise.seed, job.settings.experiment.seed
  apart = 0 if drawn is None else (seed - drawn) % 2 ** 31
  return apart > 0 and apart % SEED_STRIDE == 0


def fault_of(job: Job, restored) -> str | None:
  """Return a line that says so where a result, [H, W, C] in the unit range, is not finite, or None."""
  if np.isfinite(np.asarray(restored)).all():
    return None
  return (f"the result is not finite, output.image={job.settings.output.image!r}, though the loss is: look at the kernel, the scale and "
          "the values of what was measured")
