"""What is minimised: problems as pytrees, losses of one's own, held-out values, and the two objectives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oes_jax import fitting
from oes_jax import masks
from oes_jax import metrics
from oes_jax import noise
from oes_jax import operators

SHAPE = (6, 8, 2)


@pytest.fixture(name="rng")
def fixture_rng():
  return np.random.default_rng(0)


def _uniform(rng, shape=SHAPE):
  return jnp.asarray(rng.random(shape), jnp.float32)


# Problems.


def test_a_problem_is_a_pytree_of_its_arrays(rng):
  operator = operators.inpainting(SHAPE)
  problem = fitting.Problem(
      _uniform(rng), operator.bind(operator.init(rng)), noise.rician(0.1), _uniform(rng), unit=2.0)
  assert len(jax.tree.leaves(problem)) == 1 + 1 + 3 + 1  # measurement, lost pixels, strengths of the noise, input
  doubled = jax.tree.map(lambda leaf: 2 * leaf, problem)
  np.testing.assert_array_equal(doubled.measurement, 2 * problem.measurement)
  image = _uniform(rng)
  np.testing.assert_array_equal(doubled.forward(image), 2 * problem.forward(image))
  assert doubled.unit == 2.0 and doubled.loss.strength.sigma == 0.2
  assert jax.tree.structure(doubled) == jax.tree.structure(problem)


def test_stacked_problems_are_each_their_own_under_vmap(rng):
  operator = operators.inpainting(SHAPE)
  problems = [fitting.Problem(_uniform(rng), operator.bind(operator.init(np.random.default_rng(seed))), unit=0.5)
              for seed in (1, 2)]
  image = _uniform(rng)
  alone = [fitting.data_fit(image, problem, None) for problem in problems]
  stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *problems)
  together = jax.vmap(lambda problem: fitting.data_fit(image, problem, None))(stacked)
  np.testing.assert_allclose(together, alone, rtol=1e-6)
  assert alone[0] != alone[1]


def test_an_input_is_the_generators_where_a_problem_names_none(tiny, rng):
  generator, _ = tiny
  named = fitting.Problem(_uniform(rng), net_input=jnp.ones(3))
  assert fitting.with_input(named, generator) is named
  given = fitting.with_input(fitting.Problem(_uniform(rng)), generator)
  np.testing.assert_array_equal(given.net_input, generator.default_input())


def test_other_attributes_are_replaced(rng):
  problem = fitting.Problem(_uniform(rng))
  other = problem.replace(unit=3.0, forward=lambda image: 2 * image)
  assert other.unit == 3.0 and problem.unit == 1.0 and other.measurement is problem.measurement
  assert other.forward(1.0) == 2.0 and problem.forward(1.0) == 1.0


# Held-out values.


@pytest.mark.parametrize("share", [0.05, 0.5])
@pytest.mark.parametrize("shape, made, seen_shape", [
    ((40, 50, 3), jnp.zeros((40, 50, 3)), (40, 50, 1)), ((40, 50), jnp.zeros((40, 50), jnp.complex64), (40, 50, 1)),
    ((2000, 2), jnp.zeros((2000, 2)), (2000, 1))])
def test_hold_out_takes_the_measured_values_apart(shape, made, seen_shape, share):
  assert made.shape == shape
  problem = fitting.hold_out(fitting.Problem(made), jax.random.key(0), share)
  parts = problem.fitted.pixels, problem.held_out.pixels
  assert parts[0].shape == parts[1].shape == seen_shape
  np.testing.assert_array_equal(parts[0] + parts[1], 1)
  assert set(np.unique(parts[0])) == {0, 1} and parts[1].mean() == pytest.approx(share, rel=0.25)
  assert (problem.fitted.count, problem.held_out.count) == (parts[0].sum(), parts[1].sum())
  other = fitting.hold_out(fitting.Problem(made), jax.random.key(1), share)
  assert (other.fitted.pixels != parts[0]).any()


def test_hold_out_leaves_out_what_was_not_measured(rng):
  seen = jnp.asarray(rng.integers(0, 2, (40, 50, 1)), jnp.float32)
  problem = fitting.Problem(jnp.zeros((40, 50, 3)), fitted=metrics.Valid(seen, seen.sum()))
  problem = fitting.hold_out(problem, jax.random.key(0))
  np.testing.assert_array_equal(problem.fitted.pixels + problem.held_out.pixels, seen)
  assert problem.held_out.count > 0


@pytest.mark.parametrize("is_complex", [False, True])
def test_fits_average_over_the_values_that_are_seen(rng, is_complex):
  measured, predicted = (_uniform(rng) + (1j * _uniform(rng) if is_complex else 0) for _ in range(2))
  problem = fitting.hold_out(fitting.Problem(measured), jax.random.key(3), 0.4)
  error = np.abs(np.asarray(measured - predicted)) ** 2
  if is_complex:
    error = error[..., None] / 2  # of two parts
  for seen in (problem.fitted, problem.held_out):
    kept = np.broadcast_to(np.asarray(seen.pixels) > 0, error.shape)
    assert fitting.data_fit(predicted, problem, seen) == pytest.approx(error[kept].mean(), rel=1e-5)
    # A loss of one's own for every value is averaged over the same ones.
    own = problem.replace(loss=lambda p, m: jnp.square(jnp.abs(p - m)))
    parts = 2 if is_complex else 1
    assert fitting.data_fit(predicted, own, seen) == pytest.approx(parts * error[kept].mean(), rel=1e-5)


def test_one_number_cannot_leave_values_out(rng):
  image = _uniform(rng)
  problem = fitting.Problem(_uniform(rng), loss=lambda p, m: jnp.sum(jnp.abs(p - m)))
  expected = float(jnp.sum(jnp.abs(image - problem.measurement)))
  assert fitting.data_fit(image, problem, None) == pytest.approx(expected, rel=1e-6)
  held = fitting.hold_out(problem, jax.random.key(0))
  for seen in (held.fitted, held.held_out):
    with pytest.raises(ValueError, match="^loss gives one number, .*allowed .*: the loss of every value"):
      fitting.data_fit(image, held, seen)


# Losses.


def test_the_squared_error_of_complex_values_counts_both_parts(rng):
  forward = lambda image: jnp.fft.fft2(image, axes=(0, 1))
  image, truth = _uniform(rng), _uniform(rng)
  problem = fitting.Problem(forward(truth), forward)
  residual = np.fft.fft2(np.asarray(image - truth), axes=(0, 1))
  fit = fitting.data_fit(image, problem, None)
  assert fit == pytest.approx((residual.real ** 2 + residual.imag ** 2).mean() / 2, rel=1e-4)
  turned = problem.replace(measurement=1j * problem.measurement)  # a phase alone is an error
  assert fitting.data_fit(truth, problem, None) < 1e-8 < 1 < fitting.data_fit(truth, turned, None)


def test_a_unit_makes_an_error_of_the_measurement_one_of_the_image(rng):
  image, truth = _uniform(rng), _uniform(rng)
  plain = fitting.data_fit(image, fitting.Problem(truth), None)
  scaled = fitting.Problem(7 * truth, lambda image: 7 * image, unit=7.0)
  assert fitting.data_fit(image, scaled, None) == pytest.approx(float(plain), rel=1e-5)
  # A loss of one's own is taken as it is.
  own = scaled.replace(loss=lambda p, m: jnp.square(p - m))
  assert fitting.data_fit(image, own, None) == pytest.approx(49 * float(plain), rel=1e-5)


@pytest.mark.parametrize("make", [
    noise.gaussian, noise.poisson, noise.salt_and_pepper, noise.speckle, lambda: noise.rician(0.1),
    lambda: noise.poisson_gaussian(50., 0.1)])
def test_the_fit_of_a_noise_model_is_the_mean_of_its_loss(rng, make):
  model, image, measured = make(), _uniform(rng), _uniform(rng)
  fit = fitting.data_fit(image, fitting.Problem(measured, loss=model), None)
  expected = jnp.mean(noise.NOISE_MODELS[model.model].loss(image, measured, model.strength, jnp.mean))
  assert fit == pytest.approx(float(expected), rel=1e-6)


def test_a_complex_loss_is_refused(rng):
  problem = fitting.Problem(_uniform(rng), loss=lambda p, m: (p - m) * (1 + 0j))
  with pytest.raises(ValueError, match="^loss gives complex64 values; allowed: real ones"):
    fitting.data_fit(_uniform(rng), problem, None)


# Objectives.


def test_mask_objective_is_mean_error_plus_weighted_kl(small):
  generator, params, logits, problem = small
  objective = jax.jit(fitting.mask_objective(generator.apply, temperature=0.2))
  key = jax.random.key(3)
  loss, (image, measured) = objective(logits, (params, 0.05, 1e-4), problem, key)
  expected = jax.jit(lambda params, logits: generator.apply(masks.apply_mask(
      params, masks.sample_relaxed_mask(key, logits, temperature=0.2)), problem.net_input))(params, logits)
  np.testing.assert_allclose(image, expected, rtol=1e-5)
  mse = np.mean((np.asarray(expected) - np.asarray(problem.measurement)) ** 2)
  np.testing.assert_allclose(measured["mse"], mse, rtol=1e-5)
  size = masks.count_weights(params)
  kl = size * (0.5 * np.log(0.5 / 0.05) + 0.5 * np.log(0.5 / 0.95))  # every logit is 0
  np.testing.assert_allclose(measured["kl"], kl, rtol=1e-4)
  np.testing.assert_allclose(loss, mse + 1e-4 * kl, rtol=1e-4)
  assert measured["mean_logit"] == 0


def test_weight_objective_is_the_error_of_the_masked_generator(tiny):
  generator, params = tiny
  problem = fitting.Problem(jnp.full((16, 16, 1), 0.3), net_input=generator.default_input())
  mask = masks.threshold(masks.random_scores(jax.random.key(1), params), 0.7)
  loss, (image, measured) = fitting.weight_objective(generator.apply)(params, mask, problem, None)
  expected = generator.apply(jax.tree.map(jnp.multiply, params, mask), problem.net_input)
  np.testing.assert_array_equal(image, expected)
  assert loss == measured["mse"] == pytest.approx(float(jnp.mean(jnp.square(expected - 0.3))), rel=1e-5)


def test_noise_on_the_input_is_drawn_from_the_key_and_has_the_deviation_asked_for(tiny):
  _, params = tiny
  apply = lambda params, net_input: net_input
  problem = fitting.Problem(jnp.zeros((100, 100, 3)), net_input=jnp.zeros((100, 100, 3)))
  draw = lambda seed: fitting.weight_objective(apply, input_noise=0.03)(
      params, masks.dense_mask(params), problem, jax.random.key(seed))[1][0]
  assert float(draw(0).std()) == pytest.approx(0.03, rel=0.05)
  np.testing.assert_array_equal(draw(0), draw(0))
  assert (draw(0) != draw(1)).all()


def test_pixels_beyond_the_image_are_not_fitted(rng):
  image, measured = _uniform(rng), _uniform(rng)
  inside = jnp.zeros((6, 8, 1)).at[1:4, 2:7].set(1)
  problem = fitting.Problem(measured, valid=metrics.Valid(inside, inside.sum()))
  objective = fitting.weight_objective(lambda params, net_input: params)
  loss = objective(image, jnp.ones(SHAPE), problem, None)[0]
  expected = np.mean(np.square(np.asarray(image - measured)[1:4, 2:7]))
  assert loss == pytest.approx(expected, rel=1e-5)
