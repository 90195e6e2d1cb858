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
  state = _follow(fitting.GUARDS["variance"](num_steps=60, window=window, patience=1000), outputs, NOTHING)
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
  guard = fitting.GUARDS["variance"](num_steps=60, window=2, patience=100)
  assert int(_follow(guard, mixed, problem).step) == 3
  assert int(_follow(guard, mixed, NOTHING).step) == 2


def test_a_guard_that_has_lost_patience_is_final():
  spreads = [0.1] * 5 + [0.01] * 5 + [0.1] * 20 + [0.0] * 10
  outputs = _outputs(spreads)
  final = _follow(fitting.GUARDS["variance"](num_steps=60, window=4, patience=10), outputs, NOTHING)
  assert bool(final.stopped) and 8 <= int(final.step) <= 10
  patient = _follow(fitting.GUARDS["variance"](num_steps=60, window=4, patience=100), outputs, NOTHING)
  assert int(patient.step) > 30


def test_a_tail_that_varies_least_is_refused_where_a_minimum_stood_before():
  spreads = [0.1] * 10 + [0.01] * 12 + [0.1] * 20 + [0.0] * 18
  outputs = _outputs(spreads)
  averaged = [np.full(SHAPE, step, np.float32) for step in range(1, 61)]
  guard = fitting.GUARDS["variance"](num_steps=60, window=10)
  state = _follow(guard, outputs, NOTHING, averaged)
  least = int(np.argmin([np.var(outputs[done - 10:done], axis=0).mean() for done in range(10, 31)])) + 10
  assert bool(state.stopped) and 20 <= least <= 22
  assert int(state.step) == least + 10  # the average, which lags behind
  np.testing.assert_array_equal(state.output, averaged[least + 9])
  published = _follow(fitting.GUARDS["variance"](num_steps=60, window=10, patience=1000), outputs, NOTHING)
  assert int(published.step) > 50 and not bool(published.stopped)


@pytest.mark.parametrize("spread, since, stands", [(0.03, 4, False), (0.03, 6, True), (0.021, 19, False), (0.021, 22, True)])
def test_a_minimum_stands_once_the_variance_has_doubled_or_the_patience_has_run_out(spread, since, stands):
  spreads = np.array([0.1] * 10 + [0.02] * 4 + [spread] * since) * np.resize([1, -1], 14 + since)  # variances are their squares
  outputs = [np.full(SHAPE, 0.5 + one, np.float32) for one in spreads]
  state = _follow(fitting.GUARDS["variance"](num_steps=60, window=4), outputs, NOTHING)  # patience: 20 steps
  assert bool(state.stopped) == stands and int(state.step) == min(18, 14 + since)


def test_a_still_shrinking_variance_is_no_stop():
  outputs = _outputs(np.geomspace(0.2, 0.01, 60))
  state = _follow(fitting.GUARDS["variance"](num_steps=60), outputs, NOTHING)
  assert int(state.step) == 60 and not bool(state.stopped)
  np.testing.assert_array_equal(state.output, outputs[-1])


@pytest.mark.parametrize("num_steps, window", [(3, 2), (60, 10), (600, 100), (40_000, 100)])
def test_the_window_follows_the_length_of_a_run(num_steps, window):
  assert fitting.TrainWeights(num_steps=num_steps, guard="variance").remembered_outputs == window
  assert fitting.TrainWeights(num_steps=50, guard="held_out").remembered_outputs == 0


@pytest.mark.parametrize("best, stands", [(56, True), (57, False)])
def test_the_best_held_out_average_of_all_steps_is_kept_and_one_of_the_tail_does_not_stand(best, stands):
  measurement, seen = np.zeros(SHAPE, np.float32), np.ones((4, 5, 1), np.float32)
  problem = fitting.Problem(measurement, held_out=metrics.Valid(seen, seen.sum()))
  averaged = [np.full(SHAPE, abs(step - best) / 60 + 0.1, np.float32) for step in range(1, 61)]
  state = _follow(fitting.GUARDS["held_out"](num_steps=60), averaged, problem)
  assert int(state.step) == best and bool(state.stopped) == stands


def test_held_out_pixels_choose_and_are_not_fitted():
  rng = np.random.default_rng(0)
  measurement = rng.uniform(size=SHAPE).astype(np.float32)
  seen = np.ones((4, 5, 1), np.float32)
  seen[1, 2] = seen[3, 0] = 0
  problem = fitting.Problem(measurement, fitted=metrics.Valid(seen, seen.sum()),
                            held_out=metrics.Valid(1 - seen, (1 - seen).sum()))
  near, far = measurement + 0.01, measurement + 0.5
  averaged = [far, np.where(seen > 0, far, near), np.where(seen > 0, near, far)]
  state = _follow(fitting.GUARDS["held_out"](num_steps=60, patience=10), _outputs([0.1] * 3), problem, averaged)
  assert int(state.step) == 2
  np.testing.assert_array_equal(state.output, averaged[1])
  changed = problem.replace(measurement=np.where(seen > 0, measurement, 0))
  objective = fitting.weight_objective(lambda params, net_input: params)
  loss = lambda p: objective(jnp.float32(near), jnp.ones(SHAPE), p, None)[0]
  assert loss(problem) == loss(changed)
  assert loss(problem) == pytest.approx(1e-4, rel=1e-3)
