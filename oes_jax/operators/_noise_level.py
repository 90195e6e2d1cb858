"""The strength of white Gaussian noise, estimated from one measurement.

Mean (worst) error on ten photographs of scikit-image, of 96 and 160 pixels a side, k-space and sinograms of 64 and 128:

  sigma        image     blurred  half size  quarter     50 % of it  10 %        mri       fourier_rows  tomography
  0.05 to 0.2  2 % (10)  1 % (4)  3 % (14)   7 % (65)    5 % (22)    9 % (79)    3 % (7)   4 % (16)      1 % (4)
  0.02         9 % (28)  1 % (4)  15 % (47)  35 % (221)  17 % (60)   46 % (205)  5 % (12)  17 % (62)     3 % (8)

The worst are too high: gravel, fur and the details of small images count as noise. The correlation lies within 0.2 of 0
for white noise from 0.05 up (0.4 at 0.02; one image of 96 pixels, much of it clipped: 0.28), at 0.28 to 0.56 for images
that were turned, and above 0.44 for blurred, scaled or demosaiced noise; of small or coarse images it is often None.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from oes_jax.operators import _operator
from oes_jax.operators._flat_places import flat_power
from oes_jax.operators._flat_places import LEAST

# Fewest pairs of neighbours that a standard deviation is told from: to about 18 %.
_FEWEST = 16
# Flat places of a channel that a correlation and texture are told from, and all of its places: the flattest are to be few of them.
_ENOUGH, _ALL = 300, 850
# Pixels, the standard deviation of a Gaussian, beyond which what is coarse is no texture.
_COARSE = 3
# Variance around flat places, of what is fine, to that of details there beyond which they hold texture, or noise that neighbours
# share: it is 0.5 to 0.9 for white noise in 14 crops of 48 to 128 pixels, 0.8 to 2 where neighbours share it (2026-11-28).
_TEXTURE = 1.0
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
    texture: variance of what is fine around the flattest places over that of details there: above 1 where fine texture lies all
      over, of which some is taken for noise, or where neighbours share their noise. None where it cannot be told.
  """
  sigma: float
  correlation: float | None
  clipped: float
  bound: float | None = None
  texture: float | None = None


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
  found = [flat_power(*channel, [(1, 1)], 4 * LEAST) or flat_power(*channel, [(0, 1), (1, 0)], _FEWEST)
           for channel in zip(image, seen)]
  return None if None in found else float(np.sqrt(np.mean([power for power, *_ in found])))


def _fine(image: np.ndarray, seen: np.ndarray) -> np.ndarray:
  """Return what of an image [H, W] is fine, around 1/2: its slopes are no texture."""
  blur = lambda values: ndimage.gaussian_filter(values, _COARSE)
  known = seen.astype(float)
  return np.where(seen, image - blur(image * known) / np.maximum(blur(known), 1e-9) + 0.5, 0)


def _correlation_and_texture(image: np.ndarray, seen: np.ndarray) -> tuple[float | None, float | None]:
  """Return the correlation of the noise of neighbours along columns or rows, the larger one, and `NoiseLevel.texture`; None: unknown.

  The correlation is one minus the power of the details of neighbours to that of details of next neighbours, both in flat places: they are
  equal for white noise, and the former is smaller where neighbours are correlated and next neighbours are less so.

  Args:
    image: [channels, H, W].
    seen: [channels, H, W], whether a value was measured.
  """
  found = [[flat_power(fine, known, [lag], _ALL, _ENOUGH) for lag in ((1, 2), (2, 1), (2, 2))]
           for fine, known in ((_fine(*channel), channel[1]) for channel in zip(image, seen))]
  if any(None in channel for channel in found):
    return None, None
  (down, right, far), (*_, around), counts = np.moveaxis(np.array(found, float), -1, 0).mean(1)
  texture = float(around / far) if around > 0 and far > 0 else None
  if texture is None or texture > _TEXTURE or min(counts) < _ENOUGH:
    return None, texture
  return float(max(1 - down / far, 1 - right / far, key=abs)), texture


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
  values, sigma, correlation, clipped, texture = np.asarray(values), None, None, 0.0, None
  if operator.noise_level is not None:
    sigma = operator.noise_level(op_params, values)
  elif operator.measures_image:
    seen = operator.seen(op_params)
    seen = np.broadcast_to(True if seen is None else np.asarray(seen) > 0, values.shape)
    clipped = float(np.mean((values == 0) | (values == 1), where=seen))
    parts = (values.real, values.imag) if np.iscomplexobj(values) else (values,)
    image, known = (np.moveaxis(np.concatenate(arrays, -1), -1, 0) for arrays in (parts, [seen] * len(parts)))
    image = np.where(known, image, 0).astype(float)  # its squares are summed up
    sigma, (correlation, texture) = _image_sigma(image, known), _correlation_and_texture(image, known)
  if sigma is None:
    raise ValueError(f"the noise level cannot be estimated from what the operator measures{_of_few(operator, op_params)}; "
                     "allowed: fit.sigma, a number above 0.")
  return NoiseLevel(sigma / operator.unit, correlation, clipped, texture=texture)


def _of_few(operator: _operator.ForwardOperator, op_params) -> str:
  """Return what an error adds where nearly all pixels of an image are lost: how many, and that a mask may be inverted."""
  seen = operator.seen(op_params) if operator.measures_image else None
  lost = 0 if seen is None else 1 - np.mean(seen)
  return f", of which {100 * lost:.3g} % is lost (where a mask says so, it may be inverted)" if lost > 0.9 else ""


def is_correlated(correlation: float | None) -> bool:
  """Whether neighbouring pixels share so much of the noise that it is not white, and its level estimated wrong.

  Args:
    correlation: of the noise of neighbours; None: it cannot be told.
  """
  return correlation is not None and abs(correlation) > _WHITE


def noise_warnings(level: NoiseLevel) -> list[str]:
  """Return a line for each thing in a noise level that makes a restoration worse: noise not white, or clipped.

  Args:
    level: NoiseLevel.
  """
  found = []
  if is_correlated(level.correlation):
    wrong = "low" if level.correlation > 0 else "high"
    found.append(f"the noise of neighbouring pixels is correlated ({level.correlation:.2f}), as scaling, turning, "
                 f"demosaicing and strong JPEG leave it: its level is estimated too {wrong}, and some of it is taken "
                 "for detail; set fit.sigma, or restore the image as it was before that")
  if level.clipped > _CLIPPED:
    found.append(f"{100 * level.clipped:.3g} % of the values lie exactly at an end of the range, where noise is cut off: black "
                 "comes out too bright and white too dark; where the file holds more than that, set data.range, or noise.model to "
                 "salt_and_pepper if single pixels are lost")
  return found
