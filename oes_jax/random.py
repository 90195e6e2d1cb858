"""Cheap draws, a hash of a counter; and the streams of keys that a seed gives."""

import math

import jax
import jax.numpy as jnp


def _mix(x):
  """The integer hash lowbias32 of C. Wellons, "Prospecting for Hash Functions" (2018)."""
  x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
  x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
  return x ^ (x >> 16)


def uniform(key, start: int, shape, dtype):
  """Draw U(0, 1) values, never 0 or 1, as a hash of (key, start + index).

  The counter is mixed with one key word, then with the other. One draw costs a few integer
  operations that fuse into their consumer, where threefry costs more than a convolution step.
  Unlike jax.random with rbg, the values are the same alone and under vmap. Not for cryptography.

  Args:
    key: a threefry PRNG key, one per step.
    start: first counter value, so that arrays of one tree draw from one stream.
    shape: shape of the result.
    dtype: floating type of the result.
  """
  first, second = jax.random.key_data(key)
  index = jnp.arange(math.prod(shape), dtype=jnp.uint32).reshape(shape) + jnp.uint32(start)
  bits = _mix(_mix(index ^ first) ^ second)
  return ((bits >> 9).astype(dtype) + 0.5) * 2.0 ** -23


def normal(key, start: int, shape, dtype):
  """Draw N(0, 1) values, at most 5.2 in size, through the inverse error function of `uniform`."""
  return math.sqrt(2) * jax.lax.erf_inv(2 * uniform(key, start, shape, dtype) - 1)


# Each draw of a restoration has its own stream, folded into the seed's key.
STREAMS = {"noise": 0, "params": 1, "net_input": 2, "mask": 3, "weights": 4, "random_mask": 5,
           "shuffled_mask": 6, "held_out": 7, "round": 8, "operator": 9}


def stream_key(seed: int, name: str):
  """Return the PRNG key of one named stream of a seed.

  Args:
    seed: seed of a restoration.
    name: a key of STREAMS.
  """
  return jax.random.fold_in(jax.random.key(seed), STREAMS[name])
