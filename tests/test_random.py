"""Cheap draws: their distributions, counters and keys; and the streams of a seed."""

import jax
import jax.numpy as jnp
import numpy as np

from oes_jax import random


def test_streams_differ_and_repeat():
  keys = {name: tuple(np.asarray(jax.random.key_data(random.stream_key(0, name)))) for name in random.STREAMS}
  assert len(set(keys.values())) == len(random.STREAMS)
  again = tuple(np.asarray(jax.random.key_data(random.stream_key(0, "mask"))))
  assert again == keys["mask"]
  assert again != tuple(np.asarray(jax.random.key_data(random.stream_key(1, "mask"))))


def test_draws_are_uniform_and_normal():
  draws = np.asarray(random.uniform(jax.random.key(0), 0, (200, 200), jnp.float32))
  assert 0 < draws.min() < 1e-3 and 0.999 < draws.max() < 1
  assert abs(draws.mean() - 0.5) < 0.01 and abs(draws.std() - 12 ** -0.5) < 0.005
  draws = np.asarray(random.normal(jax.random.key(0), 0, (200, 200), jnp.float32))
  assert abs(draws.mean()) < 0.02 and abs(draws.std() - 1) < 0.02 and np.abs(draws).max() < 5.3


def test_a_draw_is_that_of_its_key_and_counter_whatever_the_shape():
  key = jax.random.key(3)
  whole = random.uniform(key, 0, (6, 4), jnp.float32)
  np.testing.assert_array_equal(random.uniform(key, 8, (16,), jnp.float32), whole.ravel()[8:])
  assert (random.uniform(jax.random.key(4), 0, (6, 4), jnp.float32) != whole).all()
  keys = jax.random.split(key, 2)
  together = jax.vmap(lambda one: random.uniform(one, 0, (6,), jnp.float32))(keys)
  for row, one in enumerate(keys):
    np.testing.assert_array_equal(together[row], random.uniform(one, 0, (6,), jnp.float32))
