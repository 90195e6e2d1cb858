"""Stages with optimisers, forwards, losses and networks of one's own."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fitting import one_image
from generators import own
import oes_jax
from oes_jax import fitting
from oes_jax import masks

OPTIMIZERS = {"adamw": optax.adamw(0.01, weight_decay=0.1), "sgd": optax.sgd(0.5, momentum=0.9),
              "clipped": optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.01))}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_any_optimizer_trains_and_leaves_dead_weights_at_zero(tiny, name):
  generator, params = tiny
  mask = masks.threshold(masks.random_scores(jax.random.key(0), params), 0.7)
  stage = fitting.weight_stage(generator, fitting.TrainWeights(num_steps=8, optimizer=OPTIMIZERS[name]))
  problem = fitting.Problem(jnp.full(one_image.SHAPE, 0.2), net_input=generator.default_input())
  run = jax.jit(lambda p: fitting.run_stage(stage, masks.apply_mask(p, mask), mask, problem, jax.random.key(0)))
  state, trace = run(params)
  one_image.assert_dead_stay_dead(state.trainable, mask, params)
  assert trace["loss"][-1] < trace["loss"][0]
  restored = one_image.train(tiny, problem, fitting.TrainWeights(num_steps=8, optimizer=OPTIMIZERS[name]), mask)
  np.testing.assert_allclose(restored.traces["weights"]["loss"], trace["loss"], rtol=1e-5)


def test_an_optimizer_takes_the_place_of_adam_in_the_mask_stage(tiny):
  generator, params = tiny
  problem = fitting.Problem(one_image.image())
  learn = functools.partial(fitting.learn_mask, generator, params, problem, jax.random.key(0))
  still, _ = learn(fitting.LearnMask(num_steps=2, optimizer=optax.sgd(0.0)))
  moved, _ = learn(fitting.LearnMask(num_steps=2, optimizer=optax.adam(0.1)))
  same, _ = learn(fitting.LearnMask(num_steps=2, learning_rate=0.1, schedule="constant"))
  assert not any(leaf.any() for leaf in jax.tree.leaves(still))
  assert all(leaf.all() for leaf in jax.tree.leaves(moved))
  jax.tree.map(np.testing.assert_array_equal, moved, same)


def test_a_nonlinear_forward_is_explained(tiny):
  forward = lambda image: jnp.abs(jnp.fft.fft2(image, axes=(0, 1), norm="ortho"))
  generator, _ = tiny
  other = generator.init(jax.random.key(9))[0]  # an image that the generator can make
  measured = forward(generator.apply(other, generator.default_input()))
  problem = oes_jax.Problem(measured, forward)
  restored = one_image.train(tiny, problem, fitting.TrainWeights(num_steps=9, learning_rate=0.03))
  loss = restored.traces["weights"]["loss"]
  assert loss[-1] < 0.9 * loss[0]
  assert float(loss[-1]) == pytest.approx(float(jnp.mean(jnp.square(forward(restored.last) - measured))), rel=1e-4)


def test_a_complex_forward_is_explained_in_both_parts(tiny):
  forward = lambda image: jnp.fft.fft2(image, axes=(0, 1), norm="ortho")
  image = one_image.image()
  complex_ = one_image.train(tiny, fitting.Problem(forward(image), forward))
  direct = one_image.train(tiny, fitting.Problem(image))
  # Parseval: both parts together are the squared error of the image, over twice as many values.
  np.testing.assert_allclose(2 * complex_.traces["weights"]["loss"], direct.traces["weights"]["loss"], rtol=1e-3)
  np.testing.assert_allclose(complex_.image, direct.image, atol=1e-3)


@pytest.mark.parametrize("loss, scale", [
    (lambda predicted, measured: jnp.square(predicted - measured), 1),
    (lambda predicted, measured: 3 * jnp.mean(jnp.square(predicted - measured)), 3)])
def test_a_loss_of_ones_own_is_minimised_of_every_value_or_in_all(tiny, loss, scale):
  image = one_image.image()
  own_loss, known = (one_image.train(tiny, fitting.Problem(image, **options)) for options in ({"loss": loss}, {}))
  np.testing.assert_allclose(own_loss.traces["weights"]["loss"], scale * known.traces["weights"]["loss"], rtol=1e-4)
  absolute = one_image.train(tiny, fitting.Problem(image, loss=lambda p, m: jnp.abs(p - m)))
  assert not np.allclose(absolute.last, known.last, atol=1e-6)
  generator, params = tiny
  _, trace = fitting.learn_mask(generator, params, fitting.Problem(image, loss=loss), jax.random.key(0),
                                fitting.LearnMask(num_steps=2))
  assert np.isfinite(trace["loss"]).all()


def test_one_number_is_refused_where_values_are_held_out(tiny):
  problem = fitting.Problem(one_image.image(), loss=lambda p, m: jnp.mean(jnp.abs(p - m)))
  problem = fitting.hold_out(problem, jax.random.key(0))
  with pytest.raises(ValueError, match="^loss gives one number, .*the loss of every value"):
    one_image.train(tiny, problem)


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


@pytest.mark.parametrize("changes, said", [
    ({"forward": lambda image: image[:8]}, r"forward gives \(8, 16, 1\) of an image \(16, 16, 1\); allowed: \(16, 16, 1\)"),
    ({"forward": jnp.sum}, r"forward gives \(\) of an image"),
    ({"loss": lambda predicted, measured: jnp.abs(predicted - measured).mean(-1)}, r"loss gives \(16, 16\); allowed: \(16, 16, 1\)"),
])
def test_a_part_of_another_shape_is_refused_and_never_broadcast(tiny, changes, said):
  problem = fitting.Problem(one_image.image()).replace(**changes)
  with pytest.raises(ValueError, match=said):
    one_image.train(tiny, problem)


def test_a_mask_is_a_tree_like_the_params_of_1_and_0(tiny):
  _, params = tiny
  problem = fitting.Problem(one_image.image())
  for mask, said in (({"a": jnp.ones(3)}, "mask is a tree .*allowed: one like the params"),
                     (jax.tree.map(lambda p: jnp.ones((*p.shape, 1)), params), "mask has an array of shape"),
                     (jax.tree.map(lambda p: p + 0.3, params), "mask holds values other than 1 and 0")):
    with pytest.raises(ValueError, match=said):
      one_image.train(tiny, problem, mask=mask)


def test_a_share_to_hold_out_is_checked():
  with pytest.raises(ValueError, match="share=0.9 is not allowed"):
    fitting.hold_out(fitting.Problem(one_image.image()), jax.random.key(0), 0.9)
