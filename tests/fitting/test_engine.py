"""The loop: chunks, keys, averaging, schedules and a loss that is not finite."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import single

from oes_jax.fitting import _engine as engine
from oes_jax import parallel


class _Problem(NamedTuple):
  offset: Any
  valid: Any = None


def _quadratic(trainable, frozen, problem, key):
  """A noisy quadratic whose output and metrics are easy to follow."""
  noise = jax.random.normal(key, trainable.shape)
  output = jnp.broadcast_to(trainable, (2, 2, trainable.size))
  loss = jnp.sum(jnp.square(trainable - frozen)) + 0.01 * jnp.sum(noise * trainable)
  loss = loss + problem.offset
  return loss, (output, {"first": trainable[0]})


def _setup(*, length, num_steps=17, truth=None, use_scan=True, problem=0.0):
  optimizer = engine.make_optimizer(learning_rate=0.1, schedule="constant", num_steps=num_steps)
  step = engine.make_step(_quadratic, optimizer, average_decay=0.9)
  return (*_compile(step, optimizer, problem, truth, length, use_scan), num_steps)


def _compile(step, optimizer, problem, truth, length, use_scan=True):
  """Return (chunk, state, args) of a batch of one."""
  state = engine.init_state(jnp.ones(3), optimizer, (2, 2, 3))
  args = (jnp.zeros(3), _Problem(jnp.asarray(problem)), truth,
          jax.random.key_data(jax.random.key(1)))
  state, args = parallel.as_batch(state), parallel.as_batch(args)
  chunk, _ = engine.compile_chunk(
      step, state, args, mesh=single.mesh(), length=length, use_scan=use_scan)
  return chunk, state, args


def _iterate(chunk, state, args, num_steps, *, length, start=0):
  """Run to the end; return (state, metrics) of the image, and the steps of each chunk."""
  records = []
  for _, state, record, sound in engine.iterate(
      chunk, state, *args, start=start, num_steps=num_steps, length=length):
    assert sound.all()
    records.append({name: values[0] for name, values in record.items()})
  return (jax.tree.map(lambda leaf: leaf[0], state),
          {k: np.concatenate([r[k] for r in records]) for k in records[0]},
          [len(r["loss"]) for r in records])


def _run(*, length, num_steps=17, **options):
  return _iterate(*_setup(length=length, num_steps=num_steps, **options), length=length)[:2]


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
  assert _iterate(*_setup(length=5, num_steps=12), length=5, start=3)[2] == [2, 5, 2]


def test_resumed_state_continues_bit_for_bit():
  whole, record = _run(length=4, num_steps=12)
  chunk, state, args, _ = _setup(length=4, num_steps=12)
  for _, state, _, _ in engine.iterate(chunk, state, *args, start=0, num_steps=8, length=4):
    pass
  saved = jax.tree.map(np.asarray, state)
  chunk, _, args, _ = _setup(length=4, num_steps=12)
  resumed, tail, _ = _iterate(chunk, jax.tree.map(jnp.asarray, saved), args, 12, length=4, start=8)
  np.testing.assert_array_equal(resumed.trainable, whole.trainable)
  np.testing.assert_array_equal(tail["loss"], record["loss"][8:])


def test_every_step_draws_another_key():
  chunk, state, args, _ = _setup(length=6)
  seen = set()
  for step in range(4):
    _, record, _ = chunk(
        jax.tree.map(jnp.copy, state._replace(step=jnp.full(1, step, jnp.int32))), 1, *args)
    seen.add(float(record["loss"][0, 0]))
  assert len(seen) == 4


def test_average_is_the_debiased_exponential_mean_of_the_outputs():
  state, record = _run(length=6, num_steps=6)
  outputs = record["first"]
  weights = 0.1 * 0.9 ** np.arange(5, -1, -1)
  expected = np.sum(weights * outputs) / np.sum(weights)
  np.testing.assert_allclose(state.average[0, 0, 0], expected, rtol=1e-5)
  np.testing.assert_allclose(state.output[0, 0, 0], outputs[-1], rtol=1e-6)


@pytest.mark.parametrize("decay", [0.9, 1.0])
def test_average_leaves_out_what_comes_before_its_start(decay):
  optimizer = engine.make_optimizer(learning_rate=0.1, schedule="constant", num_steps=8)
  step = engine.make_step(_quadratic, optimizer, average_decay=decay, average_from=3)
  chunk, state, args = _compile(step, optimizer, 0.0, None, 4)
  state, record, _ = _iterate(chunk, state, args, 8, length=4)
  weights = decay ** np.arange(4, -1, -1.0)  # of outputs 4 to 8; decay 1 is their plain mean
  expected = np.sum(weights * record["first"][3:]) / weights.sum()
  np.testing.assert_allclose(state.average[0, 0, 0], expected, rtol=1e-5)
  assert float(engine.average_rate(2, decay, 3)) == pytest.approx(1)  # up to its start the average is the output


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


@pytest.mark.parametrize("limit", [np.nan, np.inf])
@pytest.mark.parametrize("use_scan", [True, False])
def test_a_loss_that_is_not_finite_leaves_the_last_good_state(limit, use_scan):
  def objective(trainable, frozen, problem, key):
    loss, aux = _quadratic(trainable, frozen, _Problem(0.0), key)
    return jnp.where(trainable[0] < 0.55, problem.offset, loss), aux
  optimizer = engine.make_optimizer(learning_rate=0.1, schedule="constant", num_steps=20)
  step = engine.make_step(objective, optimizer, average_decay=0.9)
  chunk, state, args = _compile(step, optimizer, limit, None, 2, use_scan)
  for done, state, record, sound in engine.iterate(
      chunk, state, *args, start=0, num_steps=20, length=2):
    if not sound[0]:
      break
  good = int(np.argmin(np.isfinite(record["loss"][0])))
  assert 0 < done < 20 and not np.isfinite(record["loss"]).all()
  assert int(state.step[0]) == done - 2  # the start of that chunk
  assert np.isfinite(state.trainable).all()
  assert float(state.trainable[0, 0]) >= 0.55 and good < 2


@pytest.mark.parametrize("length", [1, 3])
def test_a_gradient_that_is_not_finite_is_caught_before_it_is_yielded(length):
  def objective(trainable, frozen, problem, key):
    loss, aux = _quadratic(trainable, frozen, problem, key)
    # From some step on the loss is finite and its gradient is not.
    spoilt = jax.lax.cond(trainable[0] < 0.75, lambda t: jnp.sqrt(t - t), lambda t: 0 * t, trainable[0])
    return loss + spoilt, aux
  optimizer = engine.make_optimizer(learning_rate=0.1, schedule="constant", num_steps=9)
  step = engine.make_step(objective, optimizer, average_decay=0.9)
  chunk, state, args = _compile(step, optimizer, 0.0, None, length)
  soundness = []
  for _, state, _, sound in engine.iterate(
      chunk, state, *args, start=0, num_steps=9, length=length):
    assert np.isfinite(state.trainable).all()
    soundness.append(bool(sound[0]))
  assert soundness[0] and not soundness[-1]


def test_one_image_that_fails_leaves_the_others_alone():
  optimizer = engine.make_optimizer(learning_rate=0.1, schedule="constant", num_steps=6)
  step = engine.make_step(_quadratic, optimizer, average_decay=0.9)
  def batch(offsets):
    state = engine.init_state(jnp.ones(3), optimizer, (2, 2, 3))
    args = [(jnp.zeros(3), _Problem(jnp.asarray(offset)), None,
             jax.random.key_data(jax.random.key(1))) for offset in offsets]
    state, args = (jax.tree.map(jnp.asarray, parallel.stack(trees))
                   for trees in ([state] * len(args), args))
    chunk, _ = engine.compile_chunk(step, state, args, mesh=single.mesh(), length=3)
    *_, last = engine.iterate(chunk, state, *args, start=0, num_steps=6, length=3)
    return last
  _, healthy, record, _ = batch([0.0, 0.0])
  _, beside, spoiled, sound = batch([0.0, np.nan])
  assert sound.tolist() == [True, False] and int(beside.step[1]) == 0
  np.testing.assert_array_equal(healthy.trainable[0], beside.trainable[0])
  np.testing.assert_array_equal(record["loss"][0], spoiled["loss"][0])


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
