"""Published criteria for pruning at initialisation: trees of scores, of which the largest are kept.

They are what a learned mask is compared with. None sees the ground truth.
"""

from typing import Any, Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from oes_jax import compaction
from oes_jax import generators
from oes_jax import masks
from oes_jax import objectives


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


def grasp(loss: Callable[[Any], Any], params):
  """w (H g), H the Hessian of the loss: what keeps the gradient's norm (Wang et al. 2020, arXiv 2002.07376).

  The paper scores -w (H g) and removes the largest; the sign here is the other one, as the largest are
  kept.

  Args:
    loss: params -> scalar.
    params: at initialisation.
  """
  gradient = jax.grad(loss)
  product = jax.jvp(gradient, (params,), (gradient(params),))[1]
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
             for name, array in compaction.arrays_of(params, layer).items()} for layer in graph]
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


def synflow(graph: Sequence[generators.Layer], params, keep_fraction: float, *, iterations: int = 100):
  """SynFlow: prune in small exponential steps and score what is left anew (Tanaka et al. 2020, arXiv 2006.05467).

  Args:
    graph: of the generator.
    params: at initialisation.
    keep_fraction: of the last step, exact.
    iterations: steps; the paper's 100.

  Returns:
    Scores whose int(keep_fraction * N) largest are the mask: that of the last step, zero elsewhere.
  """
  count, mask = masks.count_weights(params), jax.tree.map(np.ones_like, params)
  for step in range(1, iterations + 1):
    scores = synaptic_flow(graph, jax.tree.map(np.multiply, params, mask))
    kept = max(int(keep_fraction * count), int(keep_fraction ** (step / iterations) * count))
    mask = _largest(scores, kept)
  largest = max(leaf.max() for leaf in jax.tree.leaves(scores))
  return jax.tree.map(lambda s, m: np.float32(m * (1 + s / largest)), scores, mask)


def _largest(scores, count: int):
  """Return the 0/1 mask of the `count` largest scores of a tree, compared in float64.

  SynFlow's scores, products over all layers, leave the range of float32, in which masks.top_k_mask ranks.
  """
  leaves, treedef = jax.tree.flatten(scores)
  flat = np.concatenate([leaf.ravel() for leaf in leaves])
  mask = np.zeros(flat.size, np.float32)
  mask[np.argpartition(-flat, count - 1)[:count]] = 1
  pieces = np.split(mask, np.cumsum([leaf.size for leaf in leaves])[:-1])
  return jax.tree.unflatten(treedef, [p.reshape(leaf.shape) for p, leaf in zip(pieces, leaves)])


def shuffle_within_arrays(key, mask):
  """Permute the entries of every array: the densities of a mask without its structure.

  NumPy draws, from the key's data: a compiled permutation for each shape would take far longer.
  """
  rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
  return jax.tree.map(lambda leaf: rng.permutation(np.ravel(leaf)).reshape(leaf.shape), mask)


def _by_loss(criterion):
  """Make a criterion of the loss one of (generator, params, problem, fit, keep_fraction)."""
  def scores(generator, params, problem, fit, keep_fraction):
    del keep_fraction
    objective = objectives.make_weight_objective(generator.apply, fit=fit)
    def run(params, problem):
      kept = jax.tree.map(jnp.ones_like, params)
      return criterion(lambda p: objective(p, kept, problem, None)[0], params)
    return jax.jit(run)(params, problem)
  return scores


# (generator, params, problem, fit, keep_fraction) -> scores, all at initialisation.
PRUNING_CRITERIA = {
    "magnitude": lambda generator, params, problem, fit, keep_fraction: magnitude(params),
    "snip": _by_loss(snip),
    "grasp": _by_loss(grasp),
    "synflow": lambda generator, params, problem, fit, keep_fraction: synflow(
        generator.graph, params, keep_fraction),
}
