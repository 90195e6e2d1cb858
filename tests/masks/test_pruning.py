"""Pruning criteria against a toy net that can be worked out by hand, and exact counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ml_collections import config_dict

from oes_jax.fitting import _restoration as restoration
from oes_jax.generators import _convolution as convolution
from oes_jax.generators import _generators as generators
from oes_jax.masks import _masks as masks
from oes_jax.masks import _pruning as pruning

# One input of 2 channels, a 1x1 conv to 2, a norm, a 1x1 conv to 1.
GRAPH = (generators.Layer(("a",), "conv", None, True), generators.Layer(("n",), "norm", 0, True),
         generators.Layer(("head",), "conv", 1, True))
PARAMS = {"a": {"kernel": np.array([[[[1., -2.], [3., 4.]]]])},
          "n": {"scale": np.array([1., -0.5]), "offset": np.array([0., 1.])},
          "head": {"kernel": np.array([[[[2.], [-1.]]]]), "bias": np.array([0.5])}}


def test_synaptic_flow_by_hand():
  """|a|: in to out sums (4, 6); after |n|: (4, 4); |head|: 8 + 4 + 0.5."""
  scores = pruning.synaptic_flow(GRAPH, PARAMS)
  np.testing.assert_allclose(scores["a"]["kernel"][0, 0], [[1 * 2, 2 * .5], [3 * 2, 4 * .5]])
  np.testing.assert_allclose(scores["n"]["scale"], [4 * 2, 0.5 * 6 * 1])
  np.testing.assert_allclose(scores["n"]["offset"], [0, 1])
  np.testing.assert_allclose(scores["head"]["kernel"].ravel(), [8, 4])
  np.testing.assert_allclose(scores["head"]["bias"], [0.5])
  # Each layer of kernels and scales carries the flow that does not start in a bias later on.
  assert scores["head"]["kernel"].sum() + 0.5 == pytest.approx(12.5)


@pytest.mark.parametrize("name, scales, channels", [
    pytest.param("hourglass", 2, (4, 6), marks=pytest.mark.slow), ("deep_decoder", 2, (5, 4, 3))])
def test_synaptic_flow_is_that_of_the_network_without_its_nonlinearities(name, scales, channels, monkeypatch, x64):
  generator = generators.make_generator(name, image_shape=(16, 24, 2), num_scales=scales, channels=channels)
  params = jax.tree.map(lambda p: jax.random.normal(jax.random.key(p.size), p.shape), generator.init(jax.random.key(0))[0])
  monkeypatch.setattr(convolution, "normalise_channels", 
                      lambda x, scale, offset: x * scale[None, None] + offset[None, None])
  monkeypatch.setattr(generators.nn, "sigmoid", lambda x: x)
  ones = jnp.ones(generator.net_input_shape)
  flow = lambda weights: generator.apply(weights, ones).sum()
  absolute = jax.tree.map(jnp.abs, params)
  expected = jax.tree.map(jnp.multiply, absolute, jax.jit(jax.grad(flow))(absolute))
  pixels = 16 * 24
  for got, want in zip(jax.tree.leaves(pruning.synaptic_flow(generator.graph, params)), jax.tree.leaves(expected)):
    np.testing.assert_allclose(pixels * got, want, rtol=1e-9)


def test_synflow_keeps_the_exact_count_and_no_layer_dies():
  generator = generators.make_generator("hourglass", image_shape=(32, 32, 3), num_scales=2, channels=(8, 8))
  params = generator.init(jax.random.key(1))[0]
  scores = pruning.synflow(generator.graph, params, 0.05)
  mask = masks.top_k_mask(jax.tree.map(jnp.asarray, scores), masks.keep_count(0.05, masks.count_weights(params)))
  assert sum(int(leaf.sum()) for leaf in jax.tree.leaves(mask)) == int(0.05 * masks.count_weights(params))
  for layer in generator.graph:
    node = mask
    for key in layer.path:
      node = node[key]
    assert node["kernel" if layer.kind == "conv" else "scale"].sum() > 0


def test_synflow_orders_all_weights_and_spares_what_is_not_pruned():
  generator = generators.make_generator("hourglass", image_shape=(32, 32, 3), num_scales=2, channels=(6, 6))
  params = generator.init(jax.random.key(1))[0]
  spared = pruning.is_spared(config_dict.ConfigDict({"source": "synflow", "prune": None}), params)
  scores = pruning.synflow(generator.graph, params, 0.3, spared)
  places = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(scores)])
  np.testing.assert_array_equal(np.sort(places), np.arange(places.size))
  count = int(0.3 * places.size)
  for leaf, whole in zip(jax.tree.leaves(scores), jax.tree.leaves(spared)):
    assert not whole or np.all(leaf >= places.size - count)  # kept by every density from 0.3 on
  # Of the first step alone: what has scored least goes first.
  once = pruning.synflow(generator.graph, params, 0.9, iterations=1)
  flow = pruning.synaptic_flow(generator.graph, params)
  order = np.argsort(np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(flow)]), kind="stable")
  pruned = places.size - int(0.9 * places.size)
  np.testing.assert_array_equal(
      np.argsort(np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(once)]))[:pruned], order[:pruned])


@pytest.mark.parametrize("source, prune, spares", [
    ("learn", None, False), ("random", None, False), ("snip", None, True), ("imp", None, True),
    ("random", "kernels", True), ("magnitude", "all", False)])
@pytest.mark.parametrize("scope", ["global", "layerwise"])
def test_norms_and_biases_are_spared_where_only_kernels_are_pruned(source, prune, spares, scope):
  tree = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), PARAMS)
  tree["a"]["kernel"] = np.arange(90, dtype=np.float32).reshape(3, 3, 2, 5)
  config = config_dict.ConfigDict({"source": source, "prune": prune})
  scores = pruning.spare(config, tree)
  mask = restoration.threshold_scores(scores, 0.2, scope=scope)
  size = masks.count_weights(tree)
  assert sum(int(leaf.sum()) for leaf in jax.tree.leaves(mask)) == int(0.2 * size)
  others = [mask["n"]["scale"], mask["n"]["offset"], mask["head"]["bias"]]
  assert all(leaf.all() for leaf in others) == spares
  logits = pruning.initial_logits(config, tree)
  assert np.all(logits["a"]["kernel"] == 0) and np.all((logits["n"]["scale"] > 20) == spares)


def test_loss_criteria_by_hand():
  """loss = (w0 w1 - 1)^2 at w = (2, 3): g = 2 (5) (3, 2), H = [[2 w1^2, 4 w0 w1 - 2], [., 2 w0^2]]."""
  w = {"w": jnp.array([2., 3.])}
  loss = lambda p: (p["w"][0] * p["w"][1] - 1) ** 2
  np.testing.assert_allclose(pruning.magnitude({"w": jnp.array([-2., 3.])})["w"], [2, 3])
  np.testing.assert_allclose(pruning.snip(loss, w)["w"], [60, 60])
  hessian, gradient = np.array([[18., 22.], [22., 8.]]), np.array([30., 20.])
  np.testing.assert_allclose(pruning.grasp(loss, w)["w"], np.array([2., 3.]) * (hessian @ gradient), rtol=1e-6)
  two = {"a": jnp.array(2.), "b": jnp.array(3.)}  # b is spared: its gradient's norm does not count
  scores = pruning.grasp(lambda p: loss({"w": jnp.stack([p["a"], p["b"]])}), two, {"a": False, "b": True})
  assert float(scores["a"]) == pytest.approx(2 * 18 * 30)


def test_shuffled_masks_keep_their_densities():
  mask = {"a": jnp.array([1., 1., 0., 0., 0., 0.]).reshape(2, 3), "b": jnp.ones(4)}
  shuffled = [pruning.shuffle_within_arrays(jax.random.key(i), mask) for i in range(20)]
  assert all(tree["a"].sum() == 2 and tree["b"].sum() == 4 and tree["a"].shape == (2, 3) for tree in shuffled)
  assert len({tuple(np.asarray(tree["a"]).ravel()) for tree in shuffled}) > 5
