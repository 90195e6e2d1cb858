"""Arrays of MATLAB's MAT files: version 5, and version 7.3, which is HDF5.

Version 5 is read here, as SciPy's reader ends the process where some bytes are damaged: of all that a MAT file may hold only
arrays of numbers are wanted ("MAT-File Format", MathWorks).
"""

import contextlib
import math
import pathlib
import struct
from typing import Iterator, NamedTuple
import zlib

import numpy as np

from oes_jax.files import _entries
from oes_jax.files import _free_memory
from oes_jax.files import _hdf5

_VERSION_5, _VERSION_7_3 = b"MATLAB 5.0 MAT-file", b"MATLAB 7.3 MAT-file"
_HEADER, _START = 128, 1024  # bytes before all variables; bytes that hold the names and sizes of one
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 5, 6, 14, 15  # numbers of elements
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_NUMBERS = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}  # of classes
_OTHERS = {1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse", 16: "function", 17: "object", 18: "object"}
# MATLAB has no vectors: these come as [1, n] or [n, 1].
_VECTORS = ("angles", "shape", "sampling", "mask")


class _Variable(NamedTuple):
  """What a variable says before its values.

  Attributes:
    name: its name.
    kind: number of its class.
    is_complex: whether imaginary parts follow the real ones.
    shape: its shape.
    place: byte at which its values begin.
  """
  name: str
  kind: int
  is_complex: bool
  shape: tuple[int, ...]
  place: int


def _element(data: bytes, place: int, order: str) -> tuple[int, int, int, int]:
  """Return (number of its type, first byte, number of bytes, where the next begins) of an element."""
  kind, size = struct.unpack_from(f"{order}II", data, place)
  if kind >> 16:  # a small one: both numbers in four bytes, and the values in the next four
    return kind & 0xffff, place + 4, kind >> 16, place + 8
  return kind, place + 8, size, place + 8 + -(-size // 8) * 8


def _variable(data: bytes, order: str) -> _Variable:
  """Return what the beginning of a matrix element says."""
  kind, start, size, place = _element(data, 8, order)
  dims, dims_start, dims_size, place = _element(data, place, order)
  text, name_start, name_size, place = _element(data, place, order)
  if (kind, size, dims, text) != (_UINT32, 8, _INT32, _INT8) or dims_size < 8 or place > len(data):
    raise ValueError("a variable of it is damaged")
  flags = struct.unpack_from(f"{order}I", data, start)[0]
  shape = struct.unpack_from(f"{order}{dims_size // 4}i", data, dims_start)
  if min(shape) < 0:
    raise ValueError(f"a variable of it has shape {shape}")
  name = data[name_start:name_start + name_size].decode("latin-1")
  return _Variable(name or "__function_workspace__", flags & 0xff, bool(flags & 1 << 11), shape, place)


def _values(data: bytes, place: int, order: str, count: int) -> tuple[np.ndarray, int]:
  """Return (values of an element, where the next begins)."""
  kind, start, size, place = _element(data, place, order)
  dtype = np.dtype(_STORED.get(kind, "V1")).newbyteorder(order)
  if dtype.kind == "V" or size != count * dtype.itemsize or start + size > len(data):
    raise ValueError(f"a variable of it is cut, or holds other values than its {count}")
  return np.frombuffer(data, dtype, count, start), place


def _read(data: bytes, variable: _Variable, order: str) -> np.ndarray:
  count, dtype = math.prod(variable.shape), np.dtype(_NUMBERS[variable.kind])
  values, place = _values(data, variable.place, order, count)
  values = values.astype(dtype)
  if variable.is_complex:
    values = values + 1j * _values(data, place, order, count)[0].astype(dtype)
  return values.reshape(variable.shape, order="F")


def _inflated(body: bytes, order: str) -> bytes:
  """Return the matrix element that a compressed one holds, and nothing beyond what it says."""
  stream = zlib.decompressobj()
  start = stream.decompress(body, 8)
  size = struct.unpack(f"{order}II", start)[1]
  _free_memory.check_size(3 * size)  # with its copies
  rest = stream.decompress(stream.unconsumed_tail, max(1, size))
  if stream.decompress(stream.unconsumed_tail, 1) or not stream.eof:  # only at its end is the checksum compared
    raise ValueError("a variable of it is cut, or holds more than it says")
  return start + rest


def _entry(body: bytes, kind: int, order: str) -> tuple[str, _entries.Entry]:
  """Return (name, Entry) of the body of an element of the file."""
  whole = (lambda: _inflated(body, order)) if kind == _COMPRESSED else (lambda: bytes(8) + body)
  start = zlib.decompressobj().decompress(body, _START) if kind == _COMPRESSED else bytes(8) + body[:_START]
  variable = _variable(start, order)
  if variable.kind not in _NUMBERS:
    other = _OTHERS.get(variable.kind, f"class {variable.kind}")
    return variable.name, _entries.unreadable(f"is a MATLAB {other}; allowed: an array of numbers")
  def read(number: int | None) -> np.ndarray:
    _free_memory.check_size(2 * 16 * math.prod(variable.shape))
    values = _read(whole(), variable, order)
    return values if number is None else values[number]
  return variable.name, _entries.Entry(variable.shape, variable.is_complex, read)


def _entries_5(data: bytes) -> dict[str, _entries.Entry]:
  """Return the variables of a file of version 5."""
  order, place, found = (">" if data[126:128] == b"MI" else "<"), _HEADER, {}
  while place + 8 <= len(data):
    kind, size = struct.unpack_from(f"{order}II", data, place)
    body = data[place + 8:place + 8 + size]
    if kind not in (_MATRIX, _COMPRESSED) or len(body) < size:
      raise ValueError("it is cut, or holds elements that are no variables")
    name, entry = _entry(body, kind, order)
    if name in found:
      raise ValueError(f"it holds {name} twice")
    found[name] = _flat(entry, name)
    place += 8 + size
  return found


def _flat(entry: _entries.Entry, name: str) -> _entries.Entry:
  """Return the entry of a vector with one axis; any other as it is."""
  if name not in _VECTORS or entry.fault or len(entry.shape) != 2 or 1 not in entry.shape:
    return entry
  return entry._replace(shape=(max(entry.shape),), read=lambda number: entry.read(None).ravel())


@contextlib.contextmanager
def opened(path: str) -> Iterator[_entries.Contents]:
  """Give the variables of a MAT file.

  Raises:
    ValueError: it is of another version, cut or larger than the memory, or h5py is missing.
    Exception: whatever zlib, struct and h5py raise of a damaged file; read behind `_boundary.reading`.
  """
  with open(path, "rb") as file:
    start = file.read(len(_VERSION_5))
  if start == _VERSION_7_3:
    with _hdf5.opened(path, reverse=True) as contents:
      entries = {name: _flat(entry, name) for name, entry in contents.entries.items()}
      yield contents._replace(entries=entries, remarks=("its axes are in MATLAB's order, the reverse of that in the file",))
  elif start == _VERSION_5:
    yield _entries.Contents(_entries_5(pathlib.Path(path).read_bytes()))
  elif start.startswith(_hdf5.MAGIC):  # another program's
    with _hdf5.opened(path) as contents:
      yield contents
  else:
    raise ValueError("it is no MAT file of version 5 or 7.3; allowed: what MATLAB's save writes with -v7 or -v7.3")
