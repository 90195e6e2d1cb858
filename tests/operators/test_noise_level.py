"""The strength of the noise is told from one measurement, as exactly as was measured beforehand."""

import functools
import re

import numpy as np
import pytest
from scipy import ndimage
from skimage import data
from skimage import transform

from oes_jax import operators

KERNEL = operators.gaussian_kernel(1.6)
TEXTURES = ("gravel", "immunohistochemistry")


@functools.lru_cache(maxsize=None)
def photograph(name, side=96):
  """Return the middle [side, side, C] of a photograph of scikit-image, in (0, 1)."""
  image = getattr(data, name)() / 255
  image = image if image.ndim == 3 else image[..., None]
  top, left = ((length - side) // 2 for length in image.shape[:2])
  return np.float32(image[top:top + side, left:left + side])


@functools.lru_cache(maxsize=None)
def scene(name, side):
  """Return a whole photograph [side, side, 1], grey."""
  image = getattr(data, name)() / 255
  image = image if image.ndim == 2 else image.mean(-1)
  return np.float32(transform.resize(image, (side, side), anti_aliasing=True))[..., None]


def measure(operator, image, sigma, seed=0, noise=None):
  """Return (op_params, values) of an image with white noise, or with other of that variance, as runs simulate them."""
  rng = np.random.default_rng(seed)
  op_params = operator.init(rng)
  values = np.asarray(operator.apply(op_params, image), float)
  values += operator.unit * sigma * (rng.standard_normal(values.shape) if noise is None else noise)
  values = np.clip(values, 0, 1) if operator.measures_image else values
  seen = operator.seen(op_params)
  return op_params, values if seen is None else values * seen


def ratio(operator, image, sigma, seed=0):
  """Return the estimated to the true standard deviation."""
  return operators.estimate_noise_level(operator, *measure(operator, image, sigma, seed)).sigma / sigma


@pytest.mark.parametrize("name", ["astronaut", "camera", "coffee", "rocket", "retina", "coins", "brick", *TEXTURES])
@pytest.mark.parametrize("sigma, most", [(0.02, 0.25), (0.05, 0.1), (0.1, 0.07), (0.2, 0.1)])
def test_images(name, sigma, most):
  assert ratio(operators.identity(), photograph(name), sigma) == pytest.approx(1, abs=most)


@pytest.mark.parametrize("sigma", [0.02, 0.05, 0.1, 0.2])
@pytest.mark.parametrize("name", ["camera", "retina", "gravel"])
def test_blurred_images(name, sigma):
  image = photograph(name)
  assert ratio(operators.blur(image.shape, kernel=KERNEL), image, sigma) == pytest.approx(1, abs=0.07)


@pytest.mark.parametrize("factor, name, sigma, most", [
    (2, "chelsea", 0.02, 0.35), (2, "chelsea", 0.05, 0.15), (2, "coins", 0.1, 0.12), (2, "gravel", 0.05, 0.2),
    (4, "coffee", 0.05, 0.2), (4, "rocket", 0.1, 0.15), (4, "brick", 0.2, 0.2), (4, "gravel", 0.2, 0.2)])
def test_coarse_images_are_told_less_exactly(factor, name, sigma, most):
  image = photograph(name, 160)
  assert ratio(operators.downsampling(image.shape, factor=factor), image, sigma) == pytest.approx(1, abs=most)


def test_texture_counts_as_noise_and_never_hides_it():
  image = photograph("gravel", 96)
  assert 1.5 < ratio(operators.downsampling(image.shape, factor=4), image, 0.02) < 4


@pytest.mark.parametrize("name", ["camera", "chelsea", "rocket", "coins"])
@pytest.mark.parametrize("kept, sigma, most", [
    (0.9, 0.05, 0.13), (0.9, 0.1, 0.1), (0.9, 0.2, 0.1), (0.5, 0.05, 0.25), (0.5, 0.1, 0.2), (0.5, 0.2, 0.15),
    (0.1, 0.1, 0.3), (0.1, 0.2, 0.25)])
def test_some_pixels_at_random(name, kept, sigma, most):
  image = photograph(name)
  assert ratio(operators.inpainting(image.shape, kept=kept), image, sigma) == pytest.approx(1, abs=most)


@pytest.mark.parametrize("damages, most", [(["lines"], 0.1), (["text"], 0.1), (["lines", "text", "rows"], 0.13)])
def test_scratches_text_and_further_holes(damages, most):
  image = photograph("coffee")
  mask = np.ones(image.shape[:2])
  for damage in damages:
    mask *= np.arange(96)[:, None] % 7 > 0 if damage == "rows" else operators.DAMAGE[damage](mask.shape)
  mask[20:50, 30:60] = 0
  assert ratio(operators.inpainting(image.shape, mask=mask), image, 0.05) == pytest.approx(1, abs=most)


def test_what_was_not_measured_does_not_count():
  image = photograph("coffee")
  operator = operators.inpainting(image.shape, kept=0.6)
  op_params, values = measure(operator, image, 0.1)
  other = np.where(op_params > 0, values, 0.7)
  assert operators.estimate_noise_level(operator, op_params, other) == operators.estimate_noise_level(
      operator, op_params, values)


@pytest.mark.parametrize("side, sigma, most", [(64, 0.02, 0.15), (64, 0.1, 0.08), (128, 0.02, 0.13), (128, 0.1, 0.04)])
@pytest.mark.parametrize("name", ["camera", "retina", "gravel"])
def test_k_space(name, side, sigma, most):
  phase = operators.smooth_phase((side, side))[..., None]
  image = (1 + scene(name, side) * np.concatenate([np.cos(phase), np.sin(phase)], -1)) / 2
  operator = operators.mri(image.shape, coils=operators.simulated_coils((side, side), 4))
  assert ratio(operator, np.float32(image), sigma) == pytest.approx(1, abs=most)


@pytest.mark.parametrize("side, sigma, most", [(64, 0.05, 0.2), (64, 0.2, 0.1), (128, 0.1, 0.06)])
def test_fourier_rows(side, sigma, most):
  for name in ("camera", "retina", "gravel"):
    operator = operators.fourier_rows((side, side, 1), share=0.3)
    assert ratio(operator, scene(name, side), sigma) == pytest.approx(1, abs=most)


@pytest.mark.parametrize("sigma, most", [(0.02, 0.1), (0.05, 0.05), (0.2, 0.05)])
@pytest.mark.parametrize("name", ["camera", "rocket", "gravel"])
def test_sinograms(name, sigma, most):
  operator = operators.tomography((64, 64, 1), angles=np.linspace(0, 180, 60, endpoint=False))
  assert ratio(operator, scene(name, 64), sigma) == pytest.approx(1, abs=most)


def test_rays_of_a_sinogram_that_were_set_to_0_do_not_count():
  operator = operators.tomography((64, 64, 1), angles=np.linspace(0, 180, 60, endpoint=False))
  op_params, values = measure(operator, scene("rocket", 64), 0.1)
  values[:20] = values[-20:] = 0
  assert operators.estimate_noise_level(operator, op_params, values).sigma == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("sigma", [0.05, 0.1, 0.2])
@pytest.mark.parametrize("name", ["astronaut", "camera", "coins", "brick"])
def test_images_of_which_three_quarters_are_white_or_black(name, sigma):
  image = photograph(name, 160).copy()
  image[:80] = 1
  image[80:, :80] = 0
  level = operators.estimate_noise_level(operators.identity(), *measure(operators.identity(), image, sigma))
  assert level.sigma == pytest.approx(sigma, rel=0.1)
  assert 0.35 < level.clipped < 0.45


def test_the_variance_is_averaged_over_channels(rng):
  values = np.clip(0.5 + rng.standard_normal((96, 96, 3)) * (0.02, 0.05, 0.1), 0, 1)
  expected = np.sqrt(np.mean(np.square((0.02, 0.05, 0.1))))
  assert operators.estimate_noise_level(operators.identity(), (), values).sigma == pytest.approx(expected, rel=0.05)


def test_the_parts_of_complex_images_are_told_apart(rng):
  values = (0.5 + 0.1 * rng.standard_normal((96, 96, 1))) + 1j * (0.4 + 0.02 * rng.standard_normal((96, 96, 1)))
  level = operators.estimate_noise_level(operators.identity(), (), values)
  assert level.sigma == pytest.approx(np.sqrt((0.1 ** 2 + 0.02 ** 2) / 2), rel=0.05)


def test_sigma_is_in_the_unit_range(rng):
  operator = operators.identity()._replace(unit=0.5)
  level = operators.estimate_noise_level(operator, (), 0.5 + 0.1 * rng.standard_normal((96, 96, 1)))
  assert level.sigma == pytest.approx(0.2, rel=0.05)


def test_images_of_millions_of_pixels_are_told_from_some_places(rng):
  values = np.float32(0.5 + 0.1 * rng.standard_normal((1500, 1000, 1)))
  level = operators.estimate_noise_level(operators.identity(), (), values)
  assert level.sigma == pytest.approx(0.1, rel=0.02)
  assert level.correlation == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("image", [np.zeros((40, 40, 1)), np.full((40, 40, 3), 0.5)])
def test_constants_have_no_noise(image):
  level = operators.estimate_noise_level(operators.identity(), (), image)
  assert level.sigma == 0 and level.correlation is None


def test_a_chain_is_told_by_its_last_operator():
  image = photograph("camera", 160)
  operator = operators.chain(operators.blur(image.shape, kernel=KERNEL), operators.inpainting(image.shape, kept=0.5))
  assert ratio(operator, image, 0.05) == pytest.approx(1, abs=0.1)
  image = scene("camera", 64)
  operator = operators.chain(operators.blur(image.shape, kernel=KERNEL), operators.fourier_rows(image.shape, share=0.5))
  assert ratio(operator, image, 0.1) == pytest.approx(1, abs=0.1)


GRID = np.zeros((32, 32))
GRID[::2, ::2] = 1


@pytest.mark.parametrize("operator", [
    operators.gaussian_rows((32, 32, 1), share=0.3), operators.from_function(abs, (32, 32, 1)),
    operators.chain(operators.identity((32, 32, 1)), operators.gaussian_rows((32, 32, 1), share=0.3)),
    operators.inpainting((32, 32, 1), mask=GRID), operators.tomography((2, 2, 1), angles=np.array([0.0]))],
    ids=["gaussian_rows", "from_function", "chain", "no neighbours", "no rough part"])
def test_what_cannot_be_told_is_refused(operator):
  image = np.full(operator.image_shape, 0.5, np.float32)
  with pytest.raises(ValueError, match="what the operator measures; allowed: fit.sigma, a number above 0"):
    operators.estimate_noise_level(operator, *measure(operator, image, 0.1))


def test_a_function_that_measures_an_image_is_told_from_it():
  operator = operators.from_function(lambda image: image, (96, 96, 1))._replace(measures_image=True)
  assert ratio(operator, photograph("coins"), 0.1) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("sigma", [0.05, 0.1, 0.2])
@pytest.mark.parametrize("name", ["astronaut", "camera", "chelsea", "rocket", "coins", *TEXTURES])
def test_white_noise_has_no_correlation(name, sigma):
  level = operators.estimate_noise_level(operators.identity(), *measure(operators.identity(), photograph(name), sigma))
  assert level.correlation == pytest.approx(0, abs=0.2)
  assert not any("correlated" in line for line in operators.noise_warnings(level))


def demosaiced(values):
  """Return [H, W, 3], of which each pixel has kept one channel; the others are means of neighbours."""
  mosaic = np.zeros(values.shape)
  for top, left, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
    mosaic[top::2, left::2, channel] = values[top::2, left::2, channel]
  row, cross = np.array([1, 2, 1]) / 2, np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]]) / 4
  kernels = (np.outer(row, row), cross, np.outer(row, row))
  return np.stack([ndimage.convolve(mosaic[..., channel], kernel) for channel, kernel in enumerate(kernels)], -1)


