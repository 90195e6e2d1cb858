"""Small generators, and their forward passes written without the package."""

import functools

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from oes_jax import generators

SMALL = {"hourglass": (4, 6), "deep_decoder": (4, 5, 6), "skip_hourglass": (4, 6)}  # widths for two scales


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


def check_against(name, forward):
  """Both forms of the convolution give the image of a plain forward pass and its gradient, in the x64 of the caller."""
  gemm, direct = (make_small(name, image_shape=(16, 24, 3), conv=conv) for conv in ("gemm", "lax"))
  params, z = random_params(gemm), random_net_input(gemm, np.float64)
  weights = np.random.default_rng(2).standard_normal((16, 24, 3))
  def image_and_gradient(apply, params):
    image, pullback = jax.vjp(lambda p: apply(p, z), params)
    return image, pullback(jnp.asarray(weights))[0]
  *actual, (expected, expected_gradient) = jax.jit(lambda p: [
      image_and_gradient(apply, p) for apply in (gemm.apply, direct.apply, forward)])(params)
  assert expected.shape == (16, 24, 3) and np.std(expected) > 0.01
  for image, gradient in actual:
    assert image.dtype == jnp.float64
    np.testing.assert_allclose(image, expected, rtol=1e-11)
    jax.tree.map(lambda got, want: np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-11),
                 gradient, expected_gradient)


def conv(x, kernel, bias=None):
  width = kernel.shape[0] // 2
  x = jnp.pad(x, ((width, width), (width, width), (0, 0)), mode="reflect")
  x = lax.conv_general_dilated(
      x[None], kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))[0]
  return x if bias is None else x + bias[None, None]


def norm(x, scale, offset):
  mean, variance = jnp.mean(x, (0, 1), keepdims=True), jnp.var(x, (0, 1), keepdims=True)
  return (x - mean) / jnp.sqrt(variance + 1e-5) * scale[None, None] + offset[None, None]


def _leaky_relu(x):
  return jnp.where(x > 0, x, 0.2 * x)


def _average_pool(x):
  height, width, channels = x.shape
  return x.reshape(height // 2, 2, width // 2, 2, channels).mean((1, 3))


def _nearest_upsample(x):
  return jnp.repeat(jnp.repeat(x, 2, axis=0), 2, axis=1)


def hourglass(params, x, num_scales=2):
  skips = []
  for i in range(1, num_scales + 1):
    if "skip_01" in params:
      arrays = params[f"skip_{i:02d}"]
      skips.append(_leaky_relu(norm(conv(x, **arrays["conv"]), **arrays["norm"])))
    arrays = params[f"encoder_{i:02d}"]
    x = _average_pool(conv(x, **arrays["conv_a"]))
    x = _leaky_relu(norm(x, **arrays["norm_a"]))
    x = _leaky_relu(norm(conv(x, **arrays["conv_b"]), **arrays["norm_b"]))
  for i in range(num_scales, 0, -1):
    arrays = params[f"decoder_{i:02d}"]
    x = jnp.concatenate([*skips[i - 1:i], _nearest_upsample(x)], -1)
    x = norm(x, **arrays["norm_in"])
    x = _leaky_relu(norm(conv(x, **arrays["conv"]), **arrays["norm_out"]))
  return 1 / (1 + jnp.exp(-conv(x, **params["head"])))


def deep_decoder(params, x, num_scales=2):
  for i in range(1, num_scales + 2):
    x = conv(x, **params[f"conv_{i:02d}"])
    if i <= num_scales:
      x = jax.image.resize(x, (2 * x.shape[0], 2 * x.shape[1], x.shape[2]), "bilinear")
    x = norm(jnp.maximum(x, 0), **params[f"norm_{i:02d}"])
  return 1 / (1 + jnp.exp(-conv(x, **params["head"])))
