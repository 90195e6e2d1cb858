"""DICOM files: one greyscale or colour frame in, and out again under its own header."""

import hashlib
import io
import logging
import pathlib
from typing import NamedTuple
import zlib

import numpy as np

import oes_jax
from oes_jax.files import _dicom_places
from oes_jax.files import _extras
from oes_jax.files import _free_memory

# Slices that come with pydicom, by our name.
DICOM_SLICES = {"ct_slice": "CT_small.dcm", "mr_slice": "MR_small.dcm"}
_OF_VALUES = ("SmallestImagePixelValue", "LargestImagePixelValue")  # not true of restored ones


_META = 132  # where the elements of group 2, which say how the rest is stored, begin
_TRANSFER_SYNTAX, _DEFLATED = 0x00020010, "1.2.840.10008.1.2.1.99"
_COPIES = 3  # of what is inflated: the bytes, the stream of them, the values
_BLOCK = 2 ** 22
_LONGEST_TEXT = 1024  # characters of a short text


def _check_inflated_size(data: bytes) -> None:
  """Refuse a deflated file that inflates to more than the memory holds; pydicom would inflate it whatever its size.

  Raises:
    ValueError: it does.
    Exception: whatever pydicom or zlib raises where the file is damaged.
  """
  from pydicom import filereader  # pylint: disable=import-outside-toplevel
  file = io.BytesIO(data)
  file.seek(_META)
  meta = filereader.read_dataset(file, False, True, stop_when=lambda tag, *_: tag >> 16 != 2)
  if _TRANSFER_SYNTAX not in meta or meta[_TRANSFER_SYNTAX].value != _DEFLATED:
    return
  inflater, rest, size = zlib.decompressobj(-zlib.MAX_WBITS), file.read(), 0
  while rest and not inflater.eof:
    size += len(inflater.decompress(rest, _BLOCK))
    rest = inflater.unconsumed_tail
    _free_memory.check_size(_COPIES * size)


def read_dicom(data: bytes) -> np.ndarray:
  """Return the stored values, [H, W] or [H, W, 3], before rescale and window; colours are RGB.

  Raises:
    ValueError: it holds several frames, or a palette, or inflates to more than the memory holds; or pydicom is missing.
    Exception: whatever pydicom raises where it is no DICOM file, is damaged, cannot be decoded or could not be written
      again; read behind `_boundary.reading`.
  """
  with _extras.needed("DICOM", "dicom"):
    import pydicom  # pylint: disable=import-outside-toplevel
  _check_inflated_size(data)
  dataset = pydicom.dcmread(io.BytesIO(data))
  if int(getattr(dataset, "NumberOfFrames", 1)) != 1:
    raise ValueError(f"it holds {dataset.NumberOfFrames} frames; allowed: one frame a file")
  if dataset.PhotometricInterpretation == "PALETTE COLOR":
    raise ValueError("its colours are a palette; allowed: grey values or colours")
  if dataset.get("HighBit", dataset.BitsStored - 1) != dataset.BitsStored - 1:
    raise ValueError(f"its HighBit is {dataset.HighBit} of {dataset.BitsStored} bits stored; allowed: {dataset.BitsStored - 1}")
  values = dataset.pixel_array
  for pixel_size in ((1, 1), (2, 2)):  # now, and not when the image is restored: with its own pixels elements pass undecoded
    write_dicom(io.BytesIO(), values, data, pixel_size)
  return values


def read_slice(name: str) -> bytes:
  """Return the content of the file of one of DICOM_SLICES."""
  with _extras.needed("it comes with pydicom and", "dicom"):
    from pydicom import data as pydicom_data  # pylint: disable=import-outside-toplevel
  return pathlib.Path(pydicom_data.get_testdata_file(DICOM_SLICES[name], download=False)).read_bytes()


def is_negative(template: bytes) -> bool:
  """Whether 0 is white in the file of a template."""
  import pydicom  # pylint: disable=import-outside-toplevel
  dataset = pydicom.dcmread(io.BytesIO(template), stop_before_pixels=True, specific_tags=["PhotometricInterpretation"])
  return dataset.get("PhotometricInterpretation") == "MONOCHROME1"


def rescale_of(template: bytes) -> tuple[float, float]:
  """Return (slope, intercept) that make the units of a file of its stored values."""
  import pydicom  # pylint: disable=import-outside-toplevel
  part = _dicom_places.holder(pydicom.dcmread(io.BytesIO(template), stop_before_pixels=True), "RescaleSlope")
  return float(part.get("RescaleSlope", 1)), float(part.get("RescaleIntercept", 0))


