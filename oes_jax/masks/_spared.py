"""Which weights a mask may prune, and how many are left while pruning goes on."""

import jax
import numpy as np

from oes_jax.masks import _gates

# Which weights may be pruned: any, as in OES, or those of convolutions, as in the criteria's publications.
PRUNED = ("all", "kernels")
# Sources whose masks prune anything where nothing else is said.
_PRUNE_ALL = ("learn", "random")
# Of a gate that is not learned: it is 1 but for e^-30.
_OPEN = 30.0


def pruned_by(source: str, prune: str | None) -> str:
  """Return what masks of a source prune, one of PRUNED: `prune`, or where that is None what its publication does."""
  return prune or ("all" if source in _PRUNE_ALL else "kernels")


def is_spared(tree, prune: str):
  """Return a tree of one bool an array: whether it is never pruned.

  Args:
    tree: tree of arrays, e.g. params.
    prune: "all", nothing is spared; or "kernels", every array but those of the name kernel: norms and biases.
  """
  return jax.tree_util.tree_map_with_path(lambda path, _: prune == "kernels" and _name_of(path) != "kernel", tree)


def _name_of(path) -> str | None:
  """Return the last name in the path of an array; that of NNX ends in an attribute of the variable."""
  names = [key.key for key in path if hasattr(key, "key")]
  return names[-1] if names else None


def spare(scores, prune: str):
  """Give every weight that is never pruned (see `is_spared`) an infinite score."""
  return jax.tree.map(lambda s, spared: np.full_like(s, np.inf) if spared else s,
                      scores, is_spared(scores, prune))


def initial_logits(params, prune: str):
  """Return the logits that the mask stage starts from: 0, and so large where nothing is pruned that they stay."""
  return jax.tree.map(lambda p, spared: _gates.init_mask_logits(p, value=_OPEN if spared else 0.0),
                      params, is_spared(params, prune))


def count_after(share: float, kept: int, spared: int, size: int) -> int:
  """Return how many weights are left where `share` of the pruning is done, in equal factors of what may be pruned.

  Args:
    share: share of the pruning that is done, in (0, 1].
    kept: number of weights that are kept in the end.
    spared: number of weights that are never pruned; they count as kept.
    size: number of all weights.
  """
  prunable = size - spared
  return max(kept, spared + int(((kept - spared) / prunable) ** share * prunable))
