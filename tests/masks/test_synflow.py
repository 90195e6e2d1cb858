"""SynFlow against a toy net that can be worked out by hand, and against the network without its nonlinearities."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from masks import trees
from oes_jax import generators
from oes_jax.masks import _acting
from oes_jax.masks import _spared
from oes_jax.masks import _synflow
from oes_jax.masks import _top_k


def test_synaptic_flow_by_hand():
  """|a|: in to out sums (4, 6); after |n|: (4, 4); |head|: 8 + 4 + 0.5."""
  scores = _synflow.synaptic_flow(trees.GRAPH, trees.PARAMS)
  np.testing.assert_allclose(scores["a"]["kernel"][0, 0], [[1 * 2, 2 * .5], [3 * 2, 4 * .5]])
  np.testing.assert_allclose(scores["n"]["scale"], [4 * 2, 0.5 * 6 * 1])
  np.testing.assert_allclose(scores["n"]["offset"], [0, 1])
  np.testing.assert_allclose(scores["head"]["kernel"].ravel(), [8, 4])
  np.testing.assert_allclose(scores["head"]["bias"], [0.5])
  # Each layer of kernels and scales carries the flow that does not start in a bias later on.
  assert scores["head"]["kernel"].sum() + 0.5 == pytest.approx(12.5)


@pytest.mark.parametrize("name, scales, channels", [
    pytest.param("hourglass", 2, (4, 6), marks=pytest.mark.slow), ("deep_decoder", 2, (5, 4, 3)),
    pytest.param("skip_hourglass", 2, (4, 6), marks=pytest.mark.slow)])
def test_synaptic_flow_is_that_of_the_network_without_its_nonlinearities(name, scales, channels, monkeypatch, x64):
  generator = generators.make_generator(name, image_shape=(16, 24, 2), num_scales=scales, channels=channels)
  params = jax.tree.map(
      lambda p: jax.random.normal(jax.random.key(p.size), p.shape), generator.init(jax.random.key(0))[0])
  monkeypatch.setattr("oes_jax.generators._convolution.normalise_channels",
                      lambda x, scale, offset: x * scale[None, None] + offset[None, None])
  monkeypatch.setattr(nn, "sigmoid", lambda x: x)
  ones = jnp.ones(generator.net_input_shape)
  flow = lambda weights: generator.apply(weights, ones).sum()
  absolute = jax.tree.map(jnp.abs, params)
  expected = jax.tree.map(jnp.multiply, absolute, jax.jit(jax.grad(flow))(absolute))
  pixels = 16 * 24
  for got, want in zip(jax.tree.leaves(_synflow.synaptic_flow(generator.graph, params)), jax.tree.leaves(expected)):
    np.testing.assert_allclose(pixels * got, want, rtol=1e-9)


@pytest.mark.parametrize("name", ["hourglass", "skip_hourglass"])
def test_synflow_keeps_the_exact_count_and_no_cut_dies(name):
  generator = generators.make_generator(name, image_shape=(32, 32, 3), num_scales=2, channels=(8, 8))
  params = generator.init(jax.random.key(1))[0]
  scores = _synflow.synflow(generator.graph, params, 0.05)
  mask = _top_k.top_k_mask(jax.tree.map(jnp.asarray, scores), _top_k.keep_count(0.05, _top_k.count_weights(params)))
  assert sum(int(leaf.sum()) for leaf in jax.tree.leaves(mask)) == int(0.05 * _top_k.count_weights(params))
  # In a chain every layer is a cut; of branches side by side one may lose all its weights.
  assert _acting.find_collapse(generator.graph, mask, generator.net_input_shape[-1]) == []


def test_synflow_orders_all_weights_and_spares_what_is_not_pruned():
  generator = generators.make_generator("hourglass", image_shape=(32, 32, 3), num_scales=2, channels=(6, 6))
  params = generator.init(jax.random.key(1))[0]
  spared = _spared.is_spared(params, "kernels")
  scores = _synflow.synflow(generator.graph, params, 0.3, spared)
  places = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(scores)])
  np.testing.assert_array_equal(np.sort(places), np.arange(places.size))
  count = int(0.3 * places.size)
  for leaf, whole in zip(jax.tree.leaves(scores), jax.tree.leaves(spared)):
    assert not whole or np.all(leaf >= places.size - count)  # kept by every density from 0.3 on
  # Of the first step alone: what has scored least goes first.
  once = _synflow.synflow(generator.graph, params, 0.9, iterations=1)
  flow = _synflow.synaptic_flow(generator.graph, params)
  order = np.argsort(np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(flow)]), kind="stable")
  pruned = places.size - int(0.9 * places.size)
  np.testing.assert_array_equal(
      np.argsort(np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(once)]))[:pruned], order[:pruned])


def test_a_network_without_a_graph_is_refused():
  with pytest.raises(ValueError, match="^graph=None: .*allowed: a generator with a channel graph"):
    _synflow.synflow(None, trees.PARAMS, 0.5)
