"""Strength, correlation and tails of noise are those that were drawn."""

import numpy as np
import pytest
from scipy import ndimage

from inspection import measured
import oes_jax


@pytest.mark.parametrize("unit", [1, 4000])
def test_strength_in_both_units(unit):
  found = oes_jax.inspect(unit * measured.noisy("coffee", 0.06))
  assert found.noise.sigma_value == pytest.approx(0.06 * unit, rel=0.1)
  assert found.noise.sigma * np.subtract(*found.values.limits[::-1]) == pytest.approx(found.noise.sigma_value)


@pytest.mark.parametrize("sigma, unit", [(0.03, 1), (0.1, 102)], ids=["float", "8 bit"])
@pytest.mark.parametrize("name", measured.PHOTOGRAPHS)
def test_white_noise_of_photographs_raises_no_alarm(name, sigma, unit):
  values = measured.noisy(name, sigma)
  found = oes_jax.inspect(values if unit == 1 else measured.eight_bit((75 + unit * values) / 255))
  assert found.noise.sigma_value == pytest.approx(sigma * unit, rel=0.3 if sigma < 0.1 else 0.1)
  assert found.noise.correlation is None or abs(found.noise.correlation) < 0.28
  assert found.noise.tails is None or found.noise.tails < 1.5e-3
  assert found.noise.brightness is None or not found.noise.brightness.is_significant
  assert found.defects == found.defects._replace(hot=0, dead=0, impulses=0, rows=0, columns=0, jpeg=None)
  assert found.remarks == () and found.mask is None
  assert found.recommendation.settings.keys() <= {"data.range"} and found.recommendation.operator == "identity"


@pytest.mark.parametrize("name", ["chelsea", "moon"])
def test_noise_that_was_blurred_is_correlated_and_told_from_pixels_apart(name):
  image = measured.photograph(name)
  noise = ndimage.gaussian_filter(measured.normal(image.shape), (0.7, 0.7, 0))
  found = oes_jax.inspect(image + 0.1 * noise / noise.std())
  share = np.subtract(*found.values.limits[::-1])
  assert 0.4 < found.noise.correlation < 0.75
  assert found.noise.sigma * share < 0.05 and found.noise.sigma_apart * share == pytest.approx(0.1, rel=0.25)
  assert found.recommendation.settings["fit.sigma"] == pytest.approx(found.noise.sigma_apart, rel=1e-3)
  assert any("neighbouring pixels is correlated" in line for line in found.remarks)


@pytest.mark.parametrize("shared, least, most", [(0, -0.15, 0.15), (1, 0.95, 1), (0.5, 0.35, 0.65)])
def test_the_correlation_of_channels(shared, least, most):
  image = measured.photograph("coffee", colour=True)
  noise = np.sqrt(shared) * measured.normal((128, 128, 1), 1) + np.sqrt(1 - shared) * measured.normal(image.shape)
  found = oes_jax.inspect(image + 0.05 * noise)
  assert least <= found.noise.between_channels <= most
  assert any("channels is correlated" in line for line in found.remarks) == (shared > 0.4)
  assert oes_jax.inspect(measured.noisy()).noise.between_channels is None


def test_heavy_tails_are_told():
  image = measured.photograph("astronaut", colour=True)
  found = oes_jax.inspect(image + 0.05 * np.random.default_rng(0).standard_t(3, image.shape))
  assert found.noise.tails > 0.003 and any("beyond 4 standard deviations" in line for line in found.remarks)


@pytest.mark.parametrize("name", ["camera", "moon"])
def test_a_photograph_is_nearly_clean(name):
  found = oes_jax.inspect(measured.eight_bit(measured.photograph(name)))
  assert found.noise.sigma < 0.01 and any("nearly clean" in line for line in found.remarks)
  assert found.recommendation.settings == {}


def test_what_holds_no_noise_has_no_command():
  found = oes_jax.inspect(np.add.outer(np.arange(64.0), np.arange(64.0)))
  assert found.recommendation is None and "no noise is found" in found.remarks[-1]
