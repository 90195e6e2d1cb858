"""SynFlow: prune a generator in many small steps, and score what is left anew in each."""

from typing import Sequence

import jax
import numpy as np

from oes_jax import generators
from oes_jax.masks import _acting
from oes_jax.masks import _spared
from oes_jax.masks import _top_k


def synaptic_flow(graph: Sequence[generators.Layer], params):
  """|w| dR/d|w|, R the sum of the outputs for an input of ones, with |w| as weights and no nonlinearity.

  Norms are left with their scale and offset alone. All values are positive, and a constant input
  stays constant over the pixels through padding, pooling and upsampling; the gradient of a layer, summed
  over its pixels, goes through them unchanged. So R and its gradient are those of a network of matrices
  over channels, worked out here in float64, up to the factor H W of all scores.

  Args:
    graph: channel graph of the generator, of which a conv is the first layer.
    params: tree of weights; those that a mask has removed are zero and score zero.
  """
  layers = [{name: np.abs(np.asarray(array, np.float64))
             for name, array in _acting.arrays_of(params, layer).items()} for layer in graph]
  net_input = np.ones(layers[0]["kernel"].shape[2])
  flow, inputs = [], []
  for layer, arrays in zip(graph, layers):
    into = np.concatenate(_acting.feeding(layer, flow, net_input))
    through = into @ arrays["kernel"].sum((0, 1)) if "kernel" in arrays else into * arrays["scale"]
    flow.append(through + arrays.get("bias", 0) + arrays.get("offset", 0))
    inputs.append(into)
  gradients, scores = [np.zeros(channels.size) for channels in flow], {}
  gradients[-1] += 1
  for layer, arrays, into, gradient in reversed(list(zip(graph, layers, inputs, gradients))):
    back = {"kernel": lambda: into[:, None] * gradient, "scale": lambda: into * gradient}
    scores[layer.path] = {name: array * back.get(name, lambda: gradient)() for name, array in arrays.items()}
    _acting.add_to_sources(arrays["kernel"].sum((0, 1)) @ gradient if "kernel" in arrays else arrays["scale"] * gradient,
                           _acting.feeding(layer, gradients, np.zeros(net_input.size)))
  return jax.tree_util.tree_map_with_path(
      lambda path, _: scores[tuple(key.key for key in path[:-1])][path[-1].key], params)


def synflow(graph: Sequence[generators.Layer], params, keep_fraction: float, spared=None, *, iterations: int = 100):
  """SynFlow: prune in small exponential steps and score what is left anew (Tanaka et al. 2020, arXiv 2006.05467).

  Args:
    graph: channel graph of the generator, of which a conv is the first layer.
    params: params at initialisation.
    keep_fraction: share of the weights that the last step keeps, exact.
    spared: tree of one bool an array: it is never pruned, and counts as kept. None: none is.
    iterations: number of steps; the paper has 100.

  Returns:
    Scores: the place of every weight in the order in which it is pruned, those of one step by what they scored in it.
    So the int(keep_fraction * N) largest are the mask of the last step, and any more those of an earlier one.

  Raises:
    ValueError: there is no graph.
  """
  if graph is None:
    raise ValueError("graph=None: SynFlow follows the weights from layer to layer; allowed: a generator with a channel graph "
                     "(those of GENERATORS, from_apply with a graph), or another source of the mask.")
  join = lambda tree: np.concatenate([np.ravel(array) for array in jax.tree.leaves(tree)])
  if spared is None:
    spared = jax.tree.map(lambda p: False, params)
  never = join(jax.tree.map(lambda p, whole: np.full(p.shape, whole), params, spared))
  size, num_spared = _top_k.count_weights(params), _top_k.count_spared(params, spared)
  kept, last, survived = np.ones(size, bool), np.zeros(size), np.zeros(size, int)
  for step in range(1, iterations + 1):
    # In float64: products over all layers leave the range of float32.
    scores = join(synaptic_flow(graph, jax.tree.map(np.multiply, params, _top_k.split_like(params, kept))))
    last[kept] = scores[kept]
    count = _spared.count_after(step / iterations, int(keep_fraction * size), num_spared, size)
    # Weights that an earlier step has pruned do not come back, not even where fewer than `count` score at all.
    rank = np.where(never, np.inf, np.where(kept, scores, -np.inf))
    kept = np.zeros_like(kept)
    kept[np.argpartition(-rank, count - 1)[:count]] = True
    survived += kept
  places = np.empty(size, np.float32)  # exact below 2^24 weights
  places[np.lexsort((last, survived))] = np.arange(size)
  return _top_k.split_like(params, places)