def remark_padding(values: np.ndarray, template: bytes) -> tuple[str, ...]:
  """Return the line that says that values of an image stand for no data, as PixelPaddingValue and its RangeLimit say.

  Args:
    values: stored values, or a part of them.
    template: the content of the file that `read_dicom` took.
  """
  import pydicom  # pylint: disable=import-outside-toplevel
  names = ("PixelPaddingValue", "PixelPaddingRangeLimit")
  dataset = pydicom.dcmread(io.BytesIO(template), stop_before_pixels=True, specific_tags=["PixelRepresentation", *names])
  ends = [np.array(dataset[name].value).astype(values.dtype) for name in names if name in dataset and dataset[name].VM == 1]
  if not ends or names[0] not in dataset:
    return ()
  low, high = min(ends), max(ends)
  count = int(np.sum((low <= values) & (values <= high)))
  return () if count == 0 else (
      f"its PixelPaddingValue says that the {count} values {low if low == high else f'from {low} to {high}'} stand for lost "
      "pixels: they are restored like any other, and count in the range of values unless data.range says it; "
      "operator.name=inpainting with an operator.mask that is 0 there fills them in",)


def of_part(template: bytes, top: int = 0, left: int = 0) -> tuple[bytes, tuple[str, ...]]:
  """Return (template, what is said) of a part of a slice, whose first pixel had this place, or of one in other pixels."""
  import pydicom  # pylint: disable=import-outside-toplevel
  dataset = pydicom.dcmread(io.BytesIO(template))
  said = _dicom_places.follow(dataset, top, left)
  file = io.BytesIO()
  dataset.save_as(file)
  return file.getvalue(), said


class Origin(NamedTuple):
  """What made an image, for formats that say so.

  Attributes:
    description: in words.
    key: what images of one series have in common where they were made in one way, and others have not.
  """
  description: str = "written"
  key: str = ""


def _derive(dataset, values: np.ndarray, origin: Origin) -> None:
  """Say in a header that its image was derived, and give it and its series names of their own: one for one content."""
  import pydicom  # pylint: disable=import-outside-toplevel
  for name in ("ImageType", "FrameType"):
    part = _dicom_places.holder(dataset, name)
    if name in part or name == "ImageType":
      kinds = part.get(name) or ()
      kinds = [kinds] if isinstance(kinds, str) else list(kinds)
      setattr(part, name, ["DERIVED", *(kinds[1:] or ["SECONDARY"])])
  before = f"{dataset.get('DerivationDescription', '')}; ".removeprefix("; ")
  dataset.DerivationDescription = f"{before}{origin.description} by oes_jax {oes_jax.__version__}"[-_LONGEST_TEXT:]
  was = {name: str(dataset.get(name, "")) for name in ("SeriesInstanceUID", "SOPInstanceUID")}
  content = hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
  dataset.SeriesInstanceUID = pydicom.uid.generate_uid(entropy_srcs=[was["SeriesInstanceUID"], *origin])
  dataset.SOPInstanceUID = pydicom.uid.generate_uid(entropy_srcs=[was["SOPInstanceUID"], *origin, content])
  dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID


def write_dicom(file: pathlib.Path | io.BytesIO, values: np.ndarray, template: bytes,
                pixel_size: tuple[float, float] = (1, 1), origin: Origin = Origin()) -> None:
  """Write stored values under the header of `template`, uncompressed: rescale and window are its own.

  Args:
    file: a path, or a stream.
    values: [H, W] or [H, W, 3], of the type that `read_dicom` gave, of any size; clipped to the bits that are stored.
    template: the content of the file that `read_dicom` took.
    pixel_size: height and width of a pixel, in those of the template; the position of the slice, which is that of its first
      pixel's middle, follows, and what overlays are left go.
    origin: what made the values.
  """
  import pydicom  # pylint: disable=import-outside-toplevel
  dataset = pydicom.dcmread(io.BytesIO(template))
  bits, signed = dataset.BitsStored, dataset.PixelRepresentation
  low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2 ** bits - 1)
  colours = "RGB" if values.ndim == 3 else dataset.PhotometricInterpretation
  values = np.ascontiguousarray(np.clip(values, low, high).astype(values.dtype))
  dataset.set_pixel_data(values, colours, bits, generate_instance_uid=False)
  for name in _OF_VALUES:
    if name in dataset:
      delattr(dataset, name)
  said = () if pixel_size == (1, 1) else _dicom_places.follow(dataset, pixel_size=pixel_size)
  said += _dicom_places.cut_regions(dataset)
  _derive(dataset, values, origin)
  dataset.save_as(file)
  for text in said if isinstance(file, pathlib.Path) else ():  # a stream only tries it
    logging.warning("%s: %s", file, text)
