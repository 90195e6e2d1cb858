"""The strength of white Gaussian noise, estimated from one measurement.

Mean (worst) error on ten photographs of scikit-image, of 96 and 160 pixels a side, k-space and sinograms of 64 and 128:

  sigma        image     blurred  half size  quarter     50 % of it  10 %        mri       fourier_rows  tomography
  0.05 to 0.2  2 % (10)  1 % (4)  3 % (14)   7 % (65)    5 % (22)    9 % (79)    3 % (7)   4 % (16)      1 % (4)
  0.02         9 % (28)  1 % (4)  15 % (47)  35 % (221)  17 % (60)   46 % (205)  5 % (12)  17 % (62)     3 % (8)

The worst are too high: gravel, fur and the details of small images count as noise. The correlation lies within 0.2 of 0
for white noise from 0.05 up (0.4 at 0.02; one image of 96 pixels, much of it clipped: 0.28), at 0.28 to 0.56 for images
that were turned, and above 0.44 for blurred, scaled or demosaiced noise; of small or coarse images it is often None.
"""

from typing import NamedTuple, Sequence

import numpy as np
from scipy import ndimage

from oes_jax.operators import _operator

# Places that are looked at, about, where an image has more.
_MOST = 300_000
# Places that count as flat: this share of all, and at least so many.
_SHARE, _LEAST = 0.05, 60
# Fewest pairs of neighbours that a standard deviation is told from: to about 18 %.
_FEWEST = 16
# Flat places, of all channels, that a correlation is told from.
_ENOUGH = 300
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
    sigma: standard deviation in the unit range: that of the measured values over the operator's `unit`; of complex
      values that of each part. 0 where nothing but constants was measured.
    correlation: correlation of the noise of neighbouring pixels, along rows or columns, the larger one; about 0 for
      white noise. None where it cannot be told: no image was measured, or few pixels, or texture is all over.
    clipped: share of the measured values that are 0 or 1 exactly, of measurements that are images; else 0.
    bound: the largest that it may be, where it cannot be told and `sigma` is a guess below that; or None.
  """
  sigma: float
  correlation: float | None
  clipped: float
  bound: float | None = None


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


def flat_power(image: np.ndarray, seen: np.ndarray, lags: Sequence[tuple[int, int]], fewest: int):
  """Return (mean squared detail of flat places, variance around the last of the flattest, number of places), or None.

  Flat are the places around which the values vary least, and all where they vary no more than the noise may: the noise
  of a detail does not depend on that of what lies around it, so that the choice does not bias it. Places nearer to 0 or
  1 than twice the noise are left out, if others remain: clipping makes their noise smaller.

  Args:
    image: [H, W].
    seen: [H, W], whether a pixel was measured.
    lags: as `noise_details` takes them.
    fewest: number of details below which the result is None.
  """
  details = [noise_details(image, seen, lag) for lag in lags]
  power, variance, mean, unclipped, *_ = (np.concatenate(parts) for parts in zip(*details))
  if power.size < fewest:
    return None
  margin = 2 * np.sqrt(np.median(power[unclipped]) / _MEDIAN_SQUARE) if unclipped.any() else 1
  distance, count = np.minimum(mean, 1 - mean), lambda places: min(places.size, max(_LEAST, int(_SHARE * places.size)))
  kept = (distance >= min(margin, np.sort(distance)[-count(distance)])) & (variance > _CONSTANT)
  if not kept.any():
    return 0.0, 0.0, 0
  power, variance = power[kept], variance[kept]
  flattest = np.sort(variance)[count(variance) - 1]
  noise = np.mean(power[variance <= flattest]) * (1 + np.sqrt(8 / count(variance)))  # and twice its sampling error
  flat = variance <= max(flattest, noise)
  return np.mean(power[flat]), flattest, np.sum(flat)


def _image_sigma(image: np.ndarray, seen: np.ndarray) -> float | None:
  """Return the standard deviation of the noise of images, the channels' mean in the square; None: too few neighbours.

  That of the diagonal Haar details of the flattest places; where few squares of 2 x 2 pixels were measured, of
  differences of neighbours. Block methods choose places so (Ponomarenko et al. 2007; Colom and Buades 2013, IPOL
  3:173), here by what lies outside of the detail. The median of all details (Donoho and Johnstone 1994, Biometrika
  81:425) is higher in textures, and sinks where much is clipped: by 40 % where half of the values are.

  Args:
    image: [channels, H, W].
    seen: [channels, H, W], whether a value was measured.
  """
  found = [flat_power(*channel, [(1, 1)], 4 * _LEAST) or flat_power(*channel, [(0, 1), (1, 0)], _FEWEST)
           for channel in zip(image, seen)]
  return None if None in found else float(np.sqrt(np.mean([power for power, *_ in found])))


def _image_correlation(image: np.ndarray, seen: np.ndarray) -> float | None:
  """Return the correlation of the noise of neighbours along columns or rows, the larger one; None: it cannot be told.

  One minus the power of the details of neighbours to that of details of next neighbours, both in flat places: they are
  equal for white noise, and the former is smaller where neighbours are correlated and next neighbours are less so.

  Args:
    image: [channels, H, W].
    seen: [channels, H, W], whether a value was measured.
  """
  found = [[flat_power(*channel, [lag], 4 * _LEAST) for lag in ((1, 2), (2, 1), (2, 2))]
           for channel in zip(image, seen)]
  if any(None in channel for channel in found):
    return None
  (down, right, far), (*_, around), counts = np.moveaxis(np.array(found, float), -1, 0).mean(1)
  if not 0 < around <= _TEXTURE * far or len(found) * min(counts) < _ENOUGH:
    return None
  return float(max(1 - down / far, 1 - right / far, key=abs))


def estimate_noise_level(operator: _operator.ForwardOperator, op_params, values) -> NoiseLevel:
  """Estimate the standard deviation of white Gaussian noise from one measurement, without the truth.

  It is told from flat places of images, the outermost samples of k-space, and what is rough along the detectors of
  sinograms. At 0.05 and above it is within 10 % for photographs, and too high where texture is finer than the noise: of
  images at a quarter of their size, or a tenth of their pixels, by up to 80 % (table in operators/_noise_level.py).

  Args:
    operator: ForwardOperator.
    op_params: its parameters.
    values: what was measured, with noise, as the operator gives it; 0 where nothing was measured.

  Raises:
    ValueError: the noise cannot be told from the signal in what the operator measures.

  Example:
    >>> import numpy as np
    >>> from oes_jax import operators
    >>> image = 0.5 + 0.1 * np.random.default_rng(0).standard_normal((64, 64, 1))
    >>> round(operators.estimate_noise_level(operators.identity(), (), image).sigma, 2)
    0.1
  """
  values, sigma, correlation, clipped = np.asarray(values), None, None, 0.0
  if operator.noise_level is not None:
    sigma = operator.noise_level(op_params, values)
  elif operator.measures_image:
    seen = operator.seen(op_params)
    seen = np.broadcast_to(True if seen is None else np.asarray(seen) > 0, values.shape)
    clipped = float(np.mean((values == 0) | (values == 1), where=seen))
    parts = (values.real, values.imag) if np.iscomplexobj(values) else (values,)
    image, known = (np.moveaxis(np.concatenate(arrays, -1), -1, 0) for arrays in (parts, [seen] * len(parts)))
    image = np.where(known, image, 0).astype(float)  # its squares are summed up
    sigma, correlation = _image_sigma(image, known), _image_correlation(image, known)
  if sigma is None:
    raise ValueError(f"the noise level cannot be estimated from what the operator measures{_of_few(operator, op_params)}; "
                     "allowed: fit.sigma, a number above 0.")
  return NoiseLevel(sigma / operator.unit, correlation, clipped)


def _of_few(operator: _operator.ForwardOperator, op_params) -> str:
  """Return what an error adds where nearly all pixels of an image are lost: how many, and that a mask may be inverted."""
  seen = operator.seen(op_params) if operator.measures_image else None
  lost = 0 if seen is None else 1 - np.mean(seen)
  return f", of which {100 * lost:.3g} % is lost (where a mask says so, it may be inverted)" if lost > 0.9 else ""


def noise_warnings(level: NoiseLevel) -> list[str]:
  """Return a line for each thing in a noise level that makes a restoration worse: noise not white, or clipped.

  Args:
    level: NoiseLevel.
  """
  found = []
  if level.correlation is not None and abs(level.correlation) > _WHITE:
    wrong = "low" if level.correlation > 0 else "high"
    found.append(f"the noise of neighbouring pixels is correlated ({level.correlation:.2f}), as scaling, turning, "
                 f"demosaicing and strong JPEG leave it: its level is estimated too {wrong}, and some of it is taken "
                 "for detail; set fit.sigma, or restore the image as it was before that")
  if level.clipped > _CLIPPED:
    found.append(f"{100 * level.clipped:.3g} % of the values are 0 or 1 exactly, where noise is cut off: black comes "
                 "out too bright and white too dark; set data.range to keep what lies outside, or noise.model to "
                 "salt_and_pepper if single pixels are lost")
  return found
