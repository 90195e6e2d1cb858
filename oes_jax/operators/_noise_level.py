"""The strength of white Gaussian noise, estimated from one measurement."""

from typing import NamedTuple, Sequence

import numpy as np
from scipy import ndimage

from oes_jax.operators import _operator

# Places that count as flat: this share of all, and at least so many.
_SHARE, _LEAST = 0.05, 60
# Places that are looked at, about, where an image has more.
_MOST = 300_000
# Fewest pairs of neighbours that a standard deviation is told from: to about 18 %.
_FEWEST = 16
# Variance around a place below which it is no measurement, but a constant.
_CONSTANT = 1e-12
# Median of the square of a standard normal variable.
_MEDIAN_SQUARE = 0.455
# Variance around flat places to that of their noise beyond which they hold texture.
_TEXTURE = 1.2
# Correlation from which noise is not white, and share of clipped values from which that is said.
_WHITE, _CLIPPED = 0.3, 0.01


class NoiseLevel(NamedTuple):
  """How strong the noise of a measurement seems to be.

  Attributes:
    sigma: standard deviation in the unit range: that of the measured values over the operator's `unit`.
    correlation: correlation of the noise of neighbouring pixels, along rows or columns, the larger one; about 0 for white
      noise. None where it cannot be told: no image was measured, few of its pixels, or texture all over.
    clipped: share of the measured values that are 0 or 1 exactly, of measurements that are images; else 0.
  """
  sigma: float
  correlation: float | None
  clipped: float


