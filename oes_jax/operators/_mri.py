"""Magnetic resonance imaging: k-space of several coils, some of its lines."""

import functools
from typing import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from oes_jax.operators import _operator


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
    width: number of columns.
    acceleration: all columns to measured ones.
    centre: share of the columns that are measured around the zero frequency.
    rng: generator of random numbers for the other columns.

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


def outermost_noise(sampling: np.ndarray, values: np.ndarray) -> float:
  """Return the standard deviation of the noise in k-space, told from the samples farthest from the zero frequency.

  The root mean square of the real and imaginary parts of all coils, of a twentieth of the samples and of 200 values at
  least: those of the largest sum of row and column frequency. (Their median absolute deviation scatters twice as much.)
  Too high where these hold signal, and too low where the scanner has filtered or filled them.

  Args:
    sampling: [1, H, W, 1], where it is not 0 a sample is measured.
    values: [coils or channels, H, W, 2].
  """
  rows, columns = (np.abs(np.arange(side) - side // 2) / side for side in values.shape[1:3])
  seen = sampling[0, ..., 0] > 0
  frequency = (rows[:, None] + columns)[seen]
  outer = np.argsort(frequency)[-max(frequency.size // 20, 100 // len(values)):]
  return float(np.sqrt(np.mean(np.square(values[:, seen][:, outer]))))


def _sample(op_params, image):
  maps, lines = op_params
  return to_pair(centred_fft(to_complex(maps) * to_complex(image)[None])) * lines


@functools.lru_cache(maxsize=None)
def _zero_filled(shape: tuple[int, int]):
  def first_image(op_params, measurement, seen):  # channels lie in (0, 1), and 0.5 is the complex 0
    symmetric = 2 * measurement - _sample(op_params, jnp.ones(shape + (2,), measurement.dtype))
    symmetric = symmetric if seen is None else symmetric * seen
    return (1 + _operator.adjoint(_sample, op_params, symmetric, shape + (2,))) / 2
  return first_image


def mri(image_shape: Sequence[int], *, coils: np.ndarray, acceleration: float = 4.0, centre: float = 0.08,
        sampling: np.ndarray | None = None) -> _operator.ForwardOperator:
  """Multi-coil Cartesian magnetic resonance imaging: [H, W, 2] -> k-space [coils, H, W, 2].

  The image's channels are its real and imaginary part, as `complex_to_unit` maps them.

  op_params is (coil maps [coils, H, W, 2], sampling [1, H, W, 1]): k-space = sampling * FFT(coil map * image).

  Args:
    image_shape: (H, W, 2).
    coils: complex sensitivities [coils, H, W].
    acceleration: all columns to measured ones, as `cartesian_lines` takes it.
    centre: share of the columns that are measured around the zero frequency.
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
  first_image = _zero_filled(shape)
  return _operator.ForwardOperator(
      init, _sample, lambda op_params: np.broadcast_to(op_params[1], (len(coils), *shape, 1)),
      lambda op_params, measurement: first_image(op_params, measurement, None),
      tuple(image_shape), len(coils) ** -0.5, is_complex=True, first_image=first_image, split_axes=(2,),
      noise_level=lambda op_params, values: outermost_noise(op_params[1], values), plug_and_play=(0.23, 0.4))


def first_magnitude(operator: _operator.ForwardOperator, op_params, values) -> np.ndarray:
  """Return the magnitude [H, W, 1] of the zero-filled image of k-space, in its own units.

  Args:
    operator: operator of `mri`.
    op_params: parameters of the operator.
    values: k-space [coils, H, W, 2].
  """
  energy = np.sum(np.square(op_params[0]), (0, -1))[..., None]  # of the coils at every pixel
  image = _operator.adjoint(operator.apply, op_params, values, operator.image_shape)
  return np.linalg.norm(image, axis=-1, keepdims=True) / np.maximum(energy, 1e-3 * energy.max())
