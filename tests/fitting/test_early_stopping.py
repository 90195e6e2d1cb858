"""Guards: which output they keep, and what they may see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oes_jax import fitting
from oes_jax import metrics

SHAPE = (4, 5, 2)
NOTHING = fitting.Problem(None)


def _follow(guard, outputs, problem, averaged=None):
  """Feed outputs one by one; return the final state."""
  averaged = outputs if averaged is None else averaged
  state = guard.init(SHAPE, jnp.float32)
  update = jax.jit(guard.update)
  for done, (output, average) in enumerate(zip(outputs, averaged), start=1):
    state = update(state, output, average, problem, jnp.int32(done))
  return state


def _outputs(spreads, seed=0):
  rng = np.random.default_rng(seed)
  return [np.float32(0.5 + spread * rng.standard_normal(SHAPE)) for spread in spreads]


def test_windowed_variance_is_that_of_numpy():
  outputs = _outputs(0.2 * np.abs(np.linspace(-1, 1, 60)) + 0.01)
  window = 7
  variances = [np.var(outputs[done - window:done], axis=0).mean() for done in range(window, 61)]
  state = _follow(fitting.GUARDS["variance"](window=window, patience=1000), outputs, NOTHING)
  best = int(np.argmin(variances)) + window
  assert int(state.step) == best and not bool(state.stopped)
  assert float(state.score) == pytest.approx(variances[best - window], rel=1e-3)
  np.testing.assert_array_equal(state.output, outputs[best - 1])


def test_pixels_beyond_the_image_do_not_count():
  outputs = _outputs([0.1, 0.05, 0.01, 0.1, 0.1])
  noise = _outputs([1e-3, 1e-3, 0.5, 0.5, 1e-3], seed=1)
  pixels = np.zeros((4, 5, 1), np.float32)
  pixels[:2] = 1
  mixed = [np.where(pixels > 0, a, b) for a, b in zip(outputs, noise)]
  problem = fitting.Problem(None, valid=metrics.Valid(pixels, pixels.sum()))
  guard = fitting.GUARDS["variance"](window=2, patience=100)
  assert int(_follow(guard, mixed, problem).step) == 3
  assert int(_follow(guard, mixed, NOTHING).step) == 2


def test_a_guard_that_has_lost_patience_is_final():
  spreads = [0.1] * 5 + [0.01] * 5 + [0.1] * 20 + [0.0] * 10
  outputs = _outputs(spreads)
  final = _follow(fitting.GUARDS["variance"](window=4, patience=10), outputs, NOTHING)
  assert bool(final.stopped) and 8 <= int(final.step) <= 10
  patient = _follow(fitting.GUARDS["variance"](window=4, patience=100), outputs, NOTHING)
  assert int(patient.step) > 30


def test_held_out_pixels_choose_and_are_not_fitted():
  rng = np.random.default_rng(0)
  measurement = rng.uniform(size=SHAPE).astype(np.float32)
  seen = np.ones((4, 5, 1), np.float32)
  seen[1, 2] = seen[3, 0] = 0
  problem = fitting.Problem(measurement, fitted=metrics.Valid(seen, seen.sum()),
                            held_out=metrics.Valid(1 - seen, (1 - seen).sum()))
  near, far = measurement + 0.01, measurement + 0.5
  averaged = [far, np.where(seen > 0, far, near), np.where(seen > 0, near, far)]
  state = _follow(fitting.GUARDS["held_out"](window=1, patience=10), _outputs([0.1] * 3), problem, averaged)
  assert int(state.step) == 2
  np.testing.assert_array_equal(state.output, averaged[1])
  changed = problem.replace(measurement=np.where(seen > 0, measurement, 0))
  objective = fitting.weight_objective(lambda params, net_input: params)
  loss = lambda p: objective(jnp.float32(near), jnp.ones(SHAPE), p, None)[0]
  assert loss(problem) == loss(changed)
  assert loss(problem) == pytest.approx(1e-4, rel=1e-3)
