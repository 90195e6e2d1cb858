"""Both stages of one image: what they lower, leave alone and record; under jit, under vmap and on devices."""

import os
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fitting import one_image
from oes_jax import fitting
from oes_jax import masks
from oes_jax import metrics
from oes_jax import noise
from oes_jax import operators
from oes_jax.fitting import _stages

# What the stages do.


@pytest.mark.slow
def test_both_stages_lower_their_error(small):
  generator, params, _, problem = small
  learn = fitting.LearnMask(num_steps=60, keep_fraction=0.3, kl_weight=1e-8, temperature=0.2)
  _, record = fitting.learn_mask(generator, params, problem, jax.random.key(0), learn)
  assert record["mse"].shape == (60,)
  assert record["mse"][-20:].mean() < 0.8 * record["mse"][:5].mean()
  weights = fitting.TrainWeights(num_steps=60)
  restored = fitting.train_weights(generator, params, None, problem, jax.random.key(0), weights)
  record = restored.traces["weights"]
  assert record["mse"][-1] < 0.5 * record["mse"][0]
  assert all((leaf == 1).all() for leaf in jax.tree.leaves(restored.mask))
  error = lambda image: float(jnp.mean(jnp.square(image - problem.measurement)))
  assert error(restored.last) == pytest.approx(float(record["mse"][-1]), rel=1e-4)
  assert restored.guarded is None and restored.image.shape == one_image.SHAPE


def test_the_first_steps_image_is_that_of_the_masked_params(tiny):
  generator, params = tiny
  mask = masks.threshold(masks.random_scores(jax.random.key(1), params), 0.8)
  restored = one_image.train(tiny, fitting.Problem(one_image.image()), fitting.TrainWeights(num_steps=1), mask)
  expected = masks.masked_output(generator, params, mask, generator.default_input())
  np.testing.assert_allclose(restored.last, expected, rtol=1e-5)
  np.testing.assert_allclose(restored.image, expected, rtol=1e-5)  # the average of one


def test_dead_weights_stay_exactly_zero(small):
  generator, params, _, problem = small
  mask = masks.threshold(masks.random_scores(jax.random.key(0), params), 0.5)
  stage = fitting.weight_stage(generator, fitting.TrainWeights(num_steps=25))
  run = jax.jit(lambda p: fitting.run_stage(stage, masks.apply_mask(p, mask), mask, problem, jax.random.key(0)))
  state, _ = run(params)
  one_image.assert_dead_stay_dead(state.trainable, mask, params)


def test_what_is_not_pruned_stays_open_in_the_mask_stage(tiny):
  generator, params = tiny
  logits, _ = fitting.learn_mask(generator, params, fitting.Problem(one_image.image()), jax.random.key(0),
                                 fitting.LearnMask(num_steps=3, prune="kernels"))
  assert (logits["first"]["bias"] > 20).all() and (jnp.abs(logits["first"]["kernel"]) < 5).all()


def test_scores_are_recorded_and_change_nothing(tiny):
  problem, truth = fitting.Problem(one_image.image()), one_image.image(1)
  score = lambda image: {"psnr": metrics.psnr(image, truth)}
  blind, scored = one_image.train(tiny, problem), one_image.train(tiny, problem, score=score)
  np.testing.assert_array_equal(blind.image, scored.image)
  trace = scored.traces["weights"]
  assert trace["psnr"].shape == (4,)
  np.testing.assert_allclose(trace["psnr"][-1], metrics.psnr(scored.last, truth), rtol=1e-5)
  np.testing.assert_allclose(trace["psnr_average"][-1], metrics.psnr(scored.image, truth), rtol=1e-5)
  generator, params = tiny
  _, trace = fitting.learn_mask(
      generator, params, problem, jax.random.key(0), fitting.LearnMask(num_steps=2), score=score)
  assert trace["psnr"].shape == (2,) and np.isfinite(trace["psnr"]).all()


def test_the_guard_chooses_an_output_and_needs_what_it_looks_at(tiny):
  problem = fitting.Problem(one_image.image())
  watched = one_image.train(tiny, problem, fitting.TrainWeights(num_steps=5, guard="variance", guard_window=2))
  assert 2 <= int(watched.guarded.step) <= 5 and watched.guarded.output.shape == one_image.SHAPE
  held = fitting.hold_out(problem, jax.random.key(0), 0.3)
  guarded = one_image.train(tiny, held, fitting.TrainWeights(num_steps=5, guard="held_out"))
  assert 1 <= int(guarded.guarded.step) <= 5
  with pytest.raises(ValueError, match=r"^guard='held_out' needs .*fitting\.hold_out\(problem, key\)"):
    one_image.train(tiny, problem, fitting.TrainWeights(num_steps=5, guard="held_out"))


