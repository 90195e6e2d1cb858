"""Images out, in the layout of the picture that they were made of, alone or as a stack."""

import io
import logging
import pathlib
from typing import Any, Sequence

import numpy as np
from PIL import Image as PillowImage
import png

from oes_jax.files import _atomic
from oes_jax.files import _boundary
from oes_jax.files import _decoders
from oes_jax.files import _dicom
from oes_jax.files import _fits_images
from oes_jax.files import _pictures
from oes_jax.files import _png_chunks
from oes_jax.files import _tiff_header
from oes_jax.files import _tiff_texts


def write_picture(path_stem: pathlib.Path, values: np.ndarray, like: _pictures.Picture,
                  origin: _dicom.Origin = _dicom.Origin()) -> pathlib.Path:
  """Write an image in the layout of another (alpha, channel axis, format); return the path.

  PNG holds 8- and 16-bit grey or RGB; anything else becomes TIFF (`.tiff`), which holds it all.

  Args:
    path_stem: path of the file without its suffix.
    values: [H, W, C] without alpha, in the dtype of the file.
    like: the picture whose layout, alpha and header (profile, resolution, descriptions) the file takes.
    origin: what made the image, which DICOM files say.
  """
  full = values if like.alpha is None else np.concatenate(
      [values, like.alpha[..., None].astype(values.dtype)], axis=-1)
  array: Any = full[..., 0] if like.squeezed else full
  suffix, template = like.suffix, like.template
  if suffix == ".png" and (values.dtype not in (np.uint8, np.uint16, bool) or full.shape[-1] > 4):
    suffix, template = ".tiff", None
  path = path_stem.with_name(path_stem.name + suffix)
  scale = tuple(size * before / now for size, before, now in zip(like.pixel_size, like.values.shape, values.shape))
  if suffix == ".npy":
    np.save(path, array if like.squeezed else np.moveaxis(array, -1, like.channel_axis))
  elif suffix == ".dcm":
    _dicom.write_dicom(path, array, template, scale, origin)
  elif suffix == ".fits":
    _fits_images.write_fits(path, array, template, scale)
  elif suffix == ".png":
    path.write_bytes(_png_chunks.insert_chunks(_encode_png(full), template or (), scale))
  else:
    _tiff_header.write_images(path, array, template, alpha=like.alpha is not None, scale=scale)
    if isinstance(template, _tiff_header.Header) and values.shape[:2] != like.values.shape[:2]:
      for text in _tiff_header.of_part(template)[1] + _tiff_texts.remark_other_pixels(template):
        logging.warning("%s: %s", path, text)
  return path


def write_stack(path: pathlib.Path, pages: Sequence[pathlib.Path], source: str) -> tuple[str, ...]:
  """Write the restored pages of a TIFF file as one stack, under the file's own axes and descriptions.

  Pages whose headers differ keep them, but in a file of ImageJ or OME, which has one for all.

  Args:
    path: path of the stack.
    pages: files of the pages in their order, as `write_picture` wrote them.
    source: the TIFF file that they are pages of.

  Returns:
    Lines that say what of the pages the stack does not keep.

  Raises:
    ValueError: a file cannot be read, the pages differ in size or type, or the memory does not hold them.
  """
  first, *others = (_pictures.read_picture(str(page)) for page in pages)
  for page, picture in zip(pages[1:], others):
    if (picture.values.shape, picture.values.dtype) != (first.values.shape, first.values.dtype):
      raise ValueError(f"{page} is {picture.values.dtype} {picture.values.shape}, {pages[0]} is {first.values.dtype} "
                       f"{first.values.shape}; allowed in a stack: one type and size.")
  whole = [picture.values if picture.alpha is None else np.concatenate([picture.values, picture.alpha[..., None]], axis=-1)
           for picture in (first, *others)]
  with _boundary.reading(f"data.source={source!r} cannot be read as an image"):
    original = _decoders.decode(pathlib.Path(source).read_bytes(), ".tif", 0).template
  values = np.stack(whole)[..., 0] if first.squeezed else np.stack(whole)
  headers, stream, alpha = [picture.template for picture in (first, *others)], io.BytesIO(), first.alpha is not None
  differ = _tiff_header.list_differences(headers)
  if differ and original.program is None:
    _tiff_header.write_pages(stream, values, headers, alpha=alpha)
  else:
    _tiff_header.write_images(stream, values, _tiff_header.of_stack(headers[0], original), alpha=alpha, stacked=True)
  _atomic.write_atomically(path, stream.getvalue())
  return () if not differ or original.program is None else (
      f"its pages differ in {', '.join(differ)}, of which the stack has what the first one says",)


def _encode_png(values: np.ndarray) -> bytes:
  """Return the content of a PNG file of [H, W, 1 to 4] in 8 or 16 bits, or of booleans."""
  stream = io.BytesIO()
  if values.dtype == np.uint16:
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[values.shape[-1]]
    png.from_array(values.reshape(values.shape[0], -1), f"{mode};16").write(stream)
  else:
    PillowImage.fromarray(values[..., 0] if values.shape[-1] == 1 else values).save(stream, "PNG")
  return stream.getvalue()
