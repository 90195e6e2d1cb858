"""What all generators have in common: trees, graphs, sizes, draws; and how a network of one's own becomes one."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from generators import own
from generators import plain
from oes_jax import generators

# Trees and graphs.


@pytest.mark.parametrize("name", generators.GENERATORS)
def test_params_and_logits_have_one_treedef(name):
  params, logits = plain.make_small(name).init(jax.random.key(0))
  assert jax.tree.structure(params) == jax.tree.structure(logits)
  for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(logits)):
    assert a.shape == b.shape and a.dtype == b.dtype and not b.any()


@pytest.mark.parametrize("name", generators.GENERATORS)
def test_graph_names_every_array_once_and_is_ordered_by_sources(name):
  generator = plain.make_small(name)
  params, _ = jax.eval_shape(generator.init, jax.random.key(0))
  names = []
  for index, layer in enumerate(generator.graph):
    node = params
    for key in layer.path:
      node = node[key]
    allowed = {"conv": {"kernel", "bias"}, "norm": {"scale", "offset"}}[layer.kind]
    assert set(node) <= allowed
    names += ["/".join(layer.path + (key,)) for key in node]
    assert all(source < index for source in layer.sources)
  assert sorted(names) == sorted(plain.named_leaves(params))


# Sizes.


@pytest.mark.parametrize("name", generators.GENERATORS)
@pytest.mark.parametrize("image_shape", [(16, 16, 1), (19, 37, 1), (37, 19, 3), (33, 32, 5)])
def test_image_has_any_shape(name, image_shape):
  generator = plain.make_small(name, image_shape=image_shape)
  params, _ = jax.eval_shape(generator.init, jax.random.key(0))
  z = jax.ShapeDtypeStruct(generator.net_input_shape, jnp.float32)
  assert jax.eval_shape(generator.apply, params, z).shape == generator.image_shape == image_shape


@pytest.mark.parametrize("name, net_input_shape", [
    ("hourglass", (20, 40, 32)), ("deep_decoder", (5, 10, 4)), ("skip_hourglass", (20, 40, 32))])
def test_image_is_the_centre_of_the_padded_one(name, net_input_shape):
  generator, padded = (plain.make_small(name, image_shape=(*size, 3)) for size in ((19, 37), (20, 40)))
  assert generator.net_input_shape == padded.net_input_shape == net_input_shape
  assert generator.padded_shape == (20, 40)
  params, z = plain.random_params(generator), plain.random_net_input(generator)
  image, whole = jax.jit(lambda p, z: (generator.apply(p, z), padded.apply(p, z)))(params, z)
  np.testing.assert_array_equal(image, whole[:19, 1:38])
  assert image.min() > 0 and image.max() < 1 and np.ptp(image) > 0


@pytest.mark.parametrize("name", generators.GENERATORS)
@pytest.mark.parametrize("size, asked, used", [
    (16, 6, 2), (31, 6, 2), (32, 6, 3), (128, 6, 5), (256, 6, 6), (512, 6, 6), (512, 4, 4)])
def test_num_scales_is_lowered_for_small_images(name, size, asked, used):
  generator = generators.make_generator(name, image_shape=(size, 512, 3), num_scales=asked)
  assert generator.spec["num_scales"] == used
  assert len(generator.spec["channels"]) == used + (name == "deep_decoder")


def test_spec_tells_what_a_mask_depends_on():
  assert plain.make_small("hourglass", image_shape=(16, 16, 5)).spec == {
      "name": "hourglass", "num_scales": 2, "channels": [4, 6], "image_channels": 5}


# Draws.


def test_net_input_is_uniform_below_one_tenth():
  z = np.asarray(generators.sample_net_input(jax.random.key(0), (20, 20, 32)))
  assert z.shape == (20, 20, 32) and z.min() >= 0 and z.max() < 0.1
  assert z.min() < 1e-3 and z.max() > 0.099 and abs(z.mean() - 0.05) < 1e-3


def test_a_generator_draws_the_net_input_of_its_shape():
  generator = plain.make_small("hourglass")
  drawn = generators.sample_net_input(jax.random.key(0), (16, 16, 32))
  np.testing.assert_array_equal(generator.default_input(), drawn)
  assert (generator.sample_input(jax.random.key(1)) != drawn).any()


@pytest.mark.parametrize("name", generators.GENERATORS)
def test_init_is_the_default_of_a_pytorch_conv(name):
  generator = plain.make_small(name)
  params, _ = generator.init(jax.random.key(0))
  leaves = plain.named_leaves(params)
  for path, leaf in leaves.items():
    leaf = np.asarray(leaf)
    layer, _, kind = path.rpartition("/")
    if kind == "scale":
      np.testing.assert_array_equal(leaf, 1)
    elif kind == "offset":
      np.testing.assert_array_equal(leaf, 0)
    else:
      bound = 1 / math.sqrt(math.prod(leaves[f"{layer}/kernel"].shape[:3]))
      assert np.abs(leaf).max() <= bound, path
      if leaf.size >= 100:  # uniform: it fills the range, and its deviation is bound / sqrt(3)
        assert leaf.max() > 0.9 * bound and leaf.min() < -0.9 * bound, path
        assert abs(leaf.std() * math.sqrt(3) / bound - 1) < 0.2, path


def test_init_depends_on_the_key_only_and_arrays_differ():
  generator = plain.make_small("hourglass")
  first, second, other = (generator.init(jax.random.key(seed))[0] for seed in (0, 0, 1))
  for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second)):
    np.testing.assert_array_equal(a, b)
  kernel = lambda tree, layer: np.asarray(tree["encoder_02"][layer]["kernel"])
  assert (kernel(first, "conv_b") != kernel(other, "conv_b")).mean() > 0.99
  same_shape = np.asarray(first["encoder_01"]["conv_b"]["bias"])
  assert (same_shape != np.asarray(first["encoder_01"]["conv_a"]["bias"])).all()


# Errors.


@pytest.mark.parametrize("options, message", [
    ({"name": "unet"}, r"^name='unet'.*hourglass, deep_decoder"),
    ({"image_shape": (15, 64, 3)}, r"15x64.*16x16"),
    ({"image_shape": (64, 15, 3)}, r"64x15.*16x16"),
    ({"image_shape": (64, 64, 0)}, r"0 channels"),
    ({"num_scales": 0}, r"^num_scales=0.*allowed: 1 or more"),
    ({"channels": (8,)}, r"^channels=\(8,\).*at least 2 widths"),
    ({"channels": ()}, r"^channels=\(\)"),
    ({"channels": (8, 0)}, r"^channels=\(8, 0\)"),
    ({"channels": (8, -4)}, r"^channels=\(8, -4\)"),
    ({"name": "deep_decoder", "channels": (8, 8)}, r"at least 3 widths"),
    ({"input_channels": 0}, r"^input_channels=0.*allowed: 1 or more"),
    ({"name": "skip_hourglass", "channels": (8,)}, r"at least 2 widths"),
    ({"name": "skip_hourglass", "skip_channels": 0}, r"^skip_channels=0.*allowed: 1 or more"),
    ({"name": "skip_hourglass", "input_channels": 0}, r"^input_channels=0.*allowed: 1 or more"),
])
def test_error_names_the_value_and_what_is_allowed(options, message):
  arguments = {"name": "hourglass", "image_shape": (32, 32, 3), "num_scales": 2} | options
  with pytest.raises(ValueError, match=message):
    generators.make_generator(arguments.pop("name"), **arguments)


# Networks of one's own.


@pytest.mark.parametrize("make, name", [(own.linen, "own"), (own.nnx_module, "two convs")])
def test_a_network_of_ones_own_becomes_a_generator(make, name):
  generator = make()
  assert generator.image_shape == (16, 18, 1) and generator.padded_shape == (16, 18) and generator.graph is None
  assert generator.net_input_shape == own.NET_INPUT
  assert generator.spec == {"name": name, "num_scales": None, "channels": None, "image_channels": 1}
  params, logits = generator.init(jax.random.key(0))
  other, _ = generator.init(jax.random.key(1))
  assert jax.tree.structure(params) == jax.tree.structure(logits)
  assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 9 * 2 * 3 + 3 + 9 * 3 + 1
  assert not any(leaf.any() for leaf in jax.tree.leaves(logits))
  image, another = (generator.apply(tree, generator.default_input()) for tree in (params, other))
  assert image.shape == (16, 18, 1) and 0 < image.min() and image.max() < 1
  assert np.ptp(image) > 1e-4 and (image != another).any()


def test_a_graph_that_is_given_is_kept():
  layer = generators.Layer(("head",), "conv", (), True)
  generator = generators.from_apply(
      lambda key: {"head": {"kernel": jax.random.normal(key, (2, 1))}},
      lambda params, z: jax.nn.sigmoid(z @ params["head"]["kernel"]), [layer], net_input_shape=own.NET_INPUT)
  assert generator.graph == (layer,)


def test_what_gives_no_image_is_refused():
  with pytest.raises(ValueError, match=r"^apply gives an array of shape \(16, 18\); allowed: an image \[H, W, C\]"):
    generators.from_apply(lambda key: jnp.ones(2), lambda params, z: z @ params, net_input_shape=own.NET_INPUT)
