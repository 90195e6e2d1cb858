"""Which of several restorations of one measurement, or which mix of them: told by the values that none has seen."""

from typing import Mapping, Sequence

import numpy as np
from scipy import optimize

from oes_jax.fitting import _plug_and_play

# Standard deviation of the shares around what they are before anything is measured. Small: what a method makes of a value that it has
# not seen tells little of what it makes of one that it has, the less the weaker the noise. 0.1 and 0.25 were alike on nine crops that
# no record reports on (2026-11-28).
_SPREAD = 0.1
_DIGITS = 4  # of a share; the values tell fewer
_SUM_TO_ONE = 1e4  # weight of that, against values of standard deviation 1


def stack(problem, unseen: Mapping[str, np.ndarray], prior: Mapping[str, float]) -> dict[str, float]:
  """Return the share of every restoration in the mix that fits the held-out values best, none negative, 1 in all.

  Stacked regressions (Breiman 1996): the least mean square over the held-out values, drawn to `prior` as far as these are few
  and noisy, which is the most probable mix where the shares have normal priors of standard deviation 0.1.

  Args:
    problem: Problem with held-out values and a recorruption, which knows the noise.
    unseen: {name: image [H, W, C]}, made without the held-out values.
    prior: {name: share that it would have if nothing was held out}; they need not sum to 1. A name that it lacks has 0.
  """
  held = _held_out(problem)
  level = float(_plug_and_play.noise_level(problem)) * problem.unit
  real = lambda values: np.concatenate([np.real(values), np.imag(values)]) if np.iscomplexobj(values) else values
  columns = [real(np.asarray(problem.forward(image))[held]) for image in unseen.values()]
  wanted = real(np.asarray(problem.measurement)[held])
  before = _normalised([prior.get(name, 0.0) for name in unseen])
  matrix = np.vstack([np.stack(columns, -1) / level, np.eye(len(columns)) / _SPREAD, np.full((1, len(columns)), _SUM_TO_ONE)])
  target = np.concatenate([wanted / level, before / _SPREAD, [_SUM_TO_ONE]])
  shares = optimize.nnls(matrix.astype(np.float64), target.astype(np.float64))[0]
  return dict(zip(unseen, map(float, _normalised(shares.round(_DIGITS)))))  # rounded: the same on every machine


def _held_out(problem) -> np.ndarray:
  """Return which measured values are held out, in their shape."""
  held = np.asarray(_plug_and_play.of_values(problem.held_out.pixels, problem.measurement))
  return np.broadcast_to(held > 0, np.shape(problem.measurement))


def _normalised(shares: Sequence[float]) -> np.ndarray:
  shares = np.asarray(shares, np.float64)
  return shares / shares.sum() if shares.sum() else np.full(len(shares), 1 / len(shares))


def misfit(problem, unseen: np.ndarray) -> float:
  """Return the root of the mean square by which a restoration misses the held-out values, in units of the measured ones.

  Args:
    problem: Problem with held-out values.
    unseen: image [H, W, C], made without them.
  """
  missed = np.abs(np.asarray(problem.forward(unseen)) - np.asarray(problem.measurement)) ** 2
  return float(np.sqrt(missed[_held_out(problem)].mean()))
