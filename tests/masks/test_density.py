"""From scores to a mask that works: densities, collapse, and what a mask lets act."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oes_jax.masks import _acting
from oes_jax.masks import _density
from oes_jax.masks import _top_k


@pytest.mark.parametrize("scope", ["global", "layerwise"])
def test_ranks_give_the_masks_of_threshold(scope):
  rng = np.random.default_rng(0)
  scores = {"a": jnp.asarray(rng.integers(0, 9, (4, 5)), jnp.float32),  # with ties
            "b": jnp.asarray(rng.random(30), jnp.float32)}
  mask_at = _density._ranked(scores, scope)
  for fraction in (0.03, 0.1, 0.33, 0.5):  # 0.03: layer-wise still one of each array
    expected = _top_k.threshold(scores, fraction, scope=scope)
    for name, kept in mask_at(fraction).items():
      np.testing.assert_array_equal(kept, expected[name] != 0)


def test_collapse_is_found_by_structure_and_by_output(small):
  generator, params = small
  net_input, dense = generator.default_input(), _density.dense_mask(params)
  image = _density.masked_output(generator, params, dense, net_input)
  assert _density.find_collapse(generator, dense, image) == []
  dead = jax.tree.map(lambda m: m, dense)
  dead["decoder_01"]["norm_out"]["scale"] = jnp.zeros(6)
  image = _density.masked_output(generator, params, dead, net_input)
  findings = _density.find_collapse(generator, dead, image)
  assert any("norm decoder_01/norm_out has no live channel" in f for f in findings)
  assert any("varies by" in f for f in findings)
  ramp = jnp.linspace(0, 0.1, 16)[:, None, None]
  flat = jnp.concatenate([image + ramp, image], -1)  # of two channels the second is constant
  assert _density.find_collapse(generator, dense, flat) == [
      f"the masked, untrained image varies by {float(jnp.std(image)):.1g} only, in channel 2"]


def test_without_a_graph_every_kept_weight_acts_and_the_image_alone_shows_a_collapse(small):
  generator, params = small
  unknown = generator._replace(graph=None)
  scores = _density.random_scores(jax.random.key(0), params)
  size = _top_k.count_weights(params)
  found = _density.fraction_that_acts(unknown, scores, 700, scope="global")
  mask = _top_k.threshold(scores, found)
  assert 700 == sum(int(leaf.sum()) for leaf in jax.tree.leaves(mask)) < size / 2
  report = _acting.density_report(None, mask, 32)
  assert sum(row.acting for row in report) == sum(row.kept for row in report) == 700
  assert report[0].name == "decoder_01/conv/bias" and sum(row.size for row in report) == size
  image = _density.masked_output(unknown, params, _density.dense_mask(params), generator.default_input())
  assert _density.find_collapse(unknown, _density.dense_mask(params), image) == []
  nothing = jax.tree.map(jnp.zeros_like, params)
  image = _density.masked_output(unknown, params, nothing, generator.default_input())
  assert _density.find_collapse(unknown, nothing, image) == ["the masked, untrained image varies by 0 only"]


def test_a_mask_that_collapses_is_raised_only_where_a_number_that_acts_is_asked_for(small):
  generator, params = small
  size = _top_k.count_weights(params)
  scores = jax.tree.map(jnp.ones_like, params)  # in the order of the tree: the head comes last
  choose = lambda **options: _density.choose_mask(
      generator, scores, params, generator.default_input(), keep_fraction=0.1, **options)
  exact = choose()
  assert exact.keep_fraction == 0.1 and exact.findings and not exact.notes
  assert sum(int(leaf.sum()) for leaf in jax.tree.leaves(exact.mask)) == int(0.1 * size)
  raised = choose(target=10)
  assert raised.keep_fraction == _density.LARGEST_AUTO_FRACTION and raised.findings
  assert "10 or more can act" in raised.notes[0]


def test_a_round_prunes_a_share_and_revives_nothing(small):
  generator, params = small
  scores, others = (_density.random_scores(jax.random.key(seed), params) for seed in (0, 1))
  choose = lambda scores, **options: _density.choose_mask(
      generator, scores, params, generator.default_input(), keep_fraction=0.25, **options)
  half = choose(scores, share=0.5)
  size = _top_k.count_weights(params)
  assert sum(int(leaf.sum()) for leaf in jax.tree.leaves(half.mask)) == int((int(0.25 * size) / size) ** 0.5 * size)
  others = jax.tree.map(lambda s, kept: np.where(np.asarray(kept) > 0, s, -np.inf), others, half.mask)
  last = choose(others, share=0.4)  # more than are left
  assert all(np.all(new <= old) for new, old in zip(jax.tree.leaves(last.mask), jax.tree.leaves(half.mask)))
  assert sum(int(leaf.sum()) for leaf in jax.tree.leaves(last.mask)) == int(0.5 * size)
  fewer = choose(others)
  assert sum(int(leaf.sum()) for leaf in jax.tree.leaves(fewer.mask)) == int(0.25 * size)


@pytest.mark.parametrize("values, weights, expected", [
    (786432, 3008867, 0.05),     # 512x512 RGB: the authors' density
    (76800, 2040803, 0.05),      # a small image: not below it
    (786432, 1072739, 0.1393),   # 0.19 weights per value
    (4096 * 4096 * 3, 3008867, 0.5),
])
def test_automatic_density(values, weights, expected):
  assert _density.automatic_keep_fraction(values, weights) == pytest.approx(expected, rel=0.01)


def test_the_fraction_found_is_the_smallest_that_acts(small):
  generator, params = small
  # Norms, the head and a fifth of every kernel rank first, so that what acts grows gradually.
  scores = jax.tree.map(lambda s: s + (s > 0.8) if s.ndim > 1 else s + 1,
                        _density.random_scores(jax.random.key(0), params))
  def acting(fraction):
    mask = _top_k.threshold(scores, fraction, scope="global")
    return sum(row.acting for row in _acting.density_report(
        generator.graph, mask, generator.net_input_shape[-1]))
  target = acting(0.3)
  assert 500 < target < int(0.3 * _top_k.count_weights(params))  # some that are kept cannot act
  found = _density.fraction_that_acts(generator, scores, target, scope="global")
  assert acting(found) >= target > acting(found / 1.02)
  assert _density.fraction_that_acts(generator, scores, 10 ** 9, scope="global") == 0.5
