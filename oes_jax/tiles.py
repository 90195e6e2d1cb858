"""Overlapping tiles of an image that is too large to restore at once, and their blend."""

from typing import Sequence

import numpy as np


def _starts(length: int, size: int, overlap: int) -> list[int]:
  count = max(1, -(-(length - overlap) // (size - overlap)))
  return [round(start) for start in np.linspace(0, length - size, count)]


def cut(shape: Sequence[int], side: int, overlap: int) -> list[tuple[slice, slice]]:
  """Return (rows, columns) of tiles of one size that cover an H x W image.

  Args:
    shape: (H, W, ...).
    side: largest side of a tile, pixels; a shorter axis of the image is not cut.
    overlap: least overlap of neighbours, pixels, below `side`.
  """
  height, width = (min(side, length) for length in shape[:2])
  return [(slice(top, top + height), slice(left, left + width))
          for top in _starts(shape[0], height, min(overlap, height - 1))
          for left in _starts(shape[1], width, min(overlap, width - 1))]


def _ramp(size: int, overlap: int) -> np.ndarray:
  """Rise linearly over `overlap` pixels from either end, to 1."""
  distance = np.minimum(np.arange(1, size + 1), np.arange(size, 0, -1))
  return np.minimum(1.0, distance / (overlap + 1))


def blend(images: Sequence[np.ndarray], places: Sequence[tuple[slice, slice]],
          shape: Sequence[int], overlap: int) -> np.ndarray:
  """Average tiles [h, w, C] into [H, W, C] with weights that fall to the tiles' edges.

  Where tiles agree the blend is what they agree on; float64 inside, the tiles' dtype outside.
  """
  total, weight = np.zeros(shape), np.zeros((*shape[:2], 1))
  for image, (rows, columns) in zip(images, places, strict=True):
    ramp = np.outer(_ramp(image.shape[0], overlap), _ramp(image.shape[1], overlap))[..., None]
    total[rows, columns] += ramp * image
    weight[rows, columns] += ramp
  return (total / weight).astype(images[0].dtype)
