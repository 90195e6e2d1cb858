"""The method as pure functions: learn a mask, train the weights it keeps, restore."""

import functools
import math
from typing import Any, Callable, Iterator, NamedTuple, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from oes_jax.fitting import _engine
from oes_jax.fitting import _objectives
from oes_jax import masks
from oes_jax import parallel
from oes_jax import random

# Each draw of a run has its own stream, folded into the seed's key.
STREAMS = {"noise": 0, "params": 1, "net_input": 2, "mask": 3, "weights": 4, "random_mask": 5,
           "shuffled_mask": 6, "held_out": 7, "round": 8, "operator": 9}

# An output whose standard deviation over the pixels is below this is constant to rounding.
_CONSTANT_OUTPUT = 1e-5
# Automatic density: weights per measured value, and its bounds as a share of all weights.
_WEIGHTS_PER_VALUE = 0.19
SMALLEST_AUTO_FRACTION = 0.05
LARGEST_AUTO_FRACTION = 0.5


def stream_key(seed: int, name: str):
  """Return the PRNG key of one named stream of a seed."""
  return jax.random.fold_in(jax.random.key(seed), STREAMS[name])


class Program(NamedTuple):
  """A compiled stage, which serves every batch of the same shapes.

  Attributes:
    init: (trainable) -> LoopState before the first step.
    chunk: compiled chunk of steps.
    cost: of the chunk.
  """
  init: Callable
  chunk: Callable
  cost: _engine.Cost


class Stage(NamedTuple):
  """One stage of a batch of images, compiled and ready to run.

  Attributes:
    name: "mask", "round_1" and so on, or "weights".
    state: engine.LoopState before its first step, a batch.
    program: the compiled stage.
    args: what a chunk takes beside the state and the count.
    num_steps: steps in all.
    length: steps of a chunk at most.
  """
  name: str
  state: _engine.LoopState
  program: Program
  args: tuple
  num_steps: int
  length: int

  def iterate(self, state=None, start: int = 0) -> Iterator:
    """Yield after each chunk, from `state` at step `start` or from the start; see engine.iterate."""
    return _engine.iterate(self.program.chunk, self.state if state is None else state, *self.args,
                          start=start, num_steps=self.num_steps, length=self.length)


def _compile(step, optimizer, trainable, args, image_shape, mesh, length, use_scan, guard) -> Program:
  init = parallel.over_images(
      lambda tree: _engine.init_state(tree, optimizer, image_shape, guard), mesh)
  chunk, cost = _engine.compile_chunk(
      step, init(trainable), args, mesh=mesh, length=length, use_scan=use_scan)
  return Program(init, chunk, cost)


def _make_stage(name, generator, trainable, frozen, objective, problem, truth, *, params, mesh, seeds, num_steps,
                learning_rate, schedule, average_decay, length, use_scan, programs, average_from=0,
                guard=None, perturb=None, view) -> Stage:
  kind = name.partition("_")[0]  # all rounds share one program
  keys = np.stack([jax.random.key_data(stream_key(seed, kind)) for seed in seeds])
  args = (frozen, problem, truth, parallel.put(mesh, keys))
  first = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype),
                       (params, problem.net_input))
  image_shape = jax.eval_shape(generator.apply, *first).shape
  shapes = (kind, length, *((x.shape, str(x.dtype)) for x in jax.tree.leaves((trainable, args))))
  programs = {} if programs is None else programs
  if shapes not in programs:
    optimizer = _engine.make_optimizer(
        learning_rate=learning_rate, schedule=schedule, num_steps=num_steps)
    step = _engine.make_step(objective, optimizer, average_decay=average_decay,
                            average_from=average_from, guard=guard, perturb=perturb, view=view)
    programs[shapes] = _compile(step, optimizer, trainable, args, image_shape, mesh, length, use_scan, guard)
  program = programs[shapes]
  return Stage(name, program.init(trainable), program, args, num_steps, length)


