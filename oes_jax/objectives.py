"""The two objectives of OES: (trainable, frozen, problem, key) -> (loss, (image, metrics))."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from oes_jax import masks


class Problem(NamedTuple):
  """One measurement to explain. Ground truth is kept apart: it is only ever scored.

  Attributes:
    net_input: [h, w, c], fixed random input of the generator.
    measurement: [H, W, C] in [0, 1].
  """
  net_input: Any
  measurement: Any


def _mean_squared_error(image, problem):
  return jnp.mean(jnp.square(image - problem.measurement))


def make_mask_objective(apply, *, temperature: float, kl_weight: float, keep_fraction: float):
  """OES, stage 1: mean squared error under relaxed gates + kl_weight * KL(mask || prior).

  The error is a MEAN over pixels and channels, the KL a SUM over weights; `kl_weight` (1e-9 in
  the authors' code) has its meaning only with that pairing. The trainable tree is the mask
  logits, the frozen one the params at initialisation.
  """
  def objective(mask_logits, params, problem, key):
    gates = masks.sample_relaxed_mask(key, mask_logits, temperature=temperature)
    image = apply(masks.apply_mask(params, gates), problem.net_input)
    mse = _mean_squared_error(image, problem)
    kl = masks.kl_to_prior(mask_logits, keep_fraction)
    metrics = {"mse": mse, "kl": kl, "mean_logit": masks.mean_logit(mask_logits)}
    return mse + kl_weight * kl, (image, metrics)
  return objective


def make_weight_objective(apply):
  """OES, stage 2: mean squared error of the masked generator.

  The trainable tree is the params, the frozen one the mask. No weight decay: it would move
  weights that the mask has removed.
  """
  def objective(params, mask, problem, key):
    del key  # nothing is random here
    image = apply(masks.apply_mask(params, mask), problem.net_input)
    mse = _mean_squared_error(image, problem)
    return mse, (image, {"mse": mse})
  return objective
