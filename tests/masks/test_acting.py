"""What a mask does to a network: weights that are said not to act do not, and a dead network is found."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from masks import trees
from oes_jax import files
from oes_jax import generators
from oes_jax.generators import Layer
from oes_jax.masks import _acting


@functools.cache
def make_small(name):
  channels = {"hourglass": (4, 6), "deep_decoder": (4, 5, 6), "skip_hourglass": (4, 6)}[name]
  return generators.make_generator(
      name, image_shape=(16, 16, 3), num_scales=2, channels=channels)


def shapes(generator):
  return jax.eval_shape(generator.init, jax.random.key(0))[0]


def random_params(generator):
  """Nothing is zero; offsets are small enough that every norm gives values of both signs."""
  rng = np.random.default_rng(0)
  def draw(path, leaf):
    size = 0.1 if path[-1].key == "offset" else 1
    values = size * rng.uniform(0.3, 1, leaf.shape) * rng.choice([-1, 1], leaf.shape)
    values[(0,) * values.ndim] = size  # positive: no ReLU silences a channel that has only this
    return values
  return jax.tree_util.tree_map_with_path(draw, shapes(generator))


def random_net_input(generator):
  return np.random.default_rng(1).uniform(0, 0.1, generator.net_input_shape)


def random_mask(generator, density, scale_density, seed):
  """Keep each weight with probability `density`, norm scales with `scale_density`.

  The first channel of every layer is kept alive: what a dead network gives is rounding error,
  which its norms amplify up to 1 / sqrt(epsilon) = 316 times each.
  """
  rng = np.random.default_rng(seed)
  def keep(path, leaf):
    kind = path[-1].key
    share = scale_density if kind == "scale" else density
    kept = rng.uniform(size=leaf.shape) < share
    if kind in ("kernel", "scale"):
      kept[(0,) * kept.ndim] = True
    return kept.astype(np.float64)
  return jax.tree_util.tree_map_with_path(keep, shapes(generator))


def random_masks(generator):
  """Masks of many densities, offsets being kept more and less often than scales."""
  for seed, density in enumerate((0.01, 0.03, 0.1, 0.3, 0.6, 0.9)):
    for scale_density in (density, 0.5, 0.2):
      yield random_mask(generator, density, scale_density, seed)


@functools.cache
def compiled(name):
  """(params, mask) -> (image, gradient of a fixed projection of it to the masked params)."""
  generator = make_small(name)
  z = random_net_input(generator)
  weights = np.random.default_rng(2).standard_normal((16, 16, 3))
  def project(masked):
    image = generator.apply(masked, z)
    return jnp.sum(weights * image), image
  @jax.jit
  def run(params, mask):
    masked = jax.tree.map(jnp.multiply, params, mask)
    (_, image), gradient = jax.value_and_grad(project, has_aux=True)(masked)
    return image, gradient
  return run


def acting(generator, mask):
  result = _acting.acting_weights(generator.graph, mask, generator.net_input_shape[-1])
  return jax.tree.map(lambda leaf, m: leaf.astype(m.dtype), result, mask)


def spread(image):
  """The largest standard deviation of a channel over the pixels."""
  return np.std(np.asarray(image), axis=(0, 1)).max()


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] if name == "hourglass" else [])
                                  for name in generators.GENERATORS])  # the skip hourglass has all of it
def test_weights_that_do_not_act_can_be_zeroed(x64, name):
  generator = make_small(name)
  run, params = compiled(name), random_params(generator)
  num_removed = num_varying = 0
  for mask in random_masks(generator):
    reduced = acting(generator, mask)
    assert jax.tree.structure(reduced) == jax.tree.structure(mask)
    kept, acts = trees.flat(mask) == 1, trees.flat(reduced) == 1
    assert not acts[~kept].any(), "a dropped weight acts"
    image, gradient = run(params, mask)
    reduced_image, reduced_gradient = run(params, reduced)
    np.testing.assert_allclose(reduced_image, image, rtol=0, atol=1e-10)
    gradient, reduced_gradient = trees.flat(gradient), trees.flat(reduced_gradient)
    np.testing.assert_allclose(reduced_gradient[acts], gradient[acts], rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(gradient[kept & ~acts], 0, atol=1e-10)
    num_removed += np.sum(kept & ~acts)
    num_varying += spread(image) > 1e-3
  assert num_removed > 100 and num_varying > 9  # there was something to remove, and to keep


def test_weights_that_do_not_act_can_be_zeroed_in_float32():
  generator = make_small("hourglass")
  params, z = random_params(generator), random_net_input(generator)
  run = jax.jit(lambda mask: generator.apply(jax.tree.map(jnp.multiply, params, mask), z))
  for mask in random_masks(generator):
    image, reduced_image = run(mask), run(acting(generator, mask))
    assert image.dtype == jnp.float32
    np.testing.assert_allclose(reduced_image, image, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["hourglass", "skip_hourglass"])
def test_weights_that_are_said_to_act_do(x64, name):
  # No nonlinearity of the hourglasses is flat, so a weight that acts has a gradient. In sparser nets
  # it may be too small to see: a lone channel's size acts only through the epsilon of its norm.
  generator = make_small(name)
  run, params = compiled(name), random_params(generator)
  for seed, (density, scale_density) in enumerate([(0.6, 0.6), (0.6, 0.9), (0.9, 0.6)]):
    mask = random_mask(generator, density, scale_density, seed)
    gradient = trees.flat(run(params, mask)[1])
    acts = trees.flat(acting(generator, mask)) == 1
    assert acts.any() and np.abs(gradient[acts]).min() > 1e-10


def conv(kernel, bias=None):
  arrays = {"kernel": np.asarray(kernel, float)[None, None]}
  return arrays if bias is None else arrays | {"bias": np.asarray(bias, float)}


def norm(scale, offset):
  return {"scale": np.asarray(scale, float), "offset": np.asarray(offset, float)}


# Net input (2 channels) -> conv a -> norm b (a nonlinearity follows) -> head (1 channel).
SHORT = (Layer(("a",), "conv", (), False), Layer(("b",), "norm", (0,), True),
         Layer(("head",), "conv", (1,), True))
# The same with a norm c straight before a second conv d, which a norm e follows.
LONG = (Layer(("a",), "conv", (), False), Layer(("b",), "norm", (0,), True),
        Layer(("c",), "norm", (1,), False), Layer(("d",), "conv", (2,), False),
        Layer(("e",), "norm", (3,), True), Layer(("head",), "conv", (4,), True))


# A branch a of the net input beside the conv d; a norm c of both, skip first, straight before a conv f.
BRANCHED = (Layer(("a",), "conv", (), False), Layer(("b",), "norm", (0,), True),
            Layer(("d",), "conv", (), False), Layer(("e",), "norm", (2,), True),
            Layer(("c",), "norm", (1, 3), False), Layer(("f",), "conv", (4,), False),
            Layer(("g",), "norm", (5,), True), Layer(("head",), "conv", (6,), True))


def dense_mask(graph):
  """Two channels out of every conv, one of the head."""
  mask = {}
  for layer in graph:
    channels = 2 * max(1, len(layer.sources))
    if layer.kind == "norm":
      mask[layer.path[0]] = norm(np.ones(channels), np.ones(channels))
    else:
      fed = 4 if any(len(graph[source].sources) == 2 for source in layer.sources) else 2
      mask[layer.path[0]] = conv(np.ones((fed, 2)), [1, 1])
  return mask | {"head": conv([[1], [1]], [1])}


def check(graph, changes, expected):
  """Acting weights of a dense mask with `changes`; `expected` lists the layers that it changes."""
  mask = dense_mask(graph) | changes
  result = _acting.acting_weights(graph, mask, 2)
  for layer, arrays in expected.items():
    for key, array in arrays.items():
      np.testing.assert_array_equal(result[layer][key], array.astype(bool), f"{layer}/{key}")
  for layer in set(mask) - set(expected):
    for key, array in mask[layer].items():
      np.testing.assert_array_equal(result[layer][key], array.astype(bool), f"{layer}/{key}")


def test_in_a_dense_short_graph_only_the_bias_before_the_norm_is_idle():
  check(SHORT, {}, {"a": conv([[1, 1], [1, 1]], [0, 0])})


def test_in_a_dense_long_graph_biases_before_norms_and_the_inner_offset_are_idle():
  check(LONG, {}, {"a": conv([[1, 1], [1, 1]], [0, 0]), "d": conv([[1, 1], [1, 1]], [0, 0]),
                   "c": norm([1, 1], [0, 0])})


def test_offset_without_scale_is_a_constant_that_acts_at_the_head():
  check(SHORT, {"b": norm([0, 1], [1, 1])}, {"a": conv([[0, 1], [0, 1]], [0, 0])})


def test_scale_without_live_input_is_idle_though_its_offset_acts_at_the_head():
  check(SHORT, {"a": conv([[1, 0], [1, 0]], [1, 1])},
        {"a": conv([[1, 0], [1, 0]], [0, 0]), "b": norm([1, 0], [1, 1])})


def test_masked_norm_channel_takes_its_head_weight_along():
  check(SHORT, {"b": norm([0, 1], [0, 1])},
        {"a": conv([[0, 1], [0, 1]], [0, 0]), "head": conv([[0], [1]], [1])})


def test_offset_without_scale_is_idle_before_an_inner_norm():
  check(LONG, {"b": norm([0, 1], [1, 1])},
        {"a": conv([[0, 1], [0, 1]], [0, 0]), "b": norm([0, 1], [0, 1]),
         "c": norm([0, 1], [0, 0]), "d": conv([[0, 0], [1, 1]], [0, 0])})


def test_channel_without_live_consumer_is_removed_backwards():
  check(LONG, {"d": conv([[1, 1], [0, 0]], [1, 1])},
        {"a": conv([[1, 0], [1, 0]], [0, 0]), "b": norm([1, 0], [1, 0]),
         "c": norm([1, 0], [0, 0]), "d": conv([[1, 1], [0, 0]], [0, 0])})


def test_channel_without_live_input_is_removed_forwards():
  check(LONG, {"a": conv([[1, 0], [1, 0]], [1, 1])},
        {"a": conv([[1, 0], [1, 0]], [0, 0]), "b": norm([1, 0], [1, 0]),
         "c": norm([1, 0], [0, 0]), "d": conv([[1, 1], [0, 0]], [0, 0])})


def test_unused_head_weight_removes_its_channel_to_the_input():
  check(SHORT, {"head": conv([[1], [0]], [1])},
        {"a": conv([[1, 0], [1, 0]], [0, 0]), "b": norm([1, 0], [1, 0]),
         "head": conv([[1], [0]], [1])})


def test_only_the_head_bias_acts_where_nothing_reaches_the_image():
  nothing = conv([[0, 0], [0, 0]], [0, 0])
  check(SHORT, {"head": conv([[0], [0]], [1])},
        {"a": nothing, "b": norm([0, 0], [0, 0]), "head": conv([[0], [0]], [1])})


def test_constants_pass_through_a_conv_before_a_nonlinearity():
  # As in the deep decoder: conv a -> ReLU -> norm b -> conv d -> ReLU -> norm e -> head.
  graph = (Layer(("a",), "conv", (), True), Layer(("b",), "norm", (0,), True),
           Layer(("d",), "conv", (1,), True), Layer(("e",), "norm", (2,), True),
           Layer(("head",), "conv", (3,), True))
  # A bias can open a ReLU, and an offset without scale shifts what varies in the next one.
  check(graph, {"b": norm([0, 1], [1, 1])}, {"a": conv([[0, 1], [0, 1]], [0, 1])})


def test_in_a_dense_branched_graph_biases_before_norms_and_the_inner_offset_are_idle():
  idle = conv([[1, 1], [1, 1]], [0, 0])
  check(BRANCHED, {}, {"a": idle, "d": idle, "c": norm([1] * 4, [0] * 4), "f": conv([[1, 1]] * 4, [0, 0])})


def test_one_masked_branch_leaves_the_other_and_takes_its_own_channels_along():
  check(BRANCHED, {"a": conv([[1, 0], [1, 0]], [1, 1]), "f": conv([[1, 1], [1, 1], [0, 0], [1, 1]], [1, 1])},
        {"a": conv([[1, 0], [1, 0]], [0, 0]), "b": norm([1, 0], [1, 0]),
         "d": conv([[0, 1], [0, 1]], [0, 0]), "e": norm([0, 1], [0, 1]),
         "c": norm([1, 0, 0, 1], [0] * 4), "f": conv([[1, 1], [0, 0], [0, 0], [1, 1]], [0, 0])})


def test_what_any_consumer_uses_acts():
  # Two convs a and d see the network input, and two norms c and e what b gives: one of them is enough.
  graph = (Layer(("a",), "conv", (), False), Layer(("b",), "norm", (0,), True), Layer(("d",), "conv", (1,), False),
           Layer(("e",), "norm", (2,), True), Layer(("c",), "norm", (1, 3), False), Layer(("f",), "conv", (4,), False),
           Layer(("g",), "norm", (5,), True), Layer(("head",), "conv", (6,), True))
  idle = {"d": conv([[0, 1], [0, 1]], [0, 0]), "e": norm([0, 1], [0, 1]), "a": conv([[1, 1], [1, 1]], [0, 0])}
  check(graph, {"c": norm([1, 0, 0, 1], [1] * 4)},
        {**idle, "c": norm([1, 0, 0, 1], [0] * 4), "f": conv([[1, 1], [0, 0], [0, 0], [1, 1]], [0, 0])})
  # Without d's use of it, the second channel of b reaches nothing.
  check(graph, {"c": norm([1, 0, 0, 1], [1] * 4), "d": conv([[1, 1], [0, 0]], [1, 1])},
        {"a": conv([[1, 0], [1, 0]], [0, 0]), "b": norm([1, 0], [1, 0]), "d": conv([[0, 1], [0, 0]], [0, 0]),
         "e": norm([0, 1], [0, 1]), "c": norm([1, 0, 0, 1], [0] * 4),
         "f": conv([[1, 1], [0, 0], [0, 0], [1, 1]], [0, 0])})


def test_density_report_hand_check():
  report = _acting.density_report(SHORT, dense_mask(SHORT) | {"b": norm([0, 1], [0, 1])}, 2)
  assert report == [
      ("a/kernel", 4, 4, 2), ("a/bias", 2, 2, 0), ("b/scale", 2, 1, 1), ("b/offset", 2, 1, 1),
      ("head/kernel", 2, 2, 1), ("head/bias", 1, 1, 1)]


def test_density_report_counts_every_weight():
  generator = make_small("hourglass")
  mask = random_mask(generator, 0.3, 0.2, 0)
  report = _acting.density_report(generator.graph, mask, generator.net_input_shape[-1])
  assert len(report) == len(jax.tree.leaves(mask))
  assert sum(row.size for row in report) == trees.flat(mask).size
  assert sum(row.kept for row in report) == trees.flat(mask).sum()
  assert sum(row.acting for row in report) == trees.flat(acting(generator, mask)).sum()


@pytest.mark.parametrize("changes, findings", [
    ({}, []),
    ({"a": conv([[0, 0], [0, 0]], [1, 1])},
     ["conv a keeps none of its 4 kernel weights", "norm b has no live channel",
      "the image cannot vary over the pixels"]),
    ({"b": norm([0, 0], [1, 1])},
     ["norm b has no live channel", "the image cannot vary over the pixels"]),
    ({"head": conv([[0], [0]], [1])},
     ["conv head keeps none of its 2 kernel weights", "the image cannot vary over the pixels"]),
    ({"b": norm([0, 1], [1, 1]), "head": conv([[1], [0]], [1])},
     ["the image cannot vary over the pixels"]),
    ({"b": norm([0, 1], [1, 1]), "head": conv([[0], [1]], [0])}, []),
    # An image of two and of three channels.
    ({"head": conv([[0, 1], [0, 1]], [1, 1])}, ["the image cannot vary over the pixels, in channel 1"]),
    ({"b": norm([0, 1], [1, 1]), "head": conv([[1, 0, 1], [0, 1, 0]], [1, 1, 1])},
     ["the image cannot vary over the pixels, in channel 1, 3"]),
])
def test_find_collapse_hand_check(changes, findings):
  assert _acting.find_collapse(SHORT, dense_mask(SHORT) | changes, 2) == findings


@pytest.mark.parametrize("dead, findings", [
    ("a", []), ("b", []), ("d", []), ("e", []),  # the other branch stays
    ("ab", []), ("de", []),
    ("bd", ["norm c has no live channel", "norm g has no live channel", "the image cannot vary over the pixels"]),
    ("c", ["norm c has no live channel", "norm g has no live channel", "the image cannot vary over the pixels"]),
    ("f", ["conv f keeps none of its 8 kernel weights", "norm g has no live channel",
           "the image cannot vary over the pixels"]),
])
def test_a_dead_layer_with_a_way_around_it_is_no_finding(dead, findings):
  mask = {name: {key: array * (name not in dead) for key, array in arrays.items()}
          for name, arrays in dense_mask(BRANCHED).items()}
  assert _acting.find_collapse(BRANCHED, mask, 2) == findings


@pytest.mark.parametrize("name, path", [
    ("hourglass", ("encoder_01", "conv_a", "kernel")),
    ("hourglass", ("encoder_02", "norm_b", "scale")),
    ("hourglass", ("decoder_02", "norm_in", "scale")),
    ("hourglass", ("decoder_01", "conv", "kernel")),
    ("hourglass", ("head", "kernel")),
    ("deep_decoder", ("conv_02", "kernel")),
    ("deep_decoder", ("norm_03", "scale")),
    ("skip_hourglass", ("decoder_01", "norm_in", "scale")),
    ("skip_hourglass", ("decoder_01", "conv", "kernel")),
    ("skip_hourglass", ("head", "kernel")),
])
def test_mask_with_a_finding_makes_the_image_constant(x64, name, path):
  generator = make_small(name)
  run, params = compiled(name), random_params(generator)
  find = lambda mask: _acting.find_collapse(generator.graph, mask, generator.net_input_shape[-1])
  dense = jax.tree.map(np.ones_like, params)
  assert not find(dense) and spread(run(params, dense)[0]) > 1e-3
  mask = jax.tree_util.tree_map_with_path(
      lambda p, m: m * (tuple(key.key for key in p) != path), dense)
  findings = find(mask)
  assert "/".join(path[:-1]) in findings[0]
  assert findings[-1] == "the image cannot vary over the pixels"
  assert spread(run(params, mask)[0]) < 1e-7


@pytest.mark.parametrize("dead", ["skip_01", "skip_02", "encoder_01", "encoder_02", "decoder_02"])
def test_a_skip_hourglass_without_one_of_its_ways_is_no_finding_and_its_image_varies(x64, dead):
  generator = make_small("skip_hourglass")
  params = random_params(generator)
  mask = jax.tree_util.tree_map_with_path(lambda p, m: np.full_like(m, p[0].key != dead), params)
  assert _acting.find_collapse(generator.graph, mask, generator.net_input_shape[-1]) == []
  assert spread(compiled("skip_hourglass")(params, mask)[0]) > 1e-3


def published_mask(reference_data, name):
  generator = generators.make_generator("hourglass", image_shape=(512, 512, 3), num_scales=6)
  path = str(reference_data / f"official_mask_{name}.pkl")
  return generator, files.read_mask(path, generator, shapes(generator))


def test_published_lena_mask_leaves_the_known_channels(reference_data):
  generator, mask = published_mask(reference_data, "lena")
  result = _acting.acting_weights(generator.graph, mask, generator.net_input_shape[-1])
  live = lambda scale, layer: int(result[scale][layer]["kernel"].any((0, 1, 2)).sum())
  scales = range(1, 7)
  assert [live(f"encoder_{i:02d}", "conv_a") for i in scales] == [7, 10, 22, 45, 74, 101]
  assert [live(f"encoder_{i:02d}", "conv_b") for i in scales] == [5, 14, 23, 61, 99, 96]
  assert [live(f"decoder_{i:02d}", "conv") for i in scales] == [14, 17, 37, 76, 68, 79]


@pytest.mark.parametrize("name", ["lena", "pepper"])
def test_published_masks_have_not_collapsed(reference_data, name):
  generator, mask = published_mask(reference_data, name)
  assert _acting.find_collapse(generator.graph, mask, generator.net_input_shape[-1]) == []
