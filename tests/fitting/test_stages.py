"""Both stages of one image: under jit, vmap and on devices, with forwards, losses, optimisers and networks of one's own."""

import functools
import os
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from generators import own
import oes_jax
from oes_jax import fitting
from oes_jax import masks
from oes_jax import metrics
from oes_jax import noise
from oes_jax import operators
from oes_jax.fitting import _stages

SHAPE = (16, 16, 1)
FEW = fitting.TrainWeights(num_steps=4)


def _image(seed=0, shape=SHAPE):
  return jnp.asarray(np.random.default_rng(seed).uniform(0.1, 0.9, shape), jnp.float32)


def _train(tiny, problem, settings=FEW, mask=None, **options):
  generator, params = tiny
  return jax.jit(lambda params, problem: fitting.train_weights(
      generator, params, mask, problem, jax.random.key(3), settings, **options))(params, problem)


# What the stages do.


def test_both_stages_lower_their_error(small):
  generator, params, _, problem = small
  learn = fitting.LearnMask(num_steps=60, keep_fraction=0.3, kl_weight=1e-8, temperature=0.2)
  _, record = fitting.learn_mask(generator, params, problem, jax.random.key(0), learn)
  assert record["mse"].shape == (60,)
  assert record["mse"][-20:].mean() < 0.8 * record["mse"][:5].mean()
  restored = fitting.train_weights(generator, params, None, problem, jax.random.key(0), fitting.TrainWeights(num_steps=60))
  record = restored.traces["weights"]
  assert record["mse"][-1] < 0.5 * record["mse"][0]
  assert all((leaf == 1).all() for leaf in jax.tree.leaves(restored.mask))
  error = lambda image: float(jnp.mean(jnp.square(image - problem.measurement)))
  assert error(restored.last) == pytest.approx(float(record["mse"][-1]), rel=1e-4)
  assert restored.guarded is None and restored.image.shape == SHAPE


def test_the_first_steps_image_is_that_of_the_masked_params(tiny):
  generator, params = tiny
  mask = masks.threshold(masks.random_scores(jax.random.key(1), params), 0.8)
  restored = _train(tiny, fitting.Problem(_image()), fitting.TrainWeights(num_steps=1), mask)
  expected = masks.masked_output(generator, params, mask, generator.default_input())
  np.testing.assert_allclose(restored.last, expected, rtol=1e-5)
  np.testing.assert_allclose(restored.image, expected, rtol=1e-5)  # the average of one


def _assert_dead_stay_dead(trained, mask, params):
  moved = 0
  for weight, kept, start in zip(*(jax.tree.leaves(t) for t in (trained, mask, params))):
    weight, kept = np.asarray(weight), np.asarray(kept) != 0
    assert not np.any(weight[~kept])
    moved += np.sum(weight[kept] != np.asarray(start)[kept])
  assert moved > 0


def test_dead_weights_stay_exactly_zero(small):
  generator, params, _, problem = small
  mask = masks.threshold(masks.random_scores(jax.random.key(0), params), 0.5)
  stage = fitting.weight_stage(generator, fitting.TrainWeights(num_steps=25))
  state, _ = jax.jit(lambda p: fitting.run_stage(stage, masks.apply_mask(p, mask), mask, problem, jax.random.key(0)))(params)
  _assert_dead_stay_dead(state.trainable, mask, params)


OPTIMIZERS = {"adamw": optax.adamw(0.01, weight_decay=0.1), "sgd": optax.sgd(0.5, momentum=0.9),
              "clipped": optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.01))}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_any_optimizer_trains_and_leaves_dead_weights_at_zero(tiny, name):
  generator, params = tiny
  mask = masks.threshold(masks.random_scores(jax.random.key(0), params), 0.7)
  stage = fitting.weight_stage(generator, fitting.TrainWeights(num_steps=8, optimizer=OPTIMIZERS[name]))
  problem = fitting.Problem(jnp.full(SHAPE, 0.2), net_input=generator.default_input())
  state, trace = jax.jit(lambda p: fitting.run_stage(stage, masks.apply_mask(p, mask), mask, problem, jax.random.key(0)))(params)
  _assert_dead_stay_dead(state.trainable, mask, params)
  assert trace["loss"][-1] < trace["loss"][0]
  restored = _train(tiny, problem, fitting.TrainWeights(num_steps=8, optimizer=OPTIMIZERS[name]), mask)
  np.testing.assert_allclose(restored.traces["weights"]["loss"], trace["loss"], rtol=1e-5)


