"""What the stored values of an image say by themselves: range, levels, ends that are cut off, places without data."""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from oes_jax import intensity

# An end of the histogram is cut off where it holds so many times what the fullest of the levels beside it holds, and at
# least this share of the values. Four times what is usual leaves the ends of Poisson counts and of clean photographs alone.
_SPIKE, _LEAST_SHARE, _LEAST_COUNT = 4, 5e-4, 8
# Levels beside an end that are compared with it.
_BESIDE = 3
# Whole numbers whose second level holds so many times what the third does fall off as counts of few photons do: their zeros
# are counts, not cut off.
_FALLING = 2


class End(NamedTuple):
  """The lowest or the highest value of an image.

  Attributes:
    value: the value, in the image's own units.
    share: share of the values that hold it.
    is_cut: whether so many hold it that what lay beyond was cut off: clipped or saturated.
    of_type: whether the type has no value beyond it.
  """
  value: float
  share: float
  is_cut: bool
  of_type: bool


class Values(NamedTuple):
  """What the stored values are.

  Attributes:
    shape: (rows, columns, channels).
    dtype: name of the type.
    low, high: the ends of the values that are data.
    levels: number of distinct values.
    step: smallest distance of two of them, in the image's own units; 0 where there is one.
    lost: share of the pixels without data: NaN, of the fill value, or those that a mask says.
    nan: share of the pixels that are NaN or infinite.
    fill: value that stands for no data, as it fills a block far from all others; or None.
    limits: (low, high), the values that map to 0 and 1 where no data.range is set; None where nothing is.
    outside: share of the values beyond these limits, which a restoration cuts off.
  """
  shape: tuple[int, int, int]
  dtype: str
  low: End
  high: End
  levels: int
  step: float
  lost: float
  nan: float
  fill: float | None
  limits: tuple[float, float] | None
  outside: float

  @property
  def is_blank(self) -> bool:
    """Whether all values are the same."""
    return self.low.value == self.high.value

  @property
  def is_whole(self) -> bool:
    """Whether the values look like counts: whole numbers from 0."""
    return self.step >= 1 and self.step == int(self.step) and self.low.value >= 0 and float(self.low.value).is_integer()


def _may_have_fill(values: np.ndarray) -> bool:
  """Whether the lowest or the highest value lies farther from the others than these from each other."""
  for end in (values.min(), values.max()):
    rest = values[values != end].astype(np.float64)
    if rest.size and np.min(np.abs(rest - float(end))) > np.ptp(rest) > 0:
      return True
  return False


def find_lost(values: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, float | None]:
  """Return (which pixels hold data [H, W], the value that stands for none or None; of several the first).

  Args:
    values: [H, W, C].
    mask: [H, W], 0 where a pixel is lost; or None.
  """
  seen, fills = np.isfinite(values).all(-1), []
  if mask is not None:
    seen &= mask != 0
  while seen.any() and values.dtype not in (np.uint8, np.int8, bool):
    known = fill_lost(values, seen)
    if not _may_have_fill(known):
      break
    fill = intensity.find_fill(known, ndimage.median_filter(known.astype(np.float64), size=(3, 3, 1), mode="nearest"))
    if fill is None:
      break
    fills.append(float(fill[0]))
    seen &= ~(values == fill[0]).any(-1)
  return seen, fills[0] if fills else None


def fill_lost(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
  """Return [H, W, C] with the nearest pixel that holds data, where one holds none."""
  if seen.all():
    return values
  return values[tuple(ndimage.distance_transform_edt(~seen, return_distances=False, return_indices=True))]


def _end(levels: np.ndarray, counts: np.ndarray, type_end: float | None) -> End:
  """Return the first level of an image as its end; counts are those of the levels from there on."""
  total, first, beside = counts.sum(), counts[0], counts[1:1 + _BESIDE]
  usual = beside.max(initial=0)
  is_cut = len(levels) > 2 and first >= max(_LEAST_COUNT, _LEAST_SHARE * total) and (
      first > _SPIKE * (usual + np.sqrt(usual)))
  from_zero = len(beside) > 1 and np.all(levels[:3] == np.arange(3))
  is_counted = from_zero and beside[0] >= _FALLING * beside[1]
  return End(float(levels[0]), float(first / total), bool(is_cut and not is_counted), levels[0] == type_end)


def describe_values(values: np.ndarray, seen: np.ndarray, fill: float | None) -> Values:
  """Return what the values of an image are.

  Args:
    values: [H, W, C], as they are stored.
    seen: [H, W], which pixels hold data.
    fill: value that stands for no data, or None.
  """
  data = values[seen]
  levels, counts = np.unique(data if data.dtype.kind != "b" else data.astype(np.uint8), return_counts=True)
  info = np.iinfo(values.dtype) if values.dtype.kind in "iu" else None
  step = float(np.min(np.diff(levels.astype(np.float64)))) if len(levels) > 1 else 0.0
  limits, outside = None, 0.0
  if len(levels) > 1 and np.isfinite(levels).all():
    limits = intensity.intensity_range(fill_lost(values, seen))
    outside = float(np.mean((data < limits[0]) | (data > limits[1])))
  return Values(
      values.shape, values.dtype.name, _end(levels, counts, info and info.min),
      _end(levels[::-1], counts[::-1], info and info.max), len(levels), step, float(1 - seen.mean()),
      float(1 - np.isfinite(values).all(-1).mean()), fill, limits, outside)
