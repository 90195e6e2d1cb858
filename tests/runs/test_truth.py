"""What a truth that seems to be none of its measurement is said to be."""

import numpy as np

from oes_jax.runs import _truth


def test_a_truth_of_another_contrast_is_remarked_and_one_that_noise_or_blur_explains_is_not():
  clean = np.add.outer(np.arange(24), np.arange(32))[..., None] / 55
  measured = np.clip(clean + 0.1 * np.random.default_rng(0).standard_normal(clean.shape), 0, 1)
  said, = _truth.doubt_truth(clean / 50 + 0.07, measured)
  assert "times its contrast: it seems to be on another scale" in said
  assert not _truth.doubt_truth(clean, measured) and not _truth.doubt_truth(clean, 0.5 * measured)
