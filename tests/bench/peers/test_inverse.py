"""Classical methods for inverse problems."""

import numpy as np
import pytest
from skimage import restoration

from configs import benchmark
from oes_jax.bench.peers import inverse
from oes_jax import metrics
from oes_jax import operators
from oes_jax import runs


@pytest.mark.parametrize("name, settings", [
    ("inpainting", {}), pytest.param("deblurring", {}, marks=pytest.mark.slow),
    pytest.param("super_resolution", {"operator.factor": 2, "data.source": "camera", "data.crop": (100, 200, 32, 32),
                                      "noise.sigma": 0.05}, marks=pytest.mark.slow),
    ("mri", {"operator.acceleration": 2.0}),
    pytest.param("tomography", {"operator.angles": 20}, marks=pytest.mark.slow)])
def test_total_variation_explains_a_measurement_and_is_ahead_of_the_estimate(name, settings):
  config = benchmark.get_config("small").copy_and_resolve_references().unlock()
  del config.benchmark
  config.update_from_flattened_dict({
      "data.source": "coins", "data.crop": (40, 40, 32, 32), "operator.name": name, "noise.sigma": 0.02, **settings})
  job = runs.inspect(config)
  measured = runs.measure(job)
  given = inverse.Given(job.data.operator, measured.op_params, measured.values, job.shape, np.zeros(0), job.data.sigma)
  image = inverse.solve(name, "total variation, told sigma", given)
  assert image.shape == job.shape and image.dtype == np.float32
  residual = np.asarray(job.data.operator.apply(measured.op_params, image)) - measured.values
  seen = job.data.operator.seen(measured.op_params)
  residual = residual if seen is None else residual[np.broadcast_to(seen > 0, residual.shape)]
  assert np.std(residual) < 3 * job.data.sigma * job.data.operator.unit
  assert metrics.psnr(image, measured.truth) > metrics.psnr(measured.estimate, measured.truth) + 1


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
