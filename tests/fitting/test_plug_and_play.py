"""The classical estimate of a measurement, and its mix with a generator's image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oes_jax import fitting
from oes_jax import metrics
from oes_jax import noise
from oes_jax import operators
from oes_jax.fitting import _plug_and_play

SHAPE = (16, 16, 1)
# Operators that see the image whole are exact on smooth images; (operator, noise, least PSNR of the estimate).
CASES = {
    "identity": (operators.identity(SHAPE), 0.1, 29),
    "inpainting": (operators.inpainting(SHAPE, kept=0.6), 0.05, 30),
    "deblurring": (operators.blur(SHAPE, kernel=operators.gaussian_kernel(0.8)), 0.02, 32),
    "super_resolution": (operators.downsampling(SHAPE, factor=2), 0.02, 30),
    "mri": (operators.mri((16, 16, 2), coils=operators.simulated_coils(SHAPE, 2), acceleration=2), 0.02, 28),
    "tomography": (operators.tomography(SHAPE, angles=np.arange(0, 180, 15)), 0.02, 28),
}


def _spectrum(image):
  """Three in four Fourier coefficients of an image, complex."""
  return jnp.fft.fft2(image, axes=(0, 1), norm="ortho") * (jnp.arange(16) % 4 != 3)[:, None, None]


CASES["complex"] = operators.from_function(_spectrum, SHAPE), 0.02, 42


def _clean(channels):
  rows, columns = np.meshgrid(np.linspace(0, 1, 16), np.linspace(0, 1, 16), indexing="ij")
  return jnp.asarray(np.stack([0.3 + 0.4 * rows, 0.7 - 0.3 * columns][:channels], -1))


def _problem(operator, sigma, model=None, held=True):
  op_params = operator.init(np.random.default_rng(0))
  measured = operator.apply(op_params, _clean(operator.image_shape[2]))
  drawn = jax.random.normal(jax.random.key(0), (2, *measured.shape))
  drawn = jax.lax.complex(*drawn) if jnp.iscomplexobj(measured) else drawn[0]
  measured = measured + operator.unit * sigma * drawn
  seen = operator.seen(op_params)
  measured = measured if seen is None else measured * seen
  return fitting.pose(operator, op_params, measured, noise.gaussian(), None, seen=seen,
                      held_out=(jax.random.key(1), 0.2) if held else None,
                      recorruption=fitting.Recorruption(model or noise.gaussian(sigma)))


@pytest.mark.parametrize("name", [
    name if name in ("deblurring", "complex") else pytest.param(name, marks=pytest.mark.slow) for name in CASES])
def test_the_estimate_comes_near_a_smooth_image(x64, name):
  operator, sigma, least = CASES[name]
  estimate = fitting.plug_and_play(_problem(operator, sigma, held=False), operator.image_shape)
  assert metrics.psnr(estimate, _clean(operator.image_shape[2])) > least


def test_the_estimate_does_not_see_what_is_held_out(x64):
  problem = _problem(*CASES["identity"][:2])
  other = problem.replace(measurement=jnp.where(problem.held_out.pixels > 0, 0.9, problem.measurement))
  # Of the noise level Gaussian noise says nothing that depends on the measurement.
  np.testing.assert_array_equal(*(fitting.plug_and_play(one, SHAPE) for one in (problem, other)))


def test_counts_have_the_mean_noise_level():
  problem = _problem(operators.identity(SHAPE), 0.1, noise.poisson_gaussian(50.0, 0.1))
  assert float(_plug_and_play.noise_level(problem)) == pytest.approx(  # pylint: disable=protected-access
      float(jnp.abs(problem.measurement).mean() / 50 + 0.01) ** 0.5, rel=1e-6)


@pytest.mark.parametrize("name, shift", [
    ("identity", 0.05), *(pytest.param(name, shift, marks=pytest.mark.slow) for name, shift in (
        ("identity", 0.0), ("identity", 0.4), ("mri", 0.05)))])
def test_the_share_is_the_ridge_regression_on_the_held_out_values(x64, name, shift):
  """As least squares give it, with one more equation that says: about a half, with a standard deviation of 0.25."""
  operator, sigma, _ = CASES[name]
  problem, shape = _problem(operator, sigma), operator.image_shape
  shown = _clean(shape[2]) + shift
  mixed = _plug_and_play.combine(lambda params, net_input: shown, {}, problem, jax.random.key(2), shown)
  places = np.broadcast_to(np.asarray(problem.held_out.pixels) > 0, problem.measurement.shape)
  estimate = np.asarray(problem.forward(fitting.plug_and_play(problem, shape)))[places]
  doubt = sigma * problem.unit / 0.25
  columns = np.append(np.asarray(problem.forward(shown))[places] - estimate, doubt)
  share, = np.linalg.lstsq(columns[:, None], np.append(np.asarray(problem.measurement)[places] - estimate, doubt / 2))[0]
  assert float(mixed.share) == pytest.approx(np.clip(share, 0, 1), abs=1e-9)
  np.testing.assert_allclose(mixed.output, mixed.share * shown + (1 - mixed.share) * mixed.estimate, atol=1e-12)
  # What is mixed has seen all values.
  everything = problem.replace(held_out=None, fitted=metrics.Valid(*map(jnp.add, problem.fitted, problem.held_out)))
  np.testing.assert_allclose(mixed.estimate, fitting.plug_and_play(everything, shape), atol=1e-12)


@pytest.mark.parametrize("bounded", [True, False])
def test_weak_noise_is_no_reason_to_mix_in_what_has_lost_detail(x64, monkeypatch, bounded):
  """Of pixels that are between edges, an estimate without the held-out ones knows no more than a smooth image does."""
  monkeypatch.setattr(_plug_and_play, "_WEAK", 0.015 if bounded else 0.0)
  sigma, clean = 0.004, 0.2 + 0.6 * np.random.default_rng(0).integers(0, 2, (24, 24, 1))
  key = jax.random.key(5)
  strength = noise.Noise("gaussian", noise.Strength(sigma, 0.0, 0.0))
  problem = fitting.pose(operators.identity(clean.shape), (), strength.add(key, jnp.asarray(clean)), noise.gaussian(),
                         None, held_out=(key, 0.1), recorruption=fitting.Recorruption(strength))
  smooth = jnp.full_like(problem.measurement, clean.mean())
  mixed = _plug_and_play.combine(lambda params, net_input: smooth, {}, problem, key, smooth)
  error = lambda image: float(jnp.mean((image - clean) ** 2))
  assert (error(mixed.output) > 1.5 * error(problem.measurement)) != bounded, mixed.share


def test_combining_needs_held_out_values_and_known_noise():
  with pytest.raises(ValueError, match=r"combine=True needs held-out values, and guard is None; allowed: guard='held_out'"):
    fitting.TrainWeights(combine=True).check()
