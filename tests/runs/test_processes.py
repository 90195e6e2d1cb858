"""Signals, locks and output: what a run has to do with other processes."""

import fcntl
import io
import os
import signal
import subprocess
import sys
import threading

import pytest

from oes_jax import runs
from oes_jax.runs import _processes as processes
from runs import tiny_run


def test_two_processes_do_not_share_a_folder(tmp_path):
  job = runs.prepare(tiny_run.config(), str(tmp_path / "run"))
  with open(job.workdir / ".lock", "w", encoding="utf-8") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(runs.Busy, match="another process"):
      runs.run_job(job)


def test_a_folder_that_was_removed_while_it_was_locked_is_busy(tmp_path, monkeypatch):
  monkeypatch.setattr(processes.os.path, "exists", lambda path: False)
  with pytest.raises(runs.Busy, match="has just removed"), runs.lock(tmp_path):
    pass


def test_the_first_signal_is_remembered_and_the_second_acts(capsys):
  heard, before = [], signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
  try:
    with runs.Signals() as signals:
      os.kill(os.getpid(), signal.SIGTERM)
      assert signals.received == signal.SIGTERM and not heard
      assert "SIGTERM: saving the state" in capsys.readouterr().out
      os.kill(os.getpid(), signal.SIGTERM)
      assert heard == [signal.SIGTERM]
    with runs.Signals() as signals:
      pass
    os.kill(os.getpid(), signal.SIGTERM)  # what was there before is there again
    assert signals.received is None and len(heard) == 2
  finally:
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_signal_that_asks_to_end_is_served_and_ends_a_loop_over_exceptions(number):
  before = signal.signal(number, signal.SIG_DFL)  # the tests may run under nohup
  try:
    with runs.Signals() as signals:
      os.kill(os.getpid(), number)
    assert signals.received == number
  finally:
    signal.signal(number, before)
  error = runs.Interrupted(number)
  assert number.name in str(error) and error.signal_number == number
  assert isinstance(error, KeyboardInterrupt) and not isinstance(error, Exception)


def test_nohup_outlives_its_terminal():
  before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
  try:
    with runs.Signals() as signals:
      os.kill(os.getpid(), signal.SIGHUP)
    assert signals.received is None
  finally:
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), ValueError("I/O operation on closed file"),
                                   RuntimeError("reentrant call inside <_io.BufferedWriter>")])
def test_a_signal_is_remembered_where_it_cannot_be_said(monkeypatch, error):
  class Broken(io.StringIO):
    def write(self, text):
      raise error
  monkeypatch.setattr(sys, "stdout", Broken())
  with runs.Signals() as signals:
    os.kill(os.getpid(), signal.SIGTERM)
  assert signals.received == signal.SIGTERM


def _stream(descriptor):
  return io.TextIOWrapper(io.FileIO(descriptor, "w", closefd=False), encoding="ascii", write_through=True)


def test_output_is_written_and_what_nobody_takes_is_dropped(monkeypatch):
  (reader, kept), (gone, broken) = os.pipe(), os.pipe()
  monkeypatch.setattr(sys, "stdout", _stream(kept))
  monkeypatch.setattr(sys, "stderr", _stream(broken))
  os.close(gone)
  with pytest.raises(BrokenPipeError):
    print("before", file=sys.stderr)
  runs.drop_output_that_nobody_takes()
  print("workdir: \udce4 \N{GREEK SMALL LETTER MU}", flush=True)
  for _ in range(3):
    print("x" * 100_000, file=sys.stderr, flush=True)
  assert os.read(reader, 100) == b"workdir: \\udce4 \\u03bc\n"
  assert (sys.stdout.fileno(), sys.stderr.fileno()) == (kept, broken)


def _python(code, redirected=""):
  """Run Python code behind a shell's redirections, with the module under test as `processes`."""
  code = f"import os, runpy, signal, sys; processes = runpy.run_path({processes.__file__!r})\n{code}"
  return subprocess.run(["bash", "-c", f'exec "$0" -c "$1" {redirected}', sys.executable, code], capture_output=True,
                        text=True, check=False)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_take_anything_and_no_file_gets_their_number(tmp_path, closed):
  done = _python(f"""
processes["drop_output_that_nobody_takes"]()
file = open({str(tmp_path / "log")!r}, "w")
print("out", flush=True); print("error", file=sys.stderr, flush=True); sys.stderr.isatty()
os.write(1, b""); os.write(2, b"a library in C\\n"); file.write(str(file.fileno())); file.close()""", closed)
  assert done.returncode == 0, done.stderr
  assert int((tmp_path / "log").read_text()) > 2


def test_a_second_ctrl_c_ends_the_program_at_once_and_says_nothing():
  done = _python("""
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
processes["end_at_once_by_ctrl_c"]()
with processes["Signals"]() as signals:
  os.kill(os.getpid(), signal.SIGINT)
  print(signals.received == signal.SIGINT, flush=True)
  os.kill(os.getpid(), signal.SIGINT)
  print("still here", flush=True)""")
  assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "\nSIGINT: saving the state; a compilation or a chunk of steps that has begun ends first ...\nTrue\n", "")


def test_a_ctrl_c_that_is_ignored_stays_so():
  before = signal.signal(signal.SIGINT, signal.SIG_IGN)
  try:
    processes.end_at_once_by_ctrl_c()
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
  finally:
    signal.signal(signal.SIGINT, before)


def test_another_thread_serves_no_signals():
  found = []
  def enter():
    with runs.Signals() as signals:
      found.append(signals.received)
  thread = threading.Thread(target=enter)
  thread.start()
  thread.join()
  assert found == [None]
