"""How the noise depends on brightness: gain and read noise of Poisson-Gaussian noise, from one image.

The variance of a camera's noise grows with the signal along a line (Foi et al. 2008, IEEE TIP 17:1737): by the gain times
the signal above the black level, from that of the read noise. Here the line is fitted to squared diagonal Haar details (of 2 x 2
pixels) in flat places: around which, without these four pixels, values vary no more than the noise of that brightness does.

Places are chosen, and sorted into bins of brightness, by what lies around their four pixels alone. So the means over a bin of
the squared details and of the four pixels' values are those of the same unknown brightnesses without bias, however few photons
there were: the bins are an instrument for the line. A bin weighs by the inverse square of its variance, and flat places are
chosen anew by each line.
"""

from typing import NamedTuple, Sequence

import numpy as np
from scipy import ndimage

from oes_jax import operators

# Bins of brightness at most, places of a bin at least, and share of a bin's places that count as flat at first.
_BINS, _BIN_PLACES, _FLATTEST = 24, 120, 0.2
_ROUNDS = 4
# The squared details of neighbouring places are correlated: the variance of their mean is so many times higher.
_CORRELATED = 2.25
# Standard errors, and ratio of the variances at the 95th and the 5th percentile of brightness, from which a slope is one.
_SIGNIFICANT, _GROWTH = 4, 1.5
# Least variance of a bin, to the largest; fewest flat places.
_FLOOR, _LEAST_PLACES = 1e-3, 300
# By how much less chi-square a square explains the variances than a line; noise from a cut-off end within which noise is
# cut too.
_MUCH_BETTER, _CUT = 4, 3
# Side of a square of equal values that holds none of the noise.
_CONSTANT = 9


class Brightness(NamedTuple):
  """How the variance of the noise depends on the values, in the image's own units.

  Attributes:
    gain: growth of the variance with the value: of photons that are counted, the units of one.
    gain_error: its standard error.
    intercept: variance at the value 0 by the line; below 0 where the black level lies above 0.
    intercept_error: its standard error.
    is_significant: whether the variance grows: by four standard errors, and by half within the image.
    factor: standard deviation over the value, where the variance grows as the square of the value, as speckle's; else 0.
    values: mean value of each bin of brightness.
    variances: mean variance of the noise in it.
  """
  gain: float
  gain_error: float
  intercept: float
  intercept_error: float
  is_significant: bool
  factor: float
  values: tuple[float, ...]
  variances: tuple[float, ...]

  @property
  def read_noise(self) -> float:
    """Standard deviation of the noise at the value 0."""
    return float(np.sqrt(max(self.intercept, 0)))

  @property
  def black_level(self) -> float:
    """Value at which the variance becomes 0: photons are counted from there or above; 0 where that is not surely above 0."""
    surely = self.is_significant and self.intercept < -3 * self.intercept_error
    return -self.intercept / self.gain if surely else 0.0


