"""Exact masks: the largest scores of a tree, over all weights or within each array."""

import math
from typing import Sequence

import jax
import jax.numpy as jnp
import numpy as np


SCOPES = ("global", "layerwise")


def split_like(tree, vector):
  """Return the entries of a vector, the arrays of a tree one after another, as such a tree."""
  leaves, treedef = jax.tree.flatten(tree)
  ends = np.cumsum([leaf.size for leaf in leaves])
  return jax.tree.unflatten(treedef, [
      vector[end - leaf.size:end].reshape(leaf.shape) for end, leaf in zip(ends, leaves)])


def keep_count(keep_fraction: float, num_weights: int) -> int:
  """k = int(keep_fraction * N), as in the authors' code.

  Raises:
    ValueError: keep_fraction is outside (0, 1], or so small that nothing would be kept.
  """
  if not (isinstance(keep_fraction, (int, float)) and 0 < keep_fraction <= 1):
    raise ValueError(f"keep_fraction={keep_fraction!r} is not allowed; "
                     "allowed: a number in (0, 1], or None for automatic.")
  count = int(keep_fraction * num_weights)
  if count == 0:
    raise ValueError(f"keep_fraction={keep_fraction!r} keeps none of {num_weights} weights; "
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
    keep_fraction: share of all weights that is kept, in (0, 1].
    sizes: number of weights of every array.
    spared: whether an array is kept whole, one bool an array; what it takes is missing to the others. None: none is.
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
    count: number of weights to keep, 0 to N.

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


def count_weights(tree) -> int:
  """Number of scalars in a tree (N)."""
  return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def density(mask) -> float:
  """Share of weights kept, in [0, 1]."""
  kept = sum(int(np.count_nonzero(np.asarray(leaf))) for leaf in jax.tree.leaves(mask))
  return kept / count_weights(mask)


def threshold(scores, keep_fraction: float, *, scope: str = "global"):
  """Turn scores into a mask that keeps int(keep_fraction * N) of all N weights.

  Args:
    scores: tree of arrays: mask logits, or the scores of a pruning criterion, of any kind; the largest are kept.
    keep_fraction: share of all weights that is kept, in (0, 1].
    scope: "global", the largest over all arrays, or "layerwise", the largest of each array.

  Returns:
    A tree of 0/1 arrays, shaped and typed like `scores`.

  Raises:
    ValueError: the fraction is outside (0, 1], or keeps nothing; or the scope is unknown.

  Example:
    >>> import jax.numpy as jnp
    >>> from oes_jax import masks
    >>> masks.threshold({"kernel": jnp.array([3., 1., 2., 0.])}, 0.5)["kernel"].tolist()
    [1.0, 0.0, 1.0, 0.0]
  """
  if scope not in SCOPES:
    raise ValueError(f"scope={scope!r} is unknown; allowed: {', '.join(SCOPES)}.")
  if scope == "layerwise":
    return layerwise_top_k_mask(scores, keep_fraction)
  return _top_k(scores, keep_count(keep_fraction, count_weights(scores)))


_top_k = jax.jit(top_k_mask)
