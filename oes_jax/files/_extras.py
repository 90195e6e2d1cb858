"""Packages of which only some files have need: the error where one is missing says how it is installed."""

import contextlib
from typing import Iterator


def how_to_install(extra: str) -> str:
  """Return the command that installs an extra of the package."""
  return f'pip install "oes_jax[{extra}]"'


@contextlib.contextmanager
def needed(what: str, extra: str) -> Iterator[None]:
  """Say what needs a package, and which extra brings it, where its import inside fails.

  Args:
    what: what is read, such as "DICOM".
    extra: name of the extra in setup.cfg.

  Raises:
    ValueError: the package, or one that it needs, is not installed.
  """
  try:
    yield
  except ModuleNotFoundError as error:
    missing = (error.name or str(error)).partition(".")[0]
    raise ValueError(f"{what} needs {missing}; allowed: {how_to_install(extra)}") from error
