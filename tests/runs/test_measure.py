"""Measurements in the unit range: clipped and said, simulated by the operator, or a scan in its own units."""

import re

import numpy as np
import pytest
import tifffile

from oes_jax import operators
from oes_jax import runs
from runs import tiny_run


def test_values_outside_the_range_are_clipped_and_said(tmp_path, caplog):
  values = np.full((20, 20), 1000, np.uint16) + np.arange(20, dtype=np.uint16)
  values[7, 7] = 50000  # a hot pixel
  tifffile.imwrite(tmp_path / "hot.tif", values)
  job = runs.inspect(tiny_run.config(data__source=str(tmp_path / "hot.tif"), data__crop=None))
  measured = runs.measure(job)
  assert "0.25 % of the values lie outside" in caplog.text and "from 1000 to 50000, and are clipped; set data.range" in caplog.text
  assert job.data.limits[1] < 1100 and measured.truth is None and measured.values.max() == 1


@pytest.mark.parametrize("noise_of, grows", [
    (lambda image, random: random.poisson(60 * image) / 60, True), (lambda image, random: random.normal(image, 0.07), False)])
def test_noise_that_grows_with_brightness_is_said_where_the_model_is_gaussian(tmp_path, caplog, noise_of, grows):
  image = np.add.outer(np.linspace(0.2, 0.9, 96), np.zeros(96))
  np.save(tmp_path / "frame.npy", noise_of(image, np.random.default_rng(0)))
  config = {"data.source": str(tmp_path / "frame.npy"), "generator.num_scales": 1}
  measured = runs.measure(runs.inspect(runs.make_config(**config)))
  assert bool(measured.remarks) == grows == ("the noise grows with brightness" in caplog.text)
  if grows:  # of a mean of 0.2 and of 0.9, in a range of about 1
    said = re.search("from (.*) % of the range where it is dark to (.*) % where .* inspect names .* noise.peak", measured.remarks[0])
    np.testing.assert_allclose([float(one) for one in said.groups()], [100 * (mean / 60) ** 0.5 for mean in (0.2, 0.9)], rtol=0.2)
    told = runs.make_config(**config, **{"noise.model": "poisson", "noise.peak": 60.0})
    assert not runs.measure(runs.inspect(told)).remarks


def test_values_that_were_cut_off_before_they_were_stored_are_said(tmp_path, caplog):
  dark = np.add.outer(np.linspace(-0.1, 0.9, 96), np.zeros(96))
  values = np.uint16(10000 * np.clip(dark + np.random.default_rng(0).normal(0, 0.1, dark.shape), 0, 1.4))
  tifffile.imwrite(tmp_path / "dark.tif", values)
  measured = runs.measure(runs.inspect(runs.make_config(**{"data.source": str(tmp_path / "dark.tif"), "generator.num_scales": 1})))
  assert "% of the values are 0, the lowest one: what was darker is cut off" in measured.remarks[0] and measured.remarks[0] in caplog.text


def test_a_measurement_is_the_operator_of_the_truth_with_noise(tmp_path):
  kernel = np.zeros((3, 5))
  kernel[1, 1:4] = 2.0  # its sum becomes 1
  np.save(tmp_path / "kernel.npy", kernel)
  job = runs.inspect(tiny_run.config(
      tiny_run.TINY_MEASURED, operator__name="deblurring", operator__kernel=str(tmp_path / "kernel.npy"),
      noise__sigma=0.01))
  measured = runs.measure(job)
  expected = (np.roll(measured.truth, 1, 1) + measured.truth + np.roll(measured.truth, -1, 1)) / 3
  inner = np.s_[2:-2, 2:-2]
  assert (measured.values - expected)[inner].std() == pytest.approx(0.01, rel=0.2)


def test_measured_k_space_is_that_of_the_image_in_its_own_units(tmp_path):
  image = tiny_run.phantom() * np.exp(0.5j)
  coils = operators.simulated_coils(image.shape, 3)
  space = np.asarray(operators.centred_fft(coils * image[None]))
  halved = runs.inspect(tiny_run.scan_config(tmp_path, "mri", kspace=0.5 * space, coil_maps=0.5 * coils))
  job = runs.inspect(tiny_run.scan_config(tmp_path, "mri", kspace=space, coil_maps=coils))
  assert halved.data.limits[1] == pytest.approx(job.data.limits[1], rel=1e-4)  # whatever the scale of the maps
  measured = runs.measure(job)
  assert job.shape == (24, 32, 2) and measured.truth is None
  found = operators.to_complex(2 * measured.estimate - 1) * job.data.limits[1]
  np.testing.assert_allclose(found, image, atol=0.2)


def test_rows_of_a_frame_have_their_image_in_its_middle_and_nothing_around_it():
  job = runs.inspect(tiny_run.config(data__crop=(100, 200, 21, 30)))
  frame = (24, 32, 1)
  generator = runs.frame_generator(job, frame)
  row = runs.make_row(generator, frame, True, job, operator=job.data.operator)
  valid = row.problem.valid.pixels
  assert valid.shape == (24, 32, 1) and valid.sum() == 21 * 30
  assert not np.any(row.problem.measurement[valid == 0]) and not np.any(row.truth[valid == 0])
  inside = row.problem.measurement[valid[..., 0] > 0].reshape(21, 30, 1)
  np.testing.assert_allclose(inside, row.measurement.values, rtol=1e-6)
  alone = runs.make_row(job.generator, job.shape, False, job, operator=job.data.operator)
  np.testing.assert_array_equal(alone.measurement.values, row.measurement.values)
  assert row.alive and not runs.make_row(generator, frame, True, job, operator=job.data.operator, filling=True).alive
