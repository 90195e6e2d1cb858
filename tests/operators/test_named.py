"""Operators by name: every one applies, has an adjoint and an estimate, and trains, in float64 too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oes_jax
from oes_jax import generators
from oes_jax import operators

SHAPES = {"mri": (16, 16, 2)}


def _make(name, **settings):
  return operators.make_operator(operators.OperatorSettings(name=name, **settings), SHAPES.get(name, (16, 16, 1)))


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] if name == "tomography" else [])
                                  for name in operators.FAMILIES])
def test_every_named_operator_applies_goes_back_and_trains_in_float64(x64, rng, name):
  operator = _make(name, angles=4, coils=2)
  family, op_params = operators.FAMILIES[name], operator.init(rng)
  assert (operator.measures_image, operator.tileable, operator.is_complex) == (
      family.measures_image, family.tileable, family.is_complex)
  image = rng.random(operator.image_shape)
  measured = jax.jit(operator.apply)(op_params, image)
  assert measured.dtype == jnp.float64 and np.ptp(measured) > 0
  other = rng.standard_normal(measured.shape)
  back = operators.adjoint(operator.apply, op_params, other, operator.image_shape)
  assert back.dtype == jnp.float64
  assert float(np.sum(back * image)) == pytest.approx(float(np.sum(other * measured)), rel=1e-6)
  estimate = operator.estimate(op_params, measured)
  assert estimate.shape == operator.image_shape and np.isfinite(estimate).all()
  generator = generators.deep_decoder(operator.image_shape, num_scales=1, channels=(3, 3))
  params, _ = generator.init(jax.random.key(0))
  problem = oes_jax.Problem(measured, operator.bind(op_params), unit=operator.unit)
  trained = jax.jit(lambda params, problem, key: oes_jax.train_weights(
      generator, params, None, problem, key, oes_jax.TrainWeights(num_steps=2)))(params, problem, jax.random.key(1))
  assert trained.image.dtype == jnp.float64
  assert trained.traces["weights"]["loss"][1] < trained.traces["weights"]["loss"][0]


@pytest.mark.parametrize("settings, arrays", [
    ({"name": "inpainting"}, {"mask": np.eye(16)}), ({"name": "inpainting", "mask": "lines"}, {}),
    ({"name": "inpainting", "mask": "lines"}, {"mask": np.eye(16)})])
def test_a_mask_comes_from_an_array_or_else_by_name(rng, settings, arrays):
  operator = operators.make_operator(operators.OperatorSettings(**settings), (16, 16, 1), arrays=arrays)
  expected = arrays["mask"] if arrays else operators.scratches((16, 16))
  np.testing.assert_array_equal(operator.init(rng)[..., 0], expected)


def test_a_kernel_of_an_array_is_normalised_and_checked(rng):
  settings = operators.OperatorSettings(name="deblurring")
  operator = operators.make_operator(settings, (16, 16, 1), arrays={"kernel": np.full((3, 3), 2.0)})
  np.testing.assert_allclose(operator.init(rng), 1 / 9, rtol=1e-6)
  for kernel, said in [(np.zeros((3, 3)), "its sum is not above 0"),
                       (np.array([[-0.1, 0.3, -0.2]]), "its sum is not above 0"), (np.ones(3), r"the kernel is \(3,\)")]:
    with pytest.raises(ValueError, match=said):
      operators.make_operator(settings, (16, 16, 1), arrays={"kernel": kernel})


def test_a_scan_makes_its_own_operator(rng):
  coils = operators.simulated_coils((16, 16), 2)
  settings = operators.OperatorSettings(name="mri", coils=4)
  scan = operators.read_scan(settings, {"kspace": coils, "coil_maps": coils})
  operator = operators.make_operator(settings, scan.image_shape, scan=scan)
  assert operators.shape_of(operator, operator.init(rng)) == (2, 16, 16, 2)


def test_arrays_that_a_scan_does_not_need_are_named_and_faulty_ones_refused():
  settings, coils = operators.OperatorSettings(name="mri"), operators.simulated_coils((16, 16), 2)
  arrays = {"kspace": operators.centred_fft(coils), "coil_maps": coils, "acquisition": np.array("T2"), "id": np.ones(3)}
  assert operators.read_scan(settings, arrays).remarks == ("acquisition, id of the scan are not read",)
  for name, value, said in [("kspace", np.array("T2"), "kspace holds <U2 values; allowed: numbers"),
                            ("coil_maps", np.nan * coils, "coil_maps holds NaN or infinite values")]:
    with pytest.raises(ValueError, match=said):
      operators.read_scan(settings, {**arrays, name: value})
  with pytest.raises(ValueError, match="it has no array 'kspace'; allowed: kspace"):
    operators.read_scan(settings, {"coil_maps": coils})


def test_an_unknown_name_is_refused():
  with pytest.raises(ValueError, match="^name='radar' is unknown; allowed: identity, inpainting, "):
    operators.OperatorSettings(name="radar")
