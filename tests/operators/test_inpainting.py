"""Inpainting, and the pixels that scratches and text lose."""

import numpy as np
import pytest

from oes_jax import operators

SHAPE = (12, 16, 3)


@pytest.mark.parametrize("name", operators.DAMAGE)
@pytest.mark.parametrize("shape", [(16, 16), (96, 128), (40, 300)])
def test_damage_loses_some_pixels_everywhere(name, shape):
  mask = operators.DAMAGE[name](shape)
  assert mask.shape == shape and set(np.unique(mask)) == {0, 1} and 0.02 < 1 - mask.mean() < 0.2
  np.testing.assert_array_equal(mask, operators.DAMAGE[name](shape))
  if name == "text":  # from edge to edge
    assert (mask[:, :shape[1] // 4] == 0).any() and (mask[:, -shape[1] // 4:] == 0).any()


def test_a_share_of_the_pixels_is_kept_or_those_of_a_mask(rng):
  assert operators.inpainting(SHAPE, kept=0.25).init(rng).sum() == 12 * 16 / 4
  mask = rng.integers(0, 3, (12, 16))
  operator = operators.inpainting(SHAPE, mask=mask)
  np.testing.assert_array_equal(operator.init(rng)[..., 0], mask != 0)


def test_what_is_lost_is_estimated_as_the_mean_of_the_rest(rng):
  mask = np.ones((12, 16))
  mask[:6] = 0
  operator = operators.inpainting(SHAPE, mask=mask)
  image = rng.random(SHAPE).astype(np.float32)
  op_params = operator.init(rng)
  estimate = operator.estimate(op_params, operator.apply(op_params, image))
  np.testing.assert_array_equal(estimate[6:], image[6:])
  np.testing.assert_allclose(estimate[:6], np.broadcast_to(image[6:].mean((0, 1)), (6, 16, 3)), rtol=1e-5)


@pytest.mark.parametrize("mask, said", [
    (np.ones((3, 3)), r"the mask is \(3, 3\), the image \(12, 16\)"), (np.zeros((12, 16)), "measures no pixel")])
def test_what_does_not_match_is_named(mask, said):
  with pytest.raises(ValueError, match=said):
    operators.inpainting(SHAPE, mask=mask)
