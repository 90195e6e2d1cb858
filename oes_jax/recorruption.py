"""Recorruption: a measurement made anew in every step, so that fitting it fits the clean image and not its noise.

Of a measurement y of noise that is known two others are drawn: one to feed a network with, and a target whose noise is
independent of the first one's and has mean 0. The squared error of what the network makes of the first to the target is
then, in expectation, that to the clean values and a constant (R2R: Pang et al., CVPR 2021; GR2R: Monroy et al., CVPR
2025, arXiv 2412.04648). All values are in the unit range.
"""

from typing import Any, Callable

import jax
import jax.numpy as jnp

from oes_jax import random


def _normal(key, like):
  """Draw N(0, 1) values, of both parts where `like` is complex."""
  if not jnp.iscomplexobj(like):
    return random.normal(key, 0, like.shape, like.dtype)
  parts = random.normal(key, 0, (2, *like.shape), like.real.dtype)
  return jax.lax.complex(parts[0], parts[1])


def _recorrupt_additive(key, measured, deviation, alpha):
  """Return (y + alpha n, y - n / alpha) with n of a standard deviation: R2R."""
  noise = deviation * _normal(key, measured)
  return measured + alpha * noise, measured - noise / alpha


def _recorrupt_gaussian(key, measured, strength, alpha):
  return _recorrupt_additive(key, measured, strength.sigma, alpha)


def _recorrupt_poisson(key, measured, strength, alpha):
  """Thin the counts: of the k at a pixel w ~ Binomial(k, alpha) go to the target, the others to the input (GR2R).

  Both are divided by their share, and their counts are independent. Counts are rounded to whole ones.
  """
  counts = jnp.round(strength.peak * jnp.maximum(measured, 0))
  taken = jax.random.binomial(key, counts, jnp.asarray(alpha, counts.dtype), dtype=counts.dtype)
  return (counts - taken) / strength.peak / (1 - alpha), taken / strength.peak / alpha


def _recorrupt_poisson_gaussian(key, measured, strength, alpha):
  """R2R with the variance of the measured value, y / peak + sigma^2, whose mean is that of the noise.

  Counts and read noise cannot be told apart, so they cannot be thinned. The noise of input and target is uncorrelated, not
  independent: exact for whatever is linear in the input, GR2R's condition on the first two moments.
  """
  variance = jnp.maximum(measured, 0) / strength.peak + strength.sigma ** 2
  return _recorrupt_additive(key, measured, jnp.sqrt(variance), alpha)


# Noise model: function (key, measured, noise.Strength, alpha) -> (measurement to feed, target).
RECORRUPT: dict[str, Callable[..., tuple[Any, Any]]] = {
    "gaussian": _recorrupt_gaussian,
    "poisson": _recorrupt_poisson,
    "poisson_gaussian": _recorrupt_poisson_gaussian,
}