def test_an_optimizer_takes_the_place_of_adam_in_the_mask_stage(tiny):
  generator, params = tiny
  learn = functools.partial(fitting.learn_mask, generator, params, fitting.Problem(_image()), jax.random.key(0))
  still, _ = learn(fitting.LearnMask(num_steps=2, optimizer=optax.sgd(0.0)))
  moved, _ = learn(fitting.LearnMask(num_steps=2, optimizer=optax.adam(0.1)))
  same, _ = learn(fitting.LearnMask(num_steps=2, learning_rate=0.1, schedule="constant"))
  assert not any(leaf.any() for leaf in jax.tree.leaves(still))
  assert all(leaf.all() for leaf in jax.tree.leaves(moved))
  jax.tree.map(np.testing.assert_array_equal, moved, same)


def test_what_is_not_pruned_stays_open_in_the_mask_stage(tiny):
  generator, params = tiny
  logits, _ = fitting.learn_mask(generator, params, fitting.Problem(_image()), jax.random.key(0),
                                 fitting.LearnMask(num_steps=3, prune="kernels"))
  assert (logits["first"]["bias"] > 20).all() and (jnp.abs(logits["first"]["kernel"]) < 5).all()


def test_scores_are_recorded_and_change_nothing(tiny):
  problem, truth = fitting.Problem(_image()), _image(1)
  score = lambda image: {"psnr": metrics.psnr(image, truth)}
  blind, scored = _train(tiny, problem), _train(tiny, problem, score=score)
  np.testing.assert_array_equal(blind.image, scored.image)
  trace = scored.traces["weights"]
  assert trace["psnr"].shape == (4,)
  np.testing.assert_allclose(trace["psnr"][-1], metrics.psnr(scored.last, truth), rtol=1e-5)
  np.testing.assert_allclose(trace["psnr_average"][-1], metrics.psnr(scored.image, truth), rtol=1e-5)
  generator, params = tiny
  _, trace = fitting.learn_mask(generator, params, problem, jax.random.key(0), fitting.LearnMask(num_steps=2), score=score)
  assert trace["psnr"].shape == (2,) and np.isfinite(trace["psnr"]).all()


def test_the_guard_chooses_an_output_and_needs_what_it_looks_at(tiny):
  problem = fitting.Problem(_image())
  watched = _train(tiny, problem, fitting.TrainWeights(num_steps=5, guard="variance", guard_window=2))
  assert 2 <= int(watched.guarded.step) <= 5 and watched.guarded.output.shape == SHAPE
  held = fitting.hold_out(problem, jax.random.key(0), 0.3)
  guarded = _train(tiny, held, fitting.TrainWeights(num_steps=5, guard="held_out"))
  assert 1 <= int(guarded.guarded.step) <= 5
  with pytest.raises(ValueError, match=r"^guard='held_out' needs .*fitting\.hold_out\(problem, key\)"):
    _train(tiny, problem, fitting.TrainWeights(num_steps=5, guard="held_out"))


@pytest.mark.parametrize("asked, expected", [(None, 0.19), (0.3, 0.3)])
def test_the_prior_of_the_kl_is_that_asked_for_or_follows_the_number_of_measured_values(tiny, asked, expected):
  """KL per weight at logit 0 is 0.5 log(0.5 / p) + 0.5 log(0.5 / (1 - p)); here are 256 weights and 256 values."""
  generator, params = tiny
  assert masks.count_weights(params) == 256
  _, trace = fitting.learn_mask(generator, params, fitting.Problem(_image()), jax.random.key(0),
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


# Transformations.


def _problems():
  """Two problems whose measurements, lost pixels and strengths of noise differ."""
  made = []
  for seed in (1, 2):
    operator = operators.inpainting(SHAPE, kept=0.7)
    op_params = operator.init(np.random.default_rng(seed))
    forward = operator.bind(op_params)
    made.append(fitting.Problem(forward(_image(seed)), forward, noise.rician(0.1 * seed), net_input=_net_input(seed),
                                fitted=metrics.Valid(op_params, op_params.sum())))
  return made


def _net_input(seed):
  return 0.1 * _image(seed, (16, 16, 2))


def _both(generator, learn, weights):
  """Return the function of one image that learns a mask and trains what it keeps."""
  def restore_one(params, problem, key):
    first, second = jax.random.split(key)
    logits, trace = fitting.learn_mask(generator, params, problem, first, learn)
    mask = masks.threshold(logits, 0.6)
    return logits, trace, fitting.train_weights(generator, params, mask, problem, second, weights)
  return restore_one


LEARN = fitting.LearnMask(num_steps=3, keep_fraction=0.6)


def _assert_near(tree, other, rtol=1e-4, atol=1e-5):
  assert jax.tree.structure(tree) == jax.tree.structure(other)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=atol), tree, other)


