"""The content of an image file as an array of the stored values."""

import contextlib
import io
import math
from typing import Any, Iterator, NamedTuple

import numpy as np
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError
import png

from oes_jax.files import _dicom
from oes_jax.files import _fits_images
from oes_jax.files import _free_memory
from oes_jax.files import _inflation
from oes_jax.files import _npy
from oes_jax.files import _orientation
from oes_jax.files import _png_chunks
from oes_jax.files import _tiff

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class Decoded(NamedTuple):
  """What the content of an image file holds.

  Attributes:
    values: stored values, [H, W] or [H, W, C], upright; alpha included.
    alpha: whether the last channel is alpha.
    template: what a restored file takes over beside the values: chunks of a PNG file (of a JPEG file too), the header of
      a TIFF file, the headers of a FITS file, the content of a DICOM file, or None.
    remarks: lines that say what was chosen, dropped or reinterpreted.
  """
  values: np.ndarray
  alpha: bool = False
  template: Any = None
  remarks: tuple[str, ...] = ()


@contextlib.contextmanager
def _opened(data: bytes) -> Iterator[PillowImage.Image]:
  """Open a PNG or JPEG file with the free memory as the limit of its pixels, in place of Pillow's own."""
  limit, PillowImage.MAX_IMAGE_PIXELS = PillowImage.MAX_IMAGE_PIXELS, None
  try:
    image = PillowImage.open(io.BytesIO(data), formats=("PNG", "JPEG"))
    _free_memory.check_size(math.prod(image.size) * max(4, len(image.getbands())))  # palettes become colours
    yield image
  except UnidentifiedImageError as error:
    raise ValueError("it is no PNG or JPEG") from error
  finally:
    PillowImage.MAX_IMAGE_PIXELS = limit


def _read_pillow(data: bytes) -> Decoded:
  """8-bit PNG and JPEG, turned as their EXIF tag says; palettes become colours."""
  with _opened(data) as image:
    chunks = _png_chunks.read_chunks(data) if image.format == "PNG" else _png_chunks.chunks_of_jpeg(image)
    frames = getattr(image, "n_frames", 1)
    alpha = "A" in image.getbands() or "transparency" in image.info
    if image.mode in ("P", "1") or (alpha and image.mode not in ("LA", "RGBA")):
      grey = image.mode in ("1", "L")
      image = image.convert(("LA" if grey else "RGBA") if alpha else "L" if grey else "RGB")
    if image.mode not in ("L", "LA", "RGB", "RGBA"):
      raise ValueError(f"its colours are {image.mode}; allowed: grey or RGB, with or without alpha")
    decoded = _turned(np.asarray(image), alpha, chunks)
    return decoded if frames == 1 else decoded._replace(remarks=(
        *decoded.remarks, f"it holds {frames} pictures: the first is read"))


def _turned(values: np.ndarray, alpha: bool, chunks: _png_chunks.Chunks) -> Decoded:
  """Return a decoded PNG or JPEG file as it is to be seen."""
  orientation = _png_chunks.orientation_of(chunks)
  if orientation != 1:
    values, chunks = np.ascontiguousarray(_orientation.upright(values, orientation)), _png_chunks.turned(chunks, orientation)
  return Decoded(values, alpha, chunks, _orientation.remark(orientation))


def _read_png_16(data: bytes) -> Decoded:
  """16-bit PNG by pypng: Pillow silently cuts 16-bit colour to 8 bits."""
  chunks = [chunk for chunk in png.Reader(bytes=data).chunks() if chunk[0] != b"sBIT"]  # by which pypng shifts stored values
  width, height, rows, info = png.Reader(bytes=_png_chunks.join(chunks)).asDirect()
  num_bytes = width * height * info["planes"] * 2
  _free_memory.check_size(num_bytes)
  stream = b"".join(body for kind, body in chunks if kind == b"IDAT")
  _inflation.check_inflated(stream, num_bytes + 2 * height + 8)  # a byte a row is its filter; interlaced there are fewer than 2 H + 8
  values = np.vstack([np.asarray(row, np.uint16) for row in rows])
  values = values.reshape(height, width, info["planes"])
  return _turned(values[..., 0] if info["planes"] == 1 else values, info["alpha"], _png_chunks.carried(chunks))


def decode(data: bytes, suffix: str, page: int | tuple[int, ...] | None = None) -> Decoded:
  """Return what the content of an image file holds.

  Args:
    data: the content of a file.
    suffix: the file's suffix in small letters, such as ".png"; what is no array, TIFF, FITS or DICOM is
      taken for a PNG or JPEG.
    page: number of a page of a TIFF file, from 0, or numbers of an HDU of a FITS file and of a plane in it; None for the
      only image.

  Raises:
    ValueError: it is not of an allowed kind, or larger than the free memory.
    Exception: whatever the decoder of the format raises for a damaged file; read behind `_boundary.reading`.
  """
  if suffix == ".npy":
    return Decoded(_npy.read_npy(io.BytesIO(data), len(data)))
  if suffix in (".tif", ".tiff"):
    return Decoded(*_tiff.read_image(data, page))
  if suffix == ".fits":
    image = _fits_images.read_fits(data, page or ())
    return Decoded(image.values, template=image.template, remarks=image.remarks)
  if suffix == ".dcm":
    return Decoded(_dicom.read_dicom(data), template=data)
  if data.startswith(_PNG_SIGNATURE):
    _png_chunks.check_size(data)
    if data[24] == 16:  # the header's bit depth
      return _read_png_16(data)
  return _read_pillow(data)
