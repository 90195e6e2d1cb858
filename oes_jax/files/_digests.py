"""Checksums of files that are read again and again."""

import functools
import hashlib
import os


def stamp_of(path: str) -> tuple[int, ...]:
  """Return what tells a file from what lay there before, without reading it.

  Raises:
    OSError: it is not there.
  """
  state = os.stat(path)
  return state.st_size, state.st_mtime_ns, state.st_ino


@functools.lru_cache(maxsize=16)
def _digest_of(path: str, stamp: tuple[int, ...]) -> str:
  del stamp  # tells a file from what it was before
  with open(path, "rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_file(path: str) -> str:
  """Return the sha256 of a file, which is not held in memory.

  Raises:
    OSError: it cannot be read.
  """
  return _digest_of(os.path.abspath(path), stamp_of(path))
