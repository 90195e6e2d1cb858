"""Masks published by the authors of OES: read without torch, placed on our params tree.

Such a file is a pickle of one flat bool tensor, whose storage is itself a legacy torch stream
of five pickles and the raw bytes. Pickles can run code, so the readers below admit exactly the
few names such a tensor needs, replace them with inert stand-ins, and refuse all else.
"""

import collections
import io
import math
import os
import pickle
import pickletools
import struct
from typing import Any, Sequence

import jax
import numpy as np

from oes_jax.files import _boundary
from oes_jax.files import _free_memory
from oes_jax import generators

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
# What the pickles of published masks consist of. Nothing in them is named twice, so there is no opcode that fetches what
# was built before: with one, 100 bytes are a value that takes ages to hash. The longest pickle has 30 opcodes; many more
# nest values too deep for the stack of C, which no exception ends.
_OPCODES = frozenset({
    "PROTO", "STOP", "GLOBAL", "REDUCE", "BINPERSID", "BINPUT", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1",
    "BININT2", "LONG1", "BINUNICODE", "BINBYTES", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "EMPTY_LIST", "APPEND", "EMPTY_DICT",
    "SETITEMS"})
_MOST_OPCODES = 100


class UnsafeMaskFile(ValueError):
  """The file holds something other than one flat bool tensor."""


class _Storage(bytes):
  """Raw bytes of a bool storage."""


class _BoolStorageType:
  """Stands in for torch.BoolStorage."""


def _rebuild_tensor(storage, offset, size, stride, requires_grad, hooks, *extra):
  del requires_grad, hooks
  if extra or not isinstance(storage, _Storage) or len(size) != 1 or tuple(stride) != (1,):
    raise UnsafeMaskFile("not a flat bool tensor")
  flat = np.frombuffer(storage, np.uint8)
  if offset < 0 or size[0] < 0 or offset + size[0] > flat.size or flat.max(initial=0) > 1:
    raise UnsafeMaskFile("its storage does not hold that many booleans")
  return flat[offset:offset + size[0]].astype(bool)


class _RestrictedUnpickler(pickle.Unpickler):
  """Resolves only the names given; everything else is refused, not imported."""

  def __init__(self, file, names: dict[tuple[str, str], Any], persistent=None):
    super().__init__(file)
    self._names, self._persistent = names, persistent

  def find_class(self, module, name):
    if (module, name) not in self._names:
      raise UnsafeMaskFile(f"it asks for {module}.{name}")
    return self._names[module, name]

  def persistent_load(self, pid):
    if self._persistent is None:
      raise UnsafeMaskFile("it refers to an object outside itself")
    return self._persistent(pid)


def _load(file: io.BytesIO, names: dict[tuple[str, str], Any], persistent=None):
  """Load one pickle from a file, after a look at its opcodes: before that, nothing is built or hashed."""
  start = file.tell()
  for count, (opcode, *_) in enumerate(pickletools.genops(file), start=1):
    if opcode.name not in _OPCODES:
      raise UnsafeMaskFile(f"it uses the opcode {opcode.name}, which no published mask does")
    if count > _MOST_OPCODES:
      raise UnsafeMaskFile(f"it has more than {_MOST_OPCODES} opcodes")
  file.seek(start)
  return _RestrictedUnpickler(file, names, persistent).load()


def _load_storage(data: bytes) -> _Storage:
  """Parse a legacy torch stream: magic, protocol, system info, object, keys, count, bytes."""
  file = io.BytesIO(data)
  declared = []
  def persistent(pid):
    if not (isinstance(pid, tuple) and len(pid) >= 5 and pid[1] is _BoolStorageType):
      raise UnsafeMaskFile("its storage is not of booleans")
    declared.append(pid[4])
    return _BoolStorageType
  if _load(file, {}) != _LEGACY_MAGIC or _load(file, {}) != _LEGACY_PROTOCOL:
    raise UnsafeMaskFile("its storage is not a legacy torch stream")
  _load(file, {})  # type sizes of the machine that wrote it
  _load(file, {("torch", "BoolStorage"): _BoolStorageType}, persistent)
  keys = _load(file, {})
  if len(declared) != 1 or not isinstance(keys, list) or len(keys) != 1:
    raise UnsafeMaskFile("it holds other than one storage")
  (count,) = struct.unpack("<q", file.read(8))
  values = file.read()
  if count != declared[0] or len(values) != count:
    raise UnsafeMaskFile(f"its storage is damaged: {count} values said, {len(values)} found")
  return _Storage(values)


def read_flat_mask(path: str) -> np.ndarray:
  """Read a published OES mask pickle; nothing in it is executed.

  Returns:
    [number of weights] bool array, in PyTorch's order.

  Raises:
    UnsafeMaskFile: the file is damaged, or holds anything but one flat bool tensor.
    OSError: it cannot be read.
  """
  names = {
      ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
      ("torch.storage", "_load_from_bytes"): _load_storage,
      ("collections", "OrderedDict"): collections.OrderedDict,
  }
  with open(path, "rb") as file, _boundary.reading(
      f"mask.path={path!r} is not a mask of the authors of OES", UnsafeMaskFile):
    _free_memory.check_size(os.fstat(file.fileno()).st_size)
    flat = _load(io.BytesIO(file.read()), names)
    if not (isinstance(flat, np.ndarray) and flat.dtype == bool):
      raise UnsafeMaskFile(f"it holds {type(flat).__name__}, not a flat bool tensor")
  return flat


def place_flat_mask(flat: np.ndarray, graph: Sequence[generators.Layer], params):
  """Place a flat mask in PyTorch's parameter order on a params tree.

  Layers follow the graph; weight comes before bias, scale before offset; PyTorch kernels are
  [out, in, h, w], ours [h, w, in, out].

  Args:
    flat: [number of weights] bool array, in PyTorch's order.
    graph: the generator's layers, in the order in which the authors' network registers them.
    params: the generator's params, arrays or shapes.

  Returns:
    A tree of 0/1 arrays with the shapes and dtypes of `params`.

  Raises:
    ValueError: the number of entries is not the generator's number of weights.
  """
  size = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
  if flat.size != size:
    raise ValueError(f"mask.path: the mask has {flat.size} entries, this generator {size} weights; "
                     "allowed: a mask made for this generator.name, num_scales and channels.")
  placed, start = {}, 0
  for layer in graph:
    source, target = params, placed
    for key in layer.path:
      source, target = source[key], target.setdefault(key, {})
    for name in ("kernel", "bias") if layer.kind == "conv" else ("scale", "offset"):
      if name not in source:
        continue
      shape = source[name].shape
      stop = start + math.prod(shape)
      values = flat[start:stop]
      if name == "kernel":
        height, width, in_channels, out_channels = shape
        values = values.reshape(out_channels, in_channels, height, width).transpose(2, 3, 1, 0)
      target[name] = values.reshape(shape).astype(source[name].dtype)
      start = stop
  return placed
