"""Bernoulli masks over the weights of a generator: relaxed while learned, exact once chosen.

A mask is a pytree of 0/1 arrays with the treedef of the params. It is learned through a pytree
of logits of the same treedef; `keep_probability` is the logistic function of a logit.
"""

import math
from typing import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from oes_jax import random


def init_mask_logits(params, *, value: float = 0.0):
  """Return logits shaped like `params`, all at `value` (0: keep probability one half).

  OES starts at 0 and not at the prior's logit [authors' code].
  """
  return jax.tree.map(lambda p: np.full(p.shape, value, p.dtype), params)


def split_like(tree, vector):
  """Return the entries of a vector, the arrays of a tree one after another, as such a tree."""
  leaves, treedef = jax.tree.flatten(tree)
  ends = np.cumsum([leaf.size for leaf in leaves])
  return jax.tree.unflatten(treedef, [
      vector[end - leaf.size:end].reshape(leaf.shape) for end, leaf in zip(ends, leaves)])


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


def keep_count(keep_fraction: float, num_weights: int) -> int:
  """k = int(keep_fraction * N), as in the authors' code.

  Raises:
    ValueError: keep_fraction is outside (0, 1], or so small that nothing would be kept.
  """
  if not (isinstance(keep_fraction, (int, float)) and 0 < keep_fraction <= 1):
    raise ValueError(f"mask.keep_fraction={keep_fraction!r} is not allowed; "
                     "allowed: a number in (0, 1], or None for automatic.")
  count = int(keep_fraction * num_weights)
  if count == 0:
    raise ValueError(f"mask.keep_fraction={keep_fraction!r} keeps none of {num_weights} weights; "
                     f"allowed: at least {1 / num_weights:.3g}.")
  return count


def _rank(scores):
  """How many scores of a vector come before each, largest first; of equal ones the earlier index."""
  order = jnp.argsort(-scores, stable=True)
  return jnp.zeros(scores.shape, jnp.int32).at[order].set(jnp.arange(scores.size, dtype=jnp.int32))


def global_ranks(scores):
  """Rank every score of a tree, largest first, over ALL arrays; ties in the order of the tree."""
  return split_like(scores, _rank(jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(scores)])))


def layerwise_ranks(scores):
  """Rank every score of a tree, largest first, within its own array."""
  return jax.tree.map(lambda leaf: _rank(leaf.ravel()).reshape(leaf.shape), scores)


def layerwise_counts(keep_fraction: float, sizes: Sequence[int], spared: Sequence[bool] | None = None) -> list[int]:
  """How many weights of each array are kept layer-wise: its share, and int(keep_fraction * N) in all.

  Every array keeps one weight at least (more in all, then, where there are more arrays than weights to
  keep). Shares are rounded up where most is lost; what the small arrays get too much, the largest give.

  Args:
    keep_fraction: of all weights, in (0, 1].
    sizes: of the arrays.
    spared: which arrays are kept whole; what they take is missing to the others. None: none.
  """
  sizes, open_ = np.asarray(sizes), ~np.asarray(spared or [False] * len(sizes))
  counts, total = sizes.copy(), int(keep_fraction * sizes.sum())
  left = total - sizes[~open_].sum()
  shares = sizes[open_] * max(0, left) / max(1, sizes[open_].sum())
  mine = np.maximum(1, np.floor(shares)).astype(int)
  missing = left - mine.sum()
  if missing > 0:
    mine[np.argsort(mine - shares, kind="stable")[:missing]] += 1
  for _ in range(-missing):
    if mine.max() > 1:
      mine[mine.argmax()] -= 1
  counts[open_] = mine
  return counts.tolist()


def spared_arrays(scores) -> list[bool]:
  """Say of every array of a tree whether all its scores are infinite: it is never pruned."""
  return [bool(np.isposinf(np.asarray(leaf)).all()) for leaf in jax.tree.leaves(scores)]


def top_k_mask(scores, count):
  """Keep exactly the `count` largest scores over ALL arrays of a tree (global top-k).

  Ties are kept in the order of the flattened tree. `count` may be traced, so one compiled
  program serves every density.

  Args:
    scores: tree of arrays: logits, keep probabilities, or a pruning criterion's scores.
    count: how many weights to keep, 0 to N.

  Returns:
    A tree of 0/1 arrays, shaped and typed like `scores`.
  """
  return jax.tree.map(lambda rank, leaf: (rank < count).astype(leaf.dtype),
                      global_ranks(scores), scores)


def count_spared(tree, spared) -> int:
  """Return how many weights of a tree are in arrays of which `spared`, a tree or list of bools, holds."""
  return sum(leaf.size for leaf, whole in zip(jax.tree.leaves(tree), jax.tree.leaves(spared)) if whole)


def layerwise_top_k_mask(scores, keep_fraction: float):
  """Keep the largest scores of EACH array, as many as `layerwise_counts` says."""
  leaves, treedef = jax.tree.flatten(scores)
  counts = layerwise_counts(keep_fraction, [leaf.size for leaf in leaves], spared_arrays(scores))
  return jax.tree.map(lambda rank, leaf, count: (rank < count).astype(leaf.dtype),
                      layerwise_ranks(scores), scores, jax.tree.unflatten(treedef, counts))


def apply_mask(params, mask):
  """Return params * mask. A weight that is 0 has gradient 0, so Adam leaves it at 0."""
  return jax.tree.map(jnp.multiply, params, mask)


def count_weights(tree) -> int:
  """Number of scalars in a tree (N)."""
  return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def density(mask) -> float:
  """Share of weights kept, in [0, 1]."""
  kept = sum(int(np.count_nonzero(np.asarray(leaf))) for leaf in jax.tree.leaves(mask))
  return kept / count_weights(mask)
