"""Denoisers that ours is compared with."""

import numpy as np
import pytest

from oes_jax.bench.peers import denoisers
from oes_jax.bench.peers import zs_n2n


@pytest.mark.parametrize("channels", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_classical_denoisers_remove_noise(monkeypatch, channels):
  rng = np.random.default_rng(0)
  truth = np.tile(np.linspace(0.3, 0.7, 48)[:, None, None], (1, 48, channels))
  noisy = truth + 0.1 * rng.standard_normal(truth.shape)
  for name in denoisers.available():
    if name == "ZS-N2N":
      monkeypatch.setattr(zs_n2n, "_STEPS", 100)
    image = denoisers.denoise(name, noisy, 0.1)
    assert image.shape == truth.shape
    assert np.mean((image - truth) ** 2) < 0.5 * np.mean((noisy - truth) ** 2), name
