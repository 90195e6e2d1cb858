"""Arrays of HDF5 files, of which only what is asked for is read: those of fastMRI, and of MATLAB's version 7.3.

A file may send its reader elsewhere (links, virtual data sets, external storage) or have it load a plug-in for a filter:
none of that is followed.
"""

import contextlib
import math
import os
from typing import Any, Iterator

import numpy as np

from oes_jax.files import _entries
from oes_jax.files import _extras
from oes_jax.files import _free_memory
from oes_jax.files import _inflation

MAGIC = b"\x89HDF\r\n\x1a\n"
_DEFLATE, _SHUFFLE, _FLETCHER32, _LZF = 1, 2, 3, 32000  # numbers of the filters that h5py has within itself
_REFERENCE = 16  # bytes of what is stored of a value of any length: its length, and where it lies
_MOST_CHUNKS = 10 ** 5  # that are not there, of one array
_FASTMRI = {"ismrmrd_header", "reconstruction_rss", "reconstruction_esc"}


def _library():
  with _extras.needed("HDF5", "hdf5"):
    import h5py  # pylint: disable=import-outside-toplevel
  return h5py


def _filters(dataset) -> list[int]:
  plan = dataset.id.get_create_plist()
  return [plan.get_filter(number)[0] for number in range(plan.get_nfilters())]


def _is_number(kind, h5t) -> bool:
  """Whether a type of HDF5 is one that NumPy has as a number, or a pair of them."""
  simple = (h5t.INTEGER, h5t.FLOAT, h5t.ENUM, getattr(h5t, "COMPLEX", None))
  if kind.get_class() != h5t.COMPOUND:
    return kind.get_class() in simple
  return kind.get_nmembers() == 2 and all(kind.get_member_class(number) == h5t.FLOAT for number in range(2))


def has_plain_type(dataset) -> bool:
  """Whether NumPy has the very type of a data set: of odd floats h5py makes types that overlap, beyond which HDF5 writes."""
  return dataset.id.get_type().equal(_library().h5t.py_create(dataset.dtype, logical=True))


def is_text(dataset) -> bool:
  """Whether a data set holds strings."""
  return _library().check_string_dtype(dataset.dtype) is not None and has_plain_type(dataset)


def _place_fault_of(dataset) -> str | None:
  """Return why a data set is not read where and as it is stored, or None."""
  if dataset.is_virtual or dataset.external:
    return "lies in another file; allowed: values in the file itself"
  filters = _filters(dataset)
  if set(filters) - {_DEFLATE, _SHUFFLE, _FLETCHER32, _LZF} or filters.count(_DEFLATE) > 1:
    return f"is stored with the filters {filters}; allowed: deflate once, shuffle, fletcher32, lzf"
  return None


def _fault_of(dataset, h5py) -> str | None:
  """Return why a data set is not read, or None."""
  if dataset.shape is None or not _is_number(dataset.id.get_type(), h5py.h5t):
    return "holds no numbers; allowed: an array of them"
  if not has_plain_type(dataset):
    return "holds numbers of a type that NumPy has not; allowed: its own"
  if dataset.dtype.kind not in "biufc" and dataset.dtype.names not in (("real", "imag"), ("r", "i")):
    return f"holds {dataset.dtype} values; allowed: numbers"
  return _place_fault_of(dataset)


def _stored_bytes(dataset) -> Iterator[bytes]:
  """Yield what is stored of a data set without filters, one part after the other."""
  if dataset.chunks is None:
    with open(dataset.file.filename, "rb") as file:
      file.seek(dataset.id.get_offset() or 0)
      yield file.read(dataset.id.get_storage_size())
    return
  for number in range(dataset.id.get_num_chunks()):
    yield dataset.id.read_direct_chunk(dataset.id.get_chunk_info(number).chunk_offset)[1]


def check_lengths(dataset) -> None:
  """Refuse values of any length that are said to be longer than their file: HDF5 would make room for them.

  Args:
    dataset: data set without filters, of strings, or of a table with columns of arrays.

  Raises:
    ValueError: one is longer, or the data set has filters.
  """
  h5t, kind = _library().h5t, dataset.id.get_type()
  if _filters(dataset):
    raise ValueError(f"{dataset.name} is stored with the filters {_filters(dataset)}; allowed: none")
  places, size = [], kind.get_size()
  if kind.get_class() == h5t.COMPOUND:
    places = [kind.get_member_offset(number) for number in range(kind.get_nmembers())
              if kind.get_member_class(number) == h5t.VLEN]
  elif kind.get_class() == h5t.STRING and kind.is_variable_str():
    places, size = [0], _REFERENCE  # that of the type is a pointer's
  most = os.path.getsize(dataset.file.filename)
  for part in _stored_bytes(dataset):
    if len(part) != size * math.prod(dataset.chunks or dataset.shape):  # what lacks HDF5 leaves as the memory was
      raise ValueError(f"{dataset.name} is cut")
    rows = np.frombuffer(part, np.uint8).reshape(-1, size)
    for place in places:
      if rows[:, place:place + 4].copy().view("<u4").max(initial=0) > most:
        raise ValueError(f"{dataset.name} holds values that are said to be longer than the file")


