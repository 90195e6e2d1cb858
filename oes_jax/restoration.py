"""The method as pure functions: learn a mask, train the weights it keeps, restore."""

import math
from typing import Any, Callable, Iterator, NamedTuple

import chex
import jax
import jax.numpy as jnp

from oes_jax import compaction
from oes_jax import engine
from oes_jax import masks
from oes_jax import objectives

# Each draw of a run has its own stream, folded into the seed's key.
STREAMS = {"noise": 0, "params": 1, "net_input": 2, "mask": 3, "weights": 4, "random_mask": 5}

# An output whose standard deviation over the pixels is below this is constant to rounding.
_CONSTANT_OUTPUT = 1e-5
# Automatic density: weights per measured value, and its bounds as a share of all weights.
_WEIGHTS_PER_VALUE = 0.19
SMALLEST_AUTO_FRACTION = 0.05
LARGEST_AUTO_FRACTION = 0.5


def stream_key(seed: int, name: str):
  """Return the PRNG key of one named stream of a seed."""
  return jax.random.fold_in(jax.random.key(seed), STREAMS[name])


class Stage(NamedTuple):
  """One stage, compiled and ready to run.

  Attributes:
    name: "mask" or "weights".
    state: engine.LoopState before its first step.
    chunk: compiled chunk of steps.
    args: what a chunk takes beside the state and the count.
    num_steps: steps in all.
    length: steps of a chunk at most.
    flops: floating-point operations of one step, as XLA counts them.
  """
  name: str
  state: engine.LoopState
  chunk: Callable
  args: tuple
  num_steps: int
  length: int
  flops: float

  def iterate(self, state=None) -> Iterator:
    """Yield (state, metrics) per chunk, from `state` or from the start; see engine.iterate."""
    return engine.iterate(self.chunk, self.state if state is None else state, *self.args,
                          num_steps=self.num_steps, length=self.length)


def _make_stage(name, trainable, frozen, objective, problem, truth, *, seed, num_steps,
                learning_rate, schedule, average_decay, length, use_scan) -> Stage:
  chex.assert_trees_all_equal_shapes_and_dtypes(trainable, frozen)
  optimizer = engine.make_optimizer(
      learning_rate=learning_rate, schedule=schedule, num_steps=num_steps)
  step = engine.make_step(objective, optimizer, average_decay=average_decay)
  state = engine.init_state(trainable, optimizer, problem.measurement.shape)
  args = (frozen, problem, truth, stream_key(seed, name))
  chunk, flops = engine.compile_chunk(step, state, args, length=length, use_scan=use_scan)
  return Stage(name, state, chunk, args, num_steps, length, flops)


def make_mask_stage(generator, params, mask_logits, problem, truth=None, *, seed: int,
                    num_steps: int, keep_fraction: float, kl_weight: float, temperature: float,
                    learning_rate: float, schedule: str, average_decay: float = 0.99,
                    length: int = 50, use_scan: bool = True) -> Stage:
  """OES, stage 1: learn mask logits at the initial params, from one measurement."""
  objective = objectives.make_mask_objective(
      generator.apply, temperature=temperature, kl_weight=kl_weight, keep_fraction=keep_fraction)
  return _make_stage(
      "mask", mask_logits, params, objective, problem, truth, seed=seed, num_steps=num_steps,
      learning_rate=learning_rate, schedule=schedule, average_decay=average_decay, length=length,
      use_scan=use_scan)


def make_weight_stage(generator, params, mask, problem, truth=None, *, seed: int, num_steps: int,
                      learning_rate: float, schedule: str = "constant",
                      average_decay: float = 0.99, length: int = 50,
                      use_scan: bool = True) -> Stage:
  """OES, stage 2: train the kept weights from params * mask."""
  return _make_stage(
      "weights", masks.apply_mask(params, mask), mask,
      objectives.make_weight_objective(generator.apply), problem, truth, seed=seed,
      num_steps=num_steps, learning_rate=learning_rate, schedule=schedule,
      average_decay=average_decay, length=length, use_scan=use_scan)


class CompactProblem(NamedTuple):
  """A masked problem without the channels that cannot act; see `compaction`.

  Attributes:
    plan: which entries of the full trees are left.
    params: small tree at initialisation.
    mask: small tree.
    problem: objectives.Problem with the small network input.
  """
  plan: compaction.Compaction
  params: Any
  mask: Any
  problem: objectives.Problem


