"""How far a restoration in memory has come: one progress bar, a picture in a notebook, and what a caller's function is told."""

import base64
import html
import sys
import time
from typing import Any, Callable, NamedTuple, Sequence

import numpy as np

from oes_jax import files
from oes_jax import fitting
from oes_jax.runs import _report
from oes_jax.runs import _saying
from oes_jax.runs import _so_far
from oes_jax.runs._measure import Row

_SECONDS = 2.0  # between two pictures


class Update(NamedTuple):
  """What a restoration has come to.

  Attributes:
    name: what was measured: "measurement", or "measurement[2]" of a list.
    stage: name of the stage, "mask" or "weights"; of several tiles or batches each has its own.
    step: steps of the stage that are done.
    share: share of all steps of the call that are done, from 0 to 1.
    image: image so far, [H, W, C] in the unit range; of a tile, that of the tile; of an ensemble, of its first member. Before
      weights are trained it is a classical estimate, or the first image where the noise is not known.
    expected_psnr: PSNR in dB that is expected of the image, or None; through an operator, of what that measures.
  """
  name: str
  stage: str
  step: int
  share: float
  image: np.ndarray
  expected_psnr: float | None


class Follower:
  """Takes the progress of every batch of a call, one after another; a context, in which a bar is drawn.

  Args:
    num_steps: steps of all stages of all batches.
    progress: whether a bar is drawn, and in a notebook a picture.
    callback: function that takes every Update, or None.
  """

  def __init__(self, num_steps: int, progress: bool, callback: Callable[[Update], Any] | None):
    self._callback, self._picture = callback, _Picture() if progress and _in_notebook() else None
    self._bar = _saying.progress_bar(num_steps, disable=not progress)
    self._rows, self._so_far, self._done, self._all = [], {}, 0, 0
    self._num_steps = num_steps

  def __enter__(self):
    return self

  def __exit__(self, *error):
    self._bar.close()

  def watch(self, rows: Sequence[Row]) -> None:
    """Take the rows of the next batch."""
    names = [row.job.settings.data.source for row in rows]
    self._rows = [(names.index(name), rows[names.index(name)]) for name in dict.fromkeys(names)]
    self._so_far = {}

  def __call__(self, progress: fitting.Progress) -> None:
    if progress.step == 0:
      self._done = 0
    self._bar.set_description(f"{progress.stage} stage" if progress.step else f"{progress.stage} stage: compiling")
    self._all += progress.step - self._done
    self._bar.update(progress.step - self._done)
    self._done = progress.step
    if self._callback is not None:
      for place, row in self._rows:
        self._tell(progress, place, row)
    if self._picture is not None and self._picture.is_due():
      self._picture.draw(self._rows[0][1], self._now(progress, *self._rows[0]))

  def _now(self, progress: fitting.Progress, place: int, row: Row) -> _so_far.SoFar:
    so_far = self._so_far.setdefault(place, None) or _so_far.SoFar(row)
    self._so_far[place] = so_far
    if progress.stage == "weights" and progress.step:
      so_far.update(progress.averages[place])
    return so_far

  def _tell(self, progress: fitting.Progress, place: int, row: Row) -> None:
    so_far = self._now(progress, place, row)
    self._callback(Update(row.job.settings.data.source, progress.stage, progress.step, self._all / self._num_steps,
                          _report.viewed(row.job, so_far.image), so_far.expected))


def _in_notebook() -> bool:
  """Whether IPython runs with a kernel, whose front end shows pictures."""
  shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
  return hasattr(shell, "kernel")


class _Picture:
  """A picture in a notebook, drawn anew in place."""

  def __init__(self):
    self._handle, self._drawn = None, -np.inf

  def is_due(self) -> bool:
    return time.monotonic() - self._drawn >= _SECONDS

  def draw(self, row: Row, so_far: _so_far.SoFar) -> None:
    from IPython import display  # pylint: disable=import-outside-toplevel
    said = so_far.describe()
    png = base64.b64encode(files.as_png(_report.viewed(row.job, so_far.image))).decode()
    page = display.HTML(f'<img src="data:image/png;base64,{png}" style="min-width:256px;image-rendering:pixelated"><br>'
                        f"{html.escape(row.job.settings.data.source)} so far{f': expected PSNR {said}' if said else ''}")
    if self._handle is None:
      self._handle = display.display(page, display_id=True)
    else:
      self._handle.update(page)
    self._drawn = time.monotonic()
