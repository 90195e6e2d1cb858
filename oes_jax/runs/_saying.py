"""What a run says while it works: lines and progress bars, unless its caller wants none."""

import contextlib
import contextvars
import sys
from typing import Iterator

import tqdm.auto

_QUIET = contextvars.ContextVar("quiet", default=False)


@contextlib.contextmanager
def quietly(quiet: bool = True) -> Iterator[None]:
  """Say nothing within the context, where `quiet`; warnings are logged as ever."""
  token = _QUIET.set(quiet)
  try:
    yield
  finally:
    _QUIET.reset(token)


def say(text: str) -> None:
  """Print a line at once."""
  if not _QUIET.get():
    print(text, flush=True)


def task_of(operator: str) -> str:
  """Return what the restoration of an operator, by its name, is called."""
  return {"identity": "denoising", "super_resolution": "super-resolution", "mri": "MRI", "tomography": "CT"}.get(operator, operator)


def progress_bar(total: int, *, initial: int = 0, desc: str = "", disable: bool = False):
  """Return a progress bar of steps, with the time that is left; where nobody looks on, it is drawn seldom."""
  return tqdm.auto.tqdm(total=total, initial=initial, desc=desc, unit="step", dynamic_ncols=True, disable=disable or _QUIET.get(),
                        mininterval=1 if sys.stderr.isatty() else 15)
