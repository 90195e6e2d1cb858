"""The content of an image file as an array of the stored values."""

import io
import math
from typing import Iterable
import zlib

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageOps
from PIL import UnidentifiedImageError
import png
import tifffile

from oes_jax.files import _dicom
from oes_jax.files import _free_memory
from oes_jax.files import _npy
from oes_jax.files import _tiff_frames

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PADDING = 2 ** 20  # bytes after the pixels of a strip or tile of a TIFF, which some programs write


def _read_pillow(data: bytes):
  """8-bit PNG and JPEG, turned as their EXIF tag says; palettes become colours."""
  try:
    image = PillowImage.open(io.BytesIO(data))
  except UnidentifiedImageError as error:
    raise ValueError("it is no PNG or JPEG") from error
  image = ImageOps.exif_transpose(image)
  alpha = "A" in image.getbands() or "transparency" in image.info
  if image.mode in ("P", "1") or (alpha and image.mode not in ("LA", "RGBA")):
    image = image.convert("L" if image.mode == "1" else "RGBA" if alpha else "RGB")
  if image.mode not in ("L", "LA", "RGB", "RGBA"):
    raise ValueError(f"its colours are {image.mode}; allowed: grey or RGB, with or without alpha")
  return np.asarray(image), alpha


def _check_inflated(parts: Iterable[bytes], most: int) -> None:
  """Refuse a stream of zlib, in parts, that inflates to more than `most` bytes: decoders inflate all that there is."""
  inflate = zlib.decompressobj()
  for part in parts:
    most -= len(inflate.decompress(part, most + 1))
    if most < 0:
      raise ValueError("its data are more than the pixels that its header says")


def _read_png_16(data: bytes):
  """16-bit PNG by pypng: Pillow silently cuts 16-bit colour to 8 bits."""
  width, height, rows, info = png.Reader(bytes=data).asDirect()
  num_bytes = width * height * info["planes"] * 2
  _free_memory.check_size(num_bytes)
  parts = (body for kind, body in png.Reader(bytes=data).chunks() if kind == b"IDAT")
  _check_inflated(parts, num_bytes + 2 * height + 8)  # a byte a row is its filter; interlaced there are fewer than 2 H + 8
  values = np.vstack([np.asarray(row, np.uint16) for row in rows])
  values = values.reshape(height, width, info["planes"])
  return values[..., 0] if info["planes"] == 1 else values, info["alpha"]


def _read_tiff(data: bytes, number: int | None):
  with tifffile.TiffFile(io.BytesIO(data)) as file:
    frames = _tiff_frames.count_frames(file)
    if number is None and frames != 1 or number is not None and number >= frames:
      raise ValueError(f"it holds {frames} pages ({_tiff_frames.axes_of(file)}); allowed: one of them, as NAME@0 and so on")
    stack = _tiff_frames.is_one_page_stack(file)
    page = file.pages[0 if stack else number or 0]
    colours = {tifffile.PHOTOMETRIC.RGB: 3, tifffile.PHOTOMETRIC.MINISBLACK: 1}
    if page.photometric not in colours:
      raise ValueError(f"its colours are {tifffile.PHOTOMETRIC(page.photometric).name}; allowed: "
                       "MINISBLACK or RGB")
    _free_memory.check_size(file.series[0].nbytes if stack else page.nbytes)
    if page.compression in (tifffile.COMPRESSION.ADOBE_DEFLATE, tifffile.COMPRESSION.DEFLATE):
      for offset, count in zip(page.dataoffsets, page.databytecounts):
        _check_inflated([data[offset:offset + count]], math.prod(page.chunks) * page.dtype.itemsize + _PADDING)
    values = _tiff_frames.read_frame(file, number or 0)
    if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and values.ndim == 3 and not stack:
      values = np.moveaxis(values, 0, -1)
    kinds = (tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA)
    alpha = (bool(page.extrasamples) and page.extrasamples[0] in kinds and values.ndim == 3
             and values.shape[-1] == colours[page.photometric] + 1)
    return values, alpha


def decode(data: bytes, suffix: str, page: int | None = None) -> tuple[np.ndarray, bool]:
  """Return (values, whether the last channel is alpha) of the content of an image file.

  Args:
    data: the content of a file.
    suffix: the file's suffix in small letters, such as ".png"; what is no array, TIFF or DICOM is
      taken for a PNG or JPEG.
    page: number of a page of a TIFF file, from 0; None for its only one.

  Raises:
    ValueError: it is not of an allowed kind, or larger than the free memory.
    Exception: whatever the decoder of the format raises for a damaged file; read behind `_boundary.reading`.
  """
  if suffix == ".npy":
    return _npy.read_npy(io.BytesIO(data), len(data)), False
  if suffix in (".tif", ".tiff"):
    return _read_tiff(data, page)
  if suffix == ".dcm":
    return _dicom.read_dicom(data), False
  if data[:8] == _PNG_SIGNATURE and data[24:25] == b"\x10":  # the header's bit depth
    return _read_png_16(data)
  return _read_pillow(data)
