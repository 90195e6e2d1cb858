"""Seconds that the candidates of method auto may take together."""

import signal
import time
from typing import Any

import numpy as np

from oes_jax.runs import _processes

# Seconds of a network, compilation included, in those of the plug-and-play estimate: 18 to 46 in 13 cases of `bench auto`
# (2026-11-28).
_NETWORK_PER_ESTIMATE = 20


class OutOfTime(Exception):
  """A candidate in memory would not end in time."""


class Follower:
  """What follows a network in memory, and ends it where the budget has no time for it.

  Args:
    follower: what follows all networks of the call.
    budget: Budget.
  """

  def __init__(self, follower: Any, budget: "Budget"):
    self._follower, self._budget = follower, budget

  def watch(self, rows: Any) -> None:
    """Take the rows of the next batch."""
    self._follower.watch(rows)

  def __call__(self, progress: Any) -> None:
    self._follower(progress)
    if progress.step and self._budget.received:
      raise OutOfTime


class Budget:
  """Seconds that candidates may take. It stands in for the signals of a run, and ends one that would not end in time.

  Args:
    signals: signals of the run; None: there are none.
    seconds: seconds of all candidates; None: as many as they take.
    spent: seconds that an earlier start has spent.
  """

  def __init__(self, signals: _processes.Signals | None, seconds: float | None, spent: float = 0.0):
    self._signals, self._until = signals, np.inf if seconds is None else time.monotonic() + seconds - spent
    self._chunks = self._polled = 0
    self._began, self._expected, self._taken = None, 0.0, []
    self.over = False

  def expect(self, estimate: float) -> None:
    """Take the seconds of the plug-and-play estimate for a sign of what a network takes, until one has ended."""
    self._expected = _NETWORK_PER_ESTIMATE * estimate

  def begin(self, chunks: int) -> None:
    """Begin a candidate of so many chunks."""
    self._chunks, self._polled, self.over = chunks, 0, False

  def end(self, seconds: float) -> None:
    """End a network that took so long."""
    self._taken.append(seconds)

  @property
  def quickest(self) -> float:
    """Seconds of the network that took least, or of what one is expected to take."""
    return min(self._taken, default=self._expected)

  @property
  def is_spent(self) -> bool:
    """Whether no second is left, or fewer than half of what the quickest network took."""
    return time.monotonic() + self.quickest / 2 >= self._until

  @property
  def received(self) -> int | None:
    """The signal that was received, or SIGTERM where the candidate is to end; a run looks between its chunks."""
    if self._signals is not None and self._signals.received:
      return self._signals.received
    now, self._polled = time.monotonic(), self._polled + 1
    if self._polled == 1:
      self._began = now
    expected = (now - self._began) / max(1, self._polled - 1) * (self._chunks - self._polled)
    self.over = bool(now >= self._until or self._polled > 2 and now + expected > self._until)
    return signal.SIGTERM if self.over else None
