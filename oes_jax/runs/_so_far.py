"""What a restoration that is going on has come to: an image, and the PSNR that is expected of it."""

from typing import Any

import jax
import numpy as np

from oes_jax import fitting
from oes_jax.runs import _expected
from oes_jax.runs._measure import Row


class SoFar:
  """An image and what is expected of it: a classical estimate at once, where the noise is known, and then what weights make.

  Attributes:
    is_classical: whether the first image is a classical estimate.
    image: [H, W, C] in the unit range.
  """

  def __init__(self, row: Row):
    self._row, self._expected, self._known = row, None, None
    self.image = np.asarray(row.measurement.estimate)
    problem, self._guessed = row.problem, _expected.is_guessed(row.measurement.noise_level)
    self.is_classical = problem.recorruption is not None and row.job.settings.weights.combine  # then the operator is linear
    if self.is_classical:
      self._first = self.image = np.asarray(fitting.estimate_classically(problem, self.image.shape))

  def update(self, average: Any) -> None:
    """Take the average of the outputs, [H, W, C]."""
    self.image, self._expected = np.asarray(average), None
    if self.is_classical and not self._guessed and self._row.problem.held_out is not None:
      self._expected = fitting.expected_so_far(self._row.problem, self.image, self._classical())

  def _classical(self) -> fitting.Classical:
    if self._known is None:
      self._known = fitting.expect_of_classical(self._row.problem, self._first, jax.random.key(0))
    return self._known

  @property
  def expected(self) -> float | None:
    """PSNR in dB that is expected of the image; None where it cannot be told."""
    if self.is_classical and self.image is self._first and not self._guessed:
      return self._classical().psnr
    return self._expected

  def describe(self) -> str:
    """Return what is expected, in words; "" where nothing is."""
    expected = self.expected
    if expected is None:
      return ""
    return f"{expected:.1f} dB{fitting.say_of(_expected.of_what(self._row.job))}"
