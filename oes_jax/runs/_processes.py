"""What a run has to do with other processes: signals, locks of its folders, and readers of its output."""

import contextlib
import fcntl
import io
import os
import pathlib
import signal
import sys
import threading


class Interrupted(KeyboardInterrupt):
  """A SIGINT, SIGTERM or SIGHUP was served: the state is saved and the same command or call resumes.

  As any KeyboardInterrupt it ends a loop that goes on after every Exception.
  """

  def __init__(self, signal_number: int):
    super().__init__(f"stopped by {signal.Signals(signal_number).name}; the state is saved, the "
                     "same command or call resumes")
    self.signal_number = signal_number


class Signals:
  """Remembers the first SIGINT, SIGTERM or SIGHUP, so that it is served between chunks."""

  def __init__(self):
    self.received: int | None = None
    self._previous = {}

  def __enter__(self):
    if threading.current_thread() is not threading.main_thread():
      return self  # Python lets no other thread handle signals
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
      if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup asks to outlive the terminal
        self._previous[number] = signal.signal(number, self._remember)
    return self

  def _remember(self, number, frame):
    del frame
    self.received = number
    self.__exit__()  # a second signal acts at once
    # The reader of the output may have gone by the same Ctrl-C, the output be closed, or this have interrupted a print.
    with contextlib.suppress(OSError, ValueError, RuntimeError):
      print(f"\n{signal.Signals(number).name}: saving the state; a compilation or a chunk of steps that has begun ends first ...",
            flush=True)

  def __exit__(self, *exception):
    for number, handler in self._previous.items():
      signal.signal(number, handler)


def end_at_once_by_ctrl_c() -> None:
  """Let Ctrl-C end the program at once and without a traceback, wherever no `Signals` serve it; a shell sees 130.

  A Ctrl-C that is ignored, as in a shell's background jobs, stays so.
  """
  if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class _Lossy(io.FileIO):
  """A file descriptor that is written what it takes; the rest is dropped, without an error."""

  def write(self, data):
    try:
      written = super().write(data)
    except OSError:  # no one reads the pipe any more, the terminal is gone, the disk is full, ...
      return len(data)
    return len(data) if written is None else written  # None: a pipe that does not wait is full


def _lossy(stream):
  """Return a text stream like one of the standard ones, None where it is closed, which raises nothing when written."""
  if stream is None:
    return open(os.devnull, "w", encoding="utf-8")  # pylint: disable=consider-using-with
  with contextlib.suppress(OSError):
    stream.flush()
  descriptor = _Lossy(stream.fileno(), "w", closefd=False)
  return io.TextIOWrapper(  # as Python makes it, but names of files may hold what the encoding does not
      descriptor if stream.write_through else io.BufferedWriter(descriptor), encoding=stream.encoding,
      errors="backslashreplace" if stream.errors == "strict" else stream.errors, line_buffering=stream.line_buffering,
      write_through=stream.write_through)


def drop_output_that_nobody_takes() -> None:
  """Replace the standard output and error by streams that drop what cannot be written; the program then goes on.

  What was closed when the program started is opened on nothing, so that no file of the program gets its number, on which
  libraries in C write their messages.
  """
  while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
    pass
  os.close(number)
  sys.stdout, sys.stderr = _lossy(sys.stdout), _lossy(sys.stderr)


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
