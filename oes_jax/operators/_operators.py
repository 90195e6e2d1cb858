"""Forward operators: what a measurement is of an image. All are linear in it.

An operator is a pair (init, apply) of one image, without a batch axis: `apply(op_params, image)` maps
[H, W, C] to the measurement, and `op_params` is a pytree, so that it may differ from image to image under
vmap. Complex values are two real channels at the end of an array.
"""

import math
from typing import Any, Callable, NamedTuple, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from skimage import transform

# Kernels of `downsampling`, and what jax.image calls them.
DOWNSAMPLING = {"box": None, "bicubic": "cubic", "lanczos": "lanczos3"}


class ForwardOperator(NamedTuple):
  """A linear map of images.

  Attributes:
    init: (NumPy random generator) -> op_params, NumPy arrays; what is random in them is drawn there.
    apply: (op_params, image [H, W, C]) -> measurement.
    seen: op_params -> which values of the measurement were made, [..., 1] of 0 and 1; or None: all.
    estimate: (op_params, measurement) -> a first image [H, W, C], to show and to compare with.
    unit: change of a measured value that weighs as one of 1 in the image: 1 where a measured value is a
      mean of pixels, the norm of its row where it is a sum with random signs.
    num_bytes: of memory that its parameters and its gradient need, where that is much.
  """
  init: Callable[[np.random.Generator], Any]
  apply: Callable[[Any, Any], Any]
  seen: Callable[[Any], Any]
  estimate: Callable[[Any, Any], Any]
  unit: float = 1.0
  num_bytes: int = 0


def adjoint(apply: Callable[[Any, Any], Any], op_params, measurement, image_shape):
  """Apply the exact transpose: <A x, y> = <x, adjoint(y)> for all x and y.

  Args:
    apply: of the operator A.
    op_params: of A.
    measurement: y.
    image_shape: (H, W, C) of x.
  """
  image = jax.ShapeDtypeStruct(image_shape, jnp.result_type(float))
  return jax.linear_transpose(lambda x: apply(op_params, x), image)(measurement)[0]


def count_measured(operator: ForwardOperator, image_shape: Sequence[int]) -> int:
  """Return how many real values are measured; at most as many as the image (H, W, C) has."""
  op_params = operator.init(np.random.default_rng(0))
  measured = jax.eval_shape(operator.apply, op_params, jax.ShapeDtypeStruct(tuple(image_shape), np.float32))
  seen = operator.seen(op_params)
  count = math.prod(measured.shape) if seen is None else int(np.sum(seen)) * measured.shape[-1]
  return min(count, math.prod(image_shape))


def chain(*operators: ForwardOperator) -> ForwardOperator:
  """Return the operator that applies all, the first one to the image; op_params is their tuple.

  What is measured is what the last one says.
  """
  def init(rng):
    return tuple(operator.init(rng) for operator in operators)
  def apply(op_params, image):
    for operator, params in zip(operators, op_params, strict=True):
      image = operator.apply(params, image)
    return image
  def estimate(op_params, measurement):
    for operator, params in zip(reversed(operators), reversed(op_params), strict=True):
      measurement = operator.estimate(params, measurement)
    return measurement
  return ForwardOperator(init, apply, lambda op_params: operators[-1].seen(op_params[-1]), estimate,
                         math.prod(operator.unit for operator in operators),
                         sum(operator.num_bytes for operator in operators))


def _all_seen(op_params):
  del op_params


def identity() -> ForwardOperator:
  """The image itself."""
  return ForwardOperator(lambda rng: (), lambda op_params, image: image, _all_seen,
                         lambda op_params, measurement: measurement)


def inpainting(image_shape: Sequence[int], *, kept: float = 0.5, mask: np.ndarray | None = None) -> ForwardOperator:
  """Lose pixels: image * mask, the mask [H, W, 1] of 0 and 1.

  Args:
    image_shape: (H, W, C).
    kept: share of the pixels that are measured, drawn at random, where no mask is given.
    mask: [H, W]; where it is not 0 a pixel is measured.

  Raises:
    ValueError: the mask has another shape than the image, or measures nothing.
  """
  shape = tuple(image_shape[:2])
  if mask is not None and mask.shape != shape:
    raise ValueError(f"the mask is {mask.shape}, the image {shape}; allowed: a mask of the image's shape.")
  if mask is not None and not np.any(mask):
    raise ValueError("the mask measures no pixel; allowed: one that is not 0 everywhere.")
  def init(rng):
    if mask is not None:
      return np.float32(mask != 0)[..., None]
    count = max(1, round(kept * shape[0] * shape[1]))
    seen = np.zeros(shape[0] * shape[1], np.float32)
    seen[rng.choice(seen.size, count, replace=False)] = 1
    return seen.reshape(*shape, 1)
  def estimate(op_params, measurement):  # what is lost becomes the mean of what is measured
    mean = jnp.sum(measurement * op_params, (0, 1)) / jnp.sum(op_params)
    return measurement * op_params + (1 - op_params) * mean[None, None]
  return ForwardOperator(
      init, lambda op_params, image: image * op_params, lambda op_params: op_params, estimate)


