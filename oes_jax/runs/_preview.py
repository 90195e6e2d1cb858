"""A picture of a restoration that is going on: within seconds of its start, and every few seconds after that."""

import time
from typing import Any, Sequence

import jax
import numpy as np

from oes_jax import files
from oes_jax import parallel
from oes_jax.runs import _report
from oes_jax.runs import _saying
from oes_jax.runs import _so_far
from oes_jax.runs._measure import Row

PREVIEW = "preview.png"
_SECONDS = 10.0  # between two pictures


class Preview:
  """Draws preview.png into the folder of an image that is restored alone, with output.figures; of other batches it draws nothing."""

  def __init__(self, rows: Sequence[Row]):
    settings = rows[0].job.settings
    self._row = rows[0] if len(rows) == 1 and settings.output.figures and jax.process_count() == 1 else None
    self._drawn, self._so_far = -np.inf, None

  def begin(self) -> None:
    """Draw the classical estimate, or the first image where the noise is not known; one of an earlier start stays."""
    if self._row is None or not self._row.alive or np.isfinite(self._drawn) or (self._row.job.workdir / PREVIEW).is_file():
      return
    self._so_far = _so_far.SoFar(self._row)
    self._draw()
    expected = self._so_far.describe()
    _saying.say(f"preview: {self._row.job.workdir / PREVIEW} shows {'a classical estimate' if self._so_far.is_classical else 'the first image'}"
                f"{f', expected PSNR {expected},' if expected else ''} now, and the average of the outputs, every {_SECONDS:.0f} s, once "
                "weights are trained")

  def update(self, averages: Any) -> None:
    """Draw the average of the outputs, [1, H, W, C], unless a picture was drawn a moment ago."""
    if self._row is not None and time.monotonic() - self._drawn >= _SECONDS:
      self._so_far = self._so_far or _so_far.SoFar(self._row)  # of a run that goes on
      self._so_far.update(parallel.rows(averages)[0])
      self._draw()

  @property
  def expected(self) -> str:
    """The PSNR that is expected of the picture, in words, or ""."""
    return "" if self._so_far is None else self._so_far.describe()

  def end(self) -> None:
    """Remove the picture: what is written in its place is the result."""
    if self._row is not None:
      (self._row.job.workdir / PREVIEW).unlink(missing_ok=True)

  def _draw(self) -> None:
    files.save_preview(self._row.job.workdir / PREVIEW, _report.viewed(self._row.job, self._so_far.image))
    self._drawn = time.monotonic()
