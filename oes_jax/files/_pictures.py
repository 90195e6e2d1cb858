"""Images in, each in its own layout: files, bundled photographs and items of data sets."""

import dataclasses
import hashlib
import os
import pathlib
from typing import Any, NamedTuple

import numpy as np
import skimage.data
import skimage.transform

from oes_jax.files import _boundary
from oes_jax.files import _decoders
from oes_jax.files import _dicom
from oes_jax.files import _fits_header
from oes_jax.files import _sources
from oes_jax.files import _tfds
from oes_jax.files import _tiff_header
from oes_jax.files import _tiff_texts
from oes_jax import intensity


@dataclasses.dataclass(frozen=True)
class Picture:
  """An image as it was stored.

  Attributes:
    values: [H, W, C], the stored dtype; alpha excluded.
    alpha: [H, W] or None; carried through unchanged.
    squeezed: whether the file had no channel axis.
    suffix: suffix of the file that a restored image is written to, e.g. ".png".
    digest: sha256 of the file or of the data set's item, or the bundled image's name.
    bundled: whether it is a clean photograph of scikit-image, or a slice of pydicom.
    template: what a restored file takes over beside the values, see `_decoders.Decoded`; or None.
    pixel_size: height and width of a pixel, in those of the file.
    channel_axis: axis of the channels in an .npy file, -1 or 0.
    remarks: lines that say what of the file was chosen, dropped or reinterpreted.
  """
  values: np.ndarray
  alpha: np.ndarray | None
  squeezed: bool
  suffix: str
  digest: str
  bundled: bool
  template: Any = None
  pixel_size: tuple[float, float] = (1, 1)
  channel_axis: int = -1
  remarks: tuple[str, ...] = ()

  @property
  def full_range(self) -> tuple[float, float] | None:
    """The lowest and highest value of a file of fewer than 8 bits, (0, 15) of 4; None of others."""
    bits = self.template.bits if isinstance(self.template, _tiff_header.Header) else None
    return None if bits is None or bits >= 8 else (0.0, 2.0 ** bits - 1)

  @property
  def rescale(self) -> tuple[float, float]:
    """What makes the units of a DICOM file of its stored values: slope and intercept; (1, 0) of others."""
    return _dicom.rescale_of(self.template) if self.suffix == ".dcm" else (1.0, 0.0)

  @property
  def unit(self) -> str | None:
    """The unit of the values, as a FITS file names it; None where none is named."""
    with _boundary.reading("BUNIT of a FITS file cannot be read"):
      return _fits_header.unit_of(self.template) if self.suffix == ".fits" else None

  @property
  def is_negative(self) -> bool:
    """Whether 0 is white in the file."""
    if self.suffix == ".dcm":
      return _dicom.is_negative(self.template)
    return isinstance(self.template, _tiff_header.Header) and self.template.photometric == "miniswhite"


class _Stored(NamedTuple):
  """What a source holds before anything is cut or scaled.

  Attributes:
    values: [H, W] or [H, W, C] if it is an image; alpha included.
    alpha: whether the last channel is alpha.
    digest: sha256 of the file or of the data set's item, or the bundled image's name.
    suffix: suffix of the file that a restored image is written to.
    template: what a restored file takes over, see `_decoders.Decoded`.
    remarks: lines that say what was chosen, dropped or reinterpreted.
  """
  values: np.ndarray
  alpha: bool
  digest: str
  suffix: str
  template: Any = None
  remarks: tuple[str, ...] = ()


def _read_file(source: str, key: str) -> _Stored:
  """Read an image file; any fault is a ValueError."""
  name, page = _sources.split_page(source)
  path = pathlib.Path(name)
  suffix = _sources.suffix_of(name)
  file, at, part = name.partition("@")
  if at and suffix not in _sources.SUFFIXES and os.path.isfile(file):
    raise ValueError(f"{key}={name!r} names {part!r} of {file}; allowed: the number of one page, {file}@0, or several with commas "
                     f"between, {file}@0,{file}@1.")
  if suffix not in _sources.SUFFIXES:
    if path.name != str(path) and not path.exists():
      raise ValueError(f"{key}={str(path)!r} does not exist; allowed: an image file, a folder of them, a "
                       "pattern, or a bundled image.")
    raise ValueError(f"{key}={str(path)!r} is not an image file or a bundled image; allowed: "
                     f"{', '.join(_sources.SUFFIXES)}, or one of {', '.join(_sources.BUNDLED_NAMES)}.")
  if not os.path.isfile(path):  # pathlib's raises where a name is too long
    raise ValueError(f"{key}={str(path)!r} does not exist or is not a file.")
  with _boundary.reading(f"{key}={str(path)!r} cannot be read as an image"):
    data = path.read_bytes()
    decoded = _decoders.decode(data, suffix, page)
  ome = ".ome" if path.name.lower().endswith((".ome.tif", ".ome.tiff")) else ""
  return _Stored(decoded.values, decoded.alpha, hashlib.sha256(data).hexdigest(),
                 ".png" if suffix in (".jpg", ".jpeg") else ome + suffix,  # JPEG would damage the result
                 decoded.template, decoded.remarks)


def _read_bundled(name: str, key: str) -> _Stored:
  if name in _dicom.DICOM_SLICES:
    with _boundary.reading(f"{key}={name!r} cannot be read as an image"):
      data = _dicom.read_slice(name)
      return _Stored(_dicom.read_dicom(data), False, name, ".dcm", data)
  photograph, (top, left, height, width) = _sources.BUNDLED_CROPS.get(name, (name, (0, 0, None, None)))
  values = getattr(skimage.data, photograph)()
  return _Stored(values if height is None else values[top:top + height, left:left + width], False, name, ".png")