def downsampling(image_shape: Sequence[int], *, factor: int, kernel: str = "box") -> ForwardOperator:
  """Take a coarser image: [H, W, C] -> [H/f, W/f, C].

  Args:
    image_shape: (H, W, C).
    factor: f.
    kernel: what a coarse pixel is of the fine ones: "box", the mean of its f x f, as a coarser sensor gives;
      "bicubic" or "lanczos" (three lobes), stretched by f and normalised, as image programs scale down.

  Raises:
    ValueError: a side is no multiple of the factor.
  """
  height, width = image_shape[:2]
  if factor < 1 or height % factor or width % factor:
    raise ValueError(f"factor {factor} does not divide {height}x{width}; allowed: a divisor of both sides.")
  coarse = (height // factor, width // factor)
  def apply(op_params, image):
    del op_params
    if kernel == "box":
      return image.reshape(coarse[0], factor, coarse[1], factor, -1).mean((1, 3))
    return jax.image.resize(image, (*coarse, image.shape[2]), DOWNSAMPLING[kernel])
  def estimate(op_params, measurement):
    del op_params
    return jax.image.resize(measurement, (height, width, measurement.shape[2]), "cubic")
  return ForwardOperator(lambda rng: (), apply, _all_seen, estimate)


def blur(image_shape: Sequence[int], *, kernel: np.ndarray) -> ForwardOperator:
  """Convolve every channel with a kernel; the image is reflected at its edges.

  op_params is the kernel, [k, l] with odd sides.

  Raises:
    ValueError: a side of the kernel is even, or larger than the image.
  """
  rows, columns = kernel.shape
  if rows % 2 == 0 or columns % 2 == 0 or rows > image_shape[0] or columns > image_shape[1]:
    raise ValueError(f"the kernel is {rows}x{columns}, the image {image_shape[0]}x{image_shape[1]}; allowed: odd "
                     "sides that are not larger than the image.")
  def apply(op_params, image):
    up, left = rows // 2, columns // 2
    padded = jnp.pad(image, ((up, up), (left, left), (0, 0)), mode="reflect")
    size = (padded.shape[0], padded.shape[1])
    spectrum = jnp.fft.rfft2(padded, axes=(0, 1)) * jnp.fft.rfft2(op_params, size)[..., None]
    full = jnp.fft.irfft2(spectrum, size, axes=(0, 1))
    return full[rows - 1:, columns - 1:]  # where the whole kernel lies inside
  return ForwardOperator(lambda rng: np.asarray(kernel, np.float32), apply, _all_seen,
                         lambda op_params, measurement: measurement)


def to_complex(pair):
  """[..., 2] -> complex [...]."""
  return jax.lax.complex(pair[..., 0], pair[..., 1])


def to_pair(values):
  """Complex [...] -> [..., 2]."""
  return jnp.stack([values.real, values.imag], -1)


def centred_fft(image):
  """Orthonormal two-dimensional Fourier transform over the last two axes, zero frequency in the middle."""
  shifted = jnp.fft.ifftshift(image, axes=(-2, -1))
  return jnp.fft.fftshift(jnp.fft.fft2(shifted, norm="ortho"), axes=(-2, -1))


def cartesian_lines(width: int, *, acceleration: float, centre: float, rng: np.random.Generator) -> np.ndarray:
  """Draw which columns of k-space are measured: 1 / acceleration of them, the middle ones always.

  Args:
    width: columns.
    acceleration: all columns to measured ones.
    centre: share of the columns that are measured around the zero frequency.
    rng: for the others.

  Returns:
    [width] of 0 and 1.

  Raises:
    ValueError: the middle alone is more than 1 / acceleration allows.
  """
  middle, count = max(1, round(centre * width)), round(width / acceleration)
  if not 1 <= middle <= count:
    raise ValueError(f"{middle} columns in the middle of {width} are more than the {count} of acceleration "
                     f"{acceleration:g}; allowed: a smaller share, or less acceleration.")
  lines = np.zeros(width, np.float32)
  first = width // 2 - middle // 2  # the zero frequency is at width // 2
  lines[first:first + middle] = 1
  others = np.flatnonzero(lines == 0)
  lines[rng.choice(others, count - middle, replace=False)] = 1
  return lines


def simulated_coils(shape: Sequence[int], count: int) -> np.ndarray:
  """Return smooth complex sensitivities [count, H, W] of coils around the image, of unit sum of squares."""
  rows, columns = np.meshgrid(*(np.linspace(-1, 1, side) for side in shape[:2]), indexing="ij")
  coils = []
  for number in range(count):
    angle = 2 * np.pi * number / count
    distance = (rows - 1.2 * np.sin(angle)) ** 2 + (columns - 1.2 * np.cos(angle)) ** 2
    coils.append(np.exp(-distance / 2) * np.exp(1j * (angle + 0.5 * (rows * np.cos(angle) - columns * np.sin(angle)))))
  coils = np.stack(coils)
  return (coils / np.sqrt(np.sum(np.abs(coils) ** 2, 0))).astype(np.complex64)


def complex_to_unit(values):
  """Map complex [H, W] of magnitude up to 1 to [H, W, 2] in the unit range: (1 + value) / 2."""
  return (1 + np.stack([values.real, values.imag], -1)) / 2


def magnitude_of_unit(image):
  """Return the magnitude [H, W, 1] of a complex image in the unit range, the inverse of `complex_to_unit`."""
  return ((2 * image - 1) ** 2).sum(-1, keepdims=True) ** 0.5


def smooth_phase(shape: Sequence[int]) -> np.ndarray:
  """Return a phase [H, W], in radians, that varies as slowly as those of gradient-echo images."""
  rows, columns = np.meshgrid(*(np.linspace(-1, 1, side) for side in shape[:2]), indexing="ij")
  return 0.6 * columns + 0.8 * rows * columns - 0.5 * rows ** 2


def mri(image_shape: Sequence[int], *, coils: np.ndarray, acceleration: float = 4.0, centre: float = 0.08,
        sampling: np.ndarray | None = None) -> ForwardOperator:
  """Multi-coil Cartesian magnetic resonance imaging: [H, W, 2] -> k-space [coils, H, W, 2].

  The image's channels are its real and imaginary part, as `complex_to_unit` maps them.

  op_params is (coil maps [coils, H, W, 2], sampling [1, H, W, 1]): k-space = sampling * FFT(coil map * image).

  Args:
    image_shape: (H, W, 2).
    coils: complex sensitivities [coils, H, W].
    acceleration: see `cartesian_lines`.
    centre: likewise.
    sampling: [H, W] or [W], where it is not 0 a sample is measured; None draws lines.

  Raises:
    ValueError: shapes do not match, or nothing is sampled.
  """
  shape = tuple(image_shape[:2])
  if image_shape[2] != 2:
    raise ValueError(f"the image has {image_shape[2]} channels; allowed: 2, its real and imaginary part.")
  if coils.shape[1:] != shape:
    raise ValueError(f"the coil maps are {coils.shape}, the image {shape}; allowed: [coils, H, W].")
  if sampling is not None and sampling.shape not in (shape, shape[1:]):
    raise ValueError(f"the sampling is {sampling.shape}, the image {shape}; allowed: [H, W] or [W].")
  if sampling is not None and not np.any(sampling):
    raise ValueError("the sampling measures nothing; allowed: one that is not 0 everywhere.")
  draw = lambda rng: cartesian_lines(shape[1], acceleration=acceleration, centre=centre, rng=rng)
  if sampling is None:
    draw(np.random.default_rng(0))  # refuses what cannot be drawn
  def init(rng):
    lines = draw(rng) if sampling is None else sampling
    maps = np.stack([coils.real, coils.imag], -1).astype(np.float32)
    return maps, np.broadcast_to(np.float32(lines != 0), shape)[None, ..., None].copy()
  def apply(op_params, image):
    maps, lines = op_params
    return to_pair(centred_fft(to_complex(maps) * to_complex(image)[None])) * lines
  def estimate(op_params, measurement):  # zero-filled; channels lie in (0, 1), and 0.5 is the complex 0
    symmetric = 2 * measurement - apply(op_params, jnp.ones(image_shape, measurement.dtype))
    return (1 + adjoint(apply, op_params, symmetric, image_shape)) / 2
  return ForwardOperator(
      init, apply, lambda op_params: np.broadcast_to(op_params[1], (len(coils), *shape, 1)), estimate,
      len(coils) ** -0.5)


def tomography(image_shape: Sequence[int], *, angles: np.ndarray) -> ForwardOperator:
  """Parallel-beam computed tomography: [H, W, C] -> sinogram [detectors, angles, C].

  As scikit-image's `radon` with circle=False: the image in the middle of a square as wide as its diagonal,
  turned by every angle with bilinear interpolation, and summed over its rows. A detector's value is in pixel
  widths; op_params is (sine, cosine) of the angles.

  Args:
    image_shape: (H, W, C).
    angles: in degrees.
  """
  height, width = image_shape[:2]
  side = int(np.ceil(np.sqrt(2) * max(height, width)))
  # As scikit-image pads: the old centre, side // 2, comes to the new one.
  before = [side // 2 - length // 2 for length in (height, width)]
  centre = side // 2
  rows, columns = np.meshgrid(*(np.arange(length, dtype=np.float32) + first - centre
                                for length, first in zip((height, width), before)), indexing="ij")
  def init(rng):
    del rng
    radians = np.radians(np.asarray(angles, np.float64))
    return np.sin(radians).astype(np.float32), np.cos(radians).astype(np.float32)
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
  def estimate(op_params, measurement):  # filtered back-projection
    del op_params
    square = np.stack([transform.iradon(
        np.asarray(measurement[..., channel], np.float64), angles, output_size=side, circle=False)
                       for channel in range(measurement.shape[-1])], -1)
    return square[before[0]:before[0] + height, before[1]:before[1] + width]
  return ForwardOperator(init, apply, _all_seen, estimate, math.pi / 4 * math.sqrt(height * width),
                         12 * 4 * height * width * (3 + image_shape[2]))


def _pixel_in_detectors(offset, ray, sine, cosine, samples):
  """Return how much of a pixel the detectors before, at and after the nearest one see, three arrays.

  A detector's ray is sampled one pixel apart, and a sample sees a pixel by the bilinear weight of their
  distances along the image's rows and columns; both together reach less than 1.5 pixels.

  Args:
    offset: of the nearest detector from the pixel.
    ray: place of the pixel along the ray.
    sine: of the angle.
    cosine: likewise.
    samples: places of the first and the last sample of a ray.
  """
  hat = lambda distance: jnp.maximum(0, 1 - jnp.abs(distance))
  def seen(across, place):
    along = place - ray
    overlap = hat(cosine * across + sine * along) * hat(cosine * along - sine * across)
    return jnp.where((samples[0] <= place) & (place <= samples[1]), overlap, 0)
  return [sum(seen(offset + detector, jnp.round(ray) + sample) for sample in (-1, 0, 1)) for detector in (-1, 0, 1)]


def gaussian_rows(image_shape: Sequence[int], *, share: float) -> ForwardOperator:
  """Compressed sensing: every channel times a random Gaussian matrix; [H, W, C] -> [rows, C].

  op_params is the matrix [rows, H W], entries N(0, 1 / rows).

  Args:
    image_shape: (H, W, C).
    share: of the pixels, how many rows.
  """
  pixels = image_shape[0] * image_shape[1]
  count = max(1, round(share * pixels))
  def init(rng):
    return rng.standard_normal((count, pixels), np.float32) / np.float32(np.sqrt(count))
  apply = lambda op_params, image: op_params @ image.reshape(pixels, -1)
  return ForwardOperator(
      init, apply, _all_seen,
      lambda op_params, measurement: adjoint(apply, op_params, measurement, image_shape),
      (pixels / count) ** 0.5, 3 * 4 * count * pixels)


def fourier_rows(image_shape: Sequence[int], *, share: float) -> ForwardOperator:
  """Compressed sensing: a random share of each channel's Fourier coefficients; [H, W, C] -> [C, H, W, 2].

  op_params is the sampling [1, H, W, 1] of 0 and 1; the zero frequency is always measured.
  """
  height, width = image_shape[:2]
  count = max(1, round(share * height * width))
  def init(rng):
    seen = np.zeros((height, width), np.float32)
    seen[height // 2, width // 2] = 1
    others = np.flatnonzero(seen == 0)
    seen.ravel()[rng.choice(others, count - 1, replace=False)] = 1
    return seen[None, ..., None]
  def apply(op_params, image):
    spectrum = centred_fft(jnp.moveaxis(image, -1, 0).astype(jnp.result_type(image.dtype, jnp.complex64)))
    return to_pair(spectrum) * op_params
  return ForwardOperator(
      init, apply, lambda op_params: np.broadcast_to(op_params, (image_shape[2], height, width, 1)),
      lambda op_params, measurement: adjoint(apply, op_params, measurement, image_shape), 0.5 ** 0.5)
