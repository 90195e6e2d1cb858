"""The two objectives of OES: (trainable, frozen, problem, key) -> (loss, (image, metrics))."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from oes_jax import masks
from oes_jax import metrics


class Problem(NamedTuple):
  """One measurement to explain. Ground truth is kept apart: it is only ever scored.

  Attributes:
    net_input: [h, w, c], fixed random input of the generator.
    measurement: [H, W, C] in [0, 1].
    valid: pixels that were measured, where the image is smaller than its batch's frame; else None.
    fitted: pixels that the objectives see, where a guard holds some out; None: all that are valid.
  """
  net_input: Any
  measurement: Any
  valid: metrics.Valid | None = None
  fitted: metrics.Valid | None = None


class Prior(NamedTuple):
  """What the mask stage starts from and does not train; scalars are arrays, as images may differ.

  Attributes:
    params: at initialisation.
    keep_fraction: prior probability of the KL that a weight is kept, in (0, 1).
    kl_weight: of the KL term.
  """
  params: Any
  keep_fraction: Any
  kl_weight: Any


def _mean_squared_error(image, problem):
  seen = problem.valid if problem.fitted is None else problem.fitted
  return metrics.mean(jnp.square(image - problem.measurement), seen)


def make_mask_objective(apply, *, temperature: float):
  """OES, stage 1: mean squared error under relaxed gates + kl_weight * KL(mask || prior).

  The error is a MEAN over pixels and channels, the KL a SUM over weights; `kl_weight` (1e-9 in
  the authors' code) has its meaning only with that pairing. The trainable tree is the mask
  logits, the frozen one a Prior.
  """
  def objective(mask_logits, prior, problem, key):
    gates = masks.sample_relaxed_mask(key, mask_logits, temperature=temperature)
    image = apply(masks.apply_mask(prior.params, gates), problem.net_input)
    mse = _mean_squared_error(image, problem)
    kl = masks.kl_to_prior(mask_logits, prior.keep_fraction)
    measured = {"mse": mse, "kl": kl, "mean_logit": masks.mean_logit(mask_logits)}
    return mse + prior.kl_weight * kl, (image, measured)
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
