"""Tests of convolution: every folded form equals the plain form that it replaces."""

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from oes_jax import backends
from oes_jax.generators import _convolution as convolution

IMPLEMENTATIONS = ("gemm", "lax")


# The plain forms, written without the module under test.


def plain_conv(image, kernel):
  width = kernel.shape[0] // 2
  padded = jnp.pad(image, ((width, width), (width, width), (0, 0)), mode="reflect")
  return lax.conv_general_dilated(
      padded[None], kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"),
      precision="highest")[0]


def plain_conv_then_pool(image, kernel):
  fine = plain_conv(image, kernel)
  height, width, channels = fine.shape
  return fine.reshape(height // 2, 2, width // 2, 2, channels).mean((1, 3))


def plain_upsample_then_conv(image, kernel):
  return plain_conv(jnp.repeat(jnp.repeat(image, 2, axis=0), 2, axis=1), kernel)


FORMS = [
    pytest.param(convolution.conv, plain_conv, 1, id="conv1"),
    pytest.param(convolution.conv, plain_conv, 3, id="conv3"),
    pytest.param(convolution.conv, plain_conv, 5, id="conv5"),
    pytest.param(convolution.conv_then_pool, plain_conv_then_pool, 3, id="conv3-pool"),
    pytest.param(convolution.conv_then_pool, plain_conv_then_pool, 5, id="conv5-pool"),
    pytest.param(convolution.upsample_then_conv, plain_upsample_then_conv, 3, id="upsample-conv3"),
]
LARGEST_FORMS = FORMS[2::2] + FORMS[-1:]


def random_array(seed, shape, dtype=np.float32):
  return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def assert_close(actual, expected, tolerance, name=""):
  """Within `tolerance` of the largest entry."""
  assert actual.shape == expected.shape and actual.dtype == expected.dtype
  actual, expected = np.asarray(actual), np.asarray(expected)
  error = np.abs(actual - expected).max() / np.abs(expected).max()
  assert error < tolerance, f"{name} is off by {error:.1e} of the largest entry"


def value_and_gradients(form, image, kernel):
  """Value of the form, and the pull-back of one fixed cotangent to image and kernel."""
  value, pull_back = jax.vjp(form, image, kernel)
  cotangent = jnp.cos(jnp.arange(value.size, dtype=value.dtype)).reshape(value.shape)
  return value, *pull_back(cotangent)


def check_form(form, plain, size, dtype, tolerance):
  def with_implementation(name):
    return lambda x, w: form(x, w, implementation=name, precision="highest")
  functions = {name: with_implementation(name) for name in IMPLEMENTATIONS} | {"plain": plain}
  @jax.jit
  def run(image, kernel):
    return {name: value_and_gradients(f, image, kernel) for name, f in functions.items()}

  results = run(random_array(0, (8, 12, 3), dtype), random_array(1, (size, size, 3, 5), dtype))
  assert results["plain"][0].dtype == dtype
  for name in IMPLEMENTATIONS:
    parts = zip(("value", "image gradient", "kernel gradient"), results[name], results["plain"])
    for part, actual, expected in parts:
      assert_close(actual, expected, tolerance, f"{part} of {name}")


@pytest.mark.parametrize("form, plain, size", FORMS)
def test_form_equals_plain_form_in_float32(form, plain, size):
  check_form(form, plain, size, np.float32, 1e-5)


@pytest.mark.parametrize("form, plain, size", FORMS)
def test_form_equals_plain_form_in_float64(x64, form, plain, size):
  check_form(form, plain, size, np.float64, 1e-12)


@pytest.mark.parametrize("form, plain, size, shape", [
    pytest.param(convolution.conv, plain_conv, 5, (3, 3), id="conv5-3x3"),
    pytest.param(convolution.conv_then_pool, plain_conv_then_pool, 5, (4, 4), id="conv5-pool-4x4"),
    pytest.param(convolution.upsample_then_conv, plain_upsample_then_conv, 3, (1, 2),
                 id="upsample-conv3-1x2"),
])
def test_form_equals_plain_form_on_smallest_image(form, plain, size, shape):
  image, kernel = random_array(2, (*shape, 2)), random_array(3, (size, size, 2, 2))
  assert_close(jax.jit(form)(image, kernel), jax.jit(plain)(image, kernel), 1e-5)


@pytest.mark.parametrize("kernel_shape", [(1, 1), (2, 2), (3, 1), (1, 4), (3, 3)])
def test_gemm_equals_lax(kernel_shape):
  image, kernel = random_array(4, (7, 9, 3)), random_array(5, (*kernel_shape, 3, 4))
  gemm, direct = jax.jit(lambda x, w: [
      convolution.convolve(x, w, implementation=name, precision="highest")
      for name in IMPLEMENTATIONS])(image, kernel)
  assert gemm.shape == (7 - kernel_shape[0] + 1, 9 - kernel_shape[1] + 1, 4)
  assert_close(gemm, direct, 1e-5)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_bfloat16_rounds_the_factors_and_keeps_the_type(implementation):
  image, kernel = random_array(4, (7, 9, 3)), random_array(5, (3, 3, 3, 4))
  form = lambda x, w, **options: convolution.convolve(
      x, w, implementation=implementation, precision="highest", **options)
  rounded = [a.astype(jnp.bfloat16).astype(jnp.float32) for a in (image, kernel)]
  actual, expected = form(image, kernel, dtype="bfloat16"), form(*rounded)
  assert actual.dtype == jnp.float32
  scale = jnp.max(jnp.abs(expected))
  assert_close(actual / scale, expected / scale, 2 ** -7)  # the products are rounded once more
  assert not np.array_equal(actual, form(image, kernel))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_convolve_hand_check(implementation):
  image = jnp.asarray([[1., 2., 3.], [4., 5., 6.]])[..., None]
  kernel = jnp.asarray([[10., 1.]])[..., None, None]  # correlation: the kernel is not flipped
  actual = convolution.convolve(image, kernel, implementation=implementation)
  np.testing.assert_array_equal(actual[..., 0], [[12., 23.], [45., 56.]])


def per_image_batch(form, size):
  images, kernels = random_array(6, (3, 8, 8, 2)), random_array(7, (3, size, size, 2, 4))
  one = lambda x, w: form(x, w, implementation="gemm", precision="highest")
  return one, images, kernels


@pytest.mark.parametrize("form, plain, size", LARGEST_FORMS)
def test_per_image_kernels_under_vmap_equal_one_by_one(form, plain, size):
  one, images, kernels = per_image_batch(form, size)
  batched = jax.jit(jax.vmap(one))(images, kernels)
  alone = jax.jit(plain)
  for i in range(3):
    assert_close(batched[i], alone(images[i], kernels[i]), 1e-5)


@pytest.mark.parametrize("form, plain, size", LARGEST_FORMS)
def test_gemm_under_vmap_holds_no_convolution(form, plain, size):
  one, images, kernels = per_image_batch(form, size)
  def lowered_gradient(function):
    loss = lambda x, w: jnp.sum(jnp.square(jax.vmap(function)(x, w)))
    return jax.jit(jax.grad(loss, argnums=(0, 1))).lower(images, kernels).as_text()
  assert "dot_general" in lowered_gradient(one)
  assert "convolution" not in lowered_gradient(one)
  assert "convolution" in lowered_gradient(plain)  # the search can find one


@pytest.mark.parametrize("channels", [1, 3])
def test_depth_to_space_inverts_space_to_depth(channels):
  image = jnp.arange(6 * 4 * channels).reshape(6, 4, channels)
  deep = convolution.space_to_depth(image)
  assert deep.shape == (3, 2, 4 * channels)
  np.testing.assert_array_equal(convolution.depth_to_space(deep), image)
  deep = jnp.arange(3 * 2 * 4 * channels).reshape(3, 2, 4 * channels)
  np.testing.assert_array_equal(
      convolution.space_to_depth(convolution.depth_to_space(deep)), deep)


def test_space_to_depth_orders_row_column_channel():
  image = jnp.asarray([[[1, 2], [3, 4]], [[5, 6], [7, 8]]])
  np.testing.assert_array_equal(convolution.space_to_depth(image)[0, 0], [1, 2, 3, 4, 5, 6, 7, 8])


@pytest.mark.parametrize("shape", [(1, 1, 2), (2, 3, 1), (5, 4, 3)])
def test_upsample_bilinear_equals_image_resize(shape):
  image = random_array(8, shape)
  expected = jax.image.resize(image, (2 * shape[0], 2 * shape[1], shape[2]), "bilinear")
  assert_close(jax.jit(convolution.upsample_bilinear)(image), expected, 1e-6)


def test_upsample_bilinear_hand_check():
  actual = convolution.upsample_bilinear(jnp.asarray([[0., 4.]])[..., None])
  np.testing.assert_array_equal(actual[..., 0], [[0., 1., 3., 4.]] * 2)


def test_normalised_channel_has_offset_as_mean_and_scale_as_deviation():
  image = 5 + 3 * random_array(9, (8, 6, 3))
  scale, offset = jnp.asarray([1., 2., -0.5]), jnp.asarray([0., 1., -4.])
  normal = np.asarray(jax.jit(convolution.normalise_channels)(image, scale, offset))
  np.testing.assert_allclose(normal.mean((0, 1)), offset, atol=1e-5)
  np.testing.assert_allclose(normal.std((0, 1)), np.abs(scale), rtol=1e-5)


def test_normalise_channels_hand_check():
  # Mean 1, biased variance 4: the deviation from epsilon = 0 is far below the tolerance.
  image = jnp.asarray([[3., -1.], [3., -1.]])[..., None]
  actual = convolution.normalise_channels(image, jnp.asarray([2.]), jnp.asarray([10.]))
  np.testing.assert_allclose(actual[..., 0], [[12., 8.], [12., 8.]], atol=1e-4)


def test_normalise_channels_adds_epsilon_to_the_variance():
  image = jnp.asarray([[1., -1.]])[..., None]  # variance 1
  actual = convolution.normalise_channels(image, jnp.ones(1), jnp.zeros(1), epsilon=3.0)
  np.testing.assert_allclose(actual[..., 0], [[0.5, -0.5]], rtol=1e-6)


def test_normalise_channels_removes_constants():
  image = random_array(10, (6, 6, 2))
  scale, offset = jnp.asarray([1., 2.]), jnp.asarray([3., 4.])
  shifted = convolution.normalise_channels(image + 7, scale, offset)
  assert_close(shifted, convolution.normalise_channels(image, scale, offset), 1e-5)


@pytest.mark.parametrize("mode, expected", [
    ("reflect", [[5, 4, 5, 4], [2, 1, 2, 1], [5, 4, 5, 4], [2, 1, 2, 1]]),
    ("edge", [[1, 1, 2, 2], [1, 1, 2, 2], [4, 4, 5, 5], [4, 4, 5, 5]]),
])
def test_pad_image_hand_check(mode, expected):
  image = jnp.asarray([[1, 2], [4, 5]])[..., None]
  np.testing.assert_array_equal(convolution.pad_image(image, 1, mode)[..., 0], expected)


@pytest.mark.parametrize("shape, width", [((2, 8, 1), 2), ((8, 2, 1), 2), ((1, 1, 1), 1)])
def test_reflect_pad_wider_than_the_image_raises(shape, width):
  with pytest.raises(ValueError, match="num_scales"):
    convolution.pad_image(jnp.zeros(shape), width, "reflect")


@pytest.mark.parametrize("form", [convolution.conv, convolution.conv_then_pool])
def test_conv_on_too_small_an_image_raises(form):
  with pytest.raises(ValueError, match="num_scales"):
    form(jnp.zeros((2, 2, 1)), jnp.zeros((5, 5, 1, 1)))


@pytest.mark.parametrize("name, backend, expected", [
    ("gemm", "cpu", "gemm"), ("lax", "cpu", "lax"), ("lax", "tpu", "lax"),
    ("auto", "cpu", "gemm"), ("auto", "a backend of tomorrow", "gemm"),
])
def test_resolve_implementation(name, backend, expected):
  assert convolution.resolve_implementation(name, backend) == expected


def test_resolve_implementation_follows_the_table(monkeypatch):
  monkeypatch.setitem(backends.BACKENDS, "tpu", backends.BACKENDS["tpu"]._replace(conv="lax"))
  assert convolution.resolve_implementation("auto", "tpu") == "lax"
  assert convolution.resolve_implementation("auto", "cpu") == "gemm"


def test_resolve_implementation_rejects_unknown_name():
  with pytest.raises(ValueError, match=r"conv='winograd'.*auto, gemm, lax"):
    convolution.resolve_implementation("winograd", "cpu")
