"""Tests of generators: they equal a plain forward pass, and have the published sizes."""

import functools
import math

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from oes_jax.generators import _generators as generators

SMALL = {"hourglass": (4, 6), "deep_decoder": (4, 5, 6)}  # widths for two scales


@functools.cache  # so that its init compiles once
def make_small(name, image_shape=(16, 16, 3), **options):
  return generators.make_generator(
      name, image_shape=image_shape, num_scales=2, channels=SMALL[name], **options)


def make_published(name, num_scales, image_shape=(512, 512, 3)):
  """The authors' generator and the shapes of its params."""
  generator = generators.make_generator(name, image_shape=image_shape, num_scales=num_scales)
  params, _ = jax.eval_shape(generator.init, jax.random.key(0))
  return generator, params


def named_leaves(tree):
  return {"/".join(key.key for key in path): leaf
          for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def random_params(generator, seed=0):
  """Params with no array at a special value: scales and offsets are random too."""
  shapes, _ = jax.eval_shape(generator.init, jax.random.key(0))
  rng = np.random.default_rng(seed)
  return jax.tree.map(lambda leaf: rng.uniform(-1, 1, leaf.shape).astype(leaf.dtype), shapes)


def random_net_input(generator, dtype=np.float32):
  return np.random.default_rng(1).uniform(0, 0.1, generator.net_input_shape).astype(dtype)


# The plain forward passes, written without the package.


def plain_conv(x, kernel, bias=None):
  width = kernel.shape[0] // 2
  x = jnp.pad(x, ((width, width), (width, width), (0, 0)), mode="reflect")
  x = lax.conv_general_dilated(
      x[None], kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))[0]
  return x if bias is None else x + bias[None, None]


def plain_norm(x, scale, offset):
  mean, variance = jnp.mean(x, (0, 1), keepdims=True), jnp.var(x, (0, 1), keepdims=True)
  return (x - mean) / jnp.sqrt(variance + 1e-5) * scale[None, None] + offset[None, None]


def leaky_relu(x):
  return jnp.where(x > 0, x, 0.2 * x)