def test_both_stages_under_jit_are_those_without(tiny):
  generator, params = tiny
  run = _both(generator, LEARN, fitting.TrainWeights(num_steps=3, sgld_noise=0.1, input_noise=0.01))
  problem, key = _problems()[0], jax.random.key(5)
  _assert_near(jax.jit(run)(params, problem, key), run(params, problem, key))


def test_both_stages_under_vmap_are_those_one_by_one(tiny):
  generator, params = tiny
  others = generator.init(jax.random.key(9))[0]
  run = _both(generator, LEARN, fitting.TrainWeights(num_steps=3, guard="variance", guard_window=2))
  problems, keys = _problems(), jax.random.split(jax.random.key(5), 2)
  stack = lambda *trees: jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
  together = jax.jit(jax.vmap(run))(stack(params, others), stack(*problems), keys)
  alone = jax.jit(run)
  rows = [alone(*row) for row in zip((params, others), problems, keys)]
  _assert_near(together, stack(*rows))
  assert (rows[0][2].image != rows[1][2].image).any()


_ON_TWO_DEVICES = """
    import jax, jax.numpy as jnp, numpy as np
    from oes_jax import fitting, generators, masks, parallel
    assert jax.device_count() == 2
    generator = generators.from_apply(
        lambda key: {"kernel": jax.random.normal(key, (2, 1)), "bias": jnp.zeros(1)},
        lambda params, z: jax.nn.sigmoid(20 * z @ params["kernel"] + params["bias"][None, None]), net_input_shape=(16, 16, 2))
    def restore_one(params, problem, key_data):
      key = jax.random.wrap_key_data(key_data)
      logits, _ = fitting.learn_mask(generator, params, problem, key, fitting.LearnMask(num_steps=3, keep_fraction=0.6))
      restored = fitting.train_weights(
          generator, params, masks.threshold(logits, 0.6), problem, key, fitting.TrainWeights(num_steps=3))
      return logits, restored
    images = np.random.default_rng(0).random((2, 16, 16, 1), np.float32)
    rows = [(generator.init(jax.random.key(seed))[0], fitting.Problem(image), jax.random.key_data(jax.random.key(seed)))
            for seed, image in enumerate(images)]
    mesh = parallel.image_mesh()
    batch = parallel.put(mesh, parallel.stack(rows))
    together = parallel.over_images(restore_one, mesh)(*batch)
    assert len(together[1].image.addressable_shards) == 2
    together, alone = parallel.rows(together), jax.jit(restore_one)
    for row, args in enumerate(rows):
      jax.tree.map(lambda a, b: np.testing.assert_allclose(a[row], b, rtol=1e-4, atol=1e-5), together, alone(*args))
    assert (together[1].image[0] != together[1].image[1]).any()
"""


def test_both_stages_over_the_images_of_two_devices_are_those_one_by_one():
  done = subprocess.run([sys.executable, "-c", textwrap.dedent(_ON_TWO_DEVICES)], check=False, capture_output=True, text=True,
                        env={**os.environ, "JAX_NUM_CPU_DEVICES": "2"})
  assert done.returncode == 0, done.stderr


# Of one's own.


