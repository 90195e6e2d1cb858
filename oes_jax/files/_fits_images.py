"""FITS files: one image in, and out again under its own header.

Rows keep their order in both directions: FITS counts them from the bottom, so that a viewer shows both alike.
"""

import contextlib
import io
import itertools
import logging
import math
import pathlib
import re
import struct
from typing import Any, BinaryIO, Iterator, NamedTuple
import warnings

import numpy as np

from oes_jax.files import _extras
from oes_jax.files import _fits_header
from oes_jax.files import _free_memory
from oes_jax.files import _inflation

MAGIC, _GZIP = b"SIMPLE  =", b"\x1f\x8b"
_BLOCK, _CARD = 2880, 80  # bytes, to whose multiples all in a file is filled up; of an entry of a header
_STARTS = (b"SIMPLE  =", b"XTENSION=")  # of a header
_COUNT = re.compile(rb"(BITPIX|Z?NAXIS[0-9]*|[PG]COUNT|TFIELDS) *= *([-+]?[0-9]+) *(?:/.*)?")
_MOST_COUNTED = 999  # axes of an image and columns of a table, as the standard has it


class FitsImage(NamedTuple):
  """An image of a FITS file.

  Attributes:
    values: [H, W]; NaN where a pixel is blank.
    template: headers under which `write_fits` writes a restored one.
    remarks: lines that say what of the file was chosen, and what is left out.
  """
  values: np.ndarray
  template: bytes
  remarks: tuple[str, ...]


def _astropy():
  with _extras.needed("FITS", "fits"):
    from astropy.io import fits  # pylint: disable=import-outside-toplevel
  return fits


