"""The hourglass equals a plain forward pass, trains like it, and has the published sizes."""

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


def test_it_equals_the_plain_forward_pass(x64):
  plain.check_against("hourglass", plain.hourglass)


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


@pytest.mark.parametrize("num_scales, num_weights, num_arrays", [
    (6, 3_008_867, 86), (5, 2_040_803, 72), (4, 1_072_739, 58)])
def test_published_sizes(num_scales, num_weights, num_arrays):
  _, params = plain.make_published("hourglass", num_scales)
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


def test_its_defaults_are_those_of_its_name():
  made, named = generators.hourglass((64, 64, 3)), generators.make_generator("hourglass", image_shape=(64, 64, 3))
  assert made.spec == named.spec and made.graph == named.graph and made.spec["channels"] == [16, 32, 64, 128]
