"""Bernoulli masks over the weights of a generator, relaxed while they are learned.

A mask is a pytree of 0/1 arrays with the treedef of the params. It is learned through a pytree
of logits of the same treedef; `keep_probability` is the logistic function of a logit.
"""

import jax
import jax.numpy as jnp
import numpy as np

from oes_jax import random


def init_mask_logits(params, *, value: float = 0.0):
  """Return logits shaped like `params`, all at `value` (0: keep probability one half).

  OES starts at 0 and not at the prior's logit [authors' code].
  """
  return jax.tree.map(lambda p: np.full(p.shape, value, p.dtype), params)


def keep_probability(mask_logits):
  """Return P(kept) of every weight: sigmoid(logit), same tree."""
  return jax.tree.map(jax.nn.sigmoid, mask_logits)


def _relaxed_gate(logits, uniform, temperature):
  """sigmoid((logits + log(u / (1 - u))) / temperature), by powers where 1 / temperature is whole.

  A logarithm of every gate would cost several times the rest of the gate.
  """
  power = round(1 / temperature)
  # Clipped, so that no infinity meets a zero in the gradient; the gate is 0 or 1 long before.
  odds_against = jnp.exp(-jnp.clip(logits, -60, 60)) * (1 - uniform) / uniform
  if abs(power * temperature - 1) > 1e-9:
    return jax.nn.sigmoid(-jnp.log(odds_against) / temperature)
  # Beyond the bound the gate is 0 (< 1e-30), and its gradient must not become inf / inf.
  odds_against = jnp.minimum(odds_against, 10.0 ** (30 / power))
  return 1 / (1 + odds_against ** power)


def sample_relaxed_mask(key, mask_logits, *, temperature: float):
  """Draw soft gates in [0, 1] from the binary concrete distribution.

  gate = sigmoid((logit + Logistic(0, 1)) / temperature), equal in distribution to the two-class
  Gumbel-softmax of the authors' code (Maddison et al. 2017, arXiv 1611.00712). No
  straight-through rounding.

  Args:
    key: a threefry PRNG key.
    mask_logits: tree of logits.
    temperature: > 0; OES uses 0.2. Gates approach Bernoulli draws as it approaches 0.

  Returns:
    A tree of gates, shaped and typed like `mask_logits`.
  """
  leaves, treedef = jax.tree.flatten(mask_logits)
  starts = np.cumsum([0] + [leaf.size for leaf in leaves])
  return jax.tree.unflatten(treedef, [
      _relaxed_gate(leaf, random.uniform(key, start, leaf.shape, leaf.dtype), temperature)
      for start, leaf in zip(starts, leaves)])


@jax.custom_jvp
def _kl_up_to_constant(logits, prior_logit):
  """p (l - prior_logit) - softplus(l), p = sigmoid(l): elementwise, and finite for any logit."""
  small = jnp.exp(-jnp.abs(logits))
  p = jnp.where(logits >= 0, 1, small) / (1 + small)
  return p * (logits - prior_logit) - jnp.log(1 + small) - jnp.maximum(logits, 0)


@_kl_up_to_constant.defjvp
def _kl_up_to_constant_jvp(primals, tangents):
  """d/dl = p (1 - p) (l - prior_logit); d/dprior_logit = -p."""
  logits, prior_logit = primals
  p = jax.nn.sigmoid(logits)
  slope = p * (1 - p) * (logits - prior_logit) * tangents[0] - p * tangents[1]
  return _kl_up_to_constant(logits, prior_logit), slope


def kl_to_prior(mask_logits, keep_fraction):
  """Sum over weights of KL(Ber(sigmoid(logit)) || Ber(keep_fraction)), in nats.

  With p = sigmoid(l) and p0 = keep_fraction this is p (l - logit(p0)) - softplus(l) - log(1 - p0);
  its gradient has the closed form p (1 - p) (l - logit(p0)). The authors guard log(p + 1e-6)
  instead.

  Args:
    mask_logits: tree of logits.
    keep_fraction: prior keep probability, in (0, 1). At 1 the divergence is infinite for any
      finite logit, so callers that keep everything must not learn a mask.
  """
  log_drop = jnp.log1p(-keep_fraction)
  prior_logit = jnp.log(keep_fraction) - log_drop
  return sum(jnp.sum(_kl_up_to_constant(leaf, prior_logit) - log_drop)
             for leaf in jax.tree.leaves(mask_logits))


def mean_logit(mask_logits):
  """Mean over all weights; under the faithful schedule it nears logit(keep_fraction)."""
  leaves = jax.tree.leaves(mask_logits)
  return sum(jnp.sum(leaf) for leaf in leaves) / sum(leaf.size for leaf in leaves)


def apply_mask(params, mask):
  """Return params * mask. A weight that is 0 has gradient 0, so Adam leaves it at 0."""
  return jax.tree.map(jnp.multiply, params, mask)
