"""What may be pruned, and published criteria for pruning at initialisation: scores, of which the largest are kept.

The criteria are what a learned mask is compared with. None sees the ground truth.
"""

from typing import Any, Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from oes_jax import generators
from oes_jax.masks import _compaction
from oes_jax.masks import _masks

# Which weights may be pruned: any, as in OES, or those of convolutions, as in the criteria's publications.
PRUNED = ("all", "kernels")
# Sources whose masks prune anything where mask.prune is None.
_PRUNE_ALL = ("learn", "random")
# Of a gate that is not learned: it is 1 but for e^-30.
_OPEN = 30.0


def is_spared(mask_config, tree):
  """Return a tree of one bool an array: whether it is never pruned, a norm's or a bias where only kernels are."""
  pruned = mask_config.prune or ("all" if mask_config.source in _PRUNE_ALL else "kernels")
  return jax.tree_util.tree_map_with_path(
      lambda path, _: pruned == "kernels" and path[-1].key != "kernel", tree)


def spare(mask_config, scores):
  """Give every weight that is never pruned an infinite score."""
  return jax.tree.map(lambda s, spared: np.full_like(s, np.inf) if spared else s,
                      scores, is_spared(mask_config, scores))


def initial_logits(mask_config, params):
  """Return the logits that the mask stage starts from: 0, and so large where nothing is pruned that they stay."""
  return jax.tree.map(lambda p, spared: _masks.init_mask_logits(p, value=_OPEN if spared else 0.0),
                      params, is_spared(mask_config, params))


def count_after(share: float, kept: int, spared: int, size: int) -> int:
  """Return how many weights are left where `share` of the pruning is done, in equal factors of what may be pruned.

  Args:
    share: in (0, 1].
    kept: weights in the end.
    spared: weights that are never pruned; they count as kept.
    size: all weights.
  """
  prunable = size - spared
  return max(kept, spared + int(((kept - spared) / prunable) ** share * prunable))


def magnitude(params):
  """|w| (Han et al. 2015, arXiv 1506.02626)."""
  return jax.tree.map(jnp.abs, params)


def snip(loss: Callable[[Any], Any], params):
  """|g w|, g the gradient of the loss: what removing a weight changes (Lee et al. 2019, arXiv 1810.02340).

  Args:
    loss: params -> scalar.
    params: at initialisation.
  """
  return jax.tree.map(lambda w, g: jnp.abs(w * g), params, jax.grad(loss)(params))


def grasp(loss: Callable[[Any], Any], params, spared=None):
  """w (H g), H the Hessian of the loss: what keeps the gradient's norm (Wang et al. 2020, arXiv 2002.07376).

  The paper scores -w (H g) and removes the largest; the sign here is the other one, as the largest are
  kept.

  Args:
    loss: params -> scalar.
    params: at initialisation.
    spared: tree of one bool an array: it is never pruned, and its gradient's norm does not count. None: none is.
  """
  gradient = jax.grad(loss)
  along = gradient(params)
  if spared is not None:
    along = jax.tree.map(lambda g, whole: jnp.zeros_like(g) if whole else g, along, spared)
  product = jax.jvp(gradient, (params,), (along,))[1]
  return jax.tree.map(jnp.multiply, params, product)