def _check_values(values: np.ndarray, source: str, key: str, finite: bool) -> None:
  if values.dtype.kind not in "biuf":
    raise ValueError(f"{key}={source!r} holds {values.dtype} values; allowed: boolean, "
                     "integer or real.")
  if values.ndim not in (2, 3) or values.size == 0:
    raise ValueError(f"{key}={source!r} has shape {values.shape}; allowed: non-empty [H, W] "
                     "or [H, W, C].")
  if finite and not np.isfinite(values).all():
    bad = int(values.size - np.isfinite(values).sum())
    hint = "; operator.name=inpainting restores the NaN of a measured file" if key == "data.source" else ""
    raise ValueError(f"{key}={source!r} holds {bad} NaN or infinite values; allowed: finite "
                     f"pixels only{hint}.")


def _crop(values: np.ndarray, crop: tuple[int, int, int, int]) -> np.ndarray:
  """Cut (top, left, height, width) out of [H, W, C]."""
  top, left, height, width = crop
  if not (0 <= top and 0 <= left and 0 < height and 0 < width
          and top + height <= values.shape[0] and left + width <= values.shape[1]):
    raise ValueError(f"data.crop={tuple(crop)} does not lie inside the image of "
                     f"{values.shape[0]}x{values.shape[1]}; allowed: (top, left, height, width).")
  return values[top:top + height, left:left + width]


def _shrink(values: np.ndarray, max_side: int) -> np.ndarray:
  """Scale [H, W, C] down until no side is over `max_side`, without aliasing; the dtype stays."""
  if max_side < 1:
    raise ValueError(f"data.max_side={max_side} is not allowed; allowed: 1 pixel or more, or None.")
  scale = max_side / max(values.shape[:2])
  if scale >= 1:
    return values
  shape = [max(1, round(scale * length)) for length in values.shape[:2]]
  small = skimage.transform.resize(values.astype(np.float64), shape, order=1, anti_aliasing=True,
                                   preserve_range=True)
  return intensity.from_unit(small, (0., 1.), values.dtype)


def _template_of_part(stored: _Stored, crop: tuple[int, int, int, int] | None, scaled: bool) -> tuple[Any, tuple[str, ...]]:
  """Return (what a restored file takes over, what is said) of a file of which a part was read, or which was scaled."""
  template = stored.template
  if crop is None and not scaled:
    return template, ()
  if stored.suffix in (".fits", ".dcm"):
    return (_fits_header if stored.suffix == ".fits" else _dicom).of_part(template, *(crop or ())[:2])
  if not isinstance(template, _tiff_header.Header):
    return template, ()
  template, dropped = _tiff_header.of_part(template)
  return template, dropped + (_tiff_texts.remark_other_pixels(template) if scaled else ())


def read_picture(source: str, crop: tuple[int, int, int, int] | None = None, *,
                 max_side: int | None = None, key: str = "data.source", finite: bool = True, channel_axis: int = -1) -> Picture:
  """Read a bundled image by name, a PNG, JPEG, TIFF, NPY, DICOM or FITS file, or an item of a data set.

  Args:
    source: the name of a bundled image, a path (of a TIFF file with several pages: PATH@PAGE; of a FITS
      file: PATH@HDU, PATH@HDU@PLANE), or tfds:NAME#SPLIT@INDEX.
    crop: (top, left, height, width) in pixels, or None for the whole image.
    max_side: longest side in pixels; what is larger after the crop is scaled down to it, alpha too.
      None for the stored size.
    key: config key of the source, for error messages.
    finite: whether NaN and infinite values are refused.
    channel_axis: axis of the channels of an NPY file, -1 or 0.

  Raises:
    ValueError: the image is missing, damaged, not an image, or has non-finite pixels; or the crop
      does not lie inside it; or max_side is below 1. The message names the value and what is
      allowed.
  """
  bundled = _sources.is_bundled(source)
  if bundled:
    stored = _read_bundled(source, key)._replace(remarks=_sources.remark_bundled(source))
  elif source.startswith("tfds:"):
    stored = _Stored(*_tfds.read_item(source, key), suffix=".png")
  else:
    stored = _read_file(source, key)
  _check_values(stored.values, source, key, finite)
  squeezed = stored.values.ndim == 2
  channel_axis = channel_axis if stored.suffix == ".npy" else -1
  values = stored.values[..., None] if squeezed else np.moveaxis(stored.values, channel_axis, -1)
  if crop is not None:
    values = _crop(values, crop)
  with _boundary.reading(f"{key}={source!r} cannot be read as an image"):
    padding = _dicom.remark_padding(values, stored.template) if stored.suffix == ".dcm" else ()
  full = values.shape[:2]
  if max_side is not None:
    values = _shrink(values, max_side)
  with _boundary.reading(f"{key}={source!r} cannot be cropped"):
    template, dropped = _template_of_part(stored, crop, full != values.shape[:2])
  return Picture(values=values[..., :-1] if stored.alpha else values,
                 alpha=values[..., -1] if stored.alpha else None,
                 squeezed=squeezed, suffix=stored.suffix, digest=stored.digest, bundled=bundled,
                 template=template, pixel_size=(full[0] / values.shape[0], full[1] / values.shape[1]),
                 channel_axis=channel_axis, remarks=(*stored.remarks, *padding, *dropped))
