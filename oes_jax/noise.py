"""Simulated noise."""

import jax
import jax.numpy as jnp


def add_gaussian_noise(key, image, *, sigma: float):
  """Return clip(image + sigma * N(0, 1), 0, 1), shape of `image` [H, W, C].

  Clipped as in the authors' experiments; sigma is in units of the (0, 1) range.
  """
  noise = jax.random.normal(key, image.shape, image.dtype)
  return jnp.clip(image + sigma * noise, 0, 1)