def average_pool(x):
  height, width, channels = x.shape
  return x.reshape(height // 2, 2, width // 2, 2, channels).mean((1, 3))


def nearest_upsample(x):
  return jnp.repeat(jnp.repeat(x, 2, axis=0), 2, axis=1)


def plain_hourglass(params, x, num_scales=2):
  for i in range(1, num_scales + 1):
    arrays = params[f"encoder_{i:02d}"]
    x = average_pool(plain_conv(x, **arrays["conv_a"]))
    x = leaky_relu(plain_norm(x, **arrays["norm_a"]))
    x = leaky_relu(plain_norm(plain_conv(x, **arrays["conv_b"]), **arrays["norm_b"]))
  for i in range(num_scales, 0, -1):
    arrays = params[f"decoder_{i:02d}"]
    x = plain_norm(nearest_upsample(x), **arrays["norm_in"])
    x = leaky_relu(plain_norm(plain_conv(x, **arrays["conv"]), **arrays["norm_out"]))
  return 1 / (1 + jnp.exp(-plain_conv(x, **params["head"])))


def plain_deep_decoder(params, x, num_scales=2):
  for i in range(1, num_scales + 2):
    x = plain_conv(x, **params[f"conv_{i:02d}"])
    if i <= num_scales:
      x = jax.image.resize(x, (2 * x.shape[0], 2 * x.shape[1], x.shape[2]), "bilinear")
    x = plain_norm(jnp.maximum(x, 0), **params[f"norm_{i:02d}"])
  return 1 / (1 + jnp.exp(-plain_conv(x, **params["head"])))


PLAIN = {"hourglass": plain_hourglass, "deep_decoder": plain_deep_decoder}


@pytest.mark.parametrize("name", PLAIN)
def test_generator_equals_plain_forward(x64, name):
  gemm, direct = (make_small(name, image_shape=(16, 24, 3), conv=conv) for conv in ("gemm", "lax"))
  params, z = random_params(gemm), random_net_input(gemm, np.float64)
  *images, expected = jax.jit(
      lambda p, z: (gemm.apply(p, z), direct.apply(p, z), PLAIN[name](p, z)))(params, z)
  assert expected.shape == (16, 24, 3) and np.std(expected) > 0.01
  for image in images:
    assert image.dtype == jnp.float64
    np.testing.assert_allclose(image, expected, rtol=1e-11)


def adam_losses(apply, params, z, target, *, num_steps):
  """Losses before each of `num_steps` Adam steps."""
  optimizer = optax.adam(1e-2)
  loss = lambda p: jnp.mean(jnp.square(apply(p, z) - target))
  def step(carry, _):
    params, state = carry
    value, gradient = jax.value_and_grad(loss)(params)
    updates, state = optimizer.update(gradient, state)
    return (optax.apply_updates(params, updates), state), value
  return lax.scan(step, (params, optimizer.init(params)), length=num_steps)[1]


@pytest.mark.slow
def test_two_hundred_adam_steps_equal_those_of_the_plain_forward(x64):
  generator = make_small("hourglass")
  params, z = random_params(generator), random_net_input(generator, np.float64)
  target = np.random.default_rng(2).uniform(size=(16, 16, 3))
  actual, expected = (jax.jit(functools.partial(adam_losses, apply, num_steps=200))(
      params, z, target) for apply in (generator.apply, plain_hourglass))
  assert actual.dtype == jnp.float64 and expected[-1] < 0.5 * expected[0]
  np.testing.assert_allclose(actual, expected, rtol=1e-9)


# Sizes and trees.


@pytest.mark.parametrize("name, num_scales, num_weights, num_arrays", [
    ("hourglass", 6, 3_008_867, 86),
    ("hourglass", 5, 2_040_803, 72),
    ("hourglass", 4, 1_072_739, 58),
    ("deep_decoder", 4, 83_584, 16),
    ("deep_decoder", 5, 100_224, 19),
])
def test_published_sizes(name, num_scales, num_weights, num_arrays):
  _, params = make_published(name, num_scales)
  leaves = jax.tree.leaves(params)
  assert sum(math.prod(leaf.shape) for leaf in leaves) == num_weights
  assert len(leaves) == num_arrays


def test_default_hourglass_splits_as_published():
  _, params = make_published("hourglass", 6)
  encoder = sum(math.prod(leaf.shape) for name, leaf in named_leaves(params).items()
                if name.startswith("encoder"))
  assert (encoder, 3_008_867 - encoder) == (2_466_976, 541_891)


@pytest.mark.parametrize("name", generators.GENERATORS)
def test_params_and_logits_have_one_treedef(name):
  params, logits = make_small(name).init(jax.random.key(0))
  assert jax.tree.structure(params) == jax.tree.structure(logits)
  for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(logits)):
    assert a.shape == b.shape and a.dtype == b.dtype and not b.any()


@pytest.mark.parametrize("name", generators.GENERATORS)
def test_graph_names_every_array_once_and_is_ordered_by_source(name):
  generator = make_small(name)
  params, _ = jax.eval_shape(generator.init, jax.random.key(0))
  names = []
  for index, layer in enumerate(generator.graph):
    node = params
    for key in layer.path:
      node = node[key]
    allowed = {"conv": {"kernel", "bias"}, "norm": {"scale", "offset"}}[layer.kind]
    assert set(node) <= allowed
    names += ["/".join(layer.path + (key,)) for key in node]
    assert layer.source is None if index == 0 else layer.source < index
  assert sorted(names) == sorted(named_leaves(params))


