"""Signals and locks: what a run has to do with other processes."""

import fcntl
import os
import signal
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


def test_another_thread_serves_no_signals():
  found = []
  def enter():
    with runs.Signals() as signals:
      found.append(signals.received)
  thread = threading.Thread(target=enter)
  thread.start()
  thread.join()
  assert found == [None]
