"""Downsampling: means of blocks, and the kernels of image programs."""

import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

from oes_jax import operators


def test_downsampling_averages_blocks():
  image = jnp.arange(16.0).reshape(4, 4, 1)
  operator = operators.downsampling((4, 4, 1), factor=2)
  np.testing.assert_array_equal(operator.apply((), image)[..., 0], [[2.5, 4.5], [10.5, 12.5]])


@pytest.mark.parametrize("kernel, name", [("bicubic", Image.Resampling.BICUBIC), ("lanczos", Image.Resampling.LANCZOS)])
def test_downsampling_is_what_image_programs_do(rng, kernel, name):
  image = rng.random((24, 32)).astype(np.float32)
  coarse = operators.downsampling((24, 32, 1), factor=4, kernel=kernel).apply((), image[..., None])
  expected = np.asarray(Image.fromarray(image).resize((8, 6), name))
  np.testing.assert_allclose(coarse[..., 0], expected, atol=1e-5)


def test_a_factor_that_does_not_divide_is_named():
  with pytest.raises(ValueError, match="factor 5 does not divide 12x16"):
    operators.downsampling((12, 16, 3), factor=5)
