"""DICOM files: one greyscale or colour frame in, and out again under its own header."""

import io
import pathlib

import numpy as np

# Slices that come with pydicom, by our name.
DICOM_SLICES = {"ct_slice": "CT_small.dcm", "mr_slice": "MR_small.dcm"}
# Elements that hold the distance of pixels.
_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")


def read_dicom(data: bytes) -> np.ndarray:
  """Return the stored values, [H, W] or [H, W, 3], before rescale and window; colours are RGB.

  Raises:
    ValueError: it holds several frames, or a palette.
    Exception: whatever pydicom raises where it is no DICOM file, is damaged, cannot be decoded or could not be written
      again; read behind `_boundary.reading`.
  """
  import pydicom  # pylint: disable=import-outside-toplevel
  dataset = pydicom.dcmread(io.BytesIO(data))
  if int(getattr(dataset, "NumberOfFrames", 1)) != 1:
    raise ValueError(f"it holds {dataset.NumberOfFrames} frames; allowed: one frame a file")
  if dataset.PhotometricInterpretation == "PALETTE COLOR":
    raise ValueError("its colours are a palette; allowed: grey values or colours")
  values = dataset.pixel_array
  write_dicom(io.BytesIO(), values, data)  # now, and not when the image is restored
  return values


def read_slice(name: str) -> bytes:
  """Return the content of the file of one of DICOM_SLICES."""
  from pydicom import data as pydicom_data  # pylint: disable=import-outside-toplevel
  return pathlib.Path(pydicom_data.get_testdata_file(DICOM_SLICES[name], download=False)).read_bytes()


def write_dicom(file: pathlib.Path | io.BytesIO, values: np.ndarray, template: bytes,
                pixel_size: tuple[float, float] = (1, 1)) -> None:
  """Write stored values under the header of `template`, uncompressed: rescale and window are its own.

  Args:
    file: a path, or a stream.
    values: [H, W] or [H, W, 3], of the type that `read_dicom` gave, of any size; clipped to the bits that are stored.
    template: the content of the file that `read_dicom` took.
    pixel_size: height and width of a pixel, in those of the template. The position of the slice is not changed.
  """
  import pydicom  # pylint: disable=import-outside-toplevel
  dataset = pydicom.dcmread(io.BytesIO(template))
  bits, signed = dataset.BitsStored, dataset.PixelRepresentation
  low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2 ** bits - 1)
  colours = "RGB" if values.ndim == 3 else dataset.PhotometricInterpretation
  dataset.set_pixel_data(np.ascontiguousarray(np.clip(values, low, high).astype(values.dtype)), colours, bits)
  for name in _SPACINGS:
    if pixel_size != (1, 1) and name in dataset and dataset[name].VM == 2:  # an emptied one stays empty
      setattr(dataset, name, [pydicom.valuerep.DSfloat(scale * float(spacing), auto_format=True)
                              for scale, spacing in zip(pixel_size, dataset[name].value)])
  dataset.save_as(file)
