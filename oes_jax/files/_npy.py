"""One array in the NPY format, read no further than its header if that does not go with what follows."""

import math
from typing import BinaryIO

import numpy as np

from oes_jax.files import _free_memory

# Version 3 differs in the names of structured types alone, which are no images and no measurements.
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_header(stream: BinaryIO, num_bytes: int) -> tuple[tuple[int, ...], np.dtype]:
  """Return (shape, type) of the array at the start of a stream, of which no more than the header is read.

  Args:
    stream: a seekable stream at its start.
    num_bytes: number of bytes that the stream holds or claims to hold.

  Raises:
    ValueError: it is no NPY file, holds objects, or its header says more than follows.
    Exception: other errors of NumPy, where it is damaged.
  """
  version = np.lib.format.read_magic(stream)
  if version not in _HEADERS:
    raise ValueError(f"it is an NPY file of version {version}; allowed: {', '.join(map(str, _HEADERS))}")
  shape, _, dtype = _HEADERS[version](stream)
  needed, present = math.prod(shape) * dtype.itemsize, num_bytes - stream.tell()
  if not 0 <= needed <= present and not dtype.hasobject:  # pickled objects have a refusal of their own
    raise ValueError(f"its header says shape {shape} of {dtype}, which are {needed} bytes; {present} follow")
  return shape, dtype


def read_npy(stream: BinaryIO, num_bytes: int) -> np.ndarray:
  """Return the array at the start of a stream; NumPy allocates what a header says, so that is checked first.

  Args:
    stream: a seekable stream at its start.
    num_bytes: number of bytes that the stream holds or claims to hold.

  Raises:
    ValueError: as `read_header`, or its header says more than fits the memory.
    Exception: other errors of NumPy, where it is damaged.
  """
  shape, dtype = read_header(stream, num_bytes)
  _free_memory.check_size(math.prod(shape) * dtype.itemsize)
  stream.seek(0)
  return np.lib.format.read_array(stream, allow_pickle=False)