def make_mask_stage(generator, mask_logits, prior, problem, truth=None, *, mesh,
                    seeds: Sequence[int], num_steps: int, temperature: float,
                    learning_rate: float, schedule: str, average_decay: float = 0.99,
                    length: int = 50, use_scan: bool = True,
                    programs: dict[Any, Program] | None = None,
                    fit: _objectives.Fit = _objectives.Fit()) -> Stage:
  """OES, stage 1: learn mask logits at the initial params, each image from its own measurement.

  Args:
    generator: of one image.
    mask_logits: batch of trees.
    prior: batch of objectives.Prior.
    problem: batch of objectives.Problem.
    truth: [images, H, W, C] or None; only ever scored.
    mesh: over which the batches are laid out.
    seeds: of this process's images.
    num_steps: steps in all.
    temperature: of the relaxed gates.
    learning_rate: of Adam.
    schedule: a key of engine.SCHEDULES.
    average_decay: of the output average.
    length: steps of a compiled chunk.
    use_scan: see engine.compile_chunk.
    programs: compiled stages to take from and add to; of one generator and one set of the other
      arguments, images and their number apart.
    fit: of an image to its measurement.
  """
  objective = _objectives.make_mask_objective(generator.apply, temperature=temperature, fit=fit)
  return _make_stage(
      "mask", generator, mask_logits, prior, objective, problem, truth, params=prior.params, mesh=mesh, seeds=seeds,
      num_steps=num_steps, learning_rate=learning_rate, schedule=schedule,
      average_decay=average_decay, length=length, use_scan=use_scan, programs=programs, view=fit.view)


def make_weight_stage(generator, params, mask, problem, truth=None, *, mesh, seeds: Sequence[int],
                      num_steps: int, learning_rate: float, schedule: str = "constant",
                      average_decay: float = 0.99, average_from: int = 0, length: int = 50,
                      use_scan: bool = True, programs: dict[Any, Program] | None = None, guard=None,
                      sgld_noise: float = 0, input_noise: float = 0, name: str = "weights",
                      fit: _objectives.Fit = _objectives.Fit()) -> Stage:
  """OES, stage 2: train the kept weights of every image from params * mask.

  Arguments as in `make_mask_stage`; params and mask are batches of trees of one shape.

  Args:
    average_from: steps before the first that the output average takes in.
    guard: guards.Guard or None.
    sgld_noise: see `langevin_noise`.
    input_noise: standard deviation of what is added to the network input in every step.
    name: of the stage; "round_1" and so on train the rounds of iterative magnitude pruning.
  """
  perturb = langevin_noise(
      sgld_noise, _engine.SCHEDULES[schedule](learning_rate, num_steps)) if sgld_noise else None
  return _make_stage(
      name, generator, masks.apply_mask(params, mask), mask,
      _objectives.make_weight_objective(generator.apply, fit=fit, input_noise=input_noise), problem, truth,
      params=params, mesh=mesh, seeds=seeds,
      num_steps=num_steps, learning_rate=learning_rate, schedule=schedule,
      average_decay=average_decay, average_from=average_from, length=length, use_scan=use_scan,
      programs=programs, guard=guard, perturb=perturb, view=fit.view)


def langevin_noise(factor: float, rate) -> Callable:
  """Add Gaussian noise to the kept weights of every convolution: SGLD (Cheng et al. 2019, CVPR, arXiv 1904.07457).

  Args:
    factor: standard deviation, in learning rates; Cheng et al. use 2, the authors of OES 0.5.
    rate: learning rate, a number or a function of the steps done.

  Returns:
    (params, mask, key, steps done) -> params; see engine.make_step.
  """
  def perturb(params, mask, key, done):
    std = factor * (rate(done - 1) if callable(rate) else rate)
    leaves, treedef = jax.tree_util.tree_flatten_with_path(params)
    starts = np.cumsum([0] + [leaf.size for _, leaf in leaves])
    noise = jax.tree.unflatten(treedef, [
        random.normal(key, start, leaf.shape, leaf.dtype) if path[-1].key == "kernel" else 0.0
        for start, (path, leaf) in zip(starts, leaves)])
    return jax.tree.map(lambda p, m, n: p + (std * m * n).astype(p.dtype), params, mask, noise)
  return perturb


class CompactProblem(NamedTuple):
  """A masked problem without the channels that cannot act; see `compaction`.

  Attributes:
    plan: which entries of the full trees are left.
    params: small tree at initialisation.
    mask: small tree.
    problem: objectives.Problem with the small network input.
  """
  plan: masks.Compaction
  params: Any
  mask: Any
  problem: _objectives.Problem


