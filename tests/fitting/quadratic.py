"""A noisy quadratic as an objective: its output and metrics are easy to follow."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from oes_jax import fitting
from oes_jax.fitting import _engine

SHAPE = (2, 2, 3)


class Problem(NamedTuple):
  """Number that is added to the loss, and what a guard reads."""
  offset: Any = 0.0
  valid: Any = None


def objective(trainable, frozen, problem, key):
  noise = jax.random.normal(key, trainable.shape)
  output = jnp.broadcast_to(trainable, (2, 2, trainable.size))
  loss = jnp.sum(jnp.square(trainable - frozen)) + 0.01 * jnp.sum(noise * trainable)
  loss = loss + problem.offset
  return loss, (output, {"first": trainable[0]})


def make_stage(*, num_steps=17, function=objective, **options):
  optimizer = _engine.make_optimizer(learning_rate=0.1, schedule="constant", num_steps=num_steps)
  return fitting.Stage("quadratic", function, optimizer, num_steps, SHAPE, **{"average_decay": 0.9, **options})


def run(stage, score=None):
  """Run a stage in one loop; return (state, {metric: array})."""
  return jax.jit(lambda: fitting.run_stage(
      stage, jnp.ones(3), jnp.zeros(3), Problem(jnp.asarray(0.0)), jax.random.key(1), score))()