def check_chunks(dataset, selection: tuple[slice, ...], num_bytes: int) -> None:
  """Refuse a selection whose chunks are too many, or do not fit the memory.

  Args:
    dataset: data set of an open file.
    selection: part of it that is to be read.
    num_bytes: number of bytes of that part.
  """
  _free_memory.check_size(3 * num_bytes)  # its copies as it is decoded
  if dataset.chunks is None or not num_bytes:
    return
  size = math.prod(dataset.chunks) * dataset.dtype.itemsize
  _free_memory.check_size(2 * size)
  count = math.prod((part.stop - part.start) // chunk + 2 for part, chunk in zip(selection, dataset.chunks))
  if count > _MOST_CHUNKS + 2 * dataset.id.get_num_chunks():  # to pass over those that are not there takes minutes
    raise ValueError(f"an array of it is said to lie in {count} chunks, of which it holds {dataset.id.get_num_chunks()}")
  filters = _filters(dataset)
  for chunk in dataset.iter_chunks(selection):
    place = tuple(part.start // side * side for part, side in zip(chunk, dataset.chunks))
    stored = dataset.id.get_chunk_info_by_coord(place)
    if stored.byte_offset is None or not stored.size:
      continue
    if not filters and stored.size != size:  # what lacks HDF5 leaves as the memory was
      raise ValueError("a chunk of it is cut")
    if _DEFLATE not in filters or stored.filter_mask & (1 << filters.index(_DEFLATE)):
      continue
    if stored.size * _inflation.MOST_RATIO > _free_memory.free_memory():
      data = dataset.id.read_direct_chunk(place)[1]
      _inflation.check_inflated(data[:-4] if filters[-1] == _FLETCHER32 else data, size + 4)


def _read(dataset, number: int | None, reverse: bool) -> np.ndarray:
  """Return a data set, or its part of a number on its first axis; the last one where axes are reversed."""
  axis = len(dataset.shape) - 1 if reverse else 0
  selection = tuple(slice(0, length) if number is None or place != axis else slice(number, number + 1)
                    for place, length in enumerate(dataset.shape))
  num_bytes = math.prod(part.stop - part.start for part in selection) * dataset.dtype.itemsize
  check_chunks(dataset, selection, num_bytes)
  values = dataset[selection]
  if values.dtype.names:
    real, imaginary = (values[name] for name in values.dtype.names)
    values = real + 1j * imaginary
  values = values if number is None else values[(slice(None),) * axis + (0,)]
  return values.T if reverse else values


def _is_inside(group, name: str) -> bool:
  """Whether what a name stands for lies in the group itself, and no link leads to another place."""
  return isinstance(group.get(name, getlink=True), _library().HardLink)


def check_inside(group, name: str) -> None:
  """Refuse a data set of a group that lies elsewhere, or is stored with filters that are not allowed."""
  if not _is_inside(group, name):
    raise ValueError(f"{name} is a link to another place; allowed: values in the file itself")
  fault = _place_fault_of(group[name])
  if fault is not None:
    raise ValueError(f"{name} {fault}")


def _entry(group, name: str, h5py, reverse: bool) -> _entries.Entry:
  if not _is_inside(group, name):
    return _entries.unreadable("is a link to another place; allowed: values in the file itself")
  dataset = group[name]
  if not isinstance(dataset, h5py.Dataset):
    return _entries.unreadable("holds no numbers; allowed: an array of them")
  fault = _fault_of(dataset, h5py)
  if fault is None and reverse and ("MATLAB_empty" in dataset.attrs or dataset.attrs.get("MATLAB_class") == b"char"):
    fault = "is empty or text; allowed: an array of numbers"
  if fault is not None:
    return _entries.unreadable(fault)
  shape = dataset.shape[::-1] if reverse else dataset.shape
  is_complex = dataset.dtype.kind == "c" or dataset.dtype.names is not None
  return _entries.Entry(shape, is_complex, lambda number: _read(dataset, number, reverse))


@contextlib.contextmanager
def opened_file(path: str) -> Iterator[Any]:
  """Give an open h5py.File that is only read."""
  with _library().File(path, "r", locking=False) as file:
    yield file


@contextlib.contextmanager
def opened(path: str, *, reverse: bool = False) -> Iterator[_entries.Contents]:
  """Give the arrays at the root of an HDF5 file.

  Args:
    path: path of the file.
    reverse: whether axes are reversed, as MATLAB stores them.

  Raises:
    ValueError: h5py is missing.
    Exception: whatever h5py raises of a damaged file; read behind `_boundary.reading`.
  """
  with opened_file(path) as file:
    entries = {name: _entry(file, name, _library(), reverse) for name in file}
    groups = {name: file[name] for name in file if _is_inside(file, name) and isinstance(file[name], _library().Group)}
    yield _entries.Contents(entries, one_coil=bool(_FASTMRI & set(entries)), groups=groups)