def compact_problem(generator, params, mask, problem, plan=None) -> CompactProblem:
  """Remove every channel that cannot act: the image, and the steps to come, stay the same.

  Args:
    generator: of the image.
    params: full tree at initialisation.
    mask: full tree.
    problem: with the full network input.
    plan: of `compaction.plan_compaction`, perhaps widened to a batch's widths; None makes it.
  """
  if plan is None:
    plan = plan_compaction(generator, mask)
  small_params, small_mask = (
      masks.compact(generator.graph, plan, tree) for tree in (params, mask))
  net_input = masks.compact_input(plan, problem.net_input)
  return CompactProblem(plan, small_params, small_mask, problem._replace(net_input=net_input))


def plan_compaction(generator, mask) -> masks.Compaction:
  """Find the channels of a generator that a mask needs; see `compaction.plan_compaction`."""
  return masks.plan_compaction(generator.graph, mask, generator.net_input_shape[-1])


def random_scores(key, params):
  """Draw a score U(0, 1) for every weight: their top-k is the unlearned control mask.

  NumPy draws, from the key's data: the compiled draws of jax.random take ten seconds to compile.
  """
  rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
  return jax.tree.map(lambda leaf: rng.random(leaf.shape, np.float32).astype(leaf.dtype), params)


def dense_mask(params):
  """Keep everything: the dense deep image prior."""
  return jax.tree.map(jnp.ones_like, params)


def automatic_keep_fraction(num_values: int, num_weights: int) -> float:
  """Return the KL's prior for `mask.keep_fraction=None`; see docs/results.md, "How many weights"."""
  fraction = _WEIGHTS_PER_VALUE * num_values / num_weights
  return min(max(fraction, SMALLEST_AUTO_FRACTION), LARGEST_AUTO_FRACTION)


def _ranked(scores, scope: str):
  """Return fraction -> mask of booleans, on the host: one sort serves every density."""
  if scope == "layerwise":
    ranks, treedef = jax.tree.flatten(jax.device_get(masks.layerwise_ranks(scores)))
    sizes, spared = [rank.size for rank in ranks], masks.spared_arrays(scores)
    return lambda fraction: jax.tree.unflatten(treedef, [
        rank < count for rank, count in zip(ranks, masks.layerwise_counts(fraction, sizes, spared))])
  ranks, size = jax.device_get(_global_ranks(scores)), masks.count_weights(scores)
  return lambda fraction: jax.tree.map(
      lambda rank: rank < masks.keep_count(fraction, size), ranks)


def acting_target(num_values: int) -> int:
  """Return how many weights should be able to act for `mask.keep_fraction=None`."""
  return max(1, round(_WEIGHTS_PER_VALUE * num_values))


def fraction_that_acts(generator, scores, target: int, *, scope: str) -> float:
  """Return the smallest keep fraction, to 1 %, whose mask lets `target` weights act.

  Kept is not acting: a mask of few steps keeps many weights of channels that lead nowhere. At most
  LARGEST_AUTO_FRACTION, and never less than what is not pruned: weights of infinite score.
  """
  mask_at, count = _ranked(scores, scope), masks.count_weights(scores)
  def acting(fraction):
    acts = masks.acting_weights(
        generator.graph, mask_at(fraction), generator.net_input_shape[-1])
    return sum(int(leaf.sum()) for leaf in jax.tree.leaves(acts))
  spared = masks.count_spared(scores, masks.spared_arrays(scores))
  low, high = max(target, spared + 1) / count, LARGEST_AUTO_FRACTION
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
  return _masked_output(generator.apply, params, mask, net_input)


@functools.partial(jax.jit, static_argnums=0)  # traced once a generator, not once an image
def _masked_output(apply, params, mask, net_input):
  return apply(masks.apply_mask(params, mask), net_input)


def find_collapse(generator, mask, image) -> list[str]:
  """Say why a mask cannot restore: dead layers, or a masked, untrained `image` a channel of which does not vary."""
  findings = masks.find_collapse(generator.graph, mask, generator.net_input_shape[-1])
  spread = np.std(image, axis=(0, 1))
  constant = spread < _CONSTANT_OUTPUT
  most = spread[constant].max(initial=0)
  return findings + masks.in_channels(f"the masked, untrained image varies by {most:.1g} only", constant)
