"""Images with hardly any noise: what is taken off, what is said, and that lost detail is noticed without a truth."""

import numpy as np
import pytest
from scipy import ndimage
from skimage import data

from oes_jax import fitting
from oes_jax import noise
from oes_jax import operators
from oes_jax import runs
from oes_jax.runs import _comparison
from oes_jax.runs import _expected
from oes_jax.runs import _nearly_clean
from oes_jax.runs import _outputs

HIDDEN, TOLD = operators.NoiseLevel(0.006, None, 0.0, texture=2.0), operators.NoiseLevel(0.006, 0.1, 0.0, texture=0.9)
SUMS = operators.make_operator(operators.OperatorSettings(name="deblurring"), (32, 32, 1))


@pytest.mark.parametrize("operator, level, sigma", [
    (operators.identity(), HIDDEN, 0.002), (operators.identity(), TOLD, 0.006),
    (operators.identity(), HIDDEN._replace(sigma=0.021), 0.007), (operators.identity(), HIDDEN._replace(texture=1.25), 0.004),
    (operators.identity(), HIDDEN._replace(texture=None), 0.002), (operators.identity(), HIDDEN._replace(texture=None, sigma=0.02), 0.02),
    (operators.identity(), HIDDEN._replace(texture=None, sigma=0.015), 0.01), (operators.identity(), TOLD._replace(correlation=0.4), 0.002),
    (operators.identity(), TOLD._replace(correlation=0.4, sigma=0.02), 0.02), (operators.identity(), TOLD._replace(correlation=-0.4), 0.006), (operators.identity(), HIDDEN._replace(sigma=0.0), 0.0),
    (SUMS, HIDDEN, 0.006)])
def test_less_is_taken_off_where_texture_hides_the_noise(operator, level, sigma):
  told = _nearly_clean.spare_texture(operator, level)
  assert told.sigma == pytest.approx(sigma) and told.bound == (level.sigma if sigma < level.sigma else None)


def test_what_is_nearly_clean_is_said_with_the_key():
  image = operators.identity()
  hidden, = _nearly_clean.remark_level(image, _nearly_clean.spare_texture(image, HIDDEN))
  assert "of the 0.6 % of the range that it seems to have 33 % are taken off" in hidden and "set fit.sigma" in hidden
  told, = _nearly_clean.remark_level(image, TOLD)
  assert "nearly clean, its noise about 0.6 % of the range" in told and "fit.sigma" in told
  assert not _nearly_clean.remark_level(image, TOLD._replace(sigma=0.02))
  assert not _nearly_clean.remark_level(SUMS, TOLD)


@pytest.mark.parametrize("sigma, blur, lost", [(0.1, 0, False), (0.02, 0, False), (0.02, 2, True), (0.1, 0.7, False)])
def test_a_result_that_is_worse_than_the_measurement_is_noticed(sigma, blur, lost):
  config = runs.make_config(preset="oes", **{
      "data.source": "coffee", "data.crop": (100, 250, 48, 48), "noise.sigma": sigma, "generator.num_scales": 1})
  job = runs.inspect(config)
  measured = runs.measure(job)
  restored = ndimage.gaussian_filter(measured.truth, (blur, blur, 0))
  worse = np.mean((restored - measured.truth) ** 2) > np.mean((measured.values - measured.truth) ** 2)
  lines = _nearly_clean.remark_lost_detail(job, measured, restored)
  assert bool(lines) == worse == lost
  assert not lost or "it has lost detail" in lines[0] and "mask.keep_fraction" in lines[0]


@pytest.mark.slow
def test_grass_with_hardly_any_noise_keeps_its_detail():
  """Its texture is taken for noise of 2 % of the range."""
  job = runs.inspect(runs.make_config(**{
      "data.source": "grass", "data.crop": (100, 100, 64, 64), "noise.sigma": 0.004, "generator.num_scales": 1}))
  measured = runs.measure(job, lambda text: None)
  psnr = lambda image: -10 * np.log10(np.mean((np.asarray(image) - measured.truth) ** 2))
  def estimate(sigma):
    strength = noise.Strength(np.float32(sigma), np.float32(0), np.float32(0))
    known = fitting.Recorruption(noise.Noise("gaussian", strength), np.float32(0.5), np.float32(1), (), False)
    problem = fitting.pose(job.data.operator, measured.op_params, measured.values, noise.gaussian(), None, recorruption=known)
    return psnr(fitting.plug_and_play(problem, measured.truth.shape))
  level = measured.noise_level
  assert level.bound > 4 * 0.004 and estimate(level.bound) < psnr(measured.values) - 1
  assert estimate(level.sigma) > psnr(measured.values) - 0.1


def test_nothing_is_expected_of_a_result_whose_noise_is_a_guess():
  """Of smooth images with noise of 1.2 % what was expected was 8 dB too much."""
  guess = _nearly_clean.spare_texture(operators.identity(), HIDDEN)
  assert _expected.is_guessed(guess) and _expected.expected_psnr_of(None, None, guess) is None
  assert not _expected.is_guessed(TOLD) and not _expected.is_guessed(None)
  correlated = TOLD._replace(correlation=0.5)
  assert _expected.expected_psnr_of(None, None, correlated) is None
  assert any("no PSNR is expected" in text for text in _nearly_clean.remark_level(operators.identity(), correlated))


def _job_of(values):
  return runs.job_of_arrays(runs.check_config(runs.make_config(**{
      "data.range": (-0.1, 0.9), "operator.simulate": False, "noise.sigma": None, "generator.num_scales": 2})), runs.Given(values))


def test_all_of_the_noise_of_a_small_smooth_image_is_taken_off():
  smooth = np.add.outer(np.arange(48), np.arange(48)).astype(np.float32) / 120
  for sigma in (0.008, 0.014, 0.02):  # the correlation of its noise cannot be told: it has few flat places
    noisy = smooth + sigma * np.random.default_rng(0).standard_normal(smooth.shape).astype(np.float32)
    level = runs.measure(_job_of(noisy), lambda text: None).noise_level
    assert level.bound is None and level.sigma == pytest.approx(sigma, rel=0.25)


def test_the_summary_says_that_a_noise_level_is_a_guess_below_a_bound():
  noisy = np.float32(data.grass()[:48, :48] / 255)
  job = _job_of(noisy)
  measured = runs.measure(job, lambda text: None)
  said = runs.noise_level_of(job, measured)
  assert said["bound"] == measured.noise_level.bound == pytest.approx(3 * said["sigma"]) and said["bound"] > 0.01
  assert _comparison.noise_of(job, measured) is None
  assert _expected.blend_maps(job, [np.zeros((4, 4))], None, measured.noise_level) is None
  part = {"expected_psnr": {"psnr": 40.0, "spread": 1.0, "of": "image"}, "seconds": {}, "peak_bytes": {},
          "mask": {"kept": 1, "acting": 1, "size": 1, "collapse": []}}
  assert _outputs.describe_tiled(job, measured, noisy[..., None], [part])["expected_psnr"] is None
