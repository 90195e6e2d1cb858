"""How far compressed bytes inflate, told before a library inflates all that there is."""

from typing import Iterator
import zlib

from oes_jax.files import _free_memory

MOST_RATIO = 1032  # of deflate: a stream never inflates to more than so many times its bytes
ZLIB, GZIP = zlib.MAX_WBITS, zlib.MAX_WBITS | 16  # what zlib calls the two containers
_PART = 2 ** 24


def _parts(data: bytes, container: int) -> Iterator[bytes]:
  """Yield what the streams of a container hold, one behind the other, in parts of a bounded size.

  Raises:
    ValueError: the last one is cut.
    zlib.error: one is damaged.
  """
  while data.strip(b"\0"):  # tapes and some servers fill up with zeros
    stream = zlib.decompressobj(container)
    while not stream.eof:
      part = stream.decompress(data, _PART)
      data = stream.unconsumed_tail
      if not part and not data and not stream.eof:
        raise ValueError("its compressed data are cut")
      yield part
    data = stream.unused_data


def inflate(data: bytes) -> bytes:
  """Return what a gzip file holds.

  Raises:
    ValueError: it is cut, or more than the free memory.
    zlib.error: it is damaged.
  """
  parts, left = [], _free_memory.free_memory() // 2  # the parts and the whole are held at once
  for part in _parts(data, GZIP):
    parts.append(part)
    left -= len(part)
    if left < 0:
      raise ValueError("it inflates to more than half of the memory that is free")
  return b"".join(parts)


def check_inflated(data: bytes, most: int, container: int = ZLIB) -> None:
  """Refuse what inflates to more than `most` bytes; what cannot exceed the free memory anyhow is not looked at.

  Args:
    data: compressed bytes.
    most: number of bytes that they should hold.
    container: ZLIB or GZIP.

  Raises:
    ValueError: they hold more, or are cut.
    zlib.error: they are damaged.
  """
  if len(data) * MOST_RATIO <= _free_memory.free_memory():
    return
  for part in _parts(data, container):
    most -= len(part)
    if most < 0:
      raise ValueError("a part of it inflates to more than its header says")
