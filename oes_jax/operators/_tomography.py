"""Computed tomography: the sinogram of parallel beams."""

import functools
import math
from typing import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats
from skimage import transform

from oes_jax.operators import _first_image
from oes_jax.operators import _operator
from oes_jax.operators import _scan


def num_detectors(height: int, width: int) -> int:
  """Return the detectors of a sinogram: pixels along the diagonal of the square around the image."""
  return int(np.ceil(np.sqrt(2) * max(height, width)))


def _layout(height: int, width: int):
  """Return (detectors, first row and column of the image in the square around it)."""
  side = num_detectors(height, width)
  # As scikit-image pads: the old centre, side // 2, comes to the new one.
  return side, [side // 2 - length // 2 for length in (height, width)]


@functools.lru_cache(maxsize=None)
def _project(height: int, width: int):
  side, before = _layout(height, width)
  centre = side // 2
  rows, columns = np.meshgrid(*(np.arange(length, dtype=np.float32) + first - centre
                                for length, first in zip((height, width), before)), indexing="ij")
  def apply(op_params, image):
    @jax.checkpoint  # else the gradient keeps the weights of every angle
    def project(sine, cosine):
      detector = cosine * columns - sine * rows
      nearest = jnp.round(detector)
      weights = _pixel_in_detectors(nearest - detector, sine * columns + cosine * rows, sine, cosine,
                                    (-centre, side - 1 - centre))
      total = jnp.zeros((side + 2, image.shape[2]), image.dtype)
      for number, weight in enumerate(weights):
        total = total.at[nearest.astype(int) + centre + number].add(weight[..., None] * image)
      return total[1:-1]
    return jnp.moveaxis(jax.lax.map(lambda turn: project(*turn), op_params), 0, 1)
  return apply


@functools.lru_cache(maxsize=None)
def _back_project(height: int, width: int):
  def first_image(op_params, measurement, seen):  # filtered
    filtered = _filter_ramp(_first_image.fill(measurement, seen))
    scale = math.pi / (2 * measurement.shape[1])
    return scale * _operator.adjoint(_project(height, width), op_params, filtered, (height, width, measurement.shape[2]))
  return first_image


def tomography(image_shape: Sequence[int], *, angles: np.ndarray) -> _operator.ForwardOperator:
  """Parallel-beam computed tomography: [H, W, C] -> sinogram [detectors, angles, C].

  As scikit-image's `radon` with circle=False: the image in the middle of a square as wide as its diagonal,
  turned by every angle with bilinear interpolation, and summed over its rows. A detector's value is in pixel
  widths; op_params is (sine, cosine) of the angles.

  Args:
    image_shape: shape (H, W, C) of the image.
    angles: angles in degrees, [angles].
  """
  height, width = image_shape[:2]
  side, (top, left) = _layout(height, width)
  def init(rng):
    del rng
    radians = np.radians(np.asarray(angles, np.float64))
    return np.sin(radians).astype(np.float32), np.cos(radians).astype(np.float32)
  def estimate(op_params, measurement):  # filtered back-projection
    del op_params
    square = np.stack([transform.iradon(
        np.asarray(measurement[..., channel], np.float64), angles, output_size=side, circle=False)
                       for channel in range(measurement.shape[-1])], -1)
    return square[top:top + height, left:left + width]
  return _operator.ForwardOperator(
      init, _project(height, width), _operator.all_seen, estimate, tuple(image_shape),
      math.pi / 4 * math.sqrt(height * width), 12 * 4 * height * width * (3 + image_shape[2]),
      first_image=_back_project(height, width), split_axes=(1,), noise_level=_rough_part)


def _filter_ramp(sinogram):
  """Filter a sinogram [detectors, angles, C] along its detectors by a ramp, sampled in space (Kak and Slaney 1988, ch. 3)."""
  detectors = sinogram.shape[0]
  length = 2 ** math.ceil(math.log2(2 * detectors))
  place = np.minimum(np.arange(length), length - np.arange(length)).astype(np.float64)
  ramp = np.where(place % 2 == 1, -1 / (np.pi * np.maximum(place, 1)) ** 2, 0)
  ramp[0] = 0.25
  response = jnp.asarray(2 * np.fft.rfft(ramp).real, sinogram.dtype)
  spectrum = jnp.fft.rfft(sinogram, length, axis=0) * response[:, None, None]
  return jnp.fft.irfft(spectrum, length, axis=0)[:detectors].astype(sinogram.dtype)


def _rough_part(op_params, sinogram) -> float | None:
  """Return the standard deviation of a sinogram's noise, told from what is rough along the detectors, or None.

  The median absolute deviation (Donoho and Johnstone 1994, Biometrika 81:425) of third differences, without those
  that are 0: rays that miss the object may have been set to 0. Such rays, noise alone, are too few to tell more.

  Args:
    op_params: parameters of the operator.
    sinogram: [detectors, angles, C].
  """
  del op_params
  rough = np.diff(sinogram, 3, axis=0) / np.sqrt(20)
  rough = rough[rough != 0]
  return float(stats.median_abs_deviation(rough, scale="normal")) if rough.size else None


def _pixel_in_detectors(offset, ray, sine, cosine, samples):
  """Return how much of a pixel the detectors before, at and after the nearest one see, three arrays.

  A detector's ray is sampled one pixel apart, and a sample sees a pixel by the bilinear weight of their
  distances along the image's rows and columns; both together reach less than 1.5 pixels.

  Args:
    offset: distance of the nearest detector from the pixel.
    ray: place of the pixel along the ray.
    sine: sine of the angle.
    cosine: cosine of the angle.
    samples: places of the first and the last sample of a ray.
  """
  hat = lambda distance: jnp.maximum(0, 1 - jnp.abs(distance))
  def seen(across, place):
    along = place - ray
    overlap = hat(cosine * across + sine * along) * hat(cosine * along - sine * across)
    return jnp.where((samples[0] <= place) & (place <= samples[1]), overlap, 0)
  return [sum(seen(offset + detector, jnp.round(ray) + sample) for sample in (-1, 0, 1)) for detector in (-1, 0, 1)]


def read_scan(arrays, *, angle_unit: str = "degrees") -> _scan.Scan:
  """Read sinogram [detectors, angles] or [detectors, angles, C], angles [angles], and shape (H, W).

  There are `num_detectors`, or of a square image as many as pixels along a side (scikit-image's circle=True): the rays beside them
  miss the circle, and have 0.

  Args:
    arrays: {name: array}.
    angle_unit: unit of the angles, "degrees" or "radians".

  Raises:
    ValueError: an array has another shape than these.
  """
  sinogram, angles = arrays["sinogram"], arrays["angles"]
  if np.shape(arrays["shape"]) != (2,):
    raise ValueError(f"shape is {np.asarray(arrays['shape']).tolist()}; allowed: (H, W), of the image")
  height, width = (int(side) for side in arrays["shape"])
  if sinogram.ndim not in (2, 3) or angles.ndim != 1 or np.iscomplexobj(sinogram):
    raise ValueError(f"sinogram is {sinogram.dtype} {sinogram.shape}, angles {angles.shape}; allowed: real [detectors, "
                     "angles] or [detectors, angles, C], and [angles]")
  values = sinogram[..., None] if sinogram.ndim == 2 else sinogram
  detectors = num_detectors(height, width)
  in_circle = height == width and values.shape[:2] == (height, angles.size)
  if values.shape[:2] != (detectors, angles.size) and not in_circle:
    of_circle = f", or [{height}, {angles.size}], as circle=True does" if height == width else ""
    raise ValueError(f"sinogram is {sinogram.shape}; allowed for an image of {height}x{width}, with {angles.size} "
                     f"angles: [{detectors}, {angles.size}], as radon(image, angles, circle=False) gives{of_circle}")
  angles, remarks = _in_degrees(angles, angle_unit)
  sides = _count_sides(angles)
  if sides == 1 < angles.size or 3 * sides < angles.size:  # of a whole turn each comes twice
    remarks += (f"its {angles.size} angles show the image from {sides} side{'s' if sides > 1 else ''} alone: modulo half a turn the "
                "others are the same",)
  if values.shape[0] == angles.size and _looks_transposed(values):
    remarks += ("its sum over detectors differs from angle to angle more than that over angles from detector to detector, while an "
                "object's is the same from everywhere; where it is [angles, detectors], transpose it",)
  if _looks_like_counts(values):
    remarks += ("it is positive, and larger at the ends of the detector, where rays miss the object, than in its middle, as "
                "counts of rays are; where it holds counts I, and I0 without the object, pass -numpy.log(I / I0)",)
  if in_circle:
    values = _widen(values, detectors)
    remarks += (f"its {height} detectors are as many as pixels along a side, as radon(image, angles, circle=True) gives: the image is "
                "taken to be 0 outside of the circle that fits in it",)
  return _scan.Scan(values.astype(np.float32), (height, width, values.shape[-1]), {"angles": angles}, remarks)


def _in_degrees(angles: np.ndarray, angle_unit: str) -> tuple[np.ndarray, tuple[str, ...]]:
  """Return (angles in degrees, remarks on their unit)."""
  most = float(np.max(np.abs(angles), initial=0))
  if angle_unit == "radians":
    return np.degrees(angles), () if most <= 4 * np.pi else (
        f"its angles reach {most:.4g} radians, more than two turns; where they are in degrees, set operator.angle_unit=degrees",)
  return angles, () if angles.size < 2 or not 0 < np.ptp(angles) <= 2 * np.pi else (
      f"{angles.size} angles lie within {np.ptp(angles):.3g} degrees; where they are in radians, set operator.angle_unit=radians",)


def _widen(values: np.ndarray, detectors: int) -> np.ndarray:
  """Return a sinogram of the circle in a square [side, angles, C] with the rays that miss it: as scikit-image's iradon does."""
  side = values.shape[0]
  first = _layout(side, side)[1][0]
  widened = np.zeros((detectors, *values.shape[1:]), np.float32)
  widened[first:first + side] = values
  return widened


def _count_sides(degrees: np.ndarray) -> int:
  """Return how many angles differ, where rays from opposite sides are the same ones."""
  return np.unique(np.round(degrees % 180, 3) % 180).size


def _looks_transposed(values: np.ndarray) -> bool:
  """Whether the sums of a sinogram [detectors, angles, C] over its detectors vary as those over its angles should."""
  over_detectors, over_angles = (values.astype(np.float64).sum((axis, 2)) for axis in (0, 1))
  return bool(np.std(over_detectors) > 2 * np.std(over_angles))


def _looks_like_counts(values: np.ndarray) -> bool:
  """Whether a sinogram [detectors, angles, C] is what is left of the rays, and not what of them an object takes away."""
  profile = values.mean((1, 2), dtype=np.float64)
  end, middle = max(1, len(profile) // 16), slice(3 * len(profile) // 8, len(profile) - 3 * len(profile) // 8)
  return bool(np.min(values) >= 0 and min(profile[:end].mean(), profile[-end:].mean()) > profile[middle].mean())