PROCESSED = {
    "scaled": (0.4, lambda values: transform.resize(values, (144, 144), order=1)),
    "turned": (0.25, lambda values: transform.rotate(values, 10, order=1)[16:-16, 16:-16]),
    "demosaiced": (0.4, demosaiced),
}


@pytest.mark.parametrize("name", ["chelsea", "coffee", "rocket", "retina"])
@pytest.mark.parametrize("least, process", PROCESSED.values(), ids=PROCESSED)
def test_the_noise_of_processed_images_is_correlated(name, least, process):
  values = measure(operators.identity(), photograph(name), 0.1)[1]
  assert least < operators.estimate_noise_level(operators.identity(), (), process(values)).correlation < 0.9


@pytest.mark.parametrize("sigma", [0.05, 0.2])
def test_blurred_noise_is_correlated_and_said(rng, sigma):
  image = photograph("chelsea")
  noise = ndimage.gaussian_filter(rng.standard_normal(image.shape), (0.7, 0.7, 0))
  values = measure(operators.identity(), image, sigma, noise=noise / noise.std())[1]
  level = operators.estimate_noise_level(operators.identity(), (), values)
  assert 0.4 < level.correlation < 0.7
  assert level.sigma < 0.6 * sigma
  assert operators.noise_warnings(level)[0].startswith(f"the noise of neighbouring pixels is correlated "
                                                       f"({level.correlation:.2f})")


