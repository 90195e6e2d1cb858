"""An interruption of the process that runs the tests."""

import os
import signal

from oes_jax import files


def interrupt_after(monkeypatch, count):
  """Send SIGTERM once `count` chunks have been logged; return what undoes the counting."""
  chunks, write = [], files.MetricsLog.write
  def interrupting(self, *args):
    chunks.append(1)
    write(self, *args)
    if len(chunks) == count:
      os.kill(os.getpid(), signal.SIGTERM)
  monkeypatch.setattr(files.MetricsLog, "write", interrupting)
  return lambda: monkeypatch.setattr(files.MetricsLog, "write", write)
