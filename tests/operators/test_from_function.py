"""Operators of any function: their adjoint, unit and first estimate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oes_jax import operators

COILS = operators.simulated_coils((16, 16), 2)
KNOWN = {
    "mri": operators.mri((16, 16, 2), coils=COILS, acceleration=1.0, centre=0.1),
    "gaussian rows": operators.gaussian_rows((16, 16, 2), share=0.3),
    "downsampling": operators.downsampling((16, 16, 2), factor=2),
    "identity": operators.identity((16, 16, 2)),
}


@pytest.mark.parametrize("name", KNOWN)
def test_the_unit_is_near_that_of_the_operator_itself(rng, name):
  known = KNOWN[name]
  derived = operators.from_function(known.bind(known.init(rng)), (16, 16, 2))
  assert derived.unit == pytest.approx(known.unit, rel=0.15)


@pytest.mark.parametrize("name", KNOWN)
def test_the_operator_is_the_function(rng, name):
  known = KNOWN[name]
  bound = known.bind(known.init(rng))
  derived = operators.from_function(bound, (16, 16, 2))
  image = rng.random((16, 16, 2)).astype(np.float32)
  np.testing.assert_array_equal(derived.bind(derived.init(rng))(image), bound(image))
  assert derived.seen(()) is None and derived.image_shape == (16, 16, 2)


_MATRIX = np.random.default_rng(3).standard_normal((2, 20, 96))
LINEAR = {
    "real": lambda image: jnp.asarray(_MATRIX[0]) @ image.ravel(),
    "complex": lambda image: (jnp.asarray(_MATRIX[0]) + 1j * jnp.asarray(_MATRIX[1])) @ image.ravel(),
    "complex FFT": lambda image: jnp.fft.fft2(image, axes=(0, 1))[::2],
}


@pytest.mark.parametrize("name", LINEAR)
def test_linear_functions_have_their_adjoint(x64, rng, name):
  """Of complex values <A x, y> is the real part: x is real."""
  operator = operators.from_function(LINEAR[name], (8, 6, 2))
  x = rng.standard_normal((8, 6, 2))
  forward = operator.apply((), x)
  y = rng.standard_normal(forward.shape)
  if jnp.iscomplexobj(forward):
    y = y + 1j * rng.standard_normal(forward.shape)
  back = np.asarray(jnp.real(operators.adjoint(operator.apply, (), jnp.conj(y), (8, 6, 2))))
  assert back.shape == (8, 6, 2)
  assert np.sum(back * x) == pytest.approx(float(np.real(np.vdot(y, forward))), rel=1e-9)


@pytest.mark.parametrize("name", LINEAR)
def test_the_estimate_of_a_linear_function_is_the_scaled_adjoint(x64, rng, name):
  """It is t A* y with the t that makes A t A* y nearest to y."""
  apply = LINEAR[name]
  operator = operators.from_function(apply, (8, 6, 2))
  columns = np.stack([np.ravel(apply(jnp.asarray(unit.reshape(8, 6, 2)))) for unit in np.eye(96)], -1)
  measured = apply(jnp.asarray(rng.random((8, 6, 2))))
  estimate = operator.estimate((), measured)
  back = np.real(columns.conj().T @ np.ravel(measured))
  ahead = columns @ back
  scale = np.real(np.vdot(ahead, np.ravel(measured))) / np.real(np.vdot(ahead, ahead))
  assert estimate.dtype == jnp.float64
  np.testing.assert_allclose(np.ravel(estimate), scale * back, rtol=1e-8, atol=1e-12)


def test_the_estimate_of_a_unitary_function_is_the_image(rng):
  operator = operators.from_function(lambda image: jnp.fft.fft2(image, axes=(0, 1), norm="ortho"), (8, 8, 1))
  image = rng.random((8, 8, 1)).astype(np.float32)
  np.testing.assert_allclose(operator.estimate((), operator.apply((), image)), image, atol=1e-5)


def test_a_nonlinear_function_has_a_finite_unit_and_estimate(rng):
  magnitude = lambda image: jnp.abs(jnp.fft.fft2(image, axes=(0, 1)))
  operator = operators.from_function(magnitude, (16, 16, 1))
  image = rng.random((16, 16, 1)).astype(np.float32)
  estimate = operator.estimate((), magnitude(image))
  assert 0 < operator.unit < np.inf and estimate.shape == (16, 16, 1)
  assert np.isfinite(estimate).all()


def test_operators_of_one_function_share_what_is_compiled():
  one, two = (operators.from_function(LINEAR["real"], (8, 6, 2)) for _ in range(2))
  assert one.apply is two.apply
  assert jax.tree.structure(one.bind(())) == jax.tree.structure(two.bind(()))


@pytest.mark.parametrize("apply", [lambda image: (image, image), lambda image: image[:0]])
def test_what_gives_no_values_is_refused(apply):
  with pytest.raises(ValueError, match="^apply gives .*; allowed: an array of one or more values"):
    operators.from_function(apply, (8, 8, 1))
