"""The images of a TIFF file: its pages, or the planes of its only one, as ImageJ writes large stacks."""

import math

import numpy as np
import tifffile

_OF_ONE_IMAGE = "YXS"  # tifffile's letters of rows, columns and samples (channels)


def axes_of(file: tifffile.TiffFile) -> str:
  """Return tifffile's letters of the file's first series, such as ZYX, with the lengths: Z 3, Y 48, X 64."""
  series = file.series[0]
  return ", ".join(f"{axis} {length}" for axis, length in zip(series.axes, series.shape))


def count_frames(file: tifffile.TiffFile) -> int:
  """Return how many images a file holds."""
  if len(file.pages) != 1:
    return len(file.pages)
  series = file.series[0]
  return math.prod(length for axis, length in zip(series.axes, series.shape) if axis not in _OF_ONE_IMAGE)


def is_one_page_stack(file: tifffile.TiffFile) -> bool:
  """Whether the images of a file are planes of its only page."""
  return len(file.pages) == 1 and count_frames(file) > 1


def read_frame(file: tifffile.TiffFile, number: int) -> np.ndarray:
  """Return the values of an image of a file: those of a page as they are stored, or a plane [H, W] or [H, W, C].

  Args:
    file: the open file.
    number: number of the image, below `count_frames`.
  """
  if not is_one_page_stack(file):
    return file.pages[number].asarray()
  series = file.series[0]
  order = sorted(range(len(series.axes)), key=lambda place: _OF_ONE_IMAGE.find(series.axes[place]))  # others: -1, first
  values = np.transpose(series.asarray(), order)
  inner = sum(axis in _OF_ONE_IMAGE for axis in series.axes)
  return values.reshape(-1, *values.shape[-inner:])[number]
