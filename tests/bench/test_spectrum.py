"""Power spectra, and what a mask makes of the untrained network."""

import argparse
import csv

import numpy as np
import pytest

from configs import denoise
from oes_jax.bench import _spectrum
from oes_jax import runs


def test_power_spectrum_of_a_wave():
  rows = np.sin(2 * np.pi * 6 * np.arange(32) / 32)
  image = np.broadcast_to(0.5 + 0.1 * rows[:, None, None], (32, 40, 2))
  frequencies, shares = _spectrum.radial_power_spectrum(image)
  assert frequencies[shares.argmax()] == pytest.approx(6 / 32) and shares.max() == pytest.approx(1)
  noise = np.random.default_rng(0).standard_normal((64, 64, 1))
  frequencies, shares = _spectrum.radial_power_spectrum(noise)
  slope = np.polyfit(frequencies, shares, 1)[0]  # white noise: power grows with the ring's length
  assert slope * 0.5 == pytest.approx(shares.max(), rel=0.3) and len(frequencies) == 32
  assert not _spectrum.radial_power_spectrum(np.ones((16, 16, 1)))[1].any()


@pytest.mark.slow
@pytest.mark.parametrize("operator", ["identity", "mri"])  # an MR image is complex, and seen as its magnitude
def test_the_spectrum_of_a_run(tmp_path, operator):
  config = denoise.get_config()
  config.update_from_flattened_dict({
      "data.source": "coins", "data.crop": (100, 150, 24, 30), "generator.num_scales": 1, "operator.name": operator,
      "generator.channels": (8,), "mask.num_steps": 12, "mask.keep_fraction": 0.4, "weights.num_steps": 15,
      "compute.compilation_cache": ""})
  runs.run(config, str(tmp_path / "run"))
  _spectrum.run_spectrum(argparse.Namespace(run=str(tmp_path / "run"), folder=str(tmp_path / "out")))
  with open(tmp_path / "out" / "spectrum.csv", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
  assert {row["image"] for row in rows} == {
      "masked, untrained", "dense, untrained", "restored (average)", "measurement", "truth"}
  assert sum(float(row["share_of_power"]) for row in rows) == pytest.approx(5, abs=1e-3)
  assert (tmp_path / "out" / "spectrum.png").is_file()


def test_the_spectrum_needs_a_finished_run(tmp_path):
  with pytest.raises(ValueError, match="allowed: the folder of a finished run"):
    _spectrum.read_job(tmp_path)
