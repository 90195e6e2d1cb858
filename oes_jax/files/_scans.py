"""Measured arrays in NPZ, HDF5 and MAT files, whose names and layouts are read in one way."""

import contextlib
import os
from typing import Iterator, Sequence

import numpy as np

from oes_jax.files import _boundary
from oes_jax.files import _digests
from oes_jax.files import _entries
from oes_jax.files import _ismrmrd
from oes_jax.files import _matlab
from oes_jax.files import _npz

SUFFIXES = (".npz", ".h5", ".hdf5", ".mat")
_KSPACE = "kspace"
_AXES = {"coil_maps": 4, "sampling": 3, "mask": 3}  # of an array that has one part for each slice


@contextlib.contextmanager
def _opened(path: str) -> Iterator[_entries.Contents]:
  suffix = os.path.splitext(path)[1].lower()
  if suffix in (".h5", ".hdf5"):
    with open(path, "rb") as file:  # MATLAB's own, by whatever name
      suffix = ".mat" if file.read(len(b"MATLAB")) == b"MATLAB" else suffix
  kinds = {".npz": _npz.opened, ".mat": _matlab.opened}
  with kinds.get(suffix, _ismrmrd.opened)(path) as contents:
    yield contents


def _name_of_kspace(contents: _entries.Contents) -> str | None:
  """Return the name of the k-space: "kspace", else the only complex array that may be one; or None."""
  if _KSPACE in contents.entries:
    return _KSPACE
  found = [name for name, entry in contents.entries.items()
           if entry.is_complex and 2 <= len(entry.shape) <= 4 and name != "coil_maps"]
  return found[0] if len(found) == 1 and "sinogram" not in contents.entries else None


def _count_slices(contents: _entries.Contents, name: str | None, chosen: bool = False) -> int | None:
  """Return how many slices the k-space has on its first axis; None where it has no such axis.

  Args:
    contents: what the file holds.
    name: name of the k-space, or None.
    chosen: whether a slice is chosen, so that three axes without coil maps are slices of one coil.
  """
  if name is None:
    return None
  shape = contents.entries[name].shape
  one_coil = contents.one_coil or chosen and "coil_maps" not in contents.entries
  return shape[0] if len(shape) == 4 or len(shape) == 3 and one_coil else None


def list_slices(path: str) -> list[tuple[int]]:
  """Return the numbers of the slices of a file; () where it is not one of several slices.

  Raises:
    ValueError: its contents cannot be listed.
    Exception: whatever the library of its format raises; read behind `_boundary.reading`.
  """
  with _opened(path) as contents:
    count = _count_slices(contents, _name_of_kspace(contents))
  return [(number,) for number in range(count or 0)]


def _read(contents: _entries.Contents, wanted: Sequence[str], number: int | None):
  """Return ({name: array}, those that are not wanted as None; remarks)."""
  entries, remarks = contents.entries, list(contents.remarks)
  kspace = _name_of_kspace(contents) if _KSPACE in wanted else None
  slices = _count_slices(contents, kspace, number is not None)
  if number is None and (slices or 0) > 1 or number is not None and number >= (slices or 0):
    raise ValueError(f"it holds {slices or 'no'} slices; allowed: " + (
        "one of them, as NAME@0 and so on" if slices else "its name without @"))
  if kspace not in (None, _KSPACE):
    remarks.append(f"{kspace} is read as {_KSPACE}, as it is the only complex array of two to four axes")
  if slices is not None:
    shape = entries[kspace].shape
    coils = f"{shape[1]} coils" if len(shape) == 4 else "one coil"
    remarks.append(f"kspace {shape} is read as {slices} slices of {coils}, {shape[-2]}x{shape[-1]} samples")
  arrays = {}
  for name, entry in entries.items():
    called = _KSPACE if name == kspace else name
    if called in wanted:
      if entry.fault:
        raise ValueError(f"{name} {entry.fault}")
      sliced = slices is not None and (
          name == kspace or len(entry.shape) == _AXES.get(name) and entry.shape[0] == slices)
      arrays[called] = entry.read((number or 0) if sliced else None)
    else:
      arrays[called] = None
  return arrays, tuple(remarks)


def read_arrays(path: str, wanted: Sequence[str], number: int | None = None,
                ) -> tuple[dict[str, np.ndarray | None], str, tuple[str, ...]]:
  """Return (arrays by name, sha256 of the file, remarks) of an NPZ, HDF5 or MAT file.

  Args:
    path: path of the file.
    wanted: names of the arrays that are read; others come as None.
    number: number of the slice, from 0, where k-space has several; or None.

  Raises:
    ValueError: it does not exist, is no such file, has no such slice, or is damaged, encrypted or larger than the free
      memory.
  """
  if not os.path.isfile(path):
    raise ValueError(f"data.source={path!r} does not exist or is not a file.")
  with _boundary.reading(f"data.source={path!r} cannot be read as a scan"):
    with _opened(path) as contents:
      arrays, remarks = _read(contents, wanted, number)
    digest = _digests.digest_of_file(path)
  return arrays, digest, remarks
