"""Exact masks: the largest scores over all arrays or within each, in exact numbers."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from masks import trees
from oes_jax.masks import _density
from oes_jax.masks import _gates
from oes_jax.masks import _top_k


top_k_mask = jax.jit(_top_k.top_k_mask)


@pytest.mark.parametrize("count", [0, 1, 5, 26, 52, 53])
def test_top_k_mask_keeps_exactly_the_largest(count):
  scores = trees.random_scores(1)
  mask = top_k_mask(scores, count)
  assert jax.tree.structure(mask) == jax.tree.structure(scores)
  for a, b in zip(jax.tree.leaves(mask), jax.tree.leaves(scores)):
    assert a.shape == b.shape and a.dtype == b.dtype
  kept, values = trees.flat(mask), trees.flat(scores)
  assert set(kept) <= {0, 1} and kept.sum() == count
  if 0 < count < values.size:
    assert values[kept == 1].min() > values[kept == 0].max()


@pytest.mark.parametrize("count", [0, 1, 3, 5, 8])
def test_top_k_mask_keeps_the_earlier_of_equal_scores(count):
  scores = {"a": np.ones(3), "b": np.ones((2, 2)), "c": np.ones(1)}
  np.testing.assert_array_equal(
      trees.flat(top_k_mask(scores, count)), [1] * count + [0] * (8 - count))


def test_top_k_mask_hand_check():
  scores = {"a": jnp.asarray([[0.1, 0.9], [0.5, 0.5]]), "b": jnp.asarray([0.5, -2.0, 0.7])}
  mask = _top_k.top_k_mask(scores, 4)
  np.testing.assert_array_equal(mask["a"], [[0, 1], [1, 1]])
  np.testing.assert_array_equal(mask["b"], [0, 0, 1])


def test_top_k_mask_compiles_once_for_all_counts():
  scores, traces = trees.random_scores(2), []
  @jax.jit
  def traced(scores, count):
    traces.append(count)
    return _top_k.top_k_mask(scores, count)
  for count in (0, 7, 53):
    np.testing.assert_array_equal(
        trees.flat(traced(scores, count)), trees.flat(_top_k.top_k_mask(scores, count)))
  assert len(traces) == 1


def test_top_k_mask_counts_may_differ_in_a_batch():
  scores = jax.tree.map(lambda leaf: np.stack([leaf] * 3), trees.random_scores(3))
  mask = jax.jit(jax.vmap(_top_k.top_k_mask))(scores, np.asarray([1, 10, 53]))
  sums = sum(np.asarray(leaf).reshape(3, -1).sum(1) for leaf in jax.tree.leaves(mask))
  np.testing.assert_array_equal(sums, [1, 10, 53])


@pytest.mark.parametrize("keep_fraction", [0.003, 0.05, 0.31, 0.5, 0.999, 1.0])
def test_layerwise_counts_are_shares_and_exact_in_all(keep_fraction):
  sizes = [5000, 777, 16, 16, 3, 1]
  counts = _top_k.layerwise_counts(keep_fraction, sizes)
  assert sum(counts) == int(keep_fraction * sum(sizes))
  assert all(1 <= count <= size for count, size in zip(counts, sizes))
  assert counts[0] == pytest.approx(keep_fraction * sizes[0], abs=6)


@pytest.mark.parametrize("keep_fraction, kernel, bias, scale", [
    (0.01, 1, 1, 1), (0.25, 11, 1, 1), (0.5, 23, 2, 1), (0.6, 28, 2, 1), (1.0, 48, 4, 1)])
def test_layerwise_mask_keeps_a_share_of_each_array(keep_fraction, kernel, bias, scale):
  scores = trees.random_scores(4)
  mask = _top_k.layerwise_top_k_mask(scores, keep_fraction)
  assert np.sum(mask["conv"]["kernel"]) == kernel
  assert np.sum(mask["conv"]["bias"]) == bias
  assert np.sum(mask["norm"]["scale"]) == scale
  values, kept = trees.flat(scores["conv"]["kernel"]), trees.flat(mask["conv"]["kernel"])
  assert values[kept == 1].min() > values[kept == 0].max(initial=-np.inf)


@pytest.mark.parametrize("keep_fraction, num_weights, expected", [
    (0.05, 3_008_867, 150_443), (1, 10, 10), (1.0, 10, 10), (0.5, 3, 1), (0.1, 10, 1)])
def test_keep_count_rounds_down(keep_fraction, num_weights, expected):
  count = _top_k.keep_count(keep_fraction, num_weights)
  assert count == expected and isinstance(count, int)


@pytest.mark.parametrize("keep_fraction", [0, 0.0, -0.1, 1.01, 5, math.nan, math.inf, "0.05", None])
def test_keep_count_names_the_argument(keep_fraction):
  with pytest.raises(ValueError, match=r"^keep_fraction=.* is not allowed; allowed: a number"):
    _top_k.keep_count(keep_fraction, 1000)


def test_keep_count_refuses_to_keep_nothing():
  with pytest.raises(ValueError, match=r"^keep_fraction=0\.0005 keeps none of 1000.*0\.001"):
    _top_k.keep_count(0.0005, 1000)


def test_count_and_density_hand_check():
  mask = {"a": jnp.asarray([[1, 0], [0, 1], [0, 0]]), "b": {"c": jnp.asarray([1., 0.])}}
  assert _top_k.count_weights(mask) == 8
  assert _top_k.density(mask) == 3 / 8


@pytest.mark.parametrize("value, expected", [(0., 0.0), (1., 1.0)])
def test_density_of_uniform_masks(value, expected):
  assert _top_k.density(_gates.init_mask_logits(trees.random_scores(0), value=value)) == expected


def test_layerwise_scope_keeps_a_share_of_every_array(small):
  _, params = small
  scores = _density.random_scores(jax.random.key(0), params)
  mask = _top_k.threshold(scores, 0.25, scope="layerwise")
  leaves = jax.tree.leaves(mask)
  assert sum(int(np.sum(leaf)) for leaf in leaves) == int(0.25 * _top_k.count_weights(params))
  for leaf in leaves:
    assert np.sum(leaf) == pytest.approx(0.25 * leaf.size, abs=3) and np.sum(leaf) >= 1


def test_an_unknown_scope_is_refused():
  with pytest.raises(ValueError, match="scope='layer' is unknown; allowed: global, layerwise"):
    _top_k.threshold({"a": jnp.arange(4.0)}, 0.5, scope="layer")
