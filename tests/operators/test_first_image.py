"""The image that a network is fed with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

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
  for shape in ((5, 7, 1), (17, 4, 1), (33, 65, 1)):
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