def _details(image: np.ndarray, seen: np.ndarray, lag: tuple[int, int]):
  """Return (squared detail, variance around it, mean around it, whether unclipped) where all its pixels were measured.

  A detail is the difference of two pixels, or of two such differences, scaled to the variance of one pixel's noise. What
  lies around it are the other pixels within a reach that holds about eight measured ones.

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
  def around(values):
    total = np.prod(size) * ndimage.uniform_filter(values, size, mode="constant")
    return total[tuple(slice(side // 2 - reach, side // 2 - reach + length) for side, length in zip(size, own.shape))][own]
  count = np.round(around(seen.astype(float)))
  mean = around(image) / count
  others, total = count - len(places), mean * count - pixels.sum(0)
  variance = around(image ** 2) - np.sum(pixels ** 2, 0) - total ** 2 / np.maximum(others, 1)
  variance = np.where(others > 1, variance / np.maximum(others - 1, 1), np.inf)
  return np.square(signs @ pixels) / len(places), variance, mean, np.all((pixels > 0) & (pixels < 1), 0)


def _flat_power(image: np.ndarray, seen: np.ndarray, lags: Sequence[tuple[int, int]], fewest: int):
  """Return (mean squared detail of the flat places, variance around the least flat of the flattest), or None.

  Flat are the places around which the values vary least, and all where they vary no more than the noise: the noise of a
  detail does not depend on that of what lies around it, so that the choice does not bias it. Places nearer to 0 or 1 than
  twice the noise are left out, if others remain: clipping makes their noise smaller.
  """
  power, variance, mean, unclipped = (np.concatenate(parts) for parts in zip(*(_details(image, seen, lag) for lag in lags)))
  if power.size < fewest:
    return None
  margin = 2 * np.sqrt(np.median(power[unclipped]) / _MEDIAN_SQUARE) if unclipped.any() else 1
  distance = np.minimum(mean, 1 - mean)
  count = lambda values: min(values.size, max(_LEAST, int(_SHARE * values.size)))
  kept = (distance >= min(margin, np.sort(distance)[-count(distance)])) & (variance > _CONSTANT)
  if not kept.any():
    return 0.0, 0.0
  power, variance = power[kept], variance[kept]
  flattest = np.sort(variance)[count(variance) - 1]
  noise = np.mean(power[variance <= flattest])
  return np.mean(power[variance <= max(flattest, noise)]), flattest


def _image_level(values: np.ndarray, seen: np.ndarray) -> tuple[float, float | None] | None:
  """Return (standard deviation, correlation or None) of the noise of an image, or None where too little was measured.

  The standard deviation is that of diagonal Haar details (of differences of neighbours, where few squares of 2 x 2 pixels
  were measured) of the flattest places, as block methods take it (Ponomarenko et al. 2007; Colom and Buades 2013, IPOL
  3:173; flatness is judged outside of the detail here): the median of all details (Donoho and Johnstone 1994, Biometrika
  81:425) is too high in textures and sinks where much is clipped. Correlation is one minus the power of details between
  neighbours to that of details between next neighbours, which white noise makes equal. Measured accuracy: see
  `estimate_noise_level`.

  Args:
    values: [H, W, C].
    seen: [H, W, C], whether a value was measured.
  """
  channels = [(values[..., channel], seen[..., channel]) for channel in range(values.shape[-1])]
  powers, ratios = [], []
  for image, known in channels:
    found = (_flat_power(image, known, [(1, 1)], 4 * _LEAST) or _flat_power(image, known, [(0, 1), (1, 0)], _FEWEST))
    if found is None:
      return None
    powers.append(found[0])
    ratios.append([_flat_power(image, known, [lag], 4 * _LEAST) for lag in ((1, 2), (2, 1), (2, 2))])
  return float(np.sqrt(np.mean(powers))), _correlation(ratios)


def _correlation(found) -> float | None:
  """Return the larger correlation of [channels] of what `_flat_power` found with lags (1, 2), (2, 1) and (2, 2)."""
  if any(part is None for parts in found for part in parts):
    return None
  (down, _), (right, _), (far, around) = np.mean(found, 0)
  if not 0 < around <= _TEXTURE * far:
    return None
  return float(max(1 - down / far, 1 - right / far, key=abs))


def estimate_noise_level(operator: _operator.ForwardOperator, op_params, values) -> NoiseLevel:
  """Estimate the standard deviation of white Gaussian noise from one measurement.

  Args:
    operator: ForwardOperator.
    op_params: its parameters.
    values: what was measured, with noise, as the operator gives it; 0 where nothing was measured.

  Raises:
    ValueError: the noise cannot be told from the signal in what the operator measures.
  """
  values = np.asarray(values)
  if operator.noise_level is not None:
    return NoiseLevel(float(operator.noise_level(op_params, values)) / operator.unit, None, 0.0)
  level, clipped = None, 0.0
  if operator.measures_image:
    seen = operator.seen(op_params)
    seen = np.broadcast_to(True if seen is None else np.asarray(seen) > 0, values.shape)
    clipped = float(np.mean((values == 0) | (values == 1), where=seen))
    parts = (values.real, values.imag) if np.iscomplexobj(values) else (values,)
    level = _image_level(np.concatenate(parts, -1).astype(float), np.concatenate([seen] * len(parts), -1))
  if level is None:
    raise ValueError("the noise level cannot be estimated from what the operator measures; allowed: fit.sigma, a number "
                     "above 0.")
  return NoiseLevel(level[0] / operator.unit, level[1], clipped)


def noise_warnings(level: NoiseLevel) -> list[str]:
  """Return what of a noise level leads to expect a worse restoration, one line each.

  Args:
    level: NoiseLevel.
  """
  found = []
  if level.correlation is not None and abs(level.correlation) > _WHITE:
    wrong = "low" if level.correlation > 0 else "high"
    found.append(f"the noise is not white: that of neighbouring pixels is correlated ({level.correlation:.2f}), as "
                 "scaling, turning, demosaicing and JPEG leave it, so that its level is estimated too "
                 f"{wrong} and some of it will be taken for detail; set fit.sigma, or restore the unprocessed image")
  if level.clipped > _CLIPPED:
    found.append(f"{100 * level.clipped:.3g} % of the values lie at 0 or 1 exactly, where noise is cut off, so that black "
                 "comes out too bright and white too dark; set data.range to keep what lies outside, or noise.model "
                 "(salt_and_pepper) if single pixels are lost")
  return found
