"""Arrays of NPZ files."""

import contextlib
from typing import Iterator
import zipfile

import numpy as np

from oes_jax.files import _entries
from oes_jax.files import _free_memory
from oes_jax.files import _npy

# What NumPy writes. A header of the others can ask for gigabytes of memory before a byte is decoded.
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1  # the flag of a member


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
  with archive.open(member) as stream:
    array = _npy.read_npy(stream, member.file_size)
    if stream.read(1):  # without this byte, the checksum of an array that its header cuts short is not compared
      raise ValueError(f"{member.filename} holds more than its header says, {array.shape} of {array.dtype}")
  return array


def _entry(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> _entries.Entry:
  if member.compress_type not in _COMPRESSIONS:
    raise ValueError(f"{member.filename} has compression {member.compress_type}; allowed: none, or deflate")
  if member.flag_bits & _ENCRYPTED:
    raise ValueError(f"{member.filename} is encrypted; allowed: arrays without a password")
  with archive.open(member) as stream:
    shape, dtype = _npy.read_header(stream, member.file_size)
  def read(number: int | None) -> np.ndarray:
    array = _read_member(archive, member)
    return array if number is None else array[number]
  return _entries.Entry(shape, dtype.kind == "c", read)


@contextlib.contextmanager
def opened(path: str) -> Iterator[_entries.Contents]:
  """Give the arrays of an NPZ file.

  Raises:
    ValueError: it is damaged, encrypted, or larger than the free memory.
    Exception: other errors of zipfile and NumPy, where it is damaged.
  """
  with zipfile.ZipFile(path) as archive:
    members = archive.infolist()
    _free_memory.check_size(sum(member.file_size for member in members))
    yield _entries.Contents({member.filename.removesuffix(".npy"): _entry(archive, member) for member in members})
