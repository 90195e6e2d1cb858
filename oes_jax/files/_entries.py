"""What a file of measured arrays holds, told before any of it is read."""

from typing import Any, Callable, NamedTuple

import numpy as np


class Entry(NamedTuple):
  """An array of a file.

  Attributes:
    shape: its shape.
    is_complex: whether its values are complex.
    read: function of a number on the first axis, or of None for the whole -> array.
    fault: why it is not read, or None.
  """
  shape: tuple[int, ...]
  is_complex: bool
  read: Callable[[int | None], np.ndarray]
  fault: str | None = None


class Contents(NamedTuple):
  """The arrays of an open file.

  Attributes:
    entries: Entry by name.
    one_coil: whether k-space of three axes is [slices, H, W].
    groups: groups at the root of an HDF5 file.
    remarks: lines that say how the file is read.
  """
  entries: dict[str, Entry]
  one_coil: bool = False
  groups: dict[str, Any] = {}
  remarks: tuple[str, ...] = ()


def unreadable(fault: str) -> Entry:
  """Return the entry of what is not read."""
  return Entry((), False, lambda number: np.zeros(0), fault)
