"""Measured arrays in NPZ files."""

import hashlib
import io
import pathlib
import zipfile

import numpy as np

from oes_jax.files import _boundary
from oes_jax.files import _free_memory
from oes_jax.files import _npy

# What NumPy writes. A header of the others can ask for gigabytes of memory before a byte is decoded.
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1  # the flag of a member


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
  if member.compress_type not in _COMPRESSIONS:
    raise ValueError(f"{member.filename} has compression {member.compress_type}; allowed: none, or deflate")
  if member.flag_bits & _ENCRYPTED:
    raise ValueError(f"{member.filename} is encrypted; allowed: arrays without a password")
  with archive.open(member) as stream:
    array = _npy.read_npy(stream, member.file_size)
    if stream.read(1):  # without this byte, the checksum of an array that its header cuts short is not compared
      raise ValueError(f"{member.filename} holds more than its header says, {array.shape} of {array.dtype}")
  return array


def _read_archive(data: bytes) -> dict[str, np.ndarray]:
  with zipfile.ZipFile(io.BytesIO(data)) as archive:
    members = archive.infolist()
    _free_memory.check_size(sum(member.file_size for member in members))
    return {member.filename.removesuffix(".npy"): _read_member(archive, member) for member in members}


def read_arrays(path: str) -> tuple[dict[str, np.ndarray], str]:
  """Return (arrays by name, sha256 of the file) of an NPZ file.

  Raises:
    ValueError: it does not exist, is no NPZ file, or is damaged, encrypted or larger than the free memory.
  """
  if not pathlib.Path(path).is_file():
    raise ValueError(f"data.source={path!r} does not exist or is not a file.")
  with _boundary.reading(f"data.source={path!r} cannot be read as a scan"):
    data = pathlib.Path(path).read_bytes()
    arrays = _read_archive(data)
  return arrays, hashlib.sha256(data).hexdigest()
