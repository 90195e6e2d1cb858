"""Shares of several restorations, told by held-out values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oes_jax import fitting
from oes_jax import noise


def _problem(measurement, sigma, share=0.5):
  problem = fitting.Problem(measurement, recorruption=fitting.Recorruption(noise.gaussian(sigma)))
  return fitting.hold_out(problem, jax.random.key(1), share)


@pytest.fixture(name="images")
def fixture_images():
  rng = np.random.default_rng(0)
  return {name: rng.random((16, 16, 1), np.float32) for name in ("one", "other")}


def test_many_sound_values_say_the_mix(images):
  mixed = 0.3 * images["one"] + 0.7 * images["other"]
  shares = fitting.stack(_problem(mixed, 1e-3), images, {"one": 1.0})
  assert shares == pytest.approx({"one": 0.3, "other": 0.7}, abs=1e-3)


def test_values_that_say_nothing_leave_the_prior(images):
  shares = fitting.stack(_problem(images["other"], 1e3), images, {"one": 3.0, "other": 1.0})
  assert shares == pytest.approx({"one": 0.75, "other": 0.25}, abs=1e-3)


def test_no_share_is_negative_and_they_sum_to_one(images):
  beyond = 1.5 * images["one"] - 0.5 * images["other"]
  shares = fitting.stack(_problem(beyond, 1e-3), images, {})
  assert shares == pytest.approx({"one": 1.0, "other": 0.0}, abs=1e-6)


def test_only_held_out_values_count(images):
  problem = _problem(images["one"], 1e-3)
  seen = np.asarray(problem.fitted.pixels) > 0
  spoiled = problem.replace(measurement=np.where(seen, 5.0, problem.measurement))
  assert fitting.stack(spoiled, images, {}) == pytest.approx({"one": 1.0, "other": 0.0}, abs=1e-3)
  assert fitting.misfit(spoiled, images["one"]) == 0


def test_misfit_is_the_root_of_the_mean_square_of_complex_values_too():
  measured = jnp.full((8, 8), 1 + 1j, jnp.complex64)
  problem = fitting.Problem(measured, lambda image: image[..., 0] + 0j, recorruption=fitting.Recorruption(noise.gaussian(0.1)))
  problem = fitting.hold_out(problem, jax.random.key(0), 0.5)
  assert fitting.misfit(problem, np.full((8, 8, 1), 0.25, np.float32)) == pytest.approx(np.sqrt(0.75 ** 2 + 1))