def compact_problem(generator, params, mask, problem) -> CompactProblem:
  """Remove every channel that cannot act: the image, and the steps to come, stay the same."""
  plan = compaction.plan_compaction(generator.graph, mask, generator.net_input_shape[-1])
  small_params, small_mask = (
      jax.tree.map(jnp.asarray, compaction.compact(generator.graph, plan, tree))
      for tree in (params, mask))
  net_input = jnp.asarray(compaction.compact_input(plan, problem.net_input))
  return CompactProblem(plan, small_params, small_mask, problem._replace(net_input=net_input))


def random_scores(key, params):
  """Draw a score U(0, 1) for every weight: their top-k is the unlearned control mask."""
  leaves, treedef = jax.tree.flatten(params)
  return jax.tree.unflatten(treedef, [
      jax.random.uniform(jax.random.fold_in(key, i), leaf.shape, leaf.dtype)
      for i, leaf in enumerate(leaves)])


def dense_mask(params):
  """Keep everything: the dense deep image prior."""
  return jax.tree.map(jnp.ones_like, params)


def automatic_keep_fraction(num_values: int, num_weights: int) -> float:
  """Return the KL's prior for `mask.keep_fraction=None`; see README, "How many weights"."""
  fraction = _WEIGHTS_PER_VALUE * num_values / num_weights
  return min(max(fraction, SMALLEST_AUTO_FRACTION), LARGEST_AUTO_FRACTION)


def _ranked(scores, scope: str):
  """Return fraction -> mask of booleans, on the host: one sort serves every density."""
  if scope == "layerwise":
    ranks = jax.device_get(masks.layerwise_ranks(scores))
    return lambda fraction: jax.tree.map(
        lambda rank: rank < masks.layerwise_count(fraction, rank.size), ranks)
  ranks, size = jax.device_get(_global_ranks(scores)), masks.count_weights(scores)
  return lambda fraction: jax.tree.map(
      lambda rank: rank < masks.keep_count(fraction, size), ranks)


def acting_target(num_values: int) -> int:
  """Return how many weights should be able to act for `mask.keep_fraction=None`."""
  return max(1, round(_WEIGHTS_PER_VALUE * num_values))


def fraction_that_acts(generator, scores, target: int, *, scope: str) -> float:
  """Return the smallest keep fraction, to 1 %, whose mask lets `target` weights act.

  Kept is not acting: a mask of few steps keeps many weights of channels that lead nowhere. At most
  LARGEST_AUTO_FRACTION.
  """
  mask_at = _ranked(scores, scope)
  def acting(fraction):
    acts = compaction.acting_weights(
        generator.graph, mask_at(fraction), generator.net_input_shape[-1])
    return sum(int(leaf.sum()) for leaf in jax.tree.leaves(acts))
  low, high = target / masks.count_weights(scores), LARGEST_AUTO_FRACTION
  if low >= high or acting(high) <= target:
    return high
  while high > 1.01 * low:
    middle = math.sqrt(low * high)
    low, high = (low, middle) if acting(middle) >= target else (middle, high)
  return high


def threshold_scores(scores, keep_fraction: float, *, scope: str):
  """Turn scores into a mask: the largest over all weights ("global") or in each array."""
  if scope == "layerwise":
    return masks.layerwise_top_k_mask(scores, keep_fraction)
  return _top_k(scores, masks.keep_count(keep_fraction, masks.count_weights(scores)))


_top_k = jax.jit(masks.top_k_mask)
_global_ranks = jax.jit(masks.global_ranks)


def masked_output(generator, params, mask, net_input):
  """Return the image of the masked, untrained generator, [H, W, C]."""
  apply = jax.jit(lambda p, m, z: generator.apply(masks.apply_mask(p, m), z))
  return apply(params, mask, net_input)


def find_collapse(generator, mask, image) -> list[str]:
  """Say why a mask cannot restore: dead layers, or a masked output `image` that does not vary."""
  findings = compaction.find_collapse(generator.graph, mask, generator.net_input_shape[-1])
  spread = float(jnp.max(jnp.std(image, axis=(0, 1))))
  if spread < _CONSTANT_OUTPUT:
    findings.append(f"the masked, untrained image varies by {spread:.1g} only")
  return findings
