"""Zero-Shot Noise2Noise."""

import jax
import numpy as np
import pytest

from oes_jax.bench.peers import zs_n2n


def test_the_pair_of_views_keeps_the_image_and_splits_the_noise():
  image = np.arange(16.0).reshape(4, 4, 1)
  first, second = zs_n2n.downsample_pair(image)
  np.testing.assert_array_equal(first[..., 0], [[2.5, 4.5], [10.5, 12.5]])
  np.testing.assert_array_equal(second[..., 0], [[2.5, 4.5], [10.5, 12.5]])
  # A network that finds no noise leaves the difference of the views, in both terms.
  nothing = jax.tree.map(np.zeros_like, zs_n2n.init(0, 1))
  rng = np.random.default_rng(0).random((4, 6, 1))
  first, second = zs_n2n.downsample_pair(rng)
  assert float(zs_n2n.objective(nothing, rng)) == pytest.approx(np.mean((first - second) ** 2), rel=1e-5)
