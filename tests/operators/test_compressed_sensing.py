"""Compressed sensing: as many rows as asked for, of a Gaussian or a Fourier matrix."""

import jax.numpy as jnp
import numpy as np
import pytest

from oes_jax import operators

SHAPE = (12, 16, 3)


def test_gaussian_rows_are_a_matrix_product_of_columns_near_unit_norm(rng):
  operator = operators.gaussian_rows(SHAPE, share=0.5)
  matrix = operator.init(rng)
  assert matrix.shape == (96, 192)
  assert np.square(matrix).sum(0).mean() == pytest.approx(1, rel=0.05)
  image = rng.random(SHAPE).astype(np.float32)
  np.testing.assert_allclose(operator.apply(matrix, image), matrix @ image.reshape(192, 3), rtol=1e-4)


def test_fourier_rows_keep_the_zero_frequency_and_a_share_of_all(rng):
  operator = operators.fourier_rows(SHAPE, share=0.1)
  seen = operator.init(rng)
  assert seen.sum() == round(0.1 * 192) and seen[0, 6, 8, 0] == 1
  measured = operator.apply(seen, jnp.full(SHAPE, 0.5))
  assert measured.shape == (3, 12, 16, 2)
  np.testing.assert_allclose(measured[:, 6, 8, 0], 0.5 * np.sqrt(192), rtol=1e-5)