def _check_counts(stream: BinaryIO) -> None:
  """Refuse headers that count less than nothing or too much: astropy would go back in the file for ever, or count for minutes.

  Args:
    stream: the content of a file, at its start; it is left somewhere else.

  Raises:
    ValueError: a header does.
  """
  while block := stream.read(_BLOCK):
    if not block.startswith(_STARTS):
      continue  # what follows a damaged header
    counts: dict[str, int] = {}
    while block:
      cards = [block[place:place + _CARD] for place in range(0, len(block), _CARD)]
      found = [(match[1].decode(), int(match[2])) for card in cards if (match := _COUNT.fullmatch(card.rstrip()))]
      for name, count in found:
        if name != "BITPIX" and count < 0 or name in ("NAXIS", "ZNAXIS", "TFIELDS") and count > _MOST_COUNTED:
          raise ValueError(f"a header of it says {name} = {count}")
      counts |= dict(found)
      block = b"" if any(card.rstrip() == b"END" for card in cards) else stream.read(_BLOCK)
    sides = [counts.get(f"NAXIS{axis}", 0) for axis in range(1, counts.get("NAXIS", 0) + 1)]
    size = abs(counts.get("BITPIX", 8)) // 8 * counts.get("GCOUNT", 1) * (counts.get("PCOUNT", 0) + math.prod(sides) * bool(sides))
    stream.seek(-(-size // _BLOCK) * _BLOCK, io.SEEK_CUR)


@contextlib.contextmanager
def _opened(stream: BinaryIO, said: list[str]) -> Iterator[Any]:
  """Open the HDUs of a FITS file, their values as they are stored; warnings of astropy become lines of `said`."""
  fits = _astropy()
  if stream.read(len(MAGIC)) != MAGIC:
    raise ValueError("it is no FITS file")
  stream.seek(0)
  _check_counts(stream)
  stream.seek(0)
  with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    with fits.open(stream, memmap=False, do_not_scale_image_data=True) as hdus:
      yield hdus
  said += dict.fromkeys(f"astropy says of it: {str(warning.message).partition(chr(10))[0]}" for warning in caught)


def _plane_shape(shape: tuple[int, ...]) -> tuple[int, int]:
  """Return (H, W) of the planes of an image: its last two axes, of more than two those that are longer than 1."""
  axes = shape if len(shape) == 2 else (1, 1, *(length for length in shape if length > 1))
  return int(axes[-2]), int(axes[-1])


def _images_of(hdus) -> dict[int, int]:
  """Return {number of an HDU: planes} of those that hold an image or a stack of them."""
  found = {}
  for number, hdu in enumerate(hdus):
    shape = hdu.shape if hdu.is_image and not hdu.header.get("GROUPS", False) else ()
    if len(shape) >= 2 and min(shape) > 0:
      found[number] = math.prod(map(int, shape)) // math.prod(_plane_shape(shape))
  return found


def list_parts(path: str) -> list[tuple[int, ...]]:
  """Return the images of a FITS file: the numbers of their HDU, and of their plane where an HDU has several.

  Raises:
    ValueError: it is no FITS file.
    Exception: whatever astropy raises of a damaged one; read behind `_boundary.reading`.
  """
  with open(path, "rb") as file:
    compressed = file.read(len(_GZIP)) == _GZIP
    file.seek(0)
    with _opened(io.BytesIO(_inflation.inflate(file.read())) if compressed else file, []) as hdus:
      images = _images_of(hdus)
  return [part for hdu, planes in images.items()
          for part in ([(hdu,)] if planes == 1 else [(hdu, plane) for plane in range(planes)])]


def _choose(images: dict[int, int], part: tuple[int, ...]) -> tuple[int, int]:
  """Return (number of the HDU, plane) that a part of a file names; () names the only image."""
  names = [f"@{hdu}" if planes == 1 else f"@{hdu}@0 to @{hdu}@{planes - 1}" for hdu, planes in images.items()]
  if not images:
    raise ValueError("it holds no image; allowed: an HDU with two axes or more")
  hdu = part[0] if part else next(iter(images))
  plane = part[1] if len(part) > 1 else 0
  if (not part and len(images) > 1 or hdu not in images or plane >= images[hdu]
      or len(part) < 2 and images[hdu] > 1):
    asked = f"@{'@'.join(map(str, part))} is no image of it" if part else "it holds several images"
    raise ValueError(f"{asked}; allowed: NAME followed by {', '.join(names)}")
  return hdu, plane


def _check_sizes(data: bytes, number: int, hdu) -> None:
  """Refuse an HDU that is cut, or larger than the memory, before it is read."""
  fits, place = _astropy(), hdu.fileinfo()
  compressed = isinstance(hdu, fits.CompImageHDU)
  if place["datLoc"] + (place["datSpan"] - _BLOCK + 1 if compressed else hdu.size) > len(data):
    raise ValueError(f"it is cut: its header says more than the {len(data)} bytes that it has")
  count = math.prod(map(int, hdu.shape))
  _free_memory.check_size(count * abs(hdu.header["BITPIX"]) // 8)
  if compressed:
    _check_tiles(data, number, hdu)


def _check_tiles(data: bytes, number: int, hdu) -> None:
  """Refuse tiles that hold more than their header says: what is inflated would fill the memory, HCOMPRESS writes beyond it."""
  shape, sides = ([int(side) for side in lengths] for lengths in (hdu.shape, hdu.tile_shape))
  tile = math.prod(min(a, b) for a, b in zip(sides, shape, strict=True))
  places = itertools.product(*(range(0, length, side) for length, side in zip(shape, sides)))
  named = ("GZIP_COMPRESSED_DATA", *("COMPRESSED_DATA",) * hdu.compression_type.startswith("GZIP"))
  with _astropy().open(io.BytesIO(data), memmap=False, disable_image_compression=True) as tables:
    for name in set(named) & set(tables[number].columns.names):
      for cell in tables[number].data[name]:
        _inflation.check_inflated(np.asarray(cell).tobytes(), 8 * tile, _inflation.GZIP)
    for cell, place in zip(tables[number].data["COMPRESSED_DATA"] if hdu.compression_type == "HCOMPRESS_1" else (), places):
      start = np.asarray(cell).tobytes()[2:10]  # after two bytes that name the kind
      pixels = math.prod(min(side, length - first) for first, side, length in zip(place, sides, shape))
      if start and (len(start) < 8 or math.prod(struct.unpack(">ii", start)) != pixels):
        raise ValueError(f"a tile of it holds another number of pixels than the {pixels} that its header says")


def read_fits(data: bytes, part: tuple[int, ...] = ()) -> FitsImage:
  """Return an image of a FITS file; integers that BZERO makes unsigned stay integers.

  Args:
    data: the content of the file, which may be compressed with gzip.
    part: number of an HDU from 0, and of a plane where it has several; () for the only image.

  Raises:
    ValueError: it is no FITS file, is cut or larger than the free memory, or has no such image.
    Exception: whatever astropy raises of a damaged one; read behind `_boundary.reading`.
  """
  data = _inflation.inflate(data) if data.startswith(_GZIP) else data
  said = []
  with _opened(io.BytesIO(data), said) as hdus:
    images = _images_of(hdus)
    number, plane = _choose(images, part)
    hdu = hdus[number]
    shape = tuple(map(int, hdu.shape))
    _check_sizes(data, number, hdu)
    header, primary = hdu.header.copy(), hdus[0].header.copy() if number else None
    others = [f"{place} ({other.name or type(other).__name__})" for place, other in enumerate(hdus)
              if place != number and (place or len(other.shape if other.is_image else (1,)))]
    stored = hdu.data.reshape(-1, *_plane_shape(shape))[plane]
  stored = stored.astype(stored.dtype.newbyteorder("="))
  _fits_header.check_type(stored, header)
  name = f"HDU {number}" + (f", plane {plane}" if images[number] > 1 else "")
  if len(shape) > 2:
    axes = ", ".join(f"NAXIS{len(shape) - axis} {length}" for axis, length in enumerate(shape))
    of_length = "" if _plane_shape(shape) == shape[-2:] else " that are longer than 1"
    colours = f"; colours are planes too, NAME@{number}@0 to NAME@{number}@2, each restored alone" if images[number] == 3 else ""
    said.append(f"it is {name} of {images[number]} ({axes}); the axes before the last two{of_length} are its planes{colours}")
    if of_length:
      header, dropped = _fits_header.without_places(header)
      said += dropped
    else:
      header = _fits_header.of_plane(header, np.unravel_index(plane, shape[:-2])[::-1])
  if others:
    said.append(f"HDU {', '.join(others)} of the file {'is' if len(others) == 1 else 'are'} not in the restored one")
  template = _fits_header.pack(header, primary, name)
  image = FitsImage(_fits_header.scale(stored, header), template, tuple(said))
  write_fits(io.BytesIO(), image.values, template, (1.5, 1.5))  # now, and not when the image is restored: twice a text is one
  return image


def write_fits(file: pathlib.Path | io.BytesIO, values: np.ndarray, template: bytes,
               pixel_size: tuple[float, float] = (1, 1)) -> None:
  """Write an image under the headers of `template`, uncompressed, in the type that they say.

  Args:
    file: a path, or a stream.
    values: [H, W], as `read_fits` gave them, of any size.
    template: that of `read_fits`.
    pixel_size: height and width of a pixel, in those of the template.
  """
  fits = _astropy()
  header, primary = _fits_header.unpack(template)
  stored = _fits_header.unscale(values, header)
  for text in _fits_header.without_sections(header)[1] if pixel_size != (1, 1) and isinstance(file, pathlib.Path) else ():
    logging.warning("%s: %s", file, text)
  header = _fits_header.rescaled(header, pixel_size)
  if isinstance(file, pathlib.Path):
    header.add_history(f"oes_jax made this image: {file.stem}")
  kind = fits.PrimaryHDU if primary is None else fits.ImageHDU
  image = kind(stored, header, do_not_scale_image_data=True)
  image.header.update({keyword: header[keyword] for keyword in ("BSCALE", "BZERO") if keyword in header})  # dropped there
  hdus = [image] if primary is None else [fits.PrimaryHDU(header=primary), image]
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of cards that are not standard, which stay as they are
    fits.HDUList(hdus).writeto(file, output_verify="silentfix+ignore", overwrite=True)