@pytest.mark.parametrize("name", generators.GENERATORS)
@pytest.mark.parametrize("image_shape", [(16, 16, 1), (19, 37, 1), (37, 19, 3), (33, 32, 5)])
def test_image_has_any_shape(name, image_shape):
  generator = make_small(name, image_shape=image_shape)
  params, _ = jax.eval_shape(generator.init, jax.random.key(0))
  z = jax.ShapeDtypeStruct(generator.net_input_shape, jnp.float32)
  assert jax.eval_shape(generator.apply, params, z).shape == image_shape


@pytest.mark.parametrize("name, net_input_shape", [
    ("hourglass", (20, 40, 32)), ("deep_decoder", (5, 10, 4))])
def test_image_is_the_centre_of_the_padded_one(name, net_input_shape):
  generator, padded = (make_small(name, image_shape=(*size, 3)) for size in ((19, 37), (20, 40)))
  assert generator.net_input_shape == padded.net_input_shape == net_input_shape
  params, z = random_params(generator), random_net_input(generator)
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


def test_lowered_generator_is_the_one_with_fewer_scales():
  _, lowered = make_published("hourglass", 6, image_shape=(128, 128, 3))
  _, asked = make_published("hourglass", 5, image_shape=(128, 128, 3))
  assert named_leaves(lowered) == named_leaves(asked)


def test_spec_tells_what_a_mask_depends_on():
  assert make_small("hourglass", image_shape=(16, 16, 5)).spec == {
      "name": "hourglass", "num_scales": 2, "channels": [4, 6], "image_channels": 5}


# Draws.


def test_net_input_is_uniform_below_one_tenth():
  z = np.asarray(generators.sample_net_input(jax.random.key(0), (20, 20, 32)))
  assert z.shape == (20, 20, 32) and z.min() >= 0 and z.max() < 0.1
  assert z.min() < 1e-3 and z.max() > 0.099 and abs(z.mean() - 0.05) < 1e-3


@pytest.mark.parametrize("name", generators.GENERATORS)
def test_init_is_the_default_of_a_pytorch_conv(name):
  generator = make_small(name)
  params, _ = generator.init(jax.random.key(0))
  leaves = named_leaves(params)
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
  generator = make_small("hourglass")
  first, second, other = (generator.init(jax.random.key(seed))[0] for seed in (0, 0, 1))
  for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second)):
    np.testing.assert_array_equal(a, b)
  kernel = lambda tree, layer: np.asarray(tree["encoder_02"][layer]["kernel"])
  assert (kernel(first, "conv_b") != kernel(other, "conv_b")).mean() > 0.99
  same_shape = np.asarray(first["encoder_01"]["conv_b"]["bias"])
  assert (same_shape != np.asarray(first["encoder_01"]["conv_a"]["bias"])).all()


# Errors.


@pytest.mark.parametrize("options, message", [
    ({"name": "unet"}, r"generator\.name='unet'.*hourglass, deep_decoder"),
    ({"image_shape": (15, 64, 3)}, r"15x64.*16x16.*data\.source"),
    ({"image_shape": (64, 15, 3)}, r"64x15.*16x16"),
    ({"image_shape": (64, 64, 0)}, r"0 channels"),
    ({"num_scales": 0}, r"generator\.num_scales=0.*allowed: 1 or more"),
    ({"channels": (8,)}, r"generator\.channels=\(8,\).*at least 2 widths"),
    ({"channels": ()}, r"generator\.channels=\(\)"),
    ({"channels": (8, 0)}, r"generator\.channels=\(8, 0\)"),
    ({"channels": (8, -4)}, r"generator\.channels=\(8, -4\)"),
    ({"name": "deep_decoder", "channels": (8, 8)}, r"at least 3 widths"),
])
def test_error_names_the_value_and_what_is_allowed(options, message):
  arguments = {"name": "hourglass", "image_shape": (32, 32, 3), "num_scales": 2} | options
  with pytest.raises(ValueError, match=message):
    generators.make_generator(arguments.pop("name"), **arguments)
