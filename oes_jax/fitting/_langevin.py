"""Stochastic gradient Langevin dynamics as a transformation of updates."""

from typing import Any, Callable, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from oes_jax import masks
from oes_jax import random


class LangevinState(NamedTuple):
  """State of `langevin_noise`: the steps done, int32."""
  count: Any


def langevin_noise(factor: float, rate: float | Callable[[Any], Any]) -> optax.GradientTransformationExtraArgs:
  """Add Gaussian noise to the updates of every kept weight of a kernel: SGLD (Cheng et al. 2019, arXiv 1904.07457).

  It goes behind the optimiser: optax.chain(optax.adam(rate), langevin_noise(2.0, rate)). The engine hands over the
  step's key and the mask. Kernels are the arrays of that name.

  Args:
    factor: standard deviation in learning rates; Cheng et al. use 2, the authors of OES 0.5.
    rate: learning rate, a number or a function of the steps done.
  """
  def init(params):
    del params
    return LangevinState(jnp.int32(0))

  def update(updates, state, params=None, *, key, frozen, **extra):
    del params, extra
    std = factor * (rate(state.count) if callable(rate) else rate)
    leaves, treedef = jax.tree.flatten(updates)
    starts = np.cumsum([0] + [leaf.size for leaf in leaves])
    others = jax.tree.leaves(masks.is_spared(updates, "kernels"))
    noise = jax.tree.unflatten(treedef, [
        0.0 if other else random.normal(key, start, leaf.shape, leaf.dtype)
        for start, leaf, other in zip(starts, leaves, others)])
    updates = jax.tree.map(lambda u, m, n: u + (std * m * n).astype(u.dtype), updates, frozen, noise)
    return updates, LangevinState(state.count + 1)
  return optax.GradientTransformationExtraArgs(init, update)
