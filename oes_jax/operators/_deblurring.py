"""Deblurring: the measurement is a blurred image."""

from typing import Sequence

import jax.numpy as jnp
import numpy as np

from oes_jax.operators import _first_image
from oes_jax.operators import _operator


def gaussian_kernel(sigma: float) -> np.ndarray:
  """Return a normalised [k, k] Gaussian, cut off at three standard deviations (pixels)."""
  reach = max(1, int(np.ceil(3 * sigma)))
  line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
  kernel = np.outer(line, line)
  return kernel / kernel.sum()


def motion_kernel(length: int, angle: float) -> np.ndarray:
  """Return a normalised [k, k] line of `length` pixels at `angle` degrees, anticlockwise from the row."""
  size = length + 1 - length % 2
  kernel, centre = np.zeros((size, size)), size // 2
  for place in (np.arange(8 * length) + 0.5) / 8 - length / 2:
    row, column = (centre - place * np.sin(np.radians(angle)), centre + place * np.cos(np.radians(angle)))
    kernel[int(round(row)), int(round(column))] += 1
  return kernel / kernel.sum()


def _blur(op_params, image):
  rows, columns = op_params.shape
  up, left = rows // 2, columns // 2
  padded = jnp.pad(image, ((up, up), (left, left), (0, 0)), mode="reflect")
  size = (padded.shape[0], padded.shape[1])
  spectrum = jnp.fft.rfft2(padded, axes=(0, 1)) * jnp.fft.rfft2(op_params, size)[..., None]
  full = jnp.fft.irfft2(spectrum, size, axes=(0, 1))
  return full[rows - 1:, columns - 1:]  # where the whole kernel lies inside


def blur(image_shape: Sequence[int], *, kernel: np.ndarray) -> _operator.ForwardOperator:
  """Convolve every channel with a kernel; the image is reflected at its edges.

  op_params is the kernel, [k, l] with odd sides.

  Raises:
    ValueError: a side of the kernel is even, or larger than the image.
  """
  rows, columns = kernel.shape
  if rows % 2 == 0 or columns % 2 == 0 or rows > image_shape[0] or columns > image_shape[1]:
    raise ValueError(f"the kernel is {rows}x{columns}, the image {image_shape[0]}x{image_shape[1]}; allowed: odd "
                     "sides that are not larger than the image.")
  return _operator.ForwardOperator(
      lambda rng: np.asarray(kernel, np.float32), _blur, _operator.all_seen, lambda op_params, measurement: measurement,
      tuple(image_shape), measures_image=True, first_image=_first_image.filled_image)


# Kernels by name, made of OperatorSettings.
KERNELS = {
    "gaussian": lambda settings: gaussian_kernel(settings.kernel_sigma),
    "motion": lambda settings: motion_kernel(settings.motion_length, settings.motion_angle),
}
