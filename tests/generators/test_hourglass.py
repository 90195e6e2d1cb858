"""The hourglasses equal a plain forward pass, train like it, and have the published sizes."""

import functools
import math

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from generators import plain
from oes_jax import generators


HOURGLASSES = [pytest.param("hourglass", marks=pytest.mark.slow), "skip_hourglass"]  # the second has all of the first


@pytest.mark.slow
@pytest.mark.parametrize("name", HOURGLASSES)
def test_it_equals_the_plain_forward_pass(x64, name):
  plain.check_against(name, plain.hourglass)


def _adam_losses(apply, params, z, target, *, num_steps):
  """Losses before each of `num_steps` Adam steps."""
  optimizer = optax.adam(1e-2)
  loss = lambda p: jnp.mean(jnp.square(apply(p, z) - target))
  def step(carry, _):
    params, state = carry
    value, gradient = jax.value_and_grad(loss)(params)
    updates, state = optimizer.update(gradient, state)
    return (optax.apply_updates(params, updates), state), value
  return lax.scan(step, (params, optimizer.init(params)), length=num_steps)[1]


@pytest.mark.slow
def test_two_hundred_adam_steps_equal_those_of_the_plain_forward(x64):
  generator = plain.make_small("hourglass")
  params, z = plain.random_params(generator), plain.random_net_input(generator, np.float64)
  target = np.random.default_rng(2).uniform(size=(16, 16, 3))
  actual, expected = (jax.jit(functools.partial(_adam_losses, apply, num_steps=200))(
      params, z, target) for apply in (generator.apply, plain.hourglass))
  assert actual.dtype == jnp.float64 and expected[-1] < 0.5 * expected[0]
  np.testing.assert_allclose(actual, expected, rtol=1e-9)


@pytest.mark.parametrize("name, num_scales, num_weights, num_arrays", [
    ("hourglass", 6, 3_008_867, 86), ("hourglass", 5, 2_040_803, 72), ("hourglass", 4, 1_072_739, 58),
    ("skip_hourglass", 4, 2_043_411, 74)])
def test_published_sizes(name, num_scales, num_weights, num_arrays):
  _, params = plain.make_published(name, num_scales)
  leaves = jax.tree.leaves(params)
  assert sum(math.prod(leaf.shape) for leaf in leaves) == num_weights
  assert len(leaves) == num_arrays


def test_it_splits_as_published():
  _, params = plain.make_published("hourglass", 6)
  encoder = sum(math.prod(leaf.shape) for name, leaf in plain.named_leaves(params).items()
                if name.startswith("encoder"))
  assert (encoder, 3_008_867 - encoder) == (2_466_976, 541_891)


def test_lowered_generator_is_the_one_with_fewer_scales():
  _, lowered = plain.make_published("hourglass", 6, image_shape=(128, 128, 3))
  _, asked = plain.make_published("hourglass", 5, image_shape=(128, 128, 3))
  assert plain.named_leaves(lowered) == plain.named_leaves(asked)


@pytest.mark.parametrize("name, widths", [("hourglass", [16, 32, 64, 128]), ("skip_hourglass", [32, 64, 128, 128])])
def test_its_defaults_are_those_of_its_name(name, widths):
  made, named = getattr(generators, name)((64, 64, 3)), generators.make_generator(name, image_shape=(64, 64, 3))
  assert made.spec == named.spec and made.graph == named.graph and made.spec["channels"] == widths
  assert made.net_input_shape == (64, 64, 32)


@pytest.mark.parametrize("name", HOURGLASSES)
def test_its_network_input_has_the_channels_asked_for(name):
  usual, asked = (plain.make_small(name, input_channels=channels) for channels in (32, 5))
  assert asked.spec == {**usual.spec, "input_channels": 5} and asked.net_input_shape == (16, 16, 5)
  params, _ = jax.eval_shape(asked.init, jax.random.key(0))
  assert params["encoder_01"]["conv_a"]["kernel"].shape[2] == 5
  assert jax.eval_shape(asked.apply, params, asked.default_input()).shape == (16, 16, 3)


def test_every_scale_has_the_skip_channels_asked_for():
  generator = plain.make_small("skip_hourglass", skip_channels=3)
  assert generator.spec == {"name": "skip_hourglass", "num_scales": 2, "channels": [4, 6], "image_channels": 3,
                            "skip_channels": 3}
  leaves = plain.named_leaves(jax.eval_shape(generator.init, jax.random.key(0))[0])
  assert [leaves[f"skip_0{i}/conv/kernel"].shape for i in (1, 2)] == [(1, 1, 32, 3), (1, 1, 4, 3)]
  assert [leaves[f"decoder_0{i}/norm_in/scale"].shape for i in (1, 2)] == [(9,), (9,)]
  assert [leaves[f"decoder_0{i}/conv/kernel"].shape for i in (1, 2)] == [(3, 3, 9, 4), (3, 3, 9, 6)]
  assert jax.eval_shape(generator.apply, plain.random_params(generator), generator.default_input()).shape == (16, 16, 3)

