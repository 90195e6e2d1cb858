"""All operators: linear, with exact adjoints, units, estimates and counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oes_jax import operators
from operators import cases

CASES = cases.CASES


@pytest.mark.parametrize("name", CASES)
def test_operators_are_linear_and_have_their_adjoint(x64, rng, name):
  operator = CASES[name]
  shape = operator.image_shape
  op_params = jax.tree.map(np.float64, operator.init(rng))
  apply = jax.jit(operator.apply)
  x, y = rng.standard_normal((2, *shape))
  image = apply(op_params, x)
  np.testing.assert_allclose(apply(op_params, 2 * x - 3 * y), 2 * image - 3 * apply(op_params, y), atol=1e-10)
  measurement = rng.standard_normal(image.shape)
  back = jax.jit(lambda p, m: operators.adjoint(operator.apply, p, m, shape))(op_params, measurement)
  assert back.shape == shape
  assert float(np.sum(image * measurement)) == pytest.approx(float(np.sum(x * back)), rel=1e-9)
  assert np.abs(image).max() > 0


@pytest.mark.parametrize("name", ["inpainting", "mri", "blur"])
def test_parameters_may_differ_in_a_batch(rng, name):
  operator = CASES[name]
  several = [operator.init(np.random.default_rng(seed)) for seed in (1, 2)]
  stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *several)
  images = rng.standard_normal((2, *operator.image_shape)).astype(np.float32)
  together = jax.jit(jax.vmap(operator.apply))(stacked, images)
  for row in range(2):
    np.testing.assert_allclose(together[row], operator.apply(several[row], images[row]), atol=1e-5)


@pytest.mark.parametrize("name", ["inpainting", "mri", "blur"])
def test_what_is_bound_is_the_operator_with_its_parameters_as_leaves(rng, name):
  operator = CASES[name]
  op_params = operator.init(rng)
  bound = operator.bind(op_params)
  assert len(jax.tree.leaves(bound)) == len(jax.tree.leaves(op_params))
  image = rng.random(operator.image_shape).astype(np.float32)
  np.testing.assert_array_equal(bound(image), operator.apply(op_params, image))
  assert not np.any(jax.tree.map(np.zeros_like, bound)(image))


@pytest.mark.parametrize("name", CASES)
def test_estimates_have_the_shape_of_the_image_and_what_is_seen_that_of_the_measurement(rng, name):
  operator = CASES[name]
  op_params = operator.init(rng)
  measurement = operator.apply(op_params, jnp.full(operator.image_shape, 0.5))
  assert operators.shape_of(operator, op_params) == measurement.shape
  assert operator.estimate(op_params, measurement).shape == operator.image_shape
  seen = operator.seen(op_params)
  if seen is not None:
    assert seen.shape == (*measurement.shape[:-1], 1) and set(np.unique(seen)) == {0, 1}
    assert not np.any(measurement * (1 - seen))  # nothing is lost that was measured


@pytest.mark.parametrize("name", ["mri", "gaussian rows", "fourier rows"])
def test_the_unit_is_what_white_noise_in_the_image_makes_of_a_measured_value(rng, name):
  operator = CASES[name]
  op_params = operator.init(rng)
  noise = rng.standard_normal((200, *operator.image_shape)).astype(np.float32)
  measured = np.asarray(jax.jit(jax.vmap(lambda x: operator.apply(op_params, x)))(noise))
  seen = operator.seen(op_params)
  values = measured if seen is None else measured[np.broadcast_to(seen > 0, measured.shape)]
  assert values.std() == pytest.approx(operator.unit, rel=0.1)


@pytest.mark.parametrize("name, count", [
    ("identity", 576), ("inpainting", 77 * 3), ("downsampling", 36), ("mri", 3 * 48 * 2), ("fourier rows", 348),
    ("tomography", 23 * 4 * 3), ("chain", 24 * 3)])
def test_measured_values_are_counted_up_to_those_of_the_image(name, count):
  assert operators.count_measured(CASES[name], CASES[name].image_shape) == count


def test_both_parts_of_complex_values_are_counted():
  half = operators.from_function(lambda image: jnp.fft.fft2(image[:4], axes=(0, 1)), (12, 16, 1))
  assert operators.count_measured(half, (12, 16, 1)) == 2 * 4 * 16


@pytest.mark.parametrize("name", ["identity", "blur", "downsampling", "bicubic downsampling"])
def test_a_grey_image_is_estimated_exactly(rng, name):
  operator = CASES[name]
  op_params = operator.init(rng)
  scale = np.sum(op_params) if name == "blur" else 1
  estimate = operator.estimate(op_params, operator.apply(op_params, jnp.full(operator.image_shape, 0.5)))
  np.testing.assert_allclose(estimate, 0.5 * scale, rtol=1e-4)


def test_operators_of_one_kind_and_shape_share_what_is_compiled():
  again = {
      "inpainting": operators.inpainting(cases.SHAPE, kept=0.7),
      "downsampling": operators.downsampling(cases.SHAPE, factor=4),
      "tomography": operators.tomography(cases.SHAPE, angles=np.arange(5.0)),
      "blur": operators.blur(cases.SHAPE, kernel=np.ones((3, 3)))}
  for name, operator in again.items():
    assert operator.apply is CASES[name].apply
  assert operators.chain(again["blur"], again["inpainting"]).apply is operators.chain(
      CASES["blur"], CASES["inpainting"]).apply
