"""Memory of a run: what it will need, told before it starts, and what there is."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import psutil

from oes_jax import files
from oes_jax import fitting
from oes_jax import generators

# XLA's peak of temporary arrays over the arrays that autodiff keeps for the backward pass, measured
# 2026-11-25 on a CPU (JAX 0.10.2, hourglass at 128, 256 and 512): 0.8-1.25, in bfloat16 1.54.
_PEAK_OVER_KEPT = {"float32": 1.3, "bfloat16": 1.6}
# Copies of the trained tree beside the params and the network input: itself, its gradient and
# update, two moments of Adam, the relaxed gates, and the state before the chunk (3).
_COPIES = 10
# The program itself on a CPU, compiler included: resident before the arrays grow.
_PROGRAM = 1_900_000_000
# Reading, blending, scoring and drawing the whole image, per value: 64 bytes measured at 1024x1024.
_WHOLE_IMAGE = 70


def _num_bytes(tree) -> int:
  return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


class Need(NamedTuple):
  """Bytes that a run needs at its peak: once, and for every image that is restored at a time."""
  once: int
  per_image: int


def estimate_memory(generator: generators.Generator, part_shape, whole_shape, dtype: str,
                    remembered: int = 0) -> Need:
  """Estimate a run's memory from shapes alone: nothing is compiled.

  Args:
    generator: Generator of the part that is restored at once.
    part_shape: (H, W, C) of that part: a tile, or the image.
    whole_shape: (H, W, C) of the image.
    dtype: type that the generator was made with, a value of `compute.dtype`.
    remembered: number of outputs that a guard keeps.
  """
  params = jax.eval_shape(generator.init, jax.random.key(0))[0]
  float32 = lambda shape: jax.ShapeDtypeStruct(tuple(shape), jnp.float32)
  problem = fitting.Problem(float32(part_shape), net_input=float32(generator.net_input_shape))
  objective = fitting.weight_objective(generator.apply)
  kept = jax.eval_shape(
      lambda p, m, problem: jax.vjp(lambda p: objective(p, m, problem, None)[0], p)[1],
      params, params, problem)
  program = _PROGRAM if jax.default_backend() == "cpu" else 0
  return Need(int(_WHOLE_IMAGE * math.prod(whole_shape) + program),
              int(_PEAK_OVER_KEPT[dtype] * _num_bytes(kept) + _COPIES * _num_bytes(params)
                  + _num_bytes(problem) + 2 * 4 * remembered * math.prod(part_shape)))


def available_memory() -> int:
  """Bytes that this program may hold: on a GPU its own memory, else the machine's or container's.

  What the process holds already counts as available to it, and so do a container's cached files.
  """
  stats = jax.local_devices()[0].memory_stats()
  if stats and "bytes_limit" in stats:
    return stats["bytes_limit"] - stats["bytes_in_use"]
  held = psutil.Process().memory_info()
  return files.free_memory() + held.rss - getattr(held, "shared", 0)  # libraries' pages count as free already
