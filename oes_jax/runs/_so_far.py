"""What a restoration that is going on has come to: an image, and the PSNR that is expected of it."""

from typing import Any

import jax
import numpy as np

from oes_jax import fitting
from oes_jax.runs import _expected
from oes_jax.runs._measure import Row


class SoFar:
  """An image and what is expected of it, at once by a classical estimate, where the noise is known, and as weights are trained.

  Attributes:
    is_classical: whether the first image is a classical estimate.
    image: [H, W, C] in the unit range.
    expected: PSNR in dB that is expected of it, or None.
  """

  def __init__(self, row: Row):
    self._row, self._classical, self.expected = row, None, None
    self.image = np.asarray(row.measurement.estimate)
    problem = row.problem
    self.is_classical = problem.recorruption is not None and row.job.settings.weights.combine  # then the operator is linear
    if self.is_classical:
      self._classical = fitting.estimate_classically(problem, self.image.shape, jax.random.key(0))
      self.image, self.expected = np.asarray(self._classical.image), self._classical.psnr

  def update(self, average: Any) -> None:
    """Take the average of the outputs, [H, W, C]."""
    self.image, self.expected = np.asarray(average), None
    if self._classical is not None and self._row.problem.held_out is not None:
      self.expected = fitting.expected_so_far(self._row.problem, self.image, self._classical)

  def describe(self) -> str:
    """Return what is expected, in words; "" where nothing is."""
    if self.expected is None:
      return ""
    of = "" if _expected.measures_all(self._row.job) else " of what is measured"
    return f"{self.expected:.1f} dB{of}"