def synaptic_flow(graph: Sequence[generators.Layer], params):
  """|w| dR/d|w|, R the sum of the outputs for an input of ones, with |w| as weights and no nonlinearity.

  Norms are left with their scale and offset alone. All values are positive, and a constant input
  stays constant over the pixels through padding, pooling and upsampling; the gradient of a layer, summed
  over its pixels, goes through them unchanged. So R and its gradient are those of a chain of matrices
  over channels, worked out here in float64, up to the factor H W of all scores.

  Args:
    graph: of the generator, a chain.
    params: tree; weights that a mask has removed are zero and score zero.
  """
  layers = [{name: np.abs(np.asarray(array, np.float64))
             for name, array in _compaction.arrays_of(params, layer).items()} for layer in graph]
  flow = [np.ones(layers[0]["kernel"].shape[2])]
  for arrays in layers:
    through = (flow[-1] @ arrays["kernel"].sum((0, 1)) if "kernel" in arrays
               else flow[-1] * arrays["scale"])
    flow.append(through + arrays.get("bias", 0) + arrays.get("offset", 0))
  gradient, scores = np.ones(flow[-1].size), {}
  for layer, arrays, into in reversed(list(zip(graph, layers, flow))):
    back = {"kernel": lambda: into[:, None] * gradient, "scale": lambda: into * gradient}
    scores[layer.path] = {name: array * back.get(name, lambda: gradient)() for name, array in arrays.items()}
    gradient = (arrays["kernel"].sum((0, 1)) @ gradient if "kernel" in arrays
                else arrays["scale"] * gradient)
  return jax.tree_util.tree_map_with_path(
      lambda path, _: scores[tuple(key.key for key in path[:-1])][path[-1].key], params)


def synflow(graph: Sequence[generators.Layer], params, keep_fraction: float, spared=None, *, iterations: int = 100):
  """SynFlow: prune in small exponential steps and score what is left anew (Tanaka et al. 2020, arXiv 2006.05467).

  Args:
    graph: of the generator.
    params: at initialisation.
    keep_fraction: of the last step, exact.
    spared: tree of one bool an array: it is never pruned, and counts as kept. None: none is.
    iterations: steps; the paper's 100.

  Returns:
    Scores: the place of every weight in the order in which it is pruned, those of one step by what they scored in it.
    So the int(keep_fraction * N) largest are the mask of the last step, and any more those of an earlier one.
  """
  join = lambda tree: np.concatenate([np.ravel(array) for array in jax.tree.leaves(tree)])
  if spared is None:
    spared = jax.tree.map(lambda p: False, params)
  never = join(jax.tree.map(lambda p, whole: np.full(p.shape, whole), params, spared))
  size, num_spared = _masks.count_weights(params), _masks.count_spared(params, spared)
  kept, last, survived = np.ones(size, bool), np.zeros(size), np.zeros(size, int)
  for step in range(1, iterations + 1):
    # In float64: products over all layers leave the range of float32.
    scores = join(synaptic_flow(graph, jax.tree.map(np.multiply, params, _masks.split_like(params, kept))))
    last[kept] = scores[kept]
    count = count_after(step / iterations, int(keep_fraction * size), num_spared, size)
    # Weights that an earlier step has pruned do not come back, not even where fewer than `count` score at all.
    rank = np.where(never, np.inf, np.where(kept, scores, -np.inf))
    kept = np.zeros_like(kept)
    kept[np.argpartition(-rank, count - 1)[:count]] = True
    survived += kept
  places = np.empty(size, np.float32)  # exact below 2^24 weights
  places[np.lexsort((last, survived))] = np.arange(size)
  return _masks.split_like(params, places)


def shuffle_within_arrays(key, mask):
  """Permute the entries of every array: the densities of a mask without its structure.

  NumPy draws, from the key's data: a compiled permutation for each shape would take far longer.
  """
  rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
  return jax.tree.map(lambda leaf: rng.permutation(np.ravel(leaf)).reshape(leaf.shape), mask)


def _by_loss(criterion):
  """Make a criterion of the loss one of PRUNING_CRITERIA."""
  def scores(graph, params, loss, keep_fraction, spared):
    del graph, keep_fraction
    return jax.jit(lambda params: criterion(loss, params, spared))(params)
  return scores


# (graph, params, loss: params -> scalar, keep_fraction, spared) -> scores, all at initialisation.
PRUNING_CRITERIA = {
    "magnitude": lambda graph, params, loss, keep_fraction, spared: magnitude(params),
    "snip": _by_loss(lambda loss, params, spared: snip(loss, params)),
    "grasp": _by_loss(grasp),
    "synflow": lambda graph, params, loss, keep_fraction, spared: synflow(graph, params, keep_fraction, spared),
}
# Sources whose mask is the largest scores of weights.
SCORED = ("learn", "random", *PRUNING_CRITERIA, "imp", "imp_oracle")
