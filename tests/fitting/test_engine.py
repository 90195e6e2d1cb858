"""The loop of one image: keys, averaging, schedules, optimisers and what is recorded."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fitting import quadratic
from oes_jax.fitting import _early_stopping
from oes_jax.fitting import _engine


def test_every_step_draws_another_key():
  stage = quadratic.make_stage()
  step = jax.jit(_engine.make_step(stage))
  state = _engine.init_state(stage, jnp.ones(3))
  args = (jnp.zeros(3), quadratic.Problem(), jax.random.key(1))
  losses = {float(step(state._replace(step=jnp.int32(number)), *args)[1]["loss"]) for number in range(4)}
  assert len(losses) == 4


def test_average_is_the_debiased_exponential_mean_of_the_outputs():
  state, record = quadratic.run(quadratic.make_stage(num_steps=6))
  outputs = record["first"]
  weights = 0.1 * 0.9 ** np.arange(5, -1, -1)
  expected = np.sum(weights * outputs) / np.sum(weights)
  np.testing.assert_allclose(state.average[0, 0, 0], expected, rtol=1e-5)
  np.testing.assert_allclose(state.output[0, 0, 0], outputs[-1], rtol=1e-6)


@pytest.mark.parametrize("decay", [0.9, 1.0])
def test_average_leaves_out_what_comes_before_its_start(decay):
  state, record = quadratic.run(quadratic.make_stage(num_steps=8, average_decay=decay, average_from=3))
  weights = decay ** np.arange(4, -1, -1.0)  # of outputs 4 to 8; decay 1 is their plain mean
  expected = np.sum(weights * record["first"][3:]) / weights.sum()
  np.testing.assert_allclose(state.average[0, 0, 0], expected, rtol=1e-5)
  assert float(_engine.average_rate(2, decay, 3)) == pytest.approx(1)  # up to its start the average is the output


def test_truth_is_only_scored():
  def score(image):
    return {"psnr": -10 * jnp.log10(jnp.mean(jnp.square(image - 0.25)))}
  stage = quadratic.make_stage()
  blind, unscored = quadratic.run(stage)
  scored, record = quadratic.run(stage, score)
  np.testing.assert_array_equal(blind.trainable, scored.trainable)
  np.testing.assert_array_equal(unscored["loss"], record["loss"])
  assert set(record) - set(unscored) == {"psnr", "psnr_average"}
  for name, image in (("psnr", scored.output), ("psnr_average", scored.average)):
    error = np.mean((np.asarray(image) - 0.25) ** 2)
    np.testing.assert_allclose(record[name][-1], -10 * np.log10(error), rtol=1e-5)


def test_golden_first_step_of_adam():
  state, record = quadratic.run(quadratic.make_stage(num_steps=1))
  # Adam's first step is the learning rate against the gradient's sign.
  np.testing.assert_allclose(state.trainable, np.full(3, 0.9), rtol=1e-5)
  assert record["first"][0] == 1 and int(state.step) == 1


def test_fewer_steps_than_the_length_leave_zeros_in_the_record():
  stage = quadratic.make_stage()
  args = (jnp.zeros(3), quadratic.Problem(), jax.random.key(1))
  run = jax.jit(lambda count: _engine.run_steps(
      _engine.make_step(stage), _engine.init_state(stage, jnp.ones(3)), count, 5, *args))
  state, record = run(3)
  whole, trace = run(5)
  assert int(state.step) == 3 and int(whole.step) == 5
  np.testing.assert_array_equal(record["loss"], np.where(np.arange(5) < 3, trace["loss"], 0))


def test_a_guard_follows_every_output():
  guard = _early_stopping.windowed_variance(num_steps=5, window=2)
  state, _ = quadratic.run(quadratic.make_stage(guard=guard))
  assert int(state.guard.step) >= 2 and np.isfinite(state.guard.score) and state.guard.output.shape == quadratic.SHAPE
  assert quadratic.run(quadratic.make_stage())[0].guard == ()


def test_an_optimizer_is_handed_the_key_of_the_step_and_the_frozen_tree():
  def update(updates, state, params=None, *, key, frozen, **extra):
    del params, extra
    return jax.random.normal(key, updates.shape) + 0 * frozen, state
  drawing = optax.GradientTransformationExtraArgs(lambda params: (), update)
  stage = quadratic.make_stage(num_steps=2)._replace(optimizer=drawing)
  state, _ = quadratic.run(stage)
  keys = [jax.random.fold_in(jax.random.fold_in(jax.random.key(1), step), 1) for step in range(2)]
  expected = 1 + sum(np.asarray(jax.random.normal(key, (3,))) for key in keys)
  np.testing.assert_allclose(state.trainable, expected, rtol=1e-6)


def test_schedules():
  optimizer = _engine.make_optimizer(learning_rate=0.3, schedule="cosine", num_steps=10)
  params = jnp.ones(1)
  state, sizes = optimizer.init(params), []
  for _ in range(10):
    updates, state = optimizer.update(jnp.ones(1), state, params)
    sizes.append(-float(updates[0]))
  expected = [0.15 * (1 + np.cos(np.pi * i / 10)) for i in range(10)]
  np.testing.assert_allclose(sizes, expected, rtol=1e-4)
  with pytest.raises(ValueError, match="constant, cosine"):
    _engine.make_optimizer(learning_rate=0.3, schedule="linear", num_steps=10)


def test_optimizer_is_adam_with_the_authors_constants():
  mine = _engine.make_optimizer(learning_rate=1e-2, schedule="constant", num_steps=1)
  tiny = jnp.full(1, 7e-10)  # a gradient below Adam's eps, as the KL's is
  updates, _ = mine.update(tiny, mine.init(tiny), tiny)
  np.testing.assert_allclose(updates[0], -1e-2 * 7e-10 / (7e-10 + 1e-8), rtol=1e-4)
