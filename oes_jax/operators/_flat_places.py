"""Details of an image, and how strong they are where it is flat: there they are of the noise alone."""

from typing import NamedTuple, Sequence

import numpy as np
from scipy import ndimage

# Places that are looked at, about, where an image has more.
_MOST = 300_000
# Places that count as flat: this share of all, and at least so many.
_SHARE, LEAST = 0.05, 60
# Variance around a place below which it is no measurement, but a constant.
_CONSTANT = 1e-12
# Median of the square of a standard normal variable.
_MEDIAN_SQUARE = 0.455


class Details(NamedTuple):
  """Details of an image, and what lies around each; arrays [number of details].

  Attributes:
    power: squared detail.
    variance: variance of the other pixels around it.
    mean: mean of all pixels around it, its own too.
    unclipped: whether its own pixels lie inside (0, 1).
    own: mean of its own pixels.
    others: mean of the others around it.
  """
  power: np.ndarray
  variance: np.ndarray
  mean: np.ndarray
  unclipped: np.ndarray
  own: np.ndarray
  others: np.ndarray


def noise_details(image: np.ndarray, seen: np.ndarray, lag: tuple[int, int]) -> Details:
  """Return Details where all pixels of a detail were measured.

  A detail is the difference of two pixels, or of two such differences, scaled to the variance of one pixel's noise.
  What lies around it are the other pixels within a reach that holds about eight measured ones.

  Args:
    image: [H, W].
    seen: [H, W], whether a pixel was measured.
    lag: rows and columns between the pixels of a detail; 0: no difference along these.
  """
  places = [(slice(down, image.shape[0] - lag[0] + down), slice(right, image.shape[1] - lag[1] + right))
            for down in sorted({0, lag[0]}) for right in sorted({0, lag[1]})]
  own, step = np.logical_and.reduce([seen[place] for place in places]), int(np.ceil(np.sqrt(seen.size / _MOST)))
  own &= (np.arange(own.shape[0]) % step == 0)[:, None] & (np.arange(own.shape[1]) % step == 0)
  pixels = np.stack([image[place][own] for place in places])
  signs = np.array([1, -1, -1, 1])[:len(places)]
  reach = max(1, int(np.ceil(np.sqrt(8 / seen.mean()) / 2 - 1)))
  size = [side + 2 * reach + 1 for side in lag]
  inside = tuple(slice(side // 2 - reach, side // 2 - reach + length) for side, length in zip(size, own.shape))
  around = lambda values: np.prod(size) * ndimage.uniform_filter(values, size, mode="constant")[inside][own]
  count = np.round(around(seen.astype(float)))
  mean = around(image) / count
  others, total = count - len(places), mean * count - pixels.sum(0)
  variance = around(image ** 2) - np.sum(pixels ** 2, 0) - total ** 2 / np.maximum(others, 1)
  variance = np.where(others > 1, variance / np.maximum(others - 1, 1), np.inf)
  return Details(np.square(signs @ pixels) / len(places), variance, mean, np.all((pixels > 0) & (pixels < 1), 0),
                 pixels.mean(0), total / np.maximum(others, 1))


def flat_power(image: np.ndarray, seen: np.ndarray, lags: Sequence[tuple[int, int]], fewest: int, least: int = LEAST):
  """Return (mean squared detail of flat places, variance around the last of the flattest, number of places), or None.

  Flat are the places around which the values vary least, and all where they vary no more than the noise may: the noise
  of a detail does not depend on that of what lies around it, so that the choice does not bias it. Places nearer to 0 or
  1 than twice the noise are left out, if others remain: clipping makes their noise smaller.

  Args:
    image: [H, W].
    seen: [H, W], whether a pixel was measured.
    lags: as `noise_details` takes them.
    fewest: number of details below which the result is None.
    least: number of places that count as flat at least.
  """
  details = [noise_details(image, seen, lag) for lag in lags]
  power, variance, mean, unclipped, *_ = (np.concatenate(parts) for parts in zip(*details))
  if power.size < fewest:
    return None
  margin = 2 * np.sqrt(np.median(power[unclipped]) / _MEDIAN_SQUARE) if unclipped.any() else 1
  distance, count = np.minimum(mean, 1 - mean), lambda places: min(places.size, max(least, int(_SHARE * places.size)))
  kept = (distance >= min(margin, np.sort(distance)[-count(distance)])) & (variance > _CONSTANT)
  if not kept.any():
    return 0.0, 0.0, 0
  power, variance = power[kept], variance[kept]
  flattest = np.sort(variance)[count(variance) - 1]
  noise = np.mean(power[variance <= flattest]) * (1 + np.sqrt(8 / count(variance)))  # and twice its sampling error
  flat = variance <= max(flattest, noise)
  return np.mean(power[flat]), flattest, np.sum(flat)
