"""The boundary to the libraries that decode and store files: whatever they raise leaves it as one kind of error.

A damaged or hostile file makes a decoder raise anything: struct.error, IndexError, tokenize.TokenError, a class of the
library's own, RecursionError or MemoryError. A list of them, kept by hand, was always short of one, and a sweep of a
thousand images then ended with a traceback because of one flipped byte. So this file, alone, catches `Exception`.
"""

import contextlib
from typing import Iterator

_LONGEST = 500  # characters of a reason; what follows in a longer one is the library's account of its own options


def _reason(error: Exception) -> str:
  lines = str(error).strip().splitlines() or [""]
  line = " ".join(part.strip() for part in lines[:1 + lines[0].rstrip().endswith(":")])  # what a colon announces follows
  line = line.rstrip(". ") or type(error).__name__
  return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ..."


@contextlib.contextmanager
def reading(fault: str, kind: type[ValueError] = ValueError) -> Iterator[None]:
  """Turn every exception that is raised inside into a ValueError of one line that says what could not be read.

  What ends the program (KeyboardInterrupt, SystemExit) passes.

  Args:
    fault: first half of the message, without a full stop: the config key, its value and what it is not.
    kind: class of the error.

  Raises:
    ValueError: of class `kind`; the reason follows the fault, and its cause is what was raised.
  """
  try:
    yield
  except Exception as error:  # pylint: disable=broad-exception-caught
    raise kind(f"{fault}: {_reason(error)}.") from error


@contextlib.contextmanager
def saving(fault: str) -> Iterator[None]:
  """Turn every exception but an OSError, raised inside by a library that stores files, into an OSError of one line.

  Orbax reports a full disk as a ValueError, RuntimeError or AssertionError, as the moment will have it.

  Args:
    fault: first half of the message, without a full stop: what could not be saved.

  Raises:
    OSError: the one that was raised; or one whose reason follows the fault, and whose cause is what was raised.
  """
  try:
    yield
  except OSError:
    raise
  except Exception as error:  # pylint: disable=broad-exception-caught
    raise OSError(f"{fault}: {_reason(error)}.") from error
