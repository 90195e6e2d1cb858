"""DICOM files: one greyscale or colour frame in, and out again under its own header."""

import io
import logging
import pathlib
import zlib

import numpy as np

from oes_jax.files import _free_memory

# Slices that come with pydicom, by our name.
DICOM_SLICES = {"ct_slice": "CT_small.dcm", "mr_slice": "MR_small.dcm"}
_OF_VALUES = ("SmallestImagePixelValue", "LargestImagePixelValue")  # not true of restored ones
# Elements that hold the distance of pixels.
_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")


_META = 132  # where the elements of group 2, which say how the rest is stored, begin
_TRANSFER_SYNTAX, _DEFLATED = 0x00020010, "1.2.840.10008.1.2.1.99"
_COPIES = 3  # of what is inflated: the bytes, the stream of them, the values
_BLOCK = 2 ** 22


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
    ValueError: it holds several frames, or a palette, or inflates to more than the memory holds.
    Exception: whatever pydicom raises where it is no DICOM file, is damaged, cannot be decoded or could not be written
      again; read behind `_boundary.reading`.
  """
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
  write_dicom(io.BytesIO(), values, data, (2, 2))  # now, and not when the image is restored, perhaps with other pixels
  return values


def read_slice(name: str) -> bytes:
  """Return the content of the file of one of DICOM_SLICES."""
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
  part = _holder(pydicom.dcmread(io.BytesIO(template), stop_before_pixels=True), "RescaleSlope")
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


def _holder(dataset, name: str):
  """Return the part of a file that has an element: a functional group, where an enhanced file has it there; else the file."""
  groups = [group for kind in ("PerFrame", "Shared") for group in dataset.get(f"{kind}FunctionalGroupsSequence") or ()]
  parts = [part for group in groups for element in group if element.VR == "SQ" for part in element.value]
  return next((part for part in parts if name in part), dataset)


def _move(dataset, rows: float, columns: float) -> tuple[str, ...]:
  """Move the position of a slice to the pixel at a place in it; return what is said where that cannot be told."""
  import pydicom  # pylint: disable=import-outside-toplevel
  counts = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}
  parts = {name: _holder(dataset, name) for name in counts}
  known = [name in parts[name] and parts[name][name].VM == count for name, count in counts.items()]
  if not known[0] or (rows, columns) == (0, 0):
    return ()
  if not all(known):
    return ("its ImagePositionPatient is left as it is, that of the first pixel of the whole image: without "
            "ImageOrientationPatient and PixelSpacing nothing says where another one lies",)
  position, orientation, (height, width) = (np.array(list(map(float, parts[name][name].value))) for name in counts)
  moved = position + columns * width * orientation[:3] + rows * height * orientation[3:]
  parts["ImagePositionPatient"].ImagePositionPatient = [pydicom.valuerep.DSfloat(float(number), auto_format=True) for number in moved]
  return ()


def _drop_overlays(dataset) -> tuple[str, ...]:
  """Drop overlays, which have the size of the whole image; return what is said."""
  tags = [tag for tag in dataset.keys() if tag >> 16 in range(0x6000, 0x6100)]
  for tag in tags:
    del dataset[tag]
  return ("its overlays hold for the whole image in its own pixels, and are not kept",) if tags else ()


def of_part(template: bytes, top: int = 0, left: int = 0) -> tuple[bytes, tuple[str, ...]]:
  """Return (template, what is said) of a part of a slice, whose first pixel had this place, or of one in other pixels."""
  import pydicom  # pylint: disable=import-outside-toplevel
  dataset = pydicom.dcmread(io.BytesIO(template))
  said = _drop_overlays(dataset) + _move(dataset, top, left)
  file = io.BytesIO()
  dataset.save_as(file)
  return file.getvalue(), said


def write_dicom(file: pathlib.Path | io.BytesIO, values: np.ndarray, template: bytes,
                pixel_size: tuple[float, float] = (1, 1)) -> None:
  """Write stored values under the header of `template`, uncompressed: rescale and window are its own.

  Args:
    file: a path, or a stream.
    values: [H, W] or [H, W, 3], of the type that `read_dicom` gave, of any size; clipped to the bits that are stored.
    template: the content of the file that `read_dicom` took.
    pixel_size: height and width of a pixel, in those of the template; the position of the slice, which is that of its first
      pixel's middle, follows, and what overlays are left go.
  """
  import pydicom  # pylint: disable=import-outside-toplevel
  dataset = pydicom.dcmread(io.BytesIO(template))
  bits, signed = dataset.BitsStored, dataset.PixelRepresentation
  low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2 ** bits - 1)
  colours = "RGB" if values.ndim == 3 else dataset.PhotometricInterpretation
  dataset.set_pixel_data(np.ascontiguousarray(np.clip(values, low, high).astype(values.dtype)), colours, bits)
  for name in _OF_VALUES:
    if name in dataset:
      delattr(dataset, name)
  said = ()
  if pixel_size != (1, 1):
    said = _drop_overlays(dataset) + _move(dataset, *((scale - 1) / 2 for scale in pixel_size))
  for name in _SPACINGS:
    part = _holder(dataset, name)
    if pixel_size != (1, 1) and name in part and part[name].VM == 2:  # an emptied one stays empty
      setattr(part, name, [pydicom.valuerep.DSfloat(scale * float(spacing), auto_format=True)
                           for scale, spacing in zip(pixel_size, part[name].value)])
  dataset.save_as(file)
  for text in said if isinstance(file, pathlib.Path) else ():  # a stream only tries it
    logging.warning("%s: %s", file, text)
