"""A folder that can no longer be written: the disk is full, or somebody has deleted or moved the folder."""

import contextlib
import errno
import io
import logging
import os
import pathlib
import shutil
import sys
from typing import Iterator

from oes_jax.files import _boundary

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MARGIN = 2 ** 18  # bytes, for the names and shapes that are stored beside the arrays


class Unwritable(OSError):
  """A folder can no longer be written; the message says why, and what to do."""


def gone(folder: pathlib.Path) -> Unwritable:
  """Return the error that says that a folder is no longer where it was."""
  return Unwritable(f"{folder} was deleted or moved while it was worked in: the same command or call starts anew, or goes on "
                    "where the folder is back.")


def _full_by(error: OSError) -> str | None:
  """Return the system's words for a disk, a quota or a file that is full, if that is what an error says; else None."""
  # Orbax and Pillow hide the number, and Orbax keeps the words.
  return next((os.strerror(code) for code in _FULL if error.errno == code or os.strerror(code) in str(error)), None)


@contextlib.contextmanager
def writing_into(folder: pathlib.Path) -> Iterator[None]:
  """Say what has happened to a folder where an OSError, raised inside, means that it can no longer be written.

  Args:
    folder: folder of a run; only one that is there at first can have gone.

  Raises:
    Unwritable: the disk is full, or the folder has gone. Another OSError passes.
  """
  there = folder.is_dir()
  try:
    yield
  except Unwritable:
    raise
  except OSError as error:
    if there and not folder.is_dir():
      raise gone(folder) from error
    full = _full_by(error)
    if full is None:
      raise
    raise Unwritable(f"the disk of {folder} is full ({full}): free some space and run the same command or call again; it goes "
                     "on from the last checkpoint.") from error


def check_space(folder: pathlib.Path, need: int) -> None:
  """Raise an OSError (ENOSPC) where a disk has less than some bytes left; one that does not tell passes.

  Args:
    folder: folder on the disk.
    need: bytes that are about to be written there.
  """
  disk = shutil.disk_usage(folder)
  if disk.total and disk.free < need + _MARGIN:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


@contextlib.contextmanager
def writing(fault: str) -> Iterator[None]:
  """Turn whatever Orbax raises while it saves into an OSError of one line, and keep its own account of it quiet.

  Its threads log a traceback each, and those of the library below print theirs: hundreds of lines for one full disk. What
  is printed inside comes out where all went well.

  Args:
    fault: first half of the message, without a full stop.

  Raises:
    OSError: what was raised, or the fault with its reason.
  """
  said, logger = io.StringIO(), logging.getLogger("absl")
  quiet = lambda record: "orbax" not in record.pathname
  logger.addFilter(quiet)
  try:
    with contextlib.redirect_stderr(said), _boundary.saving(fault):
      yield
    sys.stderr.write(said.getvalue())
  finally:
    logger.removeFilter(quiet)
