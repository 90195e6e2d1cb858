"""The image that a network is fed with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operators import cases
from oes_jax import operators
from oes_jax.operators import _first_image


def _ramp(height=40, width=30):
  rows, columns = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width), indexing="ij")
  return jnp.asarray(np.stack([rows, 0.5 * columns + 0.2], -1), jnp.float32)


def test_what_was_measured_stays_and_a_smooth_image_comes_back():
  image, seen = _ramp(), (np.random.default_rng(0).random((40, 30, 1)) < 0.4).astype(np.float32)
  filled = _first_image.fill(image * seen, jnp.asarray(seen))
  np.testing.assert_array_equal(filled * seen, image * seen)
  assert np.abs(filled - image).max() < 0.06
  assert _first_image.fill(image, None) is image


def test_large_holes_are_filled_from_far():
  image, seen = jnp.full((64, 64, 1), 0.3), np.zeros((64, 64, 1), np.float32)
  seen[:3, :3] = 1
  np.testing.assert_allclose(_first_image.fill(image * seen, jnp.asarray(seen)), 0.3, atol=1e-5)
  np.testing.assert_array_equal(_first_image.fill(image, jnp.zeros((64, 64, 1)))[10:], 0.0)


def test_a_constant_is_filled_at_every_size():
  for shape in ((5, 7, 1), (17, 4, 1)):
    seen = jnp.asarray(np.random.default_rng(1).random(shape) < 0.2, jnp.float32)
    np.testing.assert_allclose(_first_image.fill(0.8 * seen, seen), 0.8, atol=1e-5)


def test_the_first_image_of_a_sinogram_is_its_filtered_back_projection():
  image = np.zeros((32, 28, 1), np.float32)
  image[8:20, 6:22] = 0.6
  operator = operators.tomography(image.shape, angles=np.arange(0, 180, 4))
  op_params = operator.init(np.random.default_rng(0))
  sinogram = operator.apply(op_params, image)
  first = operator.bind_first_image(op_params)(sinogram, None)
  assert np.sqrt(np.mean(np.square(first - operator.estimate(op_params, sinogram)))) < 0.03


@pytest.mark.parametrize("make, channels", [
    (lambda shape: operators.identity(shape), 2), (lambda shape: operators.inpainting(shape), 3),
    (lambda shape: operators.blur(shape, kernel=operators.gaussian_kernel(1)), 2),
    (lambda shape: operators.downsampling(shape, factor=4), 2),
    (lambda shape: operators.tomography(shape, angles=np.arange(0, 180, 20)), 2),
    (lambda shape: operators.mri(shape, coils=operators.simulated_coils(shape, 3)), 2),
    (lambda shape: operators.fourier_rows(shape, share=0.4), 2),
    (lambda shape: operators.from_function(lambda image: jnp.cumsum(image, 0), shape), 2)])
def test_the_channels_of_the_first_image_are_counted(make, channels):
  shape = (24, 32, 2)
  operator = make(shape)
  op_params = operator.init(np.random.default_rng(0))
  first = jax.jit(operator.bind_first_image(op_params))(operator.apply(op_params, _ramp(*shape[:2])), None)
  assert first.shape == (24, 32, channels)
  assert operators.count_first_image_channels(operator, shape) == channels


@pytest.mark.parametrize("name", cases.CASES)
def test_operators_of_a_kind_and_shape_share_the_function_that_makes_the_first_image(name):
  first, again = (operator.bind_first_image(()).func for operator in (cases.CASES[name], cases.make_cases()[name]))
  assert first is again


def test_lines_that_may_not_be_seen_count_as_those_of_a_complex_0():
  operator = operators.mri((12, 16, 2), coils=cases.COILS, acceleration=1.0)
  op_params = operator.init(np.random.default_rng(0))
  zero = jnp.full((12, 16, 2), 0.5)
  seen = jnp.ones((3, 12, 16, 1)).at[:, :, 6:9].set(0)
  first = operator.bind_first_image(op_params)(operator.apply(op_params, zero) * seen, seen)
  np.testing.assert_allclose(first, zero, atol=1e-5)


def test_complex_values_that_may_not_be_seen_are_left_out():
  operator = operators.from_function(lambda image: jnp.fft.fft2(image[..., 0], norm="ortho"), (8, 8, 1))
  measured, seen = operator.apply((), _ramp(8, 8)[..., :1]), jnp.ones((8, 8, 1)).at[2].set(0)
  first = operator.bind_first_image(())
  np.testing.assert_array_equal(first(measured, seen), first(measured.at[2].set(0), None))


def test_the_first_image_of_a_chain_is_that_of_every_operator_in_turn():
  shape = (32, 28, 1)
  turned = operators.tomography(shape, angles=np.arange(0, 180, 20))
  chained = operators.chain(operators.blur(shape, kernel=operators.gaussian_kernel(1)), turned)
  op_params = chained.init(np.random.default_rng(0))
  measured = chained.apply(op_params, _ramp(32, 28)[..., :1])
  first = jax.jit(chained.bind_first_image(op_params))(measured, None)
  np.testing.assert_allclose(first, turned.bind_first_image(op_params[1])(measured, None), atol=1e-5)