def test_a_recorrupted_stage_ends_with_images_of_averaged_weights_that_are_fed_with_all(tiny):
  problem = _problems("gaussian")[0]
  settings = fitting.TrainWeights(num_steps=6, guard="held_out", average_decay=0.5, learning_rate=0.2)
  guarded = one_image.train(tiny, problem, settings)
  step = int(guarded.guarded.step)
  assert 1 <= step < 6  # at this rate the best step comes early
  shorter = one_image.train(tiny, problem, fitting.TrainWeights(num_steps=step, average_decay=0.5, learning_rate=0.2))
  np.testing.assert_allclose(guarded.guarded.output, shorter.image, rtol=1e-5, atol=1e-6)
  hidden = problem.held_out.pixels
  other = one_image.train(tiny, problem.replace(measurement=problem.measurement + 0.5 * hidden), settings)
  np.testing.assert_array_equal(guarded.traces["weights"]["loss"], other.traces["weights"]["loss"])
  assert (guarded.image != other.image).any()  # the last images alone see what the guard looked at


@pytest.mark.parametrize("asked, expected", [(None, 0.19), (0.3, 0.3)])
def test_the_prior_of_the_kl_is_that_asked_for_or_follows_the_number_of_measured_values(tiny, asked, expected):
  """KL per weight at logit 0 is 0.5 log(0.5 / p) + 0.5 log(0.5 / (1 - p)); here are 256 weights and 256 values."""
  generator, params = tiny
  assert masks.count_weights(params) == 256
  _, trace = fitting.learn_mask(generator, params, fitting.Problem(one_image.image()), jax.random.key(0),
                                fitting.LearnMask(num_steps=1, keep_fraction=asked))
  kl = 0.5 * np.log(0.5 / expected) + 0.5 * np.log(0.5 / (1 - expected))
  assert float(trace["kl"][0]) == pytest.approx(256 * kl, rel=1e-4)


def test_measured_values_are_counted_without_what_is_lost_and_at_most_those_of_the_image():
  lost = metrics.Valid(jnp.zeros((16, 16, 1)).at[:8].set(1), 128)
  for problem, count in [
      (fitting.Problem(jnp.zeros((16, 16, 3))), 768), (fitting.Problem(jnp.zeros((9, 5))), 45),
      (fitting.Problem(jnp.zeros((9, 5), jnp.complex64)), 90), (fitting.Problem(jnp.zeros((99, 99))), 768),
      (fitting.Problem(jnp.zeros((16, 16, 3)), fitted=lost), 3 * 128),
      (fitting.hold_out(fitting.Problem(jnp.zeros((16, 16, 3)), fitted=lost), jax.random.key(0)), 3 * 128),
      (fitting.hold_out(fitting.Problem(jnp.zeros((9, 5), jnp.complex64)), jax.random.key(0)), 90)]:
    assert _stages.count_values(problem, (16, 16, 3)) == count


def test_a_round_of_pruning_trains_as_the_weight_stage_without_what_is_random():
  weights = fitting.TrainWeights(num_steps=9, learning_rate=0.02, schedule="cosine", average_decay=0.5, input_noise=0.1,
                                 sgld_noise=1.0, guard="held_out")
  assert fitting.round_settings(weights, 7) == fitting.TrainWeights(
      num_steps=7, learning_rate=0.02, schedule="cosine", average_decay=0.5)


@pytest.mark.parametrize("options, draws", [
    ({}, False), ({"schedule": "cosine", "guard": "held_out"}, False), ({"input_noise": 0.1}, True),
    ({"sgld_noise": 1.0}, True), ({"optimizer": optax.sgd(0.1)}, True)])
def test_what_draws_by_the_shapes_is_known(options, draws):
  assert fitting.draws_by_shape(fitting.TrainWeights(**options)) is draws


# Transformations.


def _recorrupted(problem, operator, op_params, model, seed):
  """Return the problem with a measurement made anew in every step, with held-out values, and fed with what it measures."""
  given = noise.Noise(model, noise.Strength(0.1, 40.0 * seed, 0.0))
  return fitting.hold_out(problem.replace(
      net_input=None, first_image=operator.bind_first_image(op_params),
      recorruption=fitting.Recorruption(given, 0.4, 0.8, operator.split_axes, flips=True)), jax.random.key(seed), 0.2)


def _problems(recorrupted=None):
  """Two problems whose measurements, lost pixels and strengths of noise differ; recorrupted by noise of a model, or not."""
  made = []
  for seed in (1, 2):
    operator = operators.inpainting(one_image.SHAPE, kept=0.7)
    op_params = operator.init(np.random.default_rng(seed))
    forward = operator.bind(op_params)
    made.append(fitting.Problem(forward(one_image.image(seed)), forward, noise.rician(0.1 * seed),
                                net_input=0.1 * one_image.image(seed, (16, 16, 2)),
                                fitted=metrics.Valid(op_params, op_params.sum())))
    if recorrupted:
      made[-1] = _recorrupted(made[-1], operator, op_params, recorrupted, seed)
  return made


