"""Headers of FITS images: how values are stored, and where pixels lie in the sky."""

import re
from typing import Sequence

import numpy as np

# BZERO that makes the stored integers of BITPIX unsigned, or signed where they are bytes.
_OFFSETS = {8: -2 ** 7, 16: 2 ** 15, 32: 2 ** 31, 64: 2 ** 63}
_STORED = {8: np.uint8, 16: np.int16, 32: np.int32, 64: np.int64, -32: np.float32, -64: np.float64}
_OF_VALUES = ("BLANK", "DATAMIN", "DATAMAX", "CHECKSUM", "DATASUM", "ZHECKSUM", "ZDATASUM")  # not true of restored ones
_LAYOUT = ("BSCALE", "BZERO", *_OF_VALUES)
# What says where pixels lie, in the sky or (LTV, LTM) in the image that they were cut out of.
_PLACES = re.compile(r"(CTYPE|CUNIT|CRVAL|CRPIX|CDELT|CROTA|CNAME|LTV)\d+[A-Z]?|(PC|CD|PV|PS|LTM)\d+_\d+[A-Z]?|"
                     r"(AP?|BP?)_(ORDER|\d_\d)|WCSAXES[A-Z]?")
# What cameras and plate solvers say of the size of a pixel: of both its sides, or of one (1 and X: along a row).
_PIXEL_SIZES = re.compile(r"(?:SECPIX|PIXSCALE?|PIXSIZE|PIXELSCL)([12]?)|([XY])PIXS(?:Z|IZE)")
_SECTION = re.compile(r"\[\s*\d+\s*:\s*\d+\s*,\s*\d+\s*:\s*\d+\s*\]")


def _scaling(header) -> tuple[float, float]:
  scale, zero = header.get("BSCALE", 1), header.get("BZERO", 0)
  if not (np.isfinite(scale) and np.isfinite(zero) and scale):
    raise ValueError(f"its BSCALE is {scale!r} and BZERO {zero!r}; allowed: finite ones, and BSCALE not 0")
  return scale, zero


def _is_offset(header) -> bool:
  return header["BITPIX"] > 0 and _scaling(header) == (1, _OFFSETS[header["BITPIX"]])


def _flip_sign(values: np.ndarray, dtype) -> np.ndarray:
  """Return integers with their highest bit flipped, as another type of their size."""
  bits = values.view(f"u{values.itemsize}")
  return (bits ^ bits.dtype.type(1 << (8 * values.itemsize - 1))).view(dtype)


def check_type(stored: np.ndarray, header) -> None:
  """Refuse a header whose BITPIX is not what values were read by, as where it stands there twice: they would go out by it."""
  if stored.dtype != _STORED.get(header["BITPIX"]):
    raise ValueError(f"its BITPIX is {header['BITPIX']!r}, and its values are {stored.dtype}; allowed: one BITPIX, which is true")


def scale(stored: np.ndarray, header) -> np.ndarray:
  """Return BZERO + BSCALE * stored, NaN where it is BLANK.

  Args:
    stored: values of the type that BITPIX says.
    header: header of the image.
  """
  (factor, zero), kind = _scaling(header), stored.dtype.kind
  floating = np.float32 if stored.dtype.itemsize <= 2 or stored.dtype == np.float32 else np.float64
  if kind in "iu" and _is_offset(header):
    values = _flip_sign(stored, f"{'i' if kind == 'u' else 'u'}{stored.itemsize}")
  elif (factor, zero) == (1, 0):
    values = stored
  else:
    values = (factor * stored.astype(np.float64) + zero).astype(floating)
  blank = header.get("BLANK") if kind in "iu" else None
  lost = False if blank is None else stored == blank
  return np.where(lost, np.nan, values).astype(floating) if np.any(lost) else values


def unscale(values: np.ndarray, header) -> np.ndarray:
  """Return what is stored of values, the inverse of `scale`: of the type that BITPIX says, rounded and clipped to it."""
  (factor, zero), dtype = _scaling(header), np.dtype(_STORED[header["BITPIX"]])
  if dtype.kind in "iu" and values.dtype.kind in "iu":
    return _flip_sign(values, dtype) if _is_offset(header) else values.astype(dtype)
  stored = values if (factor, zero) == (1, 0) else (values.astype(np.float64) - zero) / factor
  if dtype.kind == "f":
    return stored.astype(dtype)
  limits = np.iinfo(dtype)
  top = np.nextafter(float(limits.max), 0) if dtype.itemsize == 8 else limits.max  # as a float, the largest is one more
  return np.clip(np.rint(np.nan_to_num(stored)), limits.min, top).astype(dtype)


def pack(header, primary, name: str) -> bytes:
  """Return headers as bytes, without what is true of the stored values alone.

  Args:
    header: header of the image.
    primary: header of the file, where the image is not the first of it; else None.
    name: what of the file the image is.
  """
  header = _without(header, _OF_VALUES)
  header.add_history(f"oes_jax read {name} of the file")
  return _joined(header, None if primary is None else _without(primary, _LAYOUT))


def _without(header, keywords: tuple[str, ...]):
  header = header.copy()
  for keyword in keywords:
    header.remove(keyword, ignore_missing=True, remove_all=True)
  return header


def _joined(header, primary) -> bytes:
  return b"\n".join(each.tostring().encode("latin-1") for each in (header, primary) if each is not None)


def unit_of(template: bytes) -> str | None:
  """Return the unit of an image's values, its BUNIT; None where it says none."""
  return str(unpack(template)[0].get("BUNIT", "")).strip() or None


