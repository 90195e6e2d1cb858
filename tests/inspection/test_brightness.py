"""Gain and read noise are told from one image, and noise that does not depend on brightness is not said to."""

import numpy as np
import pytest

from inspection import measured
import oes_jax

def brightness(values):
  return oes_jax.inspect(values).noise.brightness


@pytest.mark.parametrize("name, peak, gain, read", [
    ("camera", 50, 10, 20), ("coffee", 200, 2, 6), ("coffee", 20, 100, 150), ("astronaut", 50, 10, 20)])
def test_gain_and_read_noise_within_15_percent(name, peak, gain, read):
  found = brightness(measured.photons(peak, name, gain, read))
  assert found.gain == pytest.approx(gain, rel=0.15)
  assert found.read_noise == pytest.approx(read, rel=0.15)
  assert found.is_significant and not found.factor and not found.black_level


@pytest.mark.parametrize("name, peak", [("camera", 0.3), ("coffee", 1), ("astronaut", 5), ("camera", 50)])
def test_counts_have_a_gain_of_one_however_few(name, peak):
  found = brightness(measured.photons(peak, name))
  assert found.gain == pytest.approx(1, rel=0.1)
  assert abs(found.gain - 1) < 4 * found.gain_error
  assert found.read_noise < 0.3 * np.sqrt(peak) and found.is_significant


def test_the_points_of_the_plot_lie_on_the_line_that_made_them():
  found = brightness(measured.photons(50, "coffee", 10, 20))
  expected = 10 * np.array(found.values) + 20 ** 2
  assert len(found.values) > 10
  np.testing.assert_allclose(found.variances, expected, rtol=0.35)
  assert np.mean(found.variances / expected) == pytest.approx(1, abs=0.1)


def test_a_black_level_is_said():
  found = brightness(100 + measured.photons(50, gain=2, read=3))
  assert found.gain == pytest.approx(2, rel=0.15)
  assert 90 < found.black_level < 100  # that of no read noise, 4.5 below it
  assert brightness(measured.photons(50, gain=2, read=3)).black_level == 0


@pytest.mark.parametrize("name", ["coffee", "coins"])
def test_speckle_grows_as_the_square(name):
  image = measured.photograph(name)
  found = brightness(image * (1 + 0.15 * measured.normal(image.shape)))
  assert found.factor == pytest.approx(0.15, rel=0.15)


def test_a_constant_or_small_image_tells_nothing():
  assert oes_jax.inspect(np.ones((64, 64))).noise is None
  assert brightness(measured.normal((16, 16))) is None