def _both(generator, learn, weights):
  """Return the function of one image that learns a mask and trains what it keeps."""
  def restore_one(params, problem, key):
    first, second = jax.random.split(key)
    logits, trace = fitting.learn_mask(generator, params, problem, first, learn)
    mask = masks.threshold(logits, 0.6)
    return logits, trace, fitting.train_weights(generator, params, mask, problem, second, weights)
  return restore_one


def _settings(recorrupted, **weights):
  """Return the settings of both stages; Adam makes of gradients that are 0 but for rounding steps of their own."""
  learn, train = ({"optimizer": optax.sgd(rate)} if recorrupted else {} for rate in (30.0, 0.3))
  return (fitting.LearnMask(num_steps=3, keep_fraction=0.6, **learn),
          fitting.TrainWeights(num_steps=3, **weights, **train))


def _assert_near(tree, other, rtol=1e-4, atol=1e-5):
  assert jax.tree.structure(tree) == jax.tree.structure(other)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=atol), tree, other)


@pytest.mark.slow
@pytest.mark.parametrize("recorrupted", [None, "gaussian"])
def test_both_stages_under_jit_are_those_without(tiny, recorrupted):
  generator, params = tiny
  run = _both(generator, *_settings(recorrupted, sgld_noise=0.1, input_noise=0.01))
  problem, key = _problems(recorrupted)[0], jax.random.key(5)
  _assert_near(jax.jit(run)(params, problem, key), run(params, problem, key))


@pytest.mark.parametrize("recorrupted, guard", [
    (None, "variance"), pytest.param("poisson_gaussian", "held_out", marks=pytest.mark.slow)])
def test_both_stages_under_vmap_are_those_one_by_one(tiny, recorrupted, guard):
  generator, params = tiny
  others = generator.init(jax.random.key(9))[0]
  run = _both(generator, *_settings(recorrupted, guard=guard, guard_window=2))
  problems, keys = _problems(recorrupted), jax.random.split(jax.random.key(5), 2)
  stack = lambda *trees: jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
  together = jax.jit(jax.vmap(run))(stack(params, others), stack(*problems), keys)
  alone = jax.jit(run)
  rows = [alone(*row) for row in zip((params, others), problems, keys)]
  _assert_near(together, stack(*rows))
  assert (rows[0][2].image != rows[1][2].image).any()


_ON_TWO_DEVICES = """
    import jax, jax.numpy as jnp, numpy as np
    from oes_jax import fitting, generators, masks, noise, parallel
    assert jax.device_count() == 2
    generator = generators.from_apply(
        lambda key: {"kernel": jax.random.normal(key, (2, 1)), "bias": jnp.zeros(1)},
        lambda params, z: jax.nn.sigmoid(20 * z @ params["kernel"] + params["bias"][None, None]),
        net_input_shape=(16, 16, 2))
    def restore_one(params, problem, key_data):
      key = jax.random.wrap_key_data(key_data)
      logits, _ = fitting.learn_mask(generator, params, problem, key, fitting.LearnMask(num_steps=3, keep_fraction=0.6))
      restored = fitting.train_weights(
          generator, params, masks.threshold(logits, 0.6), problem, key, fitting.TrainWeights(num_steps=3))
      return logits, restored
    images = np.random.default_rng(0).random((2, 16, 16, 1), np.float32)
    mesh, alone = parallel.image_mesh(), jax.jit(restore_one)
    for recorruption in (None, fitting.Recorruption(noise.gaussian(0.1))):
      rows = [(generator.init(jax.random.key(seed))[0], fitting.Problem(image, recorruption=recorruption),
               jax.random.key_data(jax.random.key(seed))) for seed, image in enumerate(images)]
      batch = parallel.put(mesh, parallel.stack(rows))
      together = parallel.over_images(restore_one, mesh)(*batch)
      assert len(together[1].image.addressable_shards) == 2
      together = parallel.rows(together)
      for row, args in enumerate(rows):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a[row], b, rtol=1e-4, atol=1e-5), together, alone(*args))
      assert (together[1].image[0] != together[1].image[1]).any()
"""


@pytest.mark.slow
def test_both_stages_over_the_images_of_two_devices_are_those_one_by_one():
  done = subprocess.run([sys.executable, "-c", textwrap.dedent(_ON_TWO_DEVICES)], check=False, capture_output=True,
                        text=True, env={**os.environ, "JAX_NUM_CPU_DEVICES": "2"})
  assert done.returncode == 0, done.stderr
