"""Published criteria for pruning at initialisation: scores, of which the largest are kept.

They are what a learned mask is compared with. None sees the ground truth.
"""

from typing import Any, Callable

import jax
import jax.numpy as jnp
import numpy as np

from oes_jax.masks import _synflow


def magnitude(params):
  """|w| (Han et al. 2015, arXiv 1506.02626)."""
  return jax.tree.map(jnp.abs, params)


def snip(loss: Callable[[Any], Any], params):
  """|g w|, g the gradient of the loss: what removing a weight changes (Lee et al. 2019, arXiv 1810.02340).

  Args:
    loss: params -> scalar.
    params: params at initialisation.
  """
  return jax.tree.map(lambda w, g: jnp.abs(w * g), params, jax.grad(loss)(params))


def grasp(loss: Callable[[Any], Any], params, spared=None):
  """w (H g), H the Hessian of the loss: what keeps the gradient's norm (Wang et al. 2020, arXiv 2002.07376).

  The paper scores -w (H g) and removes the largest; the sign here is the other one, as the largest are
  kept.

  Args:
    loss: params -> scalar.
    params: params at initialisation.
    spared: tree of one bool an array: it is never pruned, and its gradient's norm does not count. None: none is.
  """
  gradient = jax.grad(loss)
  along = gradient(params)
  if spared is not None:
    along = jax.tree.map(lambda g, whole: jnp.zeros_like(g) if whole else g, along, spared)
  product = jax.jvp(gradient, (params,), (along,))[1]
  return jax.tree.map(jnp.multiply, params, product)


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
    "synflow": lambda graph, params, loss, keep_fraction, spared: _synflow.synflow(graph, params, keep_fraction, spared),
}
# Sources whose mask is the largest scores of weights.
SCORED = ("learn", "random", *PRUNING_CRITERIA, "imp", "imp_oracle")
