"""TIFF files in: their images, upright and in stored values, and what is said of how they were read."""

import contextlib
import io
import math
import sys
from typing import NamedTuple

import numpy as np
from PIL import Image as PillowImage
import tifffile

from oes_jax.files import _boundary
from oes_jax.files import _extras
from oes_jax.files import _free_memory
from oes_jax.files import _orientation
from oes_jax.files import _tiff_frames
from oes_jax.files import _tiff_header

_KINDS, _COLOURS = tifffile.COMPRESSION, tifffile.PHOTOMETRIC
_JPEGS = (_KINDS.OJPEG, _KINDS.JPEG)
# Their streams say a size of their own, and are decoded to that, whatever the page says.
_SIZED = (*_JPEGS, _KINDS.JPEG_2000_LOSSY, _KINDS.JPEG2000, _KINDS.APERIO_JP2000_YCBC, _KINDS.APERIO_JP2000_RGB, _KINDS.WEBP)
_ROOM = 4  # times the pixels of a strip or tile: encoders round them up
_FAXES = (_KINDS.CCITTRLE, _KINDS.CCITT_T4, _KINDS.CCITT_T6)
_MOST_ABSENT = 64  # times the pixels of all that is stored: strips and tiles may be left out
_NO_DATA = 42113  # GDAL's tag
_COMPRESSIONS = (_KINDS.NONE, _KINDS.CCITTRLE, _KINDS.CCITT_T4, _KINDS.CCITT_T6, _KINDS.LZW, _KINDS.ADOBE_DEFLATE,
                 _KINDS.DEFLATE, _KINDS.PACKBITS, _KINDS.LZMA, _KINDS.ZSTD, *_SIZED)
_ALPHA = (tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA)


class Image(NamedTuple):
  """One image of a TIFF file.

  Attributes:
    values: stored values, [H, W] or [H, W, C], upright; alpha included.
    alpha: whether the last channel is alpha.
    header: what a restored file takes over.
    remarks: lines that say what was chosen, dropped or reinterpreted.
  """
  values: np.ndarray
  alpha: bool
  header: _tiff_header.Header
  remarks: tuple[str, ...]


def _check_streams(page: tifffile.TiffPage, data: bytes) -> None:
  """Refuse compressed parts of a page that say that they are far larger than its strips or tiles, or few of its pixels."""
  most, stored = _ROOM * math.prod(sorted(page.chunks)[-2:]) + _ROOM ** 8, _ROOM ** 8
  for offset, count in zip(page.dataoffsets, page.databytecounts):
    part = data[offset:offset + count]
    if part:
      with PillowImage.open(io.BytesIO(part)) as stream:
        if math.prod(stream.size) > most:
          raise ValueError("its data are more than the pixels that its header says")
        stored += math.prod(stream.size)
  if page.imagelength * page.imagewidth > _MOST_ABSENT * stored:
    raise ValueError(f"its header says {page.imagelength}x{page.imagewidth} pixels, far more than its data")


def _most_of_a_byte(page: tifffile.TiffPage) -> int:
  """Return how many bytes a stored one may become; what says more would be filled up for minutes."""
  if page.compression == _KINDS.NONE:
    return 8 * _MOST_ABSENT  # eight where it holds bits
  return 8 * page.imagewidth if page.compression in _FAXES else 2 ** 15  # a white row may be a bit; zstd's, the others make fewer


def _check_page(page: tifffile.TiffPage, data: bytes, num_bytes: int) -> None:
  if page.compression not in _COMPRESSIONS:
    raise ValueError(f"its compression is {getattr(page.compression, 'name', page.compression)}; allowed: "
                     f"{', '.join(kind.name for kind in _COMPRESSIONS)}")
  # tifffile turns what JPEG stores as YCbCr into RGB, and nothing else.
  allowed = (_COLOURS.MINISWHITE, _COLOURS.MINISBLACK, _COLOURS.RGB, _COLOURS.PALETTE)
  if page.photometric not in allowed and not (page.photometric == _COLOURS.YCBCR and page.compression in _JPEGS):
    raise ValueError(f"its colours are {getattr(page.photometric, 'name', page.photometric)}; allowed: "
                     f"{', '.join(kind.name for kind in allowed)}, or YCBCR in JPEG")
  largest = max(num_bytes, math.prod(page.chunks) * page.dtype.itemsize)
  _free_memory.check_size(largest)
  if page.compression in _SIZED:
    _check_streams(page, data)
  elif largest > len(data) * _most_of_a_byte(page):
    raise ValueError(f"its header says {page.imagelength}x{page.imagewidth} pixels, which its {len(data)} bytes cannot hold")


@contextlib.contextmanager
def _codecs():
  """Say which extra is missing where tifffile misses a codec of imagecodecs: it has PackBits, deflate and LZMA itself."""
  try:
    yield
  except (ImportError, ValueError, KeyError, AttributeError) as error:
    named = isinstance(error, ImportError) or "imagecodecs" in str(error)  # for zstd it looks for a module of Python 3.14
    if not named or sys.modules.get("imagecodecs") is not None:
      raise
    raise ValueError(f"its compression needs imagecodecs; allowed: {_extras.how_to_install('tiff')}") from error


