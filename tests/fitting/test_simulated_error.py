"""What is expected of a restoration without the truth: by hand, of what is measured alone, and near the truth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage import data

from oes_jax import fitting
from oes_jax import noise

SIGMA = 0.1


def _problem(measured, **more):
  return fitting.Problem(jnp.asarray(measured, jnp.float32), first_image=lambda measurement, seen: measurement,
                         recorruption=fitting.Recorruption(noise.gaussian(np.float32(SIGMA))), **more)


def _simulate(problem, image):
  both = fitting.Combination(image, image, 0.5)
  return jax.tree.map(np.asarray, jax.jit(fitting.simulate_error)(problem, both, jax.random.key(0)))


def test_by_hand():
  expect = lambda measured, again: fitting.expected_psnr(
      fitting.SimulatedError(np.ones((4, 4, 1)), np.array(measured), np.array(again)))
  psnr, spread = expect([1e-3, 1e-4], [5e-4, 1e-4])
  assert psnr == pytest.approx(30 - 0.3 - 1.9 * 10 * np.log10(2)) and spread > 0
  assert expect([1e-4, 1e-3], [1e-4, 2e-3])[0] == pytest.approx(30 - 0.3)  # what seems worse the second time is no gain


def test_what_is_expected_of_measured_values_is_not_taken_for_the_images():
  expected = {"psnr": 30.04, "spread": 1.1}
  assert fitting.say_expected_psnr({**expected, "of": "image"}) == "30.0 ± 1.1 dB of the image"
  assert fitting.say_expected_psnr({**expected, "of": "measured values"}) == "30.0 ± 1.1 dB of the measured values, not of the image"


def test_the_map_has_the_error_that_is_expected_where_all_is_measured():
  local = np.random.default_rng(0).uniform(size=(20, 24, 1)) * np.linspace(0, 1, 24)[:, None]
  error = fitting.expected_error(fitting.SimulatedError(local, np.full(2, local.mean()), np.ones(2)), 30.0)
  assert error.shape == (20, 24) and np.mean(error ** 2) == pytest.approx(1e-3, rel=0.1)
  assert error[:, -4:].mean() > 2 * error[:, :4].mean()


@pytest.mark.slow
def test_of_a_photograph_it_is_nearer_the_truth_than_what_is_simulated():
  clean = data.astronaut()[60:124, 190:254] / 255
  noisy = np.clip(clean + SIGMA * np.random.default_rng(0).standard_normal(clean.shape), 0, 1)
  problem = _problem(noisy)
  image = jax.jit(lambda problem: fitting.plug_and_play(problem, clean.shape))(problem)
  simulated = _simulate(problem, image)
  true, expected = -10 * np.log10(np.mean((image - clean) ** 2)), fitting.expected_psnr(simulated)[0]
  assert abs(expected - true) < 1 and -10 * np.log10(simulated.measured[0]) - true > 2
  assert simulated.measured[0] == pytest.approx(np.mean(simulated.local), rel=0.05)


def test_only_what_is_measured_counts():
  rows, columns = np.indices((24, 24))
  image = np.where(columns < 12, 0.5, np.random.default_rng(0).uniform(size=(24, 24)))[..., None].astype(np.float32)
  left = fitting.as_valid((columns < 12)[..., None].astype(np.float32))
  some, whole = (_simulate(problem, jnp.asarray(image)) for problem in (_problem(image, fitted=left), _problem(image)))
  assert some.measured[0] < 0.5 * whole.measured[0] and rows.shape == some.local.shape[:2]


def test_what_is_expected_so_far_follows_the_held_out_values():
  rng = np.random.default_rng(0)
  clean = np.linspace(0.2, 0.8, 64 * 64).reshape(64, 64, 1).astype(np.float32)
  problem = fitting.hold_out(_problem(clean + SIGMA * rng.standard_normal(clean.shape)), jax.random.key(0))
  worse = clean + np.float32(0.03) * rng.standard_normal(clean.shape).astype(np.float32)
  classical = fitting.Classical(jnp.asarray(worse), -20 * np.log10(0.03))  # that of its true error
  expected = [fitting.expected_so_far(problem, jnp.asarray(image), classical) for image in (worse, worse + 0.1, clean)]
  assert expected[0] == pytest.approx(classical.psnr, abs=1e-4)
  assert expected[1] == pytest.approx(-10 * np.log10(0.03 ** 2 + 0.1 ** 2), abs=1.5)
  assert expected[2] > classical.psnr + 2


@pytest.mark.slow
def test_a_classical_estimate_comes_with_what_is_expected_of_it():
  clean = data.astronaut()[60:124, 190:254] / 255
  problem = _problem(np.clip(clean + SIGMA * np.random.default_rng(0).standard_normal(clean.shape), 0, 1))
  found = fitting.expect_of_classical(problem, fitting.estimate_classically(problem, clean.shape), jax.random.key(0))
  assert abs(found.psnr + 10 * np.log10(np.mean((found.image - clean) ** 2))) < 1.5


def test_the_seconds_of_a_mix_are_those_of_all_candidates():
  network = {"seconds": {"mask": {"total": 1.0}, "weights": {"total": 2.0}}}
  mix = {**network, "candidates": [{"seconds": 3.5}, {"seconds": 0.75}], "quality": None}
  assert fitting.seconds_of(network) == 3.0 and fitting.seconds_of(mix) == 4.25
  assert "4 s" in repr(fitting.Restoration(np.zeros((2, 2, 1)), None, summary=mix))
