"""Which images a TIFF file holds, in their order: pages, planes of a page, and images of OME-TIFF."""

import contextlib
import functools
import io
import math
import os
import pathlib
import struct
from typing import NamedTuple

import tifffile

from oes_jax.files import _digests

OF_ONE_IMAGE = "YXS"  # tifffile's letters of rows, columns and samples (channels)


class Frame(NamedTuple):
  """One image of a TIFF file.

  Attributes:
    series: series that it belongs to; None where pages stand for themselves.
    place: number in the series, or of the page.
    page: page that holds it; None where OME says that it lies in another file.
    is_plane: whether it is a plane of that page, which holds several.
  """
  series: tifffile.TiffPageSeries | None
  place: int
  page: tifffile.TiffPage | None
  is_plane: bool = False


def axes_of(series: tifffile.TiffPageSeries) -> str:
  """Return tifffile's letters of a series, such as ZYX, with the lengths: Z 3, Y 48, X 64."""
  return ", ".join(f"{axis} {length}" for axis, length in zip(series.axes, series.shape))


def check_chain(data: bytes) -> None:
  """Refuse a file whose pages are chained in a circle, which tifffile follows for ever.

  Args:
    data: the content of the file.

  Raises:
    ValueError: a page follows one that comes after it.
  """
  order, big = {b"II": "<", b"MM": ">"}.get(data[:2], "<"), data[2:4] in (b"+\0", b"\0+")
  first, count, length, number = (8, "Q", 20, "Q") if big else (4, "H", 12, "I")
  seen: set[int] = set()
  with contextlib.suppress(struct.error):  # an offset that leads out of the file ends the chain
    place = struct.unpack_from(order + number, data, first)[0]
    while place:
      if place in seen:
        raise ValueError("its pages are chained in a circle")
      seen.add(place)
      entries = struct.unpack_from(order + count, data, place)[0]
      place = struct.unpack_from(order + number, data, place + struct.calcsize(order + count) + entries * length)[0]


def stack_axes(series: tifffile.TiffPageSeries) -> tuple[tuple[str, int], ...]:
  """Return letters and lengths of the axes along which a series has several images, such as (("Z", 12),); () for none."""
  whole = series.levels[0]
  return tuple((axis, length) for axis, length in zip(whole.axes, whole.shape) if axis not in OF_ONE_IMAGE)


def _frames_of(series: tifffile.TiffPageSeries) -> list[Frame]:
  """Return the images of a series, in its order; of several sizes the largest."""
  planes = math.prod(length for _, length in stack_axes(series))
  pages = [page if page is None else page.aspage() for page in series.levels[0].pages]
  if len(pages) == 1 and planes > 1:  # as ImageJ writes large stacks
    return [Frame(series, number, pages[0], True) for number in range(planes)]
  return [Frame(series, number, page) for number, page in enumerate(pages)]


def list_frames(file: tifffile.TiffFile) -> list[Frame]:
  """Return the images of an open file.

  Those of OME are in the order of its metadata. Of a pyramid the largest level counts; previews and transparency masks do not.

  Args:
    file: file that `check_chain` lets pass, opened from memory: tifffile looks for the other files of a set beside one that
      it opens by path.
  """
  sized = [series for series in file.series if len(series.levels) > 1]
  if file.is_ome or sized:
    return [frame for series in (file.series if file.is_ome else sized) for frame in _frames_of(series)]
  pages = [page.aspage() for page in file.pages]
  pages = [page for page in pages if not (page.is_reduced or page.is_mask)] or pages
  if len(pages) == 1 and len(file.series) == 1:
    return _frames_of(file.series[0])
  series = file.series[0] if len(file.series) == 1 and len(pages) == len(file.pages) else None
  return [Frame(series, number, page) for number, page in enumerate(pages)]


@functools.lru_cache(maxsize=64)
def _count_images(path: str, stamp: tuple[int, ...]) -> int:
  del stamp  # tells a file from what it was before
  data = pathlib.Path(path).read_bytes()
  check_chain(data)
  with tifffile.TiffFile(io.BytesIO(data)) as file:
    return len(list_frames(file))


def count_images(path: str) -> int:
  """Return how many images a file holds, which is read once.

  Raises:
    ValueError: its pages are chained in a circle.
    Exception: whatever tifffile raises for a damaged file; count behind `_boundary.reading`.
  """
  return _count_images(os.path.abspath(path), _digests.stamp_of(path))


def remark(file: tifffile.TiffFile, frame: Frame) -> list[str]:
  """Return lines that say which of what a file holds was read."""
  series, remarks = frame.series, []
  levels = [] if series is None else series.levels
  if len(levels) > 1:
    sizes = ", ".join("x".join(map(str, level.shape[:2] if level.axes[0] == "Y" else level.shape[-2:])) for level in levels)
    remarks.append(f"it holds the image in {len(levels)} sizes ({sizes}): the largest is read")
  if len(levels) > 1 and not file.is_ome and len(file.series) > 1:
    remarks.append(f"{len(file.series) - 1} other images of the file ({', '.join(one.name for one in file.series if one is not series)}"
                   ") are not of its sizes, and are left out unless they have sizes themselves")
  if len(levels) < 2 and not file.is_ome:
    left_out = sum(page.is_reduced or page.is_mask for page in (page.aspage() for page in file.pages))
    if 0 < left_out < len(file.pages):
      remarks.append(f"{left_out} of its {len(file.pages)} pages are previews or transparency masks and are left out")
  if series is not None and set(series.axes) & set("TZC"):
    of = f"image {file.series.index(series)} of the file, " if len(file.series) > 1 else "the file's "
    remarks.append(f"it is image {frame.place} of {of}{axes_of(series)}")
  return remarks