def test_a_nonlinear_forward_is_explained(tiny):
  forward = lambda image: jnp.abs(jnp.fft.fft2(image, axes=(0, 1), norm="ortho"))
  generator, _ = tiny
  other = generator.init(jax.random.key(9))[0]  # an image that the generator can make
  measured = forward(generator.apply(other, generator.default_input()))
  restored = _train(tiny, oes_jax.Problem(measured, forward), fitting.TrainWeights(num_steps=9, learning_rate=0.03))
  loss = restored.traces["weights"]["loss"]
  assert loss[-1] < 0.9 * loss[0]
  assert float(loss[-1]) == pytest.approx(float(jnp.mean(jnp.square(forward(restored.last) - measured))), rel=1e-4)


def test_a_complex_forward_is_explained_in_both_parts(tiny):
  forward = lambda image: jnp.fft.fft2(image, axes=(0, 1), norm="ortho")
  image = _image()
  complex_, direct = _train(tiny, fitting.Problem(forward(image), forward)), _train(tiny, fitting.Problem(image))
  # Parseval: both parts together are the squared error of the image, over twice as many values.
  np.testing.assert_allclose(2 * complex_.traces["weights"]["loss"], direct.traces["weights"]["loss"], rtol=1e-3)
  np.testing.assert_allclose(complex_.image, direct.image, atol=1e-3)


@pytest.mark.parametrize("loss, scale", [
    (lambda predicted, measured: jnp.square(predicted - measured), 1),
    (lambda predicted, measured: 3 * jnp.mean(jnp.square(predicted - measured)), 3)])
def test_a_loss_of_ones_own_is_minimised_of_every_value_or_in_all(tiny, loss, scale):
  own_loss, known = (_train(tiny, fitting.Problem(_image(), **options)) for options in ({"loss": loss}, {}))
  np.testing.assert_allclose(own_loss.traces["weights"]["loss"], scale * known.traces["weights"]["loss"], rtol=1e-4)
  absolute = _train(tiny, fitting.Problem(_image(), loss=lambda predicted, measured: jnp.abs(predicted - measured)))
  assert not np.allclose(absolute.last, known.last, atol=1e-6)
  generator, params = tiny
  _, trace = fitting.learn_mask(generator, params, fitting.Problem(_image(), loss=loss), jax.random.key(0),
                                fitting.LearnMask(num_steps=2))
  assert np.isfinite(trace["loss"]).all()


def test_one_number_is_refused_where_values_are_held_out(tiny):
  problem = fitting.hold_out(fitting.Problem(_image(), loss=lambda p, m: jnp.mean(jnp.abs(p - m))), jax.random.key(0))
  with pytest.raises(ValueError, match="^loss gives one number, .*the loss of every value"):
    _train(tiny, problem)


@pytest.mark.parametrize("make, optimizer", [
    (own.linen, None), (own.linen, optax.adamw(0.01)), (own.nnx_module, optax.sgd(0.1))])
def test_a_network_of_ones_own_is_masked_and_trained(make, optimizer):
  generator = make()
  params, _ = generator.init(jax.random.key(0))
  problem = fitting.Problem(jnp.full((16, 18, 1), 0.2))
  logits, _ = fitting.learn_mask(generator, params, problem, jax.random.key(1), fitting.LearnMask(num_steps=2))
  mask = masks.threshold(logits, 0.7)
  assert sum(int(leaf.sum()) for leaf in jax.tree.leaves(mask)) == int(0.7 * masks.count_weights(params))
  image = masks.masked_output(generator, params, mask, generator.default_input())
  assert masks.find_collapse(generator, mask, image) == []
  nothing = jax.tree.map(jnp.zeros_like, params)
  image = masks.masked_output(generator, params, nothing, generator.default_input())
  assert masks.find_collapse(generator, nothing, image) == ["the masked, untrained image varies by 0 only"]
  restored = fitting.train_weights(generator, params, mask, problem, jax.random.key(2),
                                   fitting.TrainWeights(num_steps=5, optimizer=optimizer))
  loss = restored.traces["weights"]["loss"]
  assert restored.image.shape == (16, 18, 1) and loss[-1] < loss[0]
  for leaf, kept in zip(jax.tree.leaves(restored.params), jax.tree.leaves(mask)):
    assert not np.any(np.asarray(leaf)[np.asarray(kept) == 0])