@pytest.mark.parametrize("operator, image", [
    (operators.identity(), photograph("gravel")), (operators.identity(), photograph("coffee", 16)),
    (operators.inpainting((96, 96, 1), kept=0.1), photograph("coins")),
    (operators.fourier_rows((64, 64, 1), share=0.5), scene("coins", 64))],
    ids=["texture all over", "few pixels", "few neighbours", "no image"])
def test_a_correlation_that_cannot_be_told_is_none(operator, image):
  level = operators.estimate_noise_level(operator, *measure(operator, image, 0.02))
  assert level.correlation is None
  assert not any("correlated" in line for line in operators.noise_warnings(level))


@pytest.mark.parametrize("correlation, clipped, expected", [
    (None, 0.0, []), (0.1, 0.005, []), (0.5, 0.0, ["too low.*fit.sigma"]), (-0.5, 0.0, ["too high.*fit.sigma"]),
    (0.0, 0.2, ["20 % of the values.*data.range.*noise.model"]), (0.5, 0.2, ["correlated", "at an end of the range"])])
def test_warnings_name_what_is_wrong_and_the_key(correlation, clipped, expected):
  found = operators.noise_warnings(operators.NoiseLevel(0.1, correlation, clipped))
  assert len(found) == len(expected)
  for line, pattern in zip(found, expected):
    assert "\n" not in line
    assert re.search(pattern, line)


def test_where_nearly_all_pixels_are_lost_the_error_says_so():
  mask = np.zeros((20, 30))
  mask[::6, ::6] = 1
  operator = operators.inpainting((20, 30, 1), mask=mask)
  op_params = operator.init(np.random.default_rng(0))
  with pytest.raises(ValueError, match=r"measures, of which 96.7 % is lost \(where a mask says so, it may be inverted\); allowed"):
    operators.estimate_noise_level(operator, op_params, op_params * 0.5)
