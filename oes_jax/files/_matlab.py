"""Arrays of MATLAB's MAT files: version 5 by SciPy, version 7.3, which is HDF5, by h5py."""

import contextlib
import io
import pathlib
import struct
from typing import Iterator
import zlib

import numpy as np
from scipy import io as scipy_io

from oes_jax.files import _entries
from oes_jax.files import _free_memory
from oes_jax.files import _hdf5
from oes_jax.files import _inflation

_VERSION_5, _VERSION_7_3 = b"MATLAB 5.0 MAT-file", b"MATLAB 7.3 MAT-file"
_HEADER, _MATRIX, _COMPRESSED, _COMPLEX = 128, 14, 15, 1 << 11  # bytes; numbers of elements; a flag
_NUMBERS = ("double", "single", "logical", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
# MATLAB has no vectors: these come as [1, n] or [n, 1].
_VECTORS = ("angles", "shape", "sampling", "mask")


def _check_elements(data: bytes) -> list[bool]:
  """Return whether each variable is complex; refuse one that is cut, or inflates to more than it says or the memory holds."""
  found, order, place = [], (">" if data[126:128] == b"MI" else "<"), _HEADER
  while place + 8 <= len(data):
    kind, size = struct.unpack_from(f"{order}II", data, place)
    body = data[place + 8:place + 8 + size]
    if kind not in (_MATRIX, _COMPRESSED) or len(body) < size:
      raise ValueError("it is cut, or holds elements that are no variables")
    start = body[:12]
    if kind == _COMPRESSED:
      start = zlib.decompressobj().decompress(body, 20)
      inner = struct.unpack(f"{order}II", start[:8])[1]
      _free_memory.check_size(2 * inner)
      _inflation.check_inflated(body, inner + 8)
    found.append(bool(struct.unpack(f"{order}I", start[-4:])[0] & _COMPLEX))
    place += 8 + size
  return found


def _flat(entry: _entries.Entry, name: str) -> _entries.Entry:
  """Return the entry of a vector with one axis; any other as it is."""
  if name not in _VECTORS or entry.fault or len(entry.shape) != 2 or 1 not in entry.shape:
    return entry
  return entry._replace(shape=(max(entry.shape),), read=lambda number: entry.read(None).ravel())


def _entry_5(stream: io.BytesIO, name: str, shape: tuple[int, ...], kind: str, is_complex: bool) -> _entries.Entry:
  if kind not in _NUMBERS:
    return _entries.unreadable(f"is a MATLAB {kind}; allowed: an array of numbers")
  def read(number: int | None) -> np.ndarray:
    stream.seek(0)
    values = scipy_io.loadmat(stream, variable_names=[name])[name]
    return values if number is None else values[number]
  return _entries.Entry(tuple(map(int, shape)), is_complex, read)


def _entries_5(data: bytes) -> dict[str, _entries.Entry]:
  are_complex, stream, found = _check_elements(data), io.BytesIO(data), {}
  for (name, shape, kind), is_complex in zip(scipy_io.whosmat(stream), are_complex, strict=True):
    if name in found:
      raise ValueError(f"it holds {name} twice")
    found[name] = _flat(_entry_5(stream, name, shape, kind, is_complex), name)
  return found


@contextlib.contextmanager
def opened(path: str) -> Iterator[_entries.Contents]:
  """Give the variables of a MAT file that are arrays of numbers.

  Raises:
    ValueError: it is of another version, cut or larger than the memory, or h5py is missing.
    Exception: whatever SciPy and h5py raise of a damaged file; read behind `_boundary.reading`.
  """
  with open(path, "rb") as file:
    start = file.read(max(len(_VERSION_5), len(_VERSION_7_3)))
  if start.startswith(_VERSION_7_3):
    with _hdf5.opened(path, reverse=True) as contents:
      entries = {name: _flat(entry, name) for name, entry in contents.entries.items()}
      yield contents._replace(entries=entries, remarks=("its axes are in MATLAB's order, the reverse of that in the file",))
  elif start.startswith(_hdf5.MAGIC):  # another program's
    with _hdf5.opened(path) as contents:
      yield contents
  elif start.startswith(_VERSION_5):
    yield _entries.Contents(_entries_5(pathlib.Path(path).read_bytes()))
  else:
    raise ValueError("it is no MAT file of version 5 or 7.3; allowed: what MATLAB's save writes with -v7 or -v7.3")
