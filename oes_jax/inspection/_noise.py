"""What the noise of an image is: its strength, what it depends on, and what it shares between pixels and channels."""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from oes_jax import operators
from oes_jax.inspection import _brightness

# Lag in pixels at which noise that is correlated between neighbours is no longer so.
_APART = 3
# Details that a correlation of channels is told from, noise below which texture is taken for it, and channels that are
# colours.
_ENOUGH, _STRONG, _COLOURS = 240, 0.01, 4
# Standard deviations beyond which a value lies in the tails: 6.3e-5 of normal ones do.
_TAIL = 4


class Noise(NamedTuple):
  """What the noise of an image is, told from the image alone.

  Attributes:
    sigma: standard deviation in the unit range, to which the values' limits map.
    sigma_value: the same in the image's own units.
    correlation: correlation of neighbouring pixels, 0 for white noise; None where it cannot be told.
    sigma_apart: standard deviation, unit range, from pixels three apart: that of the noise where neighbours are correlated.
    between_channels: correlation of the channels' noise, the mean over pairs; None of one channel, or where it is weak.
    tails: share of the noise beyond 4 standard deviations, of which normal noise has 6e-5; None where it cannot be told.
    brightness: how it depends on brightness; None where it cannot be told.
  """
  sigma: float
  sigma_value: float
  correlation: float | None
  sigma_apart: float
  between_channels: float | None
  tails: float | None
  brightness: _brightness.Brightness | None


def _power(image: np.ndarray, seen: np.ndarray, lag: int = 1) -> float | None:
  """Return the variance of the noise of one channel, from diagonal details; None where few can be looked at."""
  found = operators.flat_power(np.where(seen, image, 0), seen, [(lag, lag)], _ENOUGH)
  return None if found is None else float(found[0])


def _between_channels(unit: np.ndarray, seen: np.ndarray) -> float | None:
  """Return the mean correlation of the noise of pairs of channels: (var(a + b) - var(a - b)) / (4 sd(a) sd(b)).

  All pairs of up to four channels, else neighbouring ones.
  """
  channels = unit.shape[-1]
  pairs = [(first, second) for first in range(channels) for second in range(first + 1, channels)
           if channels <= _COLOURS or second == first + 1]
  alone, found = [_power(unit[..., channel], seen) for channel in range(channels)], []
  for first, second in pairs:
    a, b = unit[..., first], unit[..., second]
    both, difference = _power((a + b) / 2, seen), _power((1 + a - b) / 2, seen)
    if None in (both, difference, alone[first], alone[second]) or not alone[first] * alone[second]:
      return None
    found.append((both - difference) / np.sqrt(alone[first] * alone[second]))
  return float(np.clip(np.mean(found), -1, 1)) if found else None


def describe_noise(values: np.ndarray, seen: np.ndarray, limits: tuple[float, float], cut: tuple[bool, bool],
                   ) -> Noise | None:
  """Return what the noise of an image is; None where too few pixels are left to tell.

  Args:
    values: [H, W, C], real, lost pixels filled.
    seen: [H, W], which pixels hold data.
    limits: (low, high), the values that map to 0 and 1.
    cut: whether values at the lower and at the upper end were cut off.
  """
  data = values[seen]
  if not np.any(np.ptp(data, 0)):
    return None
  low, high = data.min(), data.max()
  margin = 0.01 * (high - low)  # what is not cut off lies inside the unit range, exact ends are cut off
  low, high = low - margin * (not cut[0]), high + margin * (not cut[1])
  scale = high - low
  unit = (values - low) / scale
  operator = operators.inpainting(unit.shape, mask=seen)
  try:
    level = operators.estimate_noise_level(operator, np.float32(seen)[..., None], unit)
  except ValueError:  # too few neighbours
    return None
  share = scale / (limits[1] - limits[0])
  apart = [_power(unit[..., channel], seen, _APART) for channel in range(unit.shape[-1])]
  sigma_apart = level.sigma if None in apart else max(level.sigma, float(np.sqrt(np.mean(apart))))
  channels = [unit[..., channel] for channel in range(unit.shape[-1])]
  found = _brightness.fit_brightness(channels, seen, low, scale, cut) if level.sigma else None
  strong = level.sigma * share > _STRONG
  return Noise(
      float(level.sigma * share), float(level.sigma * scale), level.correlation, float(sigma_apart * share),
      _between_channels(unit, seen) if strong else None, None if found is None else float(np.mean(found[1] > _TAIL ** 2)),
      None if found is None else found[0])


def distance_in_noise(values: np.ndarray, noise: Noise) -> np.ndarray:
  """Return how far pixels [H, W] lie from the median of 5 x 5 around them, in standard deviations of the noise there.

  Args:
    values: [H, W, C]; of the channels the farthest counts.
    noise: what the noise of the other pixels is.
  """
  middle, variance = ndimage.median_filter(values, (5, 5, 1), mode="nearest"), noise.sigma_value ** 2
  if noise.brightness is not None and noise.brightness.is_significant:
    mean = ndimage.uniform_filter(values, (5, 5, 1), mode="nearest")
    variance = np.maximum(noise.brightness.gain * mean + noise.brightness.intercept, 0)
  return np.max(np.abs(values - middle) / np.sqrt(np.maximum(variance, np.finfo(float).tiny)), -1)
