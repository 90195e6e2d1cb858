"""From what was measured to a Problem: ranges, scans, complex images, lost and held-out values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oes_jax import fitting
from oes_jax import intensity
from oes_jax import noise
from oes_jax import operators


@pytest.fixture(name="rng")
def fixture_rng():
  return np.random.default_rng(0)


# Ranges.


@pytest.mark.parametrize("model", noise.NOISE_MODELS)
def test_the_range_starts_at_zero_where_the_noise_depends_on_the_value(rng, model):
  values = rng.uniform(100, 200, (8, 8, 1)).astype(np.float32)
  low, high = intensity.intensity_range(values)
  from_zero = noise.NOISE_MODELS[model].from_zero
  assert low > 50 and fitting.choose_range(values, None, model=model) == (0.0 if from_zero else low, high)
  assert fitting.choose_range(values, (0, 300), model=model) == (0, 300)
  if from_zero:
    with pytest.raises(ValueError, match=rf"^range=\(10, 300\) does not start at 0, as noise model '{model}' needs it"):
      fitting.choose_range(values, (10, 300), model=model)
    with pytest.raises(ValueError, match="^the measurement has 1 channels and values from -"):
      fitting.choose_range(values - 150, None, model=model)
  else:
    assert fitting.choose_range(values, (10, 300), model=model) == (10, 300)


def test_the_magnitude_of_a_complex_image_starts_at_zero_and_has_one_channel(rng):
  values = rng.uniform(1, 2, (8, 8, 1)).astype(np.float32)
  assert fitting.choose_range(values, None, is_complex=True)[0] == 0
  with pytest.raises(ValueError, match="as a complex image needs it: values that are not negative, in one channel"):
    fitting.choose_range(np.repeat(values, 2, -1), None, is_complex=True)


# Scans.


def _scanned(name, image):
  """Return (operator, op_params, Scan) of what an operator makes of an image in its own units."""
  coils = operators.simulated_coils((16, 16), 2)
  operator = (operators.mri((16, 16, 2), coils=coils, acceleration=2.0) if name == "mri" else
              operators.tomography((16, 16, 1), angles=np.arange(0, 180, 10.0)))
  op_params = operator.init(np.random.default_rng(0))
  values = np.asarray(operator.apply(op_params, jnp.asarray(image, jnp.float32)))
  return operator, op_params, operators.Scan(values, operator.image_shape, {})


def test_a_sinogram_in_the_unit_range_is_that_of_the_image_in_it(rng):
  image, limits = rng.uniform(100, 300, (16, 16, 1)), (50.0, 400.0)
  operator, op_params, scan = _scanned("tomography", image)
  unit = fitting.scan_to_unit(scan, operator, op_params, limits)
  np.testing.assert_allclose(unit, operator.apply(op_params, jnp.asarray((image - 50) / 350, jnp.float32)), atol=1e-4)
  assert fitting.scan_estimate(operator, op_params, scan).shape == (16, 16, 1)


def test_k_space_in_the_unit_range_is_that_of_the_complex_image_in_it(rng):
  image = rng.uniform(-2, 2, (16, 16, 2))
  operator, op_params, scan = _scanned("mri", image)
  unit = fitting.scan_to_unit(scan, operator, op_params, (0.0, 4.0))
  np.testing.assert_allclose(unit, operator.apply(op_params, jnp.asarray((1 + image / 4) / 2, jnp.float32)), atol=1e-5)
  estimate = fitting.scan_estimate(operator, op_params, scan)
  assert estimate.shape == (16, 16, 1) and estimate.dtype == np.float32 and estimate.min() >= 0


# Complex images.


def test_a_complex_image_is_viewed_as_its_magnitude_and_others_as_they_are(rng):
  unit = rng.uniform(0, 1, (16, 16, 1))
  complex_, real = operators.mri((16, 16, 2), coils=operators.simulated_coils((16, 16), 2)), operators.identity()
  image = fitting.to_image(complex_, unit)
  assert image.shape == (16, 16, 2) and image.dtype == unit.dtype and 0 <= image.min() and image.max() <= 1
  np.testing.assert_allclose(fitting.view_of(complex_)(image), unit, rtol=1e-12)
  assert fitting.to_image(real, unit) is unit and fitting.view_of(real)(unit) is unit
  assert fitting.view_of(real) is fitting.view_of(operators.identity())  # what is compiled for one serves all


def test_the_psnr_is_that_of_what_is_seen_over_the_valid_pixels(rng):
  image, truth = rng.random((16, 16, 2)), rng.random((16, 16, 2))
  inside = fitting.as_valid(np.zeros((16, 16, 1)) + (np.arange(16) < 5)[:, None, None])
  assert inside.count == 80
  view = operators.magnitude_of_unit
  score = fitting.psnr_of(view)(truth, fitting.Problem(None, valid=inside), image)
  error = np.mean(np.square(view(image) - view(truth))[:5])
  assert list(score) == ["psnr"] and float(score["psnr"]) == pytest.approx(-10 * np.log10(error), rel=1e-5)


# Problems.


def test_a_problem_holds_what_the_operator_and_the_measurement_say(rng):
  operator = operators.gaussian_rows((16, 16, 1), share=0.3)
  op_params, values = operator.init(rng), rng.random((77, 1), np.float32)
  problem = fitting.pose(operator, op_params, values, noise.gaussian(), np.ones(3))
  assert problem.unit == operator.unit and problem.measurement is values and problem.fitted is problem.held_out is None
  image = rng.random((16, 16, 1), np.float32)
  np.testing.assert_array_equal(problem.forward(image), operator.apply(op_params, image))


def test_values_that_are_held_out_are_of_those_that_were_measured(rng):
  operator = operators.inpainting((16, 16, 2), kept=0.5)
  op_params = operator.init(rng)
  seen = operator.seen(op_params)
  args = (operator, op_params, np.zeros((16, 16, 2), np.float32), noise.gaussian(), np.ones(3))
  problem = fitting.pose(*args, seen=seen, held_out=(jax.random.key(0), 0.3))
  np.testing.assert_array_equal(problem.fitted.pixels + problem.held_out.pixels, seen)
  assert problem.fitted.count + problem.held_out.count == 128 and 15 < problem.held_out.count < 65
  assert isinstance(problem.fitted.pixels, np.ndarray)
  whole = fitting.pose(*args, seen=seen)
  assert whole.fitted.count == 128 and whole.held_out is None
