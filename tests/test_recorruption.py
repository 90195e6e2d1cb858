"""Recorruption: what is drawn has the moments, and the expected loss, of the published methods."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oes_jax import noise
from oes_jax import recorruption

CLEAN = np.linspace(0.1, 0.9, 24).reshape(4, 6, 1)
DRAWS = 6_000
# Noise model, alpha, and the variance of the target.
CASES = (
    (noise.gaussian(0.2), 0.5, 0.2 ** 2 * (1 + 1 / 0.5 ** 2) * np.ones_like(CLEAN)),
    (noise.gaussian(0.05), 0.3, 0.05 ** 2 * (1 + 1 / 0.3 ** 2) * np.ones_like(CLEAN)),
    (noise.poisson(30.0), 0.5, CLEAN / 30 / 0.5),
    pytest.param((noise.poisson(8.0), 0.2, CLEAN / 8 / 0.2), marks=pytest.mark.slow),
    (noise.poisson_gaussian(50.0, 0.05), 0.5, (CLEAN / 50 + 0.05 ** 2) * (1 + 1 / 0.5 ** 2)),
)


def _draw(model, alpha):
  """Return (inputs, targets), [draws, ...], of as many measurements of the clean values."""
  def once(key):
    measuring, recorrupting = jax.random.split(key)
    measured = model.add(measuring, jnp.asarray(CLEAN))
    return recorruption.RECORRUPT[model.model](recorrupting, measured, model.strength, alpha)
  return jax.vmap(once)(jax.random.split(jax.random.key(0), DRAWS))


@pytest.fixture(name="drawn", params=CASES, scope="module", ids=lambda case: case[0].model)
def fixture_drawn(request):
  """(noise model, variance of the target, inputs, targets)."""
  model, alpha, variance = request.param
  with jax.enable_x64(True):
    return model, variance, *_draw(model, alpha)


def test_input_and_target_have_the_clean_mean_and_uncorrelated_noise(x64, drawn):
  _, variance, fed, target = drawn
  for values in (fed, target):
    error = values.std(0) / DRAWS ** 0.5
    assert np.all(np.abs(values.mean(0) - CLEAN) < 5 * error + 1e-3)  # Poisson-Gaussian: what is below 0 counts as 0
  np.testing.assert_allclose(np.mean(target.var(0)), variance.mean(), rtol=0.03)
  product = (fed - CLEAN[None]) * (target - CLEAN[None])
  assert abs(product.mean()) < 4 * product.std() / product.size ** 0.5


def _shrink(fed):
  """A denoiser that is not linear: every value goes towards the mean of its row, the more the nearer it lies."""
  mean = fed.mean(-2, keepdims=True)
  return mean + jnp.tanh(3 * (fed - mean)) / 3


def test_the_expected_loss_is_the_true_error_and_a_constant(x64, drawn):
  model, variance, fed, target = drawn
  # The noise of Poisson-Gaussian pairs is uncorrelated alone, which is enough for what is linear.
  restored = 0.7 * fed + 0.3 * fed.mean(-2, keepdims=True) if model.model == "poisson_gaussian" else _shrink(fed)
  difference = jnp.square(restored - target) - jnp.square(restored - CLEAN[None])
  spread = difference.mean((1, 2, 3)).std() / DRAWS ** 0.5
  assert abs(difference.mean() - variance.mean()) < 4 * spread
  assert 4 * spread < 0.05 * float(jnp.square(restored - CLEAN[None]).mean()) + 0.02 * variance.mean()


def test_counts_are_thinned(x64):
  counts = jnp.asarray([[[0.0], [1.0], [7.0], [40.0]]])
  strength = noise.poisson(10.0).strength
  fed, target = recorruption.RECORRUPT["poisson"](jax.random.key(0), counts / 10, strength, 0.25)
  np.testing.assert_allclose(0.75 * fed + 0.25 * target, counts / 10, atol=1e-12)
  taken = 10 * 0.25 * target
  np.testing.assert_allclose(taken, jnp.round(taken), atol=1e-9)
  assert np.all((taken >= 0) & (taken <= counts))


def test_both_parts_of_complex_values_are_recorrupted():
  measured = jnp.zeros((50, 50, 1), jnp.complex64)
  fed, target = recorruption.RECORRUPT["gaussian"](jax.random.key(0), measured, noise.gaussian(0.1).strength, 0.5)
  for part in (fed.real, fed.imag):
    np.testing.assert_allclose(part.std(), 0.05, rtol=0.05)
  np.testing.assert_allclose(fed, -0.25 * target, atol=1e-7)
