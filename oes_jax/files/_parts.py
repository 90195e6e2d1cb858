"""Files of several images or slices, beside TIFF: their names, and the names of what they hold."""

import itertools
import os
import re

from oes_jax.files import _boundary
from oes_jax.files import _fits_images
from oes_jax.files import _scans

_FITS = r"fits?|fts|fz|(?:fits?|fts)\.gz"
_FITS_NAME = re.compile(rf".*\.({_FITS})", re.IGNORECASE)
_SCAN_NAME = re.compile(rf".*({'|'.join(map(re.escape, _scans.SUFFIXES))})", re.IGNORECASE)
_PART = re.compile(rf"(?P<path>.*\.(?:{_FITS}))@(?P<hdu>\d+)(?:@(?P<plane>\d+))?|"
                   rf"(?P<scan>.*(?:{'|'.join(map(re.escape, _scans.SUFFIXES))}))@(?P<slice>\d+)", re.IGNORECASE)


def is_fits(path: str) -> bool:
  """Whether a path has one of the names of FITS files."""
  return _FITS_NAME.fullmatch(path) is not None


def split_part(source: str) -> tuple[str, tuple[int, ...]]:
  """Return (path, numbers) of FILE.fits@HDU, FILE.fits@HDU@PLANE or FILE.h5@SLICE; (source, ()) of anything else."""
  match = _PART.fullmatch(source)
  if match is None or os.path.isfile(source):
    return source, ()
  return match["path"] or match["scan"], tuple(int(match[name]) for name in ("hdu", "plane", "slice") if match[name])


def is_scan(source: str) -> bool:
  """Whether a source is a file of measured arrays, or a slice of one."""
  return _SCAN_NAME.fullmatch(split_part(source)[0]) is not None


def list_parts(source: str) -> list[str]:
  """Return the images or slices of a FITS file, of one of its HDUs, or of a scan, as sources; those that are one as they are."""
  path, given = split_part(source)
  if not (is_fits(path) or is_scan(path)) or not os.path.isfile(path):
    return [source]
  try:
    with _boundary.reading(f"data.source={source!r} cannot be listed"):
      parts = _fits_images.list_parts(path) if is_fits(path) else _scans.list_slices(path)
  except ValueError:
    return [source]  # reading it says what is wrong
  inside = [part for part in parts if part[:len(given)] == given and part != given]
  # As many digits as the largest, so that the names of the results are in the order of the parts.
  digits = [max(len(str(number)) for number in numbers) for numbers in itertools.zip_longest(*inside, fillvalue=0)]
  return [f"{path}@{'@'.join(f'{number:0{width}d}' for number, width in zip(part, digits))}" for part in inside
          ] if len(inside) > 1 else [source]
