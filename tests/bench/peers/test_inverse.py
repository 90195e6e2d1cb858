"""Classical methods for inverse problems."""

import numpy as np
import pytest
from skimage import restoration

from configs import benchmark
from oes_jax.bench.peers import denoisers
from oes_jax.bench.peers import inverse
from oes_jax import metrics
from oes_jax import operators
from oes_jax import runs


def _given(name, **settings):
  """Return (what is known of a small measurement, its truth, its first estimate)."""
  config = benchmark.get_config("small").copy_and_resolve_references().unlock()
  del config.benchmark
  config.update_from_flattened_dict({
      "data.source": "coins", "data.crop": (40, 40, 32, 32), "operator.name": name, "noise.sigma": 0.02, **settings})
  job = runs.inspect(config)
  measured = runs.measure(job)
  return inverse.Given(job.data.operator, measured.op_params, measured.values, job.shape, np.zeros(0),
                       job.data.sigma), measured.truth, measured.estimate


@pytest.mark.parametrize("name, settings", [
    ("inpainting", {}), pytest.param("deblurring", {}, marks=pytest.mark.slow),
    pytest.param("super_resolution", {"operator.factor": 2, "data.source": "camera", "data.crop": (100, 200, 32, 32),
                                      "noise.sigma": 0.05}, marks=pytest.mark.slow),
    ("mri", {"operator.acceleration": 2.0}),
    pytest.param("tomography", {"operator.angles": 20}, marks=pytest.mark.slow)])
def test_total_variation_explains_a_measurement_and_is_ahead_of_the_estimate(name, settings):
  given, truth, estimate = _given(name, **settings)
  image = inverse.solve(name, "total variation, told sigma", given)
  assert image.shape == given.shape and image.dtype == np.float32
  residual = np.asarray(given.operator.apply(given.op_params, image)) - given.values
  seen = given.operator.seen(given.op_params)
  residual = residual if seen is None else residual[np.broadcast_to(seen > 0, residual.shape)]
  assert np.std(residual) < 3 * given.sigma * given.operator.unit
  assert metrics.psnr(image, truth) > metrics.psnr(estimate, truth) + 1


@pytest.mark.parametrize("name, gain, settings", [
    ("inpainting", 1, {}), ("deblurring", 1, {}), ("super_resolution", 0.1, {"operator.factor": 2}),
    ("mri", 1, {"operator.acceleration": 2.0}), ("tomography", 1, {"operator.angles": 20})])
def test_plug_and_play_is_ahead_of_the_estimate(name, gain, settings):
  given, truth, estimate = _given(name, **settings)
  image = inverse.solve(name, "plug-and-play, non-local means", given)
  assert image.shape == given.shape and image.dtype == np.float32
  assert metrics.psnr(image, truth) > metrics.psnr(estimate, truth) + gain


def test_plug_and_play_of_the_identity_is_the_denoiser():
  noisy = np.float32(np.clip(0.5 + 0.1 * np.random.default_rng(0).standard_normal((24, 24, 1)), 0, 1))
  given = inverse.Given(operators.identity(), (), noisy, noisy.shape, np.zeros(0), 0.1)
  image = inverse.plug_and_play(given, 8, 1e-4, 1.0)  # a prior that weighs next to nothing
  np.testing.assert_allclose(image, denoisers.denoise("non-local means, told sigma", noisy, 0.1), atol=1e-3)


def test_total_variation_of_the_identity_is_that_of_chambolle():
  noisy = np.float32(np.clip(np.kron([[0.2, 0.8], [0.6, 0.4]], np.ones((12, 12)))[..., None]
                             + 0.1 * np.random.default_rng(0).standard_normal((24, 24, 1)), 0, 1))
  given = inverse.Given(operators.identity(), (), noisy, noisy.shape, np.zeros(0), 0.1)
  expected = restoration.denoise_tv_chambolle(noisy, weight=0.2, eps=1e-7, max_num_iter=2000, channel_axis=-1)
  close = lambda weight: np.abs(inverse.total_variation(given, weight) - expected).mean()
  assert close(2.0) < 0.7 * min(close(1.0), close(4.0))


@pytest.mark.parametrize("peer", [name for name in inverse.PEERS["deblurring"]])
def test_deconvolution_reflects_the_edges_as_the_operator_does(peer):
  rows, columns = np.meshgrid(*(np.linspace(0.2, 0.8, 32),) * 2, indexing="ij")
  truth = np.float32((rows + columns) / 2)[..., None]
  operator = operators.blur(truth.shape, kernel=operators.gaussian_kernel(1.6))
  op_params = operator.init(np.random.default_rng(0))
  given = inverse.Given(operator, op_params, np.asarray(operator.apply(op_params, truth)), truth.shape,
                              np.zeros(0), 1e-3)
  assert np.abs(inverse.solve("deblurring", peer, given) - truth).max() < 0.08
