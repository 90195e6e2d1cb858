"""The map of an image's stored values to the unit range, in which generators live."""

from typing import Sequence

import numpy as np
from scipy import ndimage


# Where a value lies so many times the range of all others away from them, it stands for no data.
_FAR = 5
_MARGIN = 0.05  # of the extremes' distance, by which a range is wider
# How many standard deviations of its noise, and which share of the range, an image computed of a scan strays by itself.
_STRAY, _RINGING = 6, 0.05


def _median_of_nine(values: np.ndarray) -> np.ndarray:
  """Return the 3 x 3 median of each channel of [H, W, C]."""
  return ndimage.median_filter(values.astype(np.float64), size=(3, 3, 1), mode="nearest")


def _stray(values: np.ndarray, smooth: np.ndarray) -> float:
  """Return how far the noise of an image reaches beyond its 3 x 3 median, told by the median of what differs from that."""
  details = np.abs(values - smooth)
  details = details[details > 0]  # around an object there may be nothing at all
  return _STRAY * 1.4826 * float(np.median(details)) if details.size else 0.0


def find_beyond(values: np.ndarray, limits: tuple[float, float]) -> tuple[float, float] | None:
  """Return (share of the values, the farthest one) that lie beyond limits farther than noise and ringing explain; or None.

  Args:
    values: [H, W, C], an image that was computed of a scan.
    limits: (low, high).
  """
  low, high = limits
  reach = _stray(values, _median_of_nine(values)) + _RINGING * (high - low)
  distances = np.maximum(low - values.astype(np.float64), values - high)
  far = distances > reach
  return (float(far.mean()), float(values.flat[np.argmax(distances)])) if far.any() else None


def find_fill(values: np.ndarray, smooth: np.ndarray) -> tuple[float, int] | None:
  """Return (value, how many hold it) where the smallest or largest value fills a block and lies far from all others.

  Args:
    values: [H, W, C].
    smooth: their 3 x 3 median, which isolated pixels do not reach.
  """
  for value, reached in ((values.min(), smooth.min()), (values.max(), smooth.max())):
    if value != reached:
      continue
    rest = values[values != value].astype(np.float64)
    spread = np.ptp(rest) if rest.size else 0.0
    if spread > 0 and np.min(np.abs(rest - float(value))) > _FAR * spread:
      return value.item(), values.size - rest.size
  return None


def _extremes(values: np.ndarray, smooth: np.ndarray, computed: bool) -> tuple[float, float]:
  """Return the least and largest value that count: of the 3 x 3 median, of a computed image also what its noise does not reach."""
  low, high, least, most = (float(end) for end in (smooth.min(), smooth.max(), values.min(), values.max()))
  if low == high:
    return least, most
  stray = _stray(values, smooth) if computed else np.inf
  return least if least < low - stray else low, most if most > high + stray else high


def intensity_range(values: np.ndarray, override: tuple[float, float] | None = None, *, computed: bool = False):
  """Return (low, high), the values that map to 0 and 1, from the measurement alone.

  8-bit and boolean data: the range of the dtype. Other data: the extremes of the 3 x 3 median of
  each channel (which isolated hot pixels do not reach), widened by 5 % of their distance, since
  the generator's sigmoid cannot reach 0 or 1. An image that was computed, of k-space or of rays, has no hot pixels:
  what reaches farther than its noise is a detail of it, which belongs to the range.

  Args:
    values: [H, W, C].
    override: range asked for, which is returned.
    computed: whether the image was computed of a scan, and not measured pixel by pixel.

  Raises:
    ValueError: the data hold one value only, or one that fills a block far from all others, or `override` is not increasing.
  """
  if override is not None:
    low, high = (float(v) for v in override)
    if not (np.isfinite([low, high]).all() and low < high):
      raise ValueError(f"range={tuple(override)} is not allowed; allowed: (low, high), finite, "
                       "low < high.")
    return low, high
  if np.isinf(values).any():
    raise ValueError("the measurement has an image whose values do not fit into 32 bits; allowed: measured values that are scaled "
                     "to about 1.")
  if values.min() == values.max():
    raise ValueError(f"the measurement holds the single value {values.min()}: there is nothing to restore. Set range= if "
                     "this is meant.")
  if values.dtype == bool:
    return 0.0, 1.0
  if values.dtype in (np.uint8, np.int8):
    info = np.iinfo(values.dtype)
    return float(info.min), float(info.max)
  smooth = _median_of_nine(values)
  fill = find_fill(values, smooth)
  if fill is not None:
    raise ValueError(f"the measurement holds {fill[0]:g} in {fill[1]} places, far from all other values: it seems to stand for "
                     "lost pixels, and would stretch the range. Restore with operator.name=inpainting and an operator.mask that "
                     "is 0 there, or set range= if this is meant.")
  low, high = _extremes(values, smooth, computed)
  margin = _MARGIN * (high - low)
  return low - margin, high + margin


def range_of_all(limits: Sequence[tuple[float, float]]) -> tuple[float, float]:
  """Return the range of several images of one kind together, from that of each: their extremes, widened as those of one are.

  Args:
    limits: (low, high) of each, of `intensity_range`; those of types with a range of their own are all the same.
  """
  lows, highs = zip(*limits)
  if len(set(limits)) == 1 or not any(lows):  # what starts at 0 is not widened there
    return min(lows), max(highs)
  share = _MARGIN / (1 + 2 * _MARGIN)
  low = min(low + share * (high - low) for low, high in limits)
  high = max(high - share * (high - low) for low, high in limits)
  return low - _MARGIN * (high - low), high + _MARGIN * (high - low)


def digits_of(low: float, high: float) -> int:
  """Return how many significant digits tell the ends of a range apart: four of their distance, six or more in all."""
  size, apart = max(abs(low), abs(high)), abs(high - low)
  return 6 if not 0 < apart < size else max(6, int(np.ceil(np.log10(size / apart))) + 4)


def say_range(low: float, high: float) -> str:
  """Return "low to high", in as many digits as tell the two apart.

  Example:
    >>> from oes_jax import intensity
    >>> intensity.say_range(0.0, 255.0), intensity.say_range(1e6, 1e6 + 0.5)
    ('0 to 255', '1000000 to 1000000.5')
  """
  digits = digits_of(low, high)
  return f"{low:.{digits}g} to {high:.{digits}g}"


def to_unit(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
  """Map stored values to the unit range; float64, values beyond the limits leave [0, 1]."""
  low, high = limits
  return (values.astype(np.float64) - low) / (high - low)


def from_unit(unit: np.ndarray, limits: tuple[float, float], dtype) -> np.ndarray:
  """Map [H, W, C] in the unit range back to `dtype`: rounded and clipped to an integer's range."""
  low, high = limits
  values = low + (high - low) * np.asarray(unit, np.float64)
  dtype = np.dtype(dtype)
  if dtype == bool:
    return values > 0.5
  if dtype.kind in "iu":
    info = np.iinfo(dtype)
    # The largest float64 that fits, since int64's own maximum would round up out of range.
    return np.clip(np.rint(values), info.min, np.nextafter(float(info.max) + 1, 0)).astype(dtype)
  return values.astype(dtype)
