"""Noise models: their moments, and fits whose minimum is the truth and whose scale is the squared error's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oes_jax import noise
from oes_jax import recorruption

STRENGTH = noise.Strength(sigma=0.1, peak=200.0, share=0.2)
LEVEL = 0.4


@pytest.mark.parametrize("name", noise.NOISE_MODELS)
def test_small_residuals_weigh_as_in_a_squared_error(name):
  measured = jnp.full((6, 6, 1), 0.5)
  residual = 0.01 * jnp.asarray(np.random.default_rng(0).choice([-1.0, 1.0], (6, 6, 1)))
  predicted, strength = measured + residual, STRENGTH._replace(sigma=0.01)
  model = noise.NOISE_MODELS[name]
  loss = jnp.mean(model.loss(predicted, measured, strength, jnp.mean))
  at_rest = jnp.mean(model.loss(measured, measured, strength, jnp.mean))
  assert float(loss - at_rest) == pytest.approx(1e-4, rel=0.1)


@pytest.mark.parametrize("name, tolerance", [
    ("gaussian", 0.003), ("poisson", 0.003), ("poisson_gaussian", 0.004), ("salt_and_pepper", 0.02),
    ("speckle", 0.01), ("rician", 0.003)])
def test_the_best_constant_is_the_truth(name, tolerance):
  """Of many noisy values of one level, the loss is least at that level."""
  model = noise.NOISE_MODELS[name]
  level = 0.1 if name == "rician" else LEVEL  # where the noise is as large as the signal
  image = jnp.full((200, 200, 1), level)
  noisy = model.add(jax.random.key(0), image, STRENGTH)
  levels = np.linspace(level - 0.06, level + 0.06, 121)
  losses = jax.jit(jax.vmap(lambda p: jnp.mean(model.loss(p * jnp.ones_like(noisy), noisy, STRENGTH, jnp.mean))))(
      jnp.asarray(levels, jnp.float32))
  assert levels[int(jnp.argmin(losses))] == pytest.approx(level, abs=tolerance)


@pytest.mark.parametrize("name, variance", [
    ("gaussian", 0.01), ("poisson", LEVEL / 200), ("poisson_gaussian", LEVEL / 200 + 0.01),
    ("speckle", (0.1 * LEVEL) ** 2)])
def test_variances_are_those_of_the_model(name, variance):
  noisy = noise.NOISE_MODELS[name].add(jax.random.key(1), jnp.full((200, 200, 1), LEVEL), STRENGTH)
  assert float(noisy.mean()) == pytest.approx(LEVEL, abs=0.002)
  assert float(noisy.var()) == pytest.approx(variance, rel=0.05)


def test_both_parts_of_complex_values_have_noise_as_strong_as_it_is_drawn_anew():
  """Else the PSNR that is expected of a complex operator's values is of weaker noise than the one that they are restored of."""
  values = jnp.full((200, 200, 1), LEVEL, jnp.complex64)
  added = noise.gaussian(0.1).add(jax.random.key(1), values) - values
  anew = recorruption.RECORRUPT["gaussian"](jax.random.key(2), values, STRENGTH, 1.0)[0] - values
  for part in (jnp.real, jnp.imag):
    assert float(part(added).std()) == pytest.approx(0.1, rel=0.02)
    assert float(part(anew).std()) == pytest.approx(0.1, rel=0.02)


def test_salt_and_pepper_replaces_a_share_in_all_channels():
  noisy = np.asarray(noise.NOISE_MODELS["salt_and_pepper"].add(
      jax.random.key(0), jnp.full((200, 200, 3), LEVEL), STRENGTH))
  lost = noisy != np.float32(LEVEL)
  assert lost.mean() == pytest.approx(0.2, abs=0.01)
  assert np.all(lost.all(-1) == lost.any(-1)) and set(np.unique(noisy[lost])) == {0.0, 1.0}


def test_rician_noise_is_the_magnitude_of_a_complex_one():
  noisy = noise.NOISE_MODELS["rician"].add(jax.random.key(0), jnp.full((200, 200, 1), LEVEL), STRENGTH)
  assert float(jnp.mean(noisy ** 2)) == pytest.approx(LEVEL ** 2 + 2 * 0.01, rel=0.01)


@pytest.mark.parametrize("name", noise.NOISE_MODELS)
def test_losses_and_gradients_are_finite_at_the_edges(name):
  model = noise.NOISE_MODELS[name]
  predicted, measured = jnp.meshgrid(jnp.asarray([0.0, 1e-6, 0.5, 1.0]), jnp.asarray([0.0, 1e-6, 0.5, 1.0]))
  loss, gradient = jax.value_and_grad(
      lambda p: jnp.mean(model.loss(p, measured, STRENGTH, jnp.mean)))(predicted)
  assert np.isfinite(loss) and np.isfinite(gradient).all()


@pytest.mark.parametrize("make, model, strength", [
    (lambda: noise.gaussian(0.1), "gaussian", (0.1, 0, 0)), (lambda: noise.poisson(50.0), "poisson", (0, 50.0, 0)),
    (lambda: noise.poisson_gaussian(50.0, 0.1), "poisson_gaussian", (0.1, 50.0, 0)),
    (lambda: noise.salt_and_pepper(0.2), "salt_and_pepper", (0, 0, 0.2)),
    (lambda: noise.speckle(0.1), "speckle", (0.1, 0, 0)), (lambda: noise.rician(0.1), "rician", (0.1, 0, 0))])
def test_noise_of_a_strength_is_that_of_its_model(make, model, strength):
  made, image = make(), jnp.full((20, 20, 1), LEVEL)
  other = 0.9 * image
  assert made.model == model and tuple(made.strength) == strength
  known, given = noise.NOISE_MODELS[model], noise.Strength(*strength)
  np.testing.assert_array_equal(made.add(jax.random.key(0), image), known.add(jax.random.key(0), image, given))
  np.testing.assert_array_equal(made.loss(image, other, jnp.mean), known.loss(image, other, given, jnp.mean))


def test_strengths_are_leaves_that_may_differ_in_a_batch():
  several = jax.tree.map(lambda *leaves: jnp.stack(leaves), noise.rician(0.1), noise.rician(0.2))
  image, measured = jnp.full((4, 4, 1), 0.3), jnp.full((4, 4, 1), 0.4)
  together = jax.vmap(lambda one: one.loss(image, measured, jnp.mean))(several)
  for row, sigma in enumerate((0.1, 0.2)):
    np.testing.assert_allclose(together[row], noise.rician(sigma).loss(image, measured, jnp.mean), rtol=1e-6)


@pytest.mark.parametrize("make, said", [
    (lambda: noise.rician(0.0), r"^sigma=0.0 is not allowed for rician noise; allowed: a number above 0"),
    (lambda: noise.poisson_gaussian(0, 0.1), r"^peak=0 is not allowed for poisson_gaussian noise")])
def test_a_strength_that_the_fit_divides_by_is_above_zero(make, said):
  with pytest.raises(ValueError, match=said):
    make()
