"""The loop: chunks, keys, averaging, schedules and a loss that is not finite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oes_jax import engine


def _quadratic(trainable, frozen, problem, key):
  """A noisy quadratic whose output and metrics are easy to follow."""
  noise = jax.random.normal(key, trainable.shape)
  output = jnp.broadcast_to(trainable, (2, 2, trainable.size))
  loss = jnp.sum(jnp.square(trainable - frozen)) + 0.01 * jnp.sum(noise * trainable) + problem
  return loss, (output, {"first": trainable[0]})


def _setup(*, length, num_steps=17, truth=None, use_scan=True, problem=0.0):
  optimizer = engine.make_optimizer(learning_rate=0.1, schedule="constant", num_steps=num_steps)
  step = engine.make_step(_quadratic, optimizer, average_decay=0.9)
  state = engine.init_state(jnp.ones(3), optimizer, (2, 2, 3))
  args = (jnp.zeros(3), jnp.asarray(problem), truth, jax.random.key(1))
  chunk, _ = engine.compile_chunk(step, state, args, length=length, use_scan=use_scan)
  return chunk, state, args


def _run(*, length, num_steps=17, **options):
  chunk, state, args = _setup(length=length, num_steps=num_steps, **options)
  records = []
  for state, record in engine.iterate(chunk, state, *args, num_steps=num_steps, length=length):
    records.append(record)
  return state, {k: np.concatenate([r[k] for r in records]) for k in records[0]}


def test_result_does_not_depend_on_the_chunk_length():
  state_a, record_a = _run(length=17)
  state_b, record_b = _run(length=5)
  assert record_a["loss"].shape == (17,)
  np.testing.assert_array_equal(record_a["loss"], record_b["loss"])
  np.testing.assert_array_equal(state_a.trainable, state_b.trainable)


def test_dispatched_steps_equal_the_compiled_loop():
  _, looped = _run(length=5)
  _, dispatched = _run(length=5, use_scan=False)
  np.testing.assert_allclose(looped["loss"], dispatched["loss"], rtol=1e-6)


def test_chunks_keep_their_grid_when_resumed_off_it():
  chunk, state, args = _setup(length=5)
  state = state._replace(step=jnp.int32(3))
  counts = [len(r["loss"]) for _, r in engine.iterate(chunk, state, *args, num_steps=12, length=5)]
  assert counts == [2, 5, 2]


def test_resumed_state_continues_bit_for_bit():
  whole, record = _run(length=4, num_steps=12)
  chunk, state, args = _setup(length=4, num_steps=12)
  for state, _ in engine.iterate(chunk, state, *args, num_steps=8, length=4):
    pass
  saved = jax.tree.map(np.asarray, state)
  chunk, _, args = _setup(length=4, num_steps=12)
  restored = jax.tree.map(jnp.asarray, saved)
  for state, tail in engine.iterate(chunk, restored, *args, num_steps=12, length=4):
    pass
  np.testing.assert_array_equal(state.trainable, whole.trainable)
  np.testing.assert_array_equal(tail["loss"], record["loss"][8:])


def test_every_step_draws_another_key():
  chunk, state, args = _setup(length=6)
  frozen_state = state
  seen = set()
  for step in range(4):
    _, record = chunk(jax.tree.map(jnp.copy, frozen_state._replace(step=jnp.int32(step))), 1, *args)
    seen.add(float(record["loss"][0]))
  assert len(seen) == 4


def test_average_is_the_debiased_exponential_mean_of_the_outputs():
  state, record = _run(length=6, num_steps=6)
  outputs = record["first"]
  weights = 0.1 * 0.9 ** np.arange(5, -1, -1)
  expected = np.sum(weights * outputs) / np.sum(weights)
  average = engine.averaged_output(state.average, state.step, 0.9)
  np.testing.assert_allclose(average[0, 0, 0], expected, rtol=1e-5)
  np.testing.assert_allclose(state.output[0, 0, 0], outputs[-1], rtol=1e-6)


def test_truth_is_only_scored():
  blind, _ = _run(length=5)
  scored, record = _run(length=5, truth=jnp.full((2, 2, 3), 0.25))
  np.testing.assert_array_equal(blind.trainable, scored.trainable)
  error = np.mean((np.asarray(scored.output) - 0.25) ** 2)
  np.testing.assert_allclose(record["psnr"][-1], -10 * np.log10(error), rtol=1e-5)


def test_golden_first_step_of_adam():
  state, record = _run(length=1, num_steps=1)
  # Adam's first step is the learning rate against the gradient's sign.
  np.testing.assert_allclose(state.trainable, np.full(3, 0.9), rtol=1e-5)
  assert record["first"][0] == 1


@pytest.mark.parametrize("problem", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_stops_with_the_last_good_state(problem):
  def objective(trainable, frozen, limit, key):
    loss, aux = _quadratic(trainable, frozen, 0.0, key)
    return jnp.where(trainable[0] < 0.55, limit, loss), aux
  optimizer = engine.make_optimizer(learning_rate=0.1, schedule="constant", num_steps=20)
  step = engine.make_step(objective, optimizer, average_decay=0.9)
  state = engine.init_state(jnp.ones(3), optimizer, (2, 2, 3))
  args = (jnp.zeros(3), jnp.asarray(problem), None, jax.random.key(1))
  chunk, _ = engine.compile_chunk(step, state, args, length=2)
  with pytest.raises(engine.NonFiniteLoss) as caught:
    for _ in engine.iterate(chunk, state, *args, num_steps=20, length=2):
      pass
  error = caught.value
  assert f"step {error.step}" in str(error)
  before = error.step - 1  # steps with a finite loss
  assert int(error.last_good.step) == before - before % 2
  assert len(error.metrics["loss"]) == before % 2
  assert np.isfinite(error.last_good.trainable).all()
  assert float(error.last_good.trainable[0]) >= 0.55


@pytest.mark.parametrize("length", [1, 3])
def test_a_gradient_that_is_not_finite_is_caught_before_it_is_yielded(length):
  def objective(trainable, frozen, problem, key):
    loss, aux = _quadratic(trainable, frozen, problem, key)
    # From some step on the loss is finite and its gradient is not.
    return loss + jnp.where(trainable[0] < 0.75, jnp.sqrt(trainable[0] - trainable[0]), 0.0), aux
  optimizer = engine.make_optimizer(learning_rate=0.1, schedule="constant", num_steps=9)
  step = engine.make_step(objective, optimizer, average_decay=0.9)
  state = engine.init_state(jnp.ones(3), optimizer, (2, 2, 3))
  args = (jnp.zeros(3), jnp.asarray(0.0), None, jax.random.key(1))
  chunk, _ = engine.compile_chunk(step, state, args, length=length)
  with pytest.raises(engine.NonFiniteLoss) as caught:
    for state, _ in engine.iterate(chunk, state, *args, num_steps=9, length=length):
      assert np.isfinite(state.trainable).all()
  assert np.isfinite(caught.value.last_good.trainable).all()


def test_schedules():
  optimizer = engine.make_optimizer(learning_rate=0.3, schedule="cosine", num_steps=10)
  params = jnp.ones(1)
  state, sizes = optimizer.init(params), []
  for _ in range(10):
    updates, state = optimizer.update(jnp.ones(1), state, params)
    sizes.append(-float(updates[0]))
  expected = [0.15 * (1 + np.cos(np.pi * i / 10)) for i in range(10)]
  np.testing.assert_allclose(sizes, expected, rtol=1e-4)
  with pytest.raises(ValueError, match="constant, cosine"):
    engine.make_optimizer(learning_rate=0.3, schedule="linear", num_steps=10)


def test_optimizer_is_adam_with_the_authors_constants():
  mine = engine.make_optimizer(learning_rate=1e-2, schedule="constant", num_steps=1)
  tiny = jnp.full(1, 7e-10)  # a gradient below Adam's eps, as the KL's is
  updates, _ = mine.update(tiny, mine.init(tiny), tiny)
  np.testing.assert_allclose(updates[0], -1e-2 * 7e-10 / (7e-10 + 1e-8), rtol=1e-4)
