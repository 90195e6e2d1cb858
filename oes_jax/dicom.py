"""DICOM files: one greyscale or colour frame in, and out again under its own header."""

import io
import pathlib

import numpy as np
import pydicom
from pydicom import data as pydicom_data

# Slices that come with pydicom, by our name.
SLICES = {"ct_slice": "CT_small.dcm", "mr_slice": "MR_small.dcm"}
# What pydicom was seen to raise for foreign, damaged or undecodable files, beside ValueError and the like.
ERRORS = (pydicom.errors.InvalidDicomError, RuntimeError)


def read(data: bytes) -> np.ndarray:
  """Return the stored values, [H, W] or [H, W, 3], before rescale and window.

  Raises:
    ValueError: it holds several frames; or one of ERRORS.
  """
  dataset = pydicom.dcmread(io.BytesIO(data))
  if int(getattr(dataset, "NumberOfFrames", 1)) != 1:
    raise ValueError(f"it holds {dataset.NumberOfFrames} frames; allowed: one frame a file")
  return dataset.pixel_array


def read_slice(name: str) -> bytes:
  """Return the file of one of SLICES."""
  return pathlib.Path(pydicom_data.get_testdata_file(SLICES[name], download=False)).read_bytes()


def write(path: pathlib.Path, values: np.ndarray, template: bytes) -> None:
  """Write stored values under the header of `template`, uncompressed: rescale and window are its own.

  Args:
    path: of the file.
    values: [H, W] or [H, W, 3], of the type that `read` gave; of any size.
    template: file that `read` took.
  """
  dataset = pydicom.dcmread(io.BytesIO(template))
  bits = dataset.BitsStored
  dataset.set_pixel_data(np.ascontiguousarray(values), dataset.PhotometricInterpretation, bits)
  dataset.save_as(path)
