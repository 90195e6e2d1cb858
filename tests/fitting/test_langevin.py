"""Langevin noise: which weights it moves, how far, and from which key."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from generators import own
from oes_jax import fitting
from oes_jax import masks

PARAMS = {"conv": {"kernel": np.zeros((50, 60), np.float32), "bias": np.zeros(60, np.float32)},
          "norm": {"scale": np.ones(60, np.float32)}}
MASK = jax.tree.map(lambda p: (np.random.default_rng(p.size).random(p.shape) < 0.5).astype(np.float32), PARAMS)


def _update(transformation, state, seed=0):
  zeros = jax.tree.map(jnp.zeros_like, PARAMS)
  return transformation.update(zeros, state, PARAMS, key=jax.random.key(seed), frozen=MASK)


def test_kept_kernel_weights_alone_are_moved_by_the_deviation_asked_for():
  transformation = fitting.langevin_noise(2.0, 0.1)
  updates, state = _update(transformation, transformation.init(PARAMS))
  moved, kept = np.asarray(updates["conv"]["kernel"]), MASK["conv"]["kernel"] > 0
  assert (moved[kept] != 0).all() and not moved[~kept].any()
  assert moved[kept].std() == pytest.approx(0.2, rel=0.1) and abs(moved[kept].mean()) < 0.02
  assert not updates["conv"]["bias"].any() and not updates["norm"]["scale"].any()
  assert int(state.count) == 1


def test_the_draw_is_that_of_the_key_and_is_added_to_the_update():
  transformation = fitting.langevin_noise(1.0, 0.1)
  first, again, other = (_update(transformation, transformation.init(PARAMS), seed)[0]["conv"]["kernel"]
                         for seed in (0, 0, 1))
  np.testing.assert_array_equal(first, again)
  kept = MASK["conv"]["kernel"] > 0
  assert (first != other)[kept].all()
  ones = jax.tree.map(jnp.ones_like, PARAMS)
  added, _ = transformation.update(ones, transformation.init(PARAMS), PARAMS, key=jax.random.key(0), frozen=MASK)
  np.testing.assert_allclose(added["conv"]["kernel"], 1 + first, rtol=1e-6)


def test_the_deviation_follows_the_schedule():
  transformation = fitting.langevin_noise(1.0, optax.linear_schedule(0.1, 0.0, 2))
  state, deviations = transformation.init(PARAMS), []
  for _ in range(3):
    updates, state = _update(transformation, state)
    deviations.append(float(jnp.abs(updates["conv"]["kernel"]).max()))
  np.testing.assert_allclose(deviations, [deviations[0], deviations[0] / 2, 0], rtol=1e-5)
  assert deviations[0] > 0


@pytest.mark.parametrize("make", [own.linen, own.nnx_module])
def test_in_a_stage_kernels_alone_move_where_nothing_is_learned(make):
  generator = make()
  params, _ = generator.init(jax.random.key(0))
  scores = masks.random_scores(jax.random.key(1), params)
  mask = masks.threshold(scores, 0.6)
  settings = fitting.TrainWeights(num_steps=2, learning_rate=0.1, optimizer=optax.sgd(0.0), sgld_noise=0.5)
  trained = fitting.train_weights(
      generator, params, mask, fitting.Problem(jnp.full((16, 18, 1), 0.3)), jax.random.key(2), settings).params
  spared = jax.tree.leaves(masks.is_spared(params, "kernels"))
  assert set(spared) == {True, False}
  for new, old, kept, other in zip(*map(jax.tree.leaves, (trained, params, mask)), spared):
    expected_to_move = (np.asarray(kept) > 0) & (not other)
    np.testing.assert_array_equal(np.asarray(new) != np.asarray(old) * np.asarray(kept), expected_to_move)
