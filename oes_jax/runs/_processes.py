"""What a run has to do with other processes: signals, and locks of its folders."""

import contextlib
import fcntl
import os
import pathlib
import signal
import threading


class Interrupted(Exception):
  """A SIGTERM or SIGINT was served: the state is saved and the same command resumes."""

  def __init__(self, signal_number: int):
    super().__init__(f"stopped by {signal.Signals(signal_number).name}; the state is saved, the "
                     "same command resumes")
    self.signal_number = signal_number


class Signals:
  """Remembers the first SIGTERM or SIGINT, so that it is served between chunks."""

  def __init__(self):
    self.received: int | None = None
    self._previous = {}

  def __enter__(self):
    if threading.current_thread() is not threading.main_thread():
      return self  # Python lets no other thread handle signals
    for number in (signal.SIGTERM, signal.SIGINT):
      self._previous[number] = signal.signal(number, self._remember)
    return self

  def _remember(self, number, frame):
    del frame
    self.received = number
    print(f"\n{signal.Signals(number).name}: saving the state ...", flush=True)
    self.__exit__()  # a second signal acts at once

  def __exit__(self, *exception):
    for number, handler in self._previous.items():
      signal.signal(number, handler)


class Busy(Exception):
  """Another process works in the same folder."""


@contextlib.contextmanager
def lock(folder: pathlib.Path):
  """Keep other processes out of a folder; a process that dies holds nothing.

  Raises:
    Busy: another process is in it.
  """
  with open(folder / ".lock", "w", encoding="utf-8") as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      raise Busy(f"another process works in {folder}") from error
    if not os.path.exists(file.name):
      raise Busy(f"another process has just removed {folder}")
    yield
