"""Blurring is a convolution with reflected edges; its kernels are normalised and centred."""

import numpy as np
import pytest
from scipy import ndimage

from oes_jax import operators

SHAPE = (12, 16, 3)


def test_blur_is_the_convolution_with_reflected_edges(rng):
  kernel, image = rng.random((3, 5)), rng.random(SHAPE).astype(np.float32)
  operator = operators.blur(SHAPE, kernel=kernel)
  expected = np.stack([ndimage.convolve(image[..., c], kernel, mode="mirror") for c in range(3)], -1)
  np.testing.assert_allclose(operator.apply(operator.init(rng), image), expected, atol=1e-5)


@pytest.mark.parametrize("sigma", [0.5, 2.0])
def test_kernels_are_normalised_and_centred(sigma):
  for kernel in (operators.gaussian_kernel(sigma), operators.motion_kernel(7, 30.0)):
    assert kernel.sum() == pytest.approx(1) and kernel.shape[0] % 2 == 1
    rows, columns = np.indices(kernel.shape) - (np.array(kernel.shape) // 2)[:, None, None]
    assert abs(np.sum(rows * kernel)) < 0.1 and abs(np.sum(columns * kernel)) < 0.1
  np.testing.assert_allclose(operators.motion_kernel(5, 0.0)[2], 0.2)


@pytest.mark.parametrize("sides, said", [((13, 3), "the kernel is 13x3, the image 12x16"), ((2, 3), "odd sides")])
def test_a_kernel_that_does_not_match_is_named(sides, said):
  with pytest.raises(ValueError, match=said):
    operators.blur(SHAPE, kernel=np.ones(sides))