def unpack(template: bytes):
  """Return (header of the image, header of the file or None) of `pack`."""
  from astropy.io import fits  # pylint: disable=import-outside-toplevel
  headers = [fits.Header.fromstring(part.decode("latin-1")) for part in template.split(b"\n")]
  return headers[0], headers[1] if len(headers) > 1 else None


def of_plane(header, place: Sequence[int]):
  """Return the header of one plane of a cube: reference pixels of the axes that are left out move with it.

  Args:
    header: header of the cube.
    place: of the plane in axis 3 and those that follow, from 0.
  """
  header = header.copy()
  for axis, index in enumerate(place, 3):
    for keyword in [each for each in header if index and re.fullmatch(rf"CRVAL{axis}[A-Z]?", each)]:
      reference = keyword.replace("CRVAL", "CRPIX")
      header[reference] = header.get(reference, 0.0) - index
  return header


def without_places(header):
  """Return (header, what is said) without what says where pixels lie: for an image whose axes are not the first two."""
  found = [keyword for keyword in header if _PLACES.fullmatch(keyword)]
  return _without(header, tuple(found)), (
      (f"{', '.join(found)} of its header are of other axes than the image's, and are not kept",) if found else ())


def without_sections(header):
  """Return (header, what is said) without the sections of a detector, which are true of the whole image in its own pixels."""
  found = [keyword for keyword in header if "SEC" in keyword and _SECTION.fullmatch(str(header[keyword]).strip())]
  return _without(header, tuple(found)), (
      (f"{', '.join(found)} of its header hold for the whole image in its own pixels, and are not kept",) if found else ())


def _explicit(header):
  """Return a header in which what places in the sky rely on stands, also where it has the value that FITS lets be left out."""
  if not any(re.fullmatch(r"(CTYPE|CRVAL|CRPIX|CDELT)[12]|(PC|CD)\d_[12]", keyword) for keyword in header):
    return header
  header = header.copy()
  matrix = {match[1] for keyword in header if (match := re.fullmatch(r"(PC|CD)\d_[12]", keyword))}
  defaults = {"CRPIX1": 0.0, "CRPIX2": 0.0, **({} if "CD" in matrix else {"CDELT1": 1.0, "CDELT2": 1.0}),
              **({"PC1_1": 1.0, "PC2_2": 1.0} if "PC" in matrix else {})}
  for keyword, value in defaults.items():
    header.setdefault(keyword, value)
  return header


def of_part(template: bytes, top: int = 0, left: int = 0) -> tuple[bytes, tuple[str, ...]]:
  """Return (template, what is said) of a part of an image, whose first pixel had this place, or of one in other pixels.

  Reference pixels, and IRAF's origins (LTV), move with the place.
  """
  header, primary = unpack(template)
  header, said = without_sections(_explicit(header))
  for axis in {match[1] for keyword in header if (match := re.fullmatch(r"LTM([12])_[12]", keyword))}:
    header.setdefault(f"LTV{axis}", 0.0)  # which may be left out
  for keyword in list(header):
    if match := re.fullmatch(r"CRPIX([12])[A-Z]?|LTV([12])", keyword):
      header[keyword] -= left if "1" in match.groups() else top
  return _joined(header, primary), said


def rescaled(header, pixel_size: tuple[float, float]):
  """Return the header of an image of other pixels: reference pixels, scales, IRAF's and SIP's follow, and what cameras say of
  their pixels; sections go.

  Args:
    header: header of the image.
    pixel_size: height and width of a pixel, in those of the header.
  """
  header, sizes = header.copy(), {"1": pixel_size[1], "2": pixel_size[0]}
  if pixel_size == (1, 1):
    return header
  header, _ = without_sections(_explicit(header))
  for axis in "12":
    if f"LTV{axis}" in header or f"LTM{axis}_{axis}" in header:  # IRAF's: pixel = LTM * original + LTV
      header[f"LTM{axis}_{axis}"] = header.get(f"LTM{axis}_{axis}", 1.0) / sizes[axis]
      header[f"LTV{axis}"] = (header.get(f"LTV{axis}", 0.0) - 0.5) / sizes[axis] + 0.5
  linear = {match[3] for keyword in header if (match := re.fullmatch(r"(PC|CD)\d_([12])([A-Z]?)", keyword))}
  for keyword in list(header):
    if match := re.fullmatch(r"CRPIX([12])[A-Z]?", keyword):
      header[keyword] = (header[keyword] - 0.5) / sizes[match[1]] + 0.5  # the first pixel's edge lies at 0.5
    elif match := re.fullmatch(r"(?:PC|CD)\d_([12])[A-Z]?", keyword):
      header[keyword] *= sizes[match[1]]
    elif (match := re.fullmatch(r"CDELT([12])([A-Z]?)", keyword)) and match[2] not in linear:
      header[keyword] *= sizes[match[1]]
    elif match := re.fullmatch(r"(AP?|BP?)_(\d)_(\d)", keyword):
      axis = "1" if match[1][0] == "A" else "2"
      header[keyword] *= sizes["1"] ** int(match[2]) * sizes["2"] ** int(match[3]) / sizes[axis]
    elif (match := _PIXEL_SIZES.fullmatch(keyword)) and type(header[keyword]) in (int, float):
      axis = {"X": "1", "Y": "2"}.get(match[2], match[1])
      header[keyword] *= sizes.get(axis, (sizes["1"] * sizes["2"]) ** 0.5)
  return header
