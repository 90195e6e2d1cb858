"""What tests of one image's stages share."""

import jax
import jax.numpy as jnp
import numpy as np

from oes_jax import fitting

SHAPE = (16, 16, 1)
FEW = fitting.TrainWeights(num_steps=4)


def image(seed=0, shape=SHAPE):
  return jnp.asarray(np.random.default_rng(seed).uniform(0.1, 0.9, shape), jnp.float32)


def train(tiny, problem, settings=FEW, mask=None, **options):
  """Train the weights of (generator, params), compiled."""
  generator, params = tiny
  return jax.jit(lambda params, problem: fitting.train_weights(
      generator, params, mask, problem, jax.random.key(3), settings, **options))(params, problem)


def assert_dead_stay_dead(trained, mask, params):
  """Assert that weights are 0 where the mask is, and that others have moved."""
  moved = 0
  for weight, kept, start in zip(*(jax.tree.leaves(t) for t in (trained, mask, params))):
    weight, kept = np.asarray(weight), np.asarray(kept) != 0
    assert not np.any(weight[~kept])
    moved += np.sum(weight[kept] != np.asarray(start)[kept])
  assert moved > 0
