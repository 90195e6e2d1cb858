"""Kernels of blur: normalised arrays [k, k] with odd sides."""

import numpy as np


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
