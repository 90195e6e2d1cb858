"""Where a mask comes from: learned logits, chance, a criterion, trained weights, or one that is given."""

from typing import Any, NamedTuple

import jax
import numpy as np

from oes_jax import masks
from oes_jax import random
from oes_jax.fitting import _objectives
from oes_jax.fitting import _recorruption
from oes_jax.fitting import _settings

# These prune step by step, down to a density that has to be known.
_STEPWISE = ("synflow", "imp", "imp_oracle")


class Density(NamedTuple):
  """How many weights a mask keeps.

  Attributes:
    keep_fraction: share of all weights, and the prior of the KL.
    target: number of weights that are to be able to act, where no share was asked for; else None.
  """
  keep_fraction: float
  target: int | None


def choose_density(source: str, settings: _settings.LearnMask, params, num_measured: int) -> Density:
  """Return how many weights masks of a source keep: as asked for, or by the number of measured values.

  Args:
    source: source of the mask, e.g. "learn".
    settings: settings with keep_fraction and prune.
    params: params of the generator, arrays or shapes.
    num_measured: number of measured real values.

  Raises:
    ValueError: the share that is asked for keeps no more than what is never pruned.
  """
  size = masks.count_weights(params)
  spared = masks.count_spared(params, masks.is_spared(params, masks.pruned_by(source, settings.prune)))
  if settings.keep_fraction is None:
    target = masks.acting_target(num_measured)
    fraction = masks.automatic_keep_fraction(num_measured, size)
    if source in _STEPWISE:  # what is not pruned, and fewer kernels than should be able to act
      fraction = min((spared + target / 2) / size, masks.LARGEST_AUTO_FRACTION)
    masks.keep_count(fraction, size)
    return Density(fraction, target)
  kept = masks.keep_count(settings.keep_fraction, size)
  if source in masks.SCORED and kept <= spared:
    raise ValueError(f"keep_fraction={settings.keep_fraction!r} keeps {kept:,} of {size:,} weights, but {spared:,} are norms' "
                     f"and biases, which source={source!r} does not prune; allowed: more than "
                     f"{spared / size:.3g}, or prune='all'.")
  return Density(settings.keep_fraction, None)


def make_mask(generator, params, problem: _objectives.Problem, *, source: str, settings: _settings.LearnMask,
              density: Density, seed: int, scores: Any = None, given: Any = None, share: float = 1) -> masks.Chosen:
  """Make the mask of one image from a source.

  Args:
    generator: Generator of the image.
    params: params at initialisation.
    problem: Problem with its network input.
    source: "learn" or "imp" (from `scores`), "random", a key of masks.PRUNING_CRITERIA, "shuffled" (`given`, permuted
      inside every array), "file" or "bundled" (`given` as it is), or "dense".
    settings: settings with scope and prune.
    density: how many weights are kept.
    seed: seed of the draws.
    scores: scores that a stage has found, of which the largest are kept; or None.
    given: mask that is taken over, or None.
    share: share of the pruning that is to be done by now, in (0, 1].
  """
  prune = masks.pruned_by(source, settings.prune)
  if source == "random":
    scores = masks.random_scores(random.stream_key(seed, "random_mask"), params)
  elif source in masks.PRUNING_CRITERIA:
    objective, dense = _objectives.weight_objective(generator.apply), masks.dense_mask(params)
    key = random.stream_key(seed, "mask")
    scores = masks.PRUNING_CRITERIA[source](
        generator.graph, params, lambda p: objective(p, dense, problem, key)[0], density.keep_fraction,
        masks.is_spared(params, prune))
  if scores is not None:
    scores = masks.spare(jax.device_get(scores), prune)
    return masks.choose_mask(generator, scores, params, _network_input(problem), keep_fraction=density.keep_fraction,
                             scope=settings.scope, target=density.target, share=share)
  if given is None:
    return masks.Chosen(masks.dense_mask(params), 1.0, [], [])
  if source == "shuffled":
    given = masks.shuffle_within_arrays(random.stream_key(seed, "shuffled_mask"), given)
  image = masks.masked_output(generator, params, given, _network_input(problem))
  return masks.Chosen(given, masks.density(given), masks.find_collapse(generator, given, image), [])


def trained_scores(params, kept) -> Any:
  """Return |w| of trained weights, minus infinity where they are pruned: what a round of magnitude pruning goes by.

  Iterative magnitude pruning with rewinding (Frankle and Carbin 2019, arXiv 1803.03635).
  """
  return jax.tree.map(lambda w, m: np.where(np.asarray(m) > 0, np.abs(w), -np.inf).astype(w.dtype), params, kept)


def compact(generator, plan: masks.Compaction, params, mask, problem: _objectives.Problem):
  """Remove every channel that cannot act: the image, and the steps to come, stay the same.

  Args:
    generator: Generator of the image, with a graph.
    plan: plan of `masks.plan_compaction`, perhaps widened to a batch's widths.
    params: full tree at initialisation.
    mask: full tree.
    problem: Problem with the full network input.

  Returns:
    (params, mask, problem), small.
  """
  small_params, small_mask = (masks.compact(generator.graph, plan, tree) for tree in (params, mask))
  if problem.first_image is None:
    problem = problem.replace(net_input=masks.compact_input(plan, problem.net_input))
  return small_params, small_mask, problem


def plan_compaction(generator, mask, problem: _objectives.Problem) -> masks.Compaction:
  """Find the channels of a generator that a mask needs; an input that the steps compute stays whole.

  See `masks.plan_compaction`.
  """
  return masks.plan_compaction(generator.graph, mask, generator.net_input_shape[-1],
                               whole_input=problem.first_image is not None)


_network_input = jax.jit(_recorruption.network_input)
