"""Where masks come from, and how many weights they keep."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oes_jax import fitting
from oes_jax import masks
from oes_jax import random

SETTINGS = fitting.LearnMask(keep_fraction=0.4)


def _flat(tree):
  return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def _make(small, source, *, settings=SETTINGS, density=fitting.Density(0.4, None), seed=0, **options):
  generator, params, _, problem = small
  return fitting.make_mask(
      generator, params, problem, source=source, settings=settings, density=density, seed=seed, **options)


# How many weights are kept.


@pytest.mark.parametrize("source, fraction", [("learn", 0.01), ("random", 0.5), ("snip", 0.5)])
def test_a_density_that_is_asked_for_is_kept(small, source, fraction):
  assert fitting.choose_density(source, fitting.LearnMask(keep_fraction=fraction), small[1], 256) == (fraction, None)


def test_else_the_density_follows_the_number_of_measured_values(small):
  params = small[1]
  size = masks.count_weights(params)
  found = fitting.choose_density("learn", fitting.LearnMask(), params, 10_000)
  assert found == (pytest.approx(1900 / size), 1900) and 0.05 < found.keep_fraction < 0.5
  # What is pruned step by step needs a density at once: what is spared, and half as many as are to act.
  spared = masks.count_spared(params, masks.is_spared(params, "kernels"))
  assert spared > 0
  for prune, expected in [(None, (spared + 950) / size), ("all", 950 / size)]:
    found = fitting.choose_density("imp", fitting.LearnMask(prune=prune), params, 10_000)
    assert found == (pytest.approx(expected), 1900)


@pytest.mark.parametrize("source, prune", [("snip", None), ("learn", "kernels"), ("imp", None)])
def test_a_density_that_keeps_only_what_is_spared_is_refused(small, source, prune):
  with pytest.raises(ValueError, match=r"^keep_fraction=0.001 keeps .*but .* are norms' and biases, .*or prune='all'"):
    fitting.choose_density(source, fitting.LearnMask(keep_fraction=0.001, prune=prune), small[1], 256)


# Sources.


def test_scores_that_a_stage_has_found_are_thresholded(small):
  scores = masks.random_scores(jax.random.key(7), small[1])
  chosen = _make(small, "learn", scores=scores)
  jax.tree.map(np.testing.assert_array_equal, chosen.mask, masks.threshold(scores, 0.4))
  assert chosen.keep_fraction == 0.4
  layerwise = _make(small, "learn", scores=scores, settings=fitting.LearnMask(keep_fraction=0.4, scope="layerwise"))
  jax.tree.map(np.testing.assert_array_equal, layerwise.mask, masks.threshold(scores, 0.4, scope="layerwise"))


def test_a_random_mask_is_that_of_its_seed(small):
  first, again, other = (_flat(_make(small, "random", seed=seed).mask) for seed in (0, 0, 1))
  np.testing.assert_array_equal(first, again)
  assert (first != other).any() and first.sum() == other.sum() == int(0.4 * first.size)


def test_magnitude_keeps_the_largest_kernels_and_all_else(small):
  params = small[1]
  mask = _make(small, "magnitude").mask
  kernels = lambda tree: np.concatenate([np.ravel(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
                                         if path[-1].key == "kernel"])
  weights, kept = np.abs(kernels(params)), kernels(mask) > 0
  assert weights[kept].min() >= weights[~kept].max()
  assert _flat(mask).sum() == int(0.4 * _flat(mask).size)
  assert _flat(mask).size - weights.size == _flat(mask).sum() - kept.sum()  # norms and biases are all kept


def _with_problem(tiny):
  generator, params = tiny
  return generator, params, None, fitting.Problem(jnp.full((16, 16, 1), 0.3), net_input=generator.default_input())


@pytest.mark.parametrize("source", ["snip", "grasp", "synflow"])
def test_criteria_keep_the_share_asked_for(small, tiny, source):
  chosen = _make(small if source == "synflow" else _with_problem(tiny), source)
  assert _flat(chosen.mask).sum() == int(0.4 * _flat(chosen.mask).size) and chosen.findings == []


@pytest.mark.slow
@pytest.mark.parametrize("source", masks.PRUNING_CRITERIA)
def test_criteria_keep_the_share_asked_for_of_a_network_with_branches(branched, source):
  chosen = _make(branched, source)
  assert _flat(chosen.mask).sum() == int(0.4 * _flat(chosen.mask).size) and chosen.findings == []


def test_a_criterion_of_the_loss_sees_the_measurement(tiny):
  generator, params, logits, problem = _with_problem(tiny)
  other = problem.replace(measurement=problem.measurement + jnp.linspace(0, 0.5, 16)[:, None, None])
  first, second = (_make((generator, params, logits, one), "snip").mask for one in (problem, other))
  assert (_flat(first) != _flat(second)).any()


def test_synflow_of_a_network_without_a_graph_is_refused(tiny):
  with pytest.raises(ValueError, match="^graph=None: .*allowed: a generator with a channel graph"):
    _make(_with_problem(tiny), "synflow")


def test_a_given_mask_is_taken_as_it_is_or_shuffled_inside_its_arrays(small):
  given = jax.device_get(masks.threshold(masks.random_scores(jax.random.key(1), small[1]), 0.3))
  taken, shuffled = (_make(small, source, given=given) for source in ("file", "shuffled"))
  assert taken.mask is given and taken.keep_fraction == pytest.approx(0.3, abs=1e-3)
  for old, new in zip(jax.tree.leaves(given), jax.tree.leaves(shuffled.mask)):
    assert old.sum() == new.sum()
  assert (_flat(given) != _flat(shuffled.mask)).any()


def test_a_dense_mask_keeps_everything(small):
  chosen = _make(small, "dense")
  assert _flat(chosen.mask).all() and (chosen.keep_fraction, chosen.findings) == (1.0, [])


def test_trained_weights_are_scored_by_their_size_and_pruned_ones_come_last():
  scores = fitting.trained_scores({"a": np.float32([-3, 2, 9])}, {"a": np.float32([1, 1, 0])})
  np.testing.assert_array_equal(scores["a"], [3, 2, -np.inf])
  assert scores["a"].dtype == np.float32


# Compaction.


def test_a_compacted_problem_has_the_input_of_its_small_network(small):
  generator, params, _, problem = small
  mask = masks.threshold(masks.random_scores(random.stream_key(0, "random_mask"), params), 0.1)
  plan = fitting.plan_compaction(generator, mask, problem)
  small_params, small_mask, small_problem = fitting.compact(generator, plan, params, mask, problem)
  assert masks.count_weights(small_params) < masks.count_weights(params)
  assert small_problem.net_input.shape == (16, 16, plan.input_width)
  assert small_problem.measurement is problem.measurement
  np.testing.assert_allclose(masks.masked_output(generator, small_params, small_mask, small_problem.net_input),
                             masks.masked_output(generator, params, mask, problem.net_input), atol=1e-5)