def _read_plane(frame: _tiff_frames.Frame) -> np.ndarray:
  """Return an image [H, W] or [H, W, C] of a page that holds several."""
  series = frame.series.levels[0]
  order = sorted(range(len(series.axes)), key=lambda place: _tiff_frames.OF_ONE_IMAGE.find(series.axes[place]))  # others: -1, first
  values = np.transpose(series.asarray(), order)
  inner = sum(axis in _tiff_frames.OF_ONE_IMAGE for axis in series.axes)
  return values.reshape(-1, *values.shape[-inner:])[frame.place]


def _read_page(page: tifffile.TiffPage) -> np.ndarray:
  """Return the stored values [H, W] or [H, W, C] of a page."""
  values = page.asarray()
  return np.moveaxis(values, 0, -1) if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and values.ndim == 3 else values


def _as_colours(values: np.ndarray, colormap: np.ndarray) -> np.ndarray:
  """Return what the indices [H, W] of a palette [3, N] of 16 bits stand for: [H, W, 3], or [H, W] where all are grey."""
  table = colormap.T
  if (table % 257 == 0).all() or (table % 256 == 0).all():  # 8 bits, as programs store them
    table = (table >> 8).astype(np.uint8)
  colours = table[values]
  return colours[..., 0] if (table == table[:, :1]).all() else colours


def read_image(data: bytes, number: int | None) -> Image:
  """Read one image of a TIFF file.

  Args:
    data: the content of the file.
    number: number of the image, from 0; None for the only one.

  Raises:
    ValueError: there is no such image, or it is of a kind that is not allowed, or larger than the free memory.
    Exception: whatever tifffile raises for a damaged file; read behind `_boundary.reading`.
  """
  _tiff_frames.check_chain(data)
  with tifffile.TiffFile(io.BytesIO(data)) as file:
    frames = _tiff_frames.list_frames(file)
    if number is None and len(frames) != 1 or number is not None and number >= len(frames):
      raise ValueError(f"it holds {len(frames)} pages ({'; '.join(map(_tiff_frames.axes_of, file.series))}); allowed: one of "
                       "them, as NAME@0 and so on")
    frame = frames[number or 0]
    page = frame.page
    if page is None:
      raise ValueError("its OME metadata say that this plane lies in another file of the set; allowed: planes of this file")
    _check_page(page, data, frame.series.nbytes if frame.is_plane else page.nbytes)
    remarks = _tiff_frames.remark(file, frame)
    with _codecs():
      values = _read_plane(frame) if frame.is_plane else _read_page(page)
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    header, dropped = _tiff_header.read_header(file, frame)
    samples = 3 if page.photometric in (_COLOURS.RGB, _COLOURS.YCBCR) else 1
    alpha = (bool(page.extrasamples) and page.extrasamples[0] in _ALPHA and values.ndim == 3
             and values.shape[-1] == samples + 1)
    if page.photometric == _COLOURS.PALETTE:
      values, header, said = _read_palette(values, header, page, is_imagej=bool(file.is_imagej))
      remarks.append(said)
    orientation = page.tags.valueof(_orientation.TAG, 1)
    if orientation != 1:
      values, header = _orientation.upright(values, orientation), _tiff_header.turned(header, orientation)
    remarks += [*_orientation.remark(orientation), *_remark_no_data(page, values), *dropped]
    header, said = _kept_header(header, values, alpha)
    return Image(np.ascontiguousarray(values), alpha, header, (*remarks, *said))


def _kept_header(header: _tiff_header.Header, values: np.ndarray, alpha: bool) -> tuple[_tiff_header.Header, tuple[str, ...]]:
  """Return (header, what is said): one that cannot be written again is dropped now, and not when the image is restored."""
  try:
    with _boundary.reading("its header cannot be written again, and is not kept"):
      _tiff_header.write_images(io.BytesIO(), np.zeros((2, 2, *values.shape[2:]), values.dtype), header, alpha=alpha)
  except ValueError as error:
    colours = (1 if values.ndim == 2 else values.shape[-1]) - alpha
    return _tiff_header.plain(header, colours), (str(error).rstrip("."),)
  return header, ()


def _remark_no_data(page: tifffile.TiffPage, values: np.ndarray) -> tuple[str, ...]:
  """Return the line that says that values of an image stand for no data, as GDAL's tag says."""
  value = page.tags.valueof(_NO_DATA)
  if value is None:
    return ()
  count = int(np.sum(values == float(value)))  # NaN equals nothing, and has its own refusal
  return () if count == 0 else (
      f"its tag GDAL_NODATA says that the {count} values {value} stand for lost pixels: they are restored like any other; "
      "operator.name=inpainting with an operator.mask that is 0 there fills them in",)


def _read_palette(values, header: _tiff_header.Header, page: tifffile.TiffPage, *, is_imagej: bool):
  """Return (values, header, what is said) of an image with a palette, which ImageJ lays over intensities to show them."""
  if values.ndim != 2:
    raise ValueError(f"its palette has an image of shape {values.shape}; allowed: one channel")
  if is_imagej:
    return values, header, "its palette is taken for a look-up table of ImageJ: the intensities are restored, and it is kept"
  values = _as_colours(values, page.colormap)
  return (values, header._replace(colormap=None, photometric="rgb" if values.ndim == 3 else "minisblack"),
          "its palette is resolved: the restored file holds the colours themselves")
