"""The conventions of scans are those that they were made with."""

import re

import numpy as np
import pytest

from inspection import measured
import oes_jax
from oes_jax import inspection
from oes_jax import operators
from oes_jax import runs

LINES = operators.cartesian_lines(64, acceleration=4, centre=0.125, rng=np.random.default_rng(0))
EVERY_THIRD = (np.arange(64) % 3 == 0) | (np.abs(np.arange(64) - 32) < 5)
DISC = np.hypot(*(np.indices((64, 64)) - 31.5)) < 8
POINTS = (np.random.default_rng(0).random((64, 64)) < 0.3) | DISC


@pytest.mark.parametrize("lines, pattern, central, spacing", [
    (None, "nothing", 64, None), (LINES, "columns", 8, None), (LINES[:, None], "rows", 8, None),
    (EVERY_THIRD, "columns", 10, 3), (POINTS, "points", 12, None)], ids=["all", "columns", "rows", "every third", "points"])
def test_what_was_sampled(lines, pattern, central, spacing):
  found = oes_jax.inspect(measured.k_space(lines)).k_space
  assert (found.coils, found.shape, found.peak, found.coil_axis, found.has_maps) == (4, (64, 64), "centre", 0, True)
  assert (found.pattern, found.central_lines, found.spacing) == (pattern, central, spacing)
  share = 1 if lines is None else np.mean(np.broadcast_to(lines, (64, 64)) != 0)
  assert found.acceleration == pytest.approx(1 / share)
  assert found.sigma_value == pytest.approx(0.01, rel=0.2)


def test_a_zero_frequency_in_the_corner_is_said_and_set():
  centre, corner = (oes_jax.inspect(measured.k_space(LINES, corner=corner)) for corner in (False, True))
  assert corner.k_space._replace(sigma=0) == centre.k_space._replace(peak="corner", sigma=0)
  assert corner.k_space.sigma == pytest.approx(centre.k_space.sigma, rel=0.01)  # at the last column nothing was sampled
  assert centre.recommendation.settings == {} and corner.recommendation.settings == {"operator.centred": False}
  assert not any("more energy in its corners" in line for line in centre.remarks + corner.remarks)


def test_coils_on_the_last_axis_are_said_and_set():
  arrays = {key: np.moveaxis(value, 0, -1) for key, value in measured.k_space(LINES).items()}
  found = oes_jax.inspect(arrays)
  assert (found.k_space.coils, found.k_space.coil_axis) == (4, -1)
  assert found.recommendation.settings == {"operator.coil_axis": -1}


def test_maps_that_are_missing_are_said():
  found = oes_jax.inspect({"kspace": measured.k_space(LINES)["kspace"]})
  assert not found.k_space.has_maps and "it has no coil_maps; they are estimated" in found.remarks[0]


@pytest.mark.parametrize("unit, name", [(1, "degrees"), (np.pi / 180, "radians")])
def test_the_unit_of_angles(unit, name):
  found = oes_jax.inspect(measured.sinogram(unit=unit))
  assert (found.sinogram.unit, found.sinogram.angles, found.sinogram.detectors) == (name, 60, 91)
  assert (found.sinogram.first, found.sinogram.last) == pytest.approx((0, 177))
  assert found.recommendation.settings == ({} if unit == 1 else {"operator.angle_unit": "radians"})
  assert found.remarks == () and not found.sinogram.counts


def test_few_degrees_are_no_radians():
  arrays = measured.sinogram(angles=720, sigma=0.02)  # a quarter of a degree apart
  found = oes_jax.inspect({**arrays, "sinogram": arrays["sinogram"][:, :24], "angles": arrays["angles"][:24]})
  assert found.sinogram.unit == "degrees" and found.sinogram.offset is None


@pytest.mark.parametrize("shift", [-4, 0, 3])
def test_the_axis_of_rotation(shift):
  arrays = measured.sinogram()
  found = oes_jax.inspect({**arrays, "sinogram": np.roll(arrays["sinogram"], shift, 0)})
  assert found.sinogram.offset == pytest.approx(shift, abs=0.15) and found.sinogram.offset_error < 0.1
  assert any("axis of rotation" in line for line in found.remarks) == (shift != 0)


def test_counted_photons_need_their_logarithm():
  arrays = measured.sinogram(sigma=0)
  counts = np.random.default_rng(0).poisson(1e4 * np.exp(-np.roll(arrays["sinogram"], 3, 0) / 15)).astype(float)
  found = oes_jax.inspect({**arrays, "sinogram": counts})
  assert found.sinogram.counts and found.recommendation is None and ["-numpy.log(I / I0)" in text for text in found.remarks].count(True) == 1
  assert found.sinogram.offset == pytest.approx(3, abs=0.2)


def test_the_noise_of_a_sinogram():
  assert oes_jax.inspect(measured.sinogram(sigma=2)).sinogram.sigma_value == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("shift, change, said", [
    (0, None, False), (1, None, False), (3, None, True), (-5, None, True), (3, "few angles", False), (8, "cut", False),
    (4, "counts", False)])
def test_a_run_says_where_the_axis_of_rotation_is_off(shift, change, said):
  arrays = measured.sinogram()
  values, degrees = np.roll(arrays["sinogram"], shift, 0), arrays["angles"]
  if change == "few angles":
    values, degrees = values[:, :5], degrees[:5]
  elif change == "cut":  # a detector that is too short for the object
    values[:30] = values[-20:] = 0
  elif change == "counts":
    values = np.exp(-values / 15)
  lines = inspection.remark_axis(values[..., None], degrees)
  assert len(lines) == said
  assert not said or f"shift the detectors by {-shift}" in re.sub(r"by (-?)([\d.]+)", lambda found: (
      f"by {found[1]}{round(float(found[2]))}"), lines[0])


def test_a_run_of_a_scan_has_that_remark():
  arrays = measured.sinogram()
  settings = runs.check_config(runs.make_config("tomography", **{"operator.simulate": False, "noise.sigma": None}))
  for shift in (0, 4):
    job = runs.job_of_arrays(settings, runs.Given({**arrays, "sinogram": np.roll(arrays["sinogram"], shift, 0)}))
    assert any("axis of rotation" in line for line in job.data.remarks) == (shift > 0)
