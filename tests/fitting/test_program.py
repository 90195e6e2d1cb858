"""A stage compiled in chunks: the grid, resuming, losses that are not finite, and one loop's result."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitting import quadratic
from oes_jax import fitting
from oes_jax import noise
from oes_jax import parallel


def _compile(stage, offsets=(0.0,), *, length, **options):
  """Return (program, batch of first states, args) of a batch."""
  mesh = parallel.image_mesh(jax.devices()[:1])
  rows = [(jnp.ones(3), jnp.zeros(3), quadratic.Problem(jnp.asarray(offset)), jax.random.key_data(jax.random.key(1)))
          for offset in offsets]
  trainable, frozen, problem, key_data = jax.tree.map(jnp.asarray, parallel.stack(rows))
  args = (frozen, problem, None, key_data)
  program = fitting.compile_stage(stage, trainable, args, mesh=mesh, length=length, **options)
  return program, program.init(trainable), args


def _iterate(program, state, args, *, start=0):
  """Run to the end; return (state, metrics) of the image, and the steps of each chunk."""
  records = []
  for _, state, record, sound in program.iterate(state, args, start):
    assert sound.all()
    records.append({name: values[0] for name, values in record.items()})
  return (jax.tree.map(lambda leaf: leaf[0], state),
          {k: np.concatenate([r[k] for r in records]) for k in records[0]},
          [len(r["loss"]) for r in records])


def _run(*, length, num_steps=17, **options):
  return _iterate(*_compile(quadratic.make_stage(num_steps=num_steps), length=length, **options))[:2]


def test_result_does_not_depend_on_the_chunk_length():
  state_a, record_a = _run(length=17)
  state_b, record_b = _run(length=5)
  assert record_a["loss"].shape == (17,)
  np.testing.assert_array_equal(record_a["loss"], record_b["loss"])
  np.testing.assert_array_equal(state_a.trainable, state_b.trainable)


def test_chunks_give_the_state_and_trace_of_one_loop():
  chunked, record = _run(length=5)
  whole, trace = quadratic.run(quadratic.make_stage())
  jax.tree.map(np.testing.assert_array_equal, chunked, whole)
  jax.tree.map(np.testing.assert_array_equal, record, dict(trace))


def test_dispatched_steps_equal_the_compiled_loop():
  _, looped = _run(length=5)
  _, dispatched = _run(length=5, use_scan=False)
  np.testing.assert_allclose(looped["loss"], dispatched["loss"], rtol=1e-6)


def test_chunks_keep_their_grid_when_resumed_off_it():
  assert _iterate(*_compile(quadratic.make_stage(num_steps=12), length=5), start=3)[2] == [2, 5, 2]


def test_resumed_state_continues_bit_for_bit():
  whole, record = _run(length=4, num_steps=12)
  program, state, args = _compile(quadratic.make_stage(num_steps=12), length=4)
  for done, state, _, _ in program.iterate(state, args):
    if done == 8:
      break
  saved = jax.tree.map(np.asarray, state)
  program, _, args = _compile(quadratic.make_stage(num_steps=12), length=4)
  resumed, tail, _ = _iterate(program, jax.tree.map(jnp.asarray, saved), args, start=8)
  np.testing.assert_array_equal(resumed.trainable, whole.trainable)
  np.testing.assert_array_equal(tail["loss"], record["loss"][8:])


def test_what_is_scored_of_an_image_is_its_own():
  def score(truth, problem, image):
    return {"error": jnp.mean(jnp.square(image - truth)) + problem.offset}
  stage, mesh = quadratic.make_stage(num_steps=3), parallel.image_mesh(jax.devices()[:1])
  trainable, truths = jnp.ones((2, 3)), jnp.stack([jnp.zeros(quadratic.SHAPE), jnp.ones(quadratic.SHAPE)])
  key_data = jnp.stack([jax.random.key_data(jax.random.key(1))] * 2)
  args = (jnp.zeros((2, 3)), quadratic.Problem(jnp.asarray([0.0, 7.0])), truths, key_data)
  program = fitting.compile_stage(stage, trainable, args, mesh=mesh, length=3, score=score)
  (_, _, record, _), = program.iterate(program.init(trainable), args)
  first = record["first"]
  np.testing.assert_array_equal(first[0], first[1])
  assert record["error"][0, 0] == 1 and record["error"][1, 0] == 7  # of the first output, ones
  assert record["error_average"].shape == (2, 3)


@pytest.mark.parametrize("limit", [np.nan, np.inf])
@pytest.mark.parametrize("use_scan", [True, False])
def test_a_loss_that_is_not_finite_leaves_the_last_good_state(limit, use_scan):
  def objective(trainable, frozen, problem, key):
    loss, aux = quadratic.objective(trainable, frozen, quadratic.Problem(), key)
    return jnp.where(trainable[0] < 0.55, problem.offset, loss), aux
  stage = quadratic.make_stage(num_steps=20, function=objective)
  program, state, args = _compile(stage, [limit], length=2, use_scan=use_scan)
  for done, state, record, sound in program.iterate(state, args):
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
    loss, aux = quadratic.objective(trainable, frozen, problem, key)
    # From some step on the loss is finite and its gradient is not.
    spoilt = jax.lax.cond(trainable[0] < 0.75, lambda t: jnp.sqrt(t - t), lambda t: 0 * t, trainable[0])
    return loss + spoilt, aux
  program, state, args = _compile(quadratic.make_stage(num_steps=9, function=objective), length=length)
  soundness = []
  for _, state, _, sound in program.iterate(state, args):
    assert np.isfinite(state.trainable).all()
    soundness.append(bool(sound[0]))
  assert soundness[0] and not soundness[-1]


def test_one_image_that_fails_leaves_the_others_alone():
  def last(offsets):
    program, state, args = _compile(quadratic.make_stage(num_steps=6), offsets, length=3)
    *_, final = program.iterate(state, args)
    return final
  _, healthy, record, _ = last([0.0, 0.0])
  _, beside, spoiled, sound = last([0.0, np.nan])
  assert sound.tolist() == [True, False] and int(beside.step[1]) == 0
  np.testing.assert_array_equal(healthy.trainable[0], beside.trainable[0])
  np.testing.assert_array_equal(record["loss"][0], spoiled["loss"][0])


def _check_chunks(stage, trainable, frozen, problem, key, *, expected, trace, image=None):
  """Chunks of three steps give the trainable tree and the trace of one loop."""
  trainable, *args = map(parallel.as_batch, (trainable, frozen, problem, jax.random.key_data(key)))
  args = (*args[:2], None, args[2])
  program = fitting.compile_stage(stage, trainable, args, mesh=parallel.image_mesh(jax.devices()[:1]), length=3)
  state, record, steps = _iterate(program, program.init(trainable), args)
  assert steps == [3, 3, 1]
  if image is not None:
    finished = program.finish(jax.tree.map(lambda leaf: leaf[None], state), *args)
    np.testing.assert_allclose(finished.average[0], image, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(record["loss"], trace["loss"], rtol=1e-6)
  for got, want in zip(jax.tree.leaves(state.trainable), jax.tree.leaves(expected)):
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-7)
  return program.cost


def test_chunks_of_the_mask_stage_give_what_learn_mask_gives(tiny):
  (generator, params), key = tiny, jax.random.key(5)
  problem = fitting.Problem(jnp.full((16, 16, 1), 0.3), net_input=generator.default_input())
  settings = fitting.LearnMask(num_steps=7, keep_fraction=0.3)
  expected, trace = fitting.learn_mask(generator, params, problem, key, settings)
  logits, frozen = jax.tree.map(jnp.zeros_like, params), (params, jnp.float32(0.3), jnp.float32(settings.kl_weight))
  _check_chunks(fitting.mask_stage(generator, settings), logits, frozen, problem, key, expected=expected, trace=trace)


@pytest.mark.parametrize("recorruption", [None, fitting.Recorruption(noise.gaussian(0.1))])
def test_chunks_of_the_weight_stage_give_what_train_weights_gives(tiny, recorruption):
  (generator, params), key = tiny, jax.random.key(5)
  problem = fitting.Problem(jnp.full((16, 16, 1), 0.3), net_input=generator.default_input(), recorruption=recorruption)
  settings = fitting.TrainWeights(num_steps=7)
  restored = fitting.train_weights(generator, params, None, problem, key, settings)
  dense = jax.tree.map(jnp.ones_like, params)
  stage = fitting.weight_stage(generator, settings, recorrupted=recorruption is not None)
  problem = jax.tree.map(jnp.asarray, problem)
  cost = _check_chunks(stage, params, dense, problem, key, expected=restored.params, trace=restored.traces["weights"],
                       image=restored.image)
  assert cost.flops > 1e5 and cost.peak_bytes > 1e5
