"""From scores to a mask that works: how many weights to keep, and whether what is left can restore an image."""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from oes_jax.masks import _acting
from oes_jax.masks import _gates
from oes_jax.masks import _spared
from oes_jax.masks import _top_k

# An output whose standard deviation over the pixels is below this is constant to rounding.
_CONSTANT_OUTPUT = 1e-5
# Automatic density: weights per measured value, and its bounds as a share of all weights.
_WEIGHTS_PER_VALUE = 0.19
SMALLEST_AUTO_FRACTION = 0.05
LARGEST_AUTO_FRACTION = 0.5


class Chosen(NamedTuple):
  """A mask made of scores.

  Attributes:
    mask: tree of 0/1 arrays.
    keep_fraction: share of all weights that it keeps.
    findings: what makes the mask useless, in words; empty unless it has collapsed.
    notes: what was chosen automatically, in words.
  """
  mask: Any
  keep_fraction: float
  findings: list[str]
  notes: list[str]


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
  """Return the share of the weights that the KL's prior keeps where none is asked for.

  It lets 0.19 weights per measured value be kept, within [0.05, 0.5]; see docs/results.md, "How many weights".

  Args:
    num_values: number of measured real values.
    num_weights: number of weights of the generator.
  """
  fraction = _WEIGHTS_PER_VALUE * num_values / num_weights
  return min(max(fraction, SMALLEST_AUTO_FRACTION), LARGEST_AUTO_FRACTION)


def acting_target(num_values: int) -> int:
  """Return how many weights should be able to act, for `num_values` measured values, where no density is asked for."""
  return max(1, round(_WEIGHTS_PER_VALUE * num_values))


def _ranked(scores, scope: str):
  """Return fraction -> mask of booleans, on the host: one sort serves every density."""
  if scope == "layerwise":
    ranks, treedef = jax.tree.flatten(jax.device_get(_top_k.layerwise_ranks(scores)))
    sizes, spared = [rank.size for rank in ranks], _top_k.spared_arrays(scores)
    return lambda fraction: jax.tree.unflatten(treedef, [
        rank < count for rank, count in zip(ranks, _top_k.layerwise_counts(fraction, sizes, spared))])
  ranks, size = jax.device_get(_global_ranks(scores)), _top_k.count_weights(scores)
  return lambda fraction: jax.tree.map(
      lambda rank: rank < _top_k.keep_count(fraction, size), ranks)


def fraction_that_acts(generator, scores, target: int, *, scope: str) -> float:
  """Return the smallest keep fraction, to 1 %, whose mask lets `target` weights act.

  Kept is not acting: a mask of few steps keeps many weights of channels that lead nowhere. At most
  LARGEST_AUTO_FRACTION, and never less than what is not pruned: weights of infinite score. Without a channel graph
  every kept weight counts as acting.

  Args:
    generator: generator whose weights the scores rank.
    scores: tree of scores.
    target: number of weights that are to be able to act.
    scope: "global" or "layerwise".
  """
  count = _top_k.count_weights(scores)
  spared = _top_k.count_spared(scores, _top_k.spared_arrays(scores))
  low, high = max(target, spared + 1) / count, LARGEST_AUTO_FRACTION
  if generator.graph is None:
    return min((max(target, spared + 1) + 0.5) / count, high)
  mask_at = _ranked(scores, scope)
  def acting(fraction):
    acts = _acting.acting_weights(
        generator.graph, mask_at(fraction), generator.net_input_shape[-1])
    return sum(int(leaf.sum()) for leaf in jax.tree.leaves(acts))
  if low >= high or acting(high) <= target:
    return high
  while high > 1.01 * low:
    middle = math.sqrt(low * high)
    low, high = (low, middle) if acting(middle) >= target else (middle, high)
  return high


_global_ranks = jax.jit(_top_k.global_ranks)


def masked_output(generator, params, mask, net_input):
  """Return the image [H, W, C] of the masked, untrained generator."""
  return _masked_output(generator.apply, params, mask, net_input)


@functools.partial(jax.jit, static_argnums=0)  # traced once a generator, not once an image
def _masked_output(apply, params, mask, net_input):
  return apply(_gates.apply_mask(params, mask), net_input)


def find_collapse(generator, mask, image) -> list[str]:
  """Say why a mask cannot restore: dead layers, or an image that does not vary.

  Args:
    generator: generator that the mask belongs to; without a graph only the image is looked at.
    mask: tree of 0/1 arrays.
    image: [H, W, C] of the masked, untrained generator; see `masked_output`.

  Returns:
    Findings in words; an empty list where there are none.
  """
  findings = [] if generator.graph is None else _acting.find_collapse(
      generator.graph, mask, generator.net_input_shape[-1])
  spread = np.std(image, axis=(0, 1))
  constant = spread < _CONSTANT_OUTPUT
  most = spread[constant].max(initial=0)
  return findings + _acting.in_channels(f"the masked, untrained image varies by {most:.1g} only", constant)


def choose_mask(generator, scores, params, net_input, *, keep_fraction: float, scope: str = "global",
                target: int | None = None, share: float = 1) -> Chosen:
  """Threshold scores; where a number of acting weights is asked for, find the density, and raise it while it collapses.

  Args:
    generator: generator of the image.
    scores: tree of scores of every weight; infinite where nothing is pruned, minus infinite where nothing is revived.
    params: params at initialisation.
    net_input: network input.
    keep_fraction: share of all weights that is kept; with a target only a bound while pruning goes on.
    scope: "global" or "layerwise".
    target: number of weights that are to be able to act; None keeps `keep_fraction` exactly.
    share: share of the pruning that is to be done by now, in (0, 1]; see `count_after`.
  """
  fraction, notes = keep_fraction, []
  if share < 1:
    size = _top_k.count_weights(params)
    spared = _top_k.count_spared(scores, _top_k.spared_arrays(scores))
    count = _spared.count_after(share, _top_k.keep_count(fraction, size), spared, size)
    fraction = (count + 0.5) / size  # int() of its product is `count`
  if target is not None:
    found = fraction_that_acts(generator, scores, target, scope=scope)
    fraction = found if share == 1 else max(fraction, found)  # no round prunes what the last one needs
    notes.append(f"{100 * fraction:.2f} % of the weights are kept, so that {target:,} or more can act")
  while True:
    mask = _top_k.threshold(scores, fraction, scope=scope)
    if any(np.isneginf(leaf).any() for leaf in jax.tree.leaves(scores)):
      mask = jax.tree.map(lambda m, s: np.asarray(m) * ~np.isneginf(s), mask, scores)
    findings = find_collapse(generator, mask, masked_output(generator, params, mask, net_input))
    if not findings or target is None or fraction >= LARGEST_AUTO_FRACTION:
      return Chosen(mask, fraction, findings, notes)
    larger = min(1.5 * fraction, LARGEST_AUTO_FRACTION)
    notes.append(f"a mask that keeps {100 * fraction:.2f} % collapses ({findings[0]}): trying {100 * larger:.2f} %")
    fraction = larger