def _bins_of(values: np.ndarray) -> np.ndarray:
  """Return the number of each place's bin; bins hold as many places each."""
  count = int(np.clip(values.size // _BIN_PLACES, 4, _BINS))
  ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
  return ranks * count // values.size


def _bin_means(places: operators.Details) -> np.ndarray:
  """Return [bins, 3]: mean value, mean squared detail and number of places of each bin of brightness."""
  bins = _bins_of(places.others)
  count = np.bincount(bins)
  return np.stack([np.bincount(bins, places.own) / count, np.bincount(bins, places.power) / count, count], 1)


def _fit_line(means: np.ndarray):
  """Return (slope and intercept, their standard errors, chi-square, weights) of the variances of bins by their values."""
  value, power, count = means.T
  design = np.stack([value, np.ones_like(value)], 1)
  expected = np.full_like(power, power.mean())
  for _ in range(_ROUNDS):
    weights = count / (2 * _CORRELATED * np.maximum(expected, _FLOOR * expected.max()) ** 2)
    inverse = np.linalg.pinv(design.T @ (weights[:, None] * design))
    line = inverse @ (design.T @ (weights * power))
    expected = np.maximum(design @ line, _FLOOR * np.abs(power).max())
  return line, np.sqrt(np.diag(inverse)), float(np.sum(weights * (power - design @ line) ** 2)), weights


def _flat_places(places: operators.Details) -> tuple[operators.Details, np.ndarray] | None:
  """Return (flat places, variance expected there), by the line of all that were flat before; None: there are few."""
  bins, flat = _bins_of(places.others), np.zeros(places.power.size, bool)
  for number in range(bins.max() + 1):
    own = np.flatnonzero(bins == number)
    flat[own[np.argsort(places.variance[own], kind="stable")[:max(1, int(_FLATTEST * own.size))]]] = True
  for _ in range(_ROUNDS):
    if flat.sum() < _LEAST_PLACES or not np.any(places.power[flat]):
      return None
    means = _bin_means(_at(places, flat))
    slope, intercept = _fit_line(means)[0]
    expected = np.maximum(slope * places.others + intercept, _FLOOR * means[:, 1].max())
    flat = places.variance <= expected
  return (_at(places, flat), expected[flat]) if flat.sum() >= _LEAST_PLACES and np.any(places.power[flat]) else None


def _at(places: operators.Details, chosen: np.ndarray) -> operators.Details:
  return operators.Details(*(values[chosen] for values in places))


def _describe(means: np.ndarray) -> Brightness:
  """Return what bins of flat places say, in the image's own units."""
  (gain, intercept), errors, chi_square, weights = _fit_line(means)
  value, power, _ = means.T
  ends, least = np.percentile(value, [5, 95]), _FLOOR * power.max()
  growth = (gain * ends[1] + intercept) / max(gain * ends[0] + intercept, least)
  significant = gain > _SIGNIFICANT * errors[0] and growth > _GROWTH
  factor = 0.0
  if significant and intercept < 0 < ends[0]:
    square = np.sum(weights * power * value ** 2) / np.sum(weights * value ** 4)
    is_square = np.sum(weights * (power - square * value ** 2) ** 2) < chi_square - _MUCH_BETTER
    factor = float(np.sqrt(square)) if is_square else 0.0
  return Brightness(float(gain), float(errors[0]), float(intercept), float(errors[1]), bool(significant), factor,
                    tuple(map(float, value)), tuple(map(float, power)))


def _varies(channel: np.ndarray) -> np.ndarray:
  """Return which pixels [H, W] do not lie amid a constant, which holds no noise; counts of few photons are often 0."""
  return ndimage.maximum_filter(channel, _CONSTANT) > ndimage.minimum_filter(channel, _CONSTANT)


def fit_brightness(channels: Sequence[np.ndarray], seen: np.ndarray, low: float, scale: float, cut: tuple[bool, bool],
                   ) -> tuple[Brightness, np.ndarray] | None:
  """Return (how the noise depends on brightness, squared details over their variance), or None where it cannot be told.

  The details are those of the flat places in the noisier half: of few photons, which are not normal, there are more.

  Args:
    channels: [H, W] each, mapped to the unit range; exactly 0 or 1 only where they were cut off.
    seen: [H, W], which pixels hold data.
    low: value that is 0 in the unit range.
    scale: units of the image's own in 1.
    cut: whether what lay below 0 and above 1 was cut off, and with it noise nearby.
  """
  varied = [(channel, seen & _varies(channel)) for channel in channels]
  details = [operators.noise_details(np.where(own, channel, 0), own, (1, 1)) for channel, own in varied if own.any()]
  places = operators.Details(*(np.concatenate(parts) for parts in zip(*details))) if details else None
  if places is None or not np.any(places.power[places.unclipped]):
    return None
  margin = _CUT * np.sqrt(np.median(places.power[places.unclipped]))
  inside = (places.mean >= margin * cut[0]) & (places.mean <= 1 - margin * cut[1])
  places = _at(places, places.unclipped & inside & np.isfinite(places.variance))
  found = _flat_places(places) if places.power.size >= 2 * _LEAST_PLACES and np.any(places.power) else None
  if found is None:
    return None
  flat, expected = found
  means = _bin_means(flat._replace(own=low + scale * flat.own, power=scale ** 2 * flat.power))
  return _describe(means), (flat.power / expected)[expected >= np.median(expected)]
