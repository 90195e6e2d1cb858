"""Densities and overlaps of masks."""

import argparse
import csv

import jax
import numpy as np
import pytest

from configs import denoise
from oes_jax.bench import _masks as bench_masks
from oes_jax.bench import _spectrum as bench_spectrum
from oes_jax import files
from oes_jax.fitting import _restoration as restoration
from oes_jax.generators import _generators as generators
from oes_jax import metrics
from oes_jax.runs import _jobs as jobs
from oes_jax.runs import _run as run


def _store(folder, seed, channels=(6, 8)):
  generator = generators.make_generator("hourglass", image_shape=(24, 24, 3), num_scales=2, channels=channels)
  params = generator.init(jax.random.key(seed))[0]
  scores = restoration.random_scores(jax.random.key(seed), params)
  mask = restoration.threshold_scores(scores, 0.3, scope="global")
  files.save_mask(folder / "mask", mask, {"generator": generator.spec})
  return mask


def test_overlap_by_hand():
  a = {"x": np.array([1, 1, 0, 0]), "y": np.array([1, 0])}
  b = {"x": np.array([1, 0, 1, 0]), "y": np.array([1, 0])}
  iou, expected = bench_masks.overlap(a, b)
  assert iou == pytest.approx(2 / 4)
  assert expected == pytest.approx(1.5 / (6 - 1.5))  # 4 x 0.25 + 2 x 0.25 in common
  assert bench_masks.overlap(a, a)[0] == 1


def test_independent_masks_overlap_as_expected():
  rng = np.random.default_rng(0)
  a, b = ({"x": rng.uniform(size=100_000) < 0.2} for _ in range(2))
  iou, expected = bench_masks.overlap(a, b)
  assert iou == pytest.approx(expected, abs=0.01)


def test_commands_write_csv_and_figure(tmp_path, capsys):
  masks = {name: _store(tmp_path / name, seed) for seed, name in enumerate("ab")}
  arguments = argparse.Namespace(mask=[str(tmp_path / name / "mask") for name in "ab"], num_scales=6,
                                 folder=str(tmp_path / "out"))
  bench_masks.run_density(arguments)
  bench_masks.run_overlap(arguments)
  with open(tmp_path / "out" / "density.csv", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
  for name, mask in masks.items():
    kept = sum(int(leaf.sum()) for leaf in jax.tree.leaves(mask))
    assert sum(int(row["kept"]) for row in rows if row["mask"] == name) == kept
  assert {row["part"] for row in rows} == set(bench_masks.PARTS)
  assert (tmp_path / "out" / "density.png").is_file() and (tmp_path / "out" / "overlap.png").is_file()
  with open(tmp_path / "out" / "overlap.csv", encoding="utf-8") as file:
    row, = csv.DictReader(file)
  assert float(row["iou"]) == pytest.approx(bench_masks.overlap(masks["a"], masks["b"])[0])
  assert "if independent" in capsys.readouterr().out
  _store(tmp_path / "other" / "a", 2)  # runs of one name are told apart by their paths
  arguments.mask = [str(tmp_path / "a" / "mask"), str(tmp_path / "other" / "a" / "mask")]
  bench_masks.run_density(arguments)
  with open(tmp_path / "out" / "density.csv", encoding="utf-8") as file:
    assert {row["mask"] for row in csv.DictReader(file)} == set(arguments.mask)


def test_masks_of_two_generators_are_refused(tmp_path):
  _store(tmp_path / "a", 0)
  _store(tmp_path / "b", 0, channels=(6, 9))
  with pytest.raises(ValueError, match="allowed: masks of one generator"):
    bench_masks.run_overlap(argparse.Namespace(
        mask=[str(tmp_path / name / "mask") for name in "ab"], num_scales=6, folder=str(tmp_path)))


def test_published_masks_share_no_more_than_their_densities(reference_data):
  lena, pepper = (bench_masks.read(str(reference_data / f"official_mask_{name}.pkl"), 6)
                  for name in ("lena", "pepper"))
  iou, expected = bench_masks.overlap(lena.mask, pepper.mask)
  assert iou == pytest.approx(expected, abs=0.005)
  totals = bench_masks.densities(bench_masks._report(lena))
  assert totals["encoder"][1] / totals["encoder"][0] == pytest.approx(0.032, abs=5e-4)


def test_power_spectrum_of_a_wave():
  rows = np.sin(2 * np.pi * 6 * np.arange(32) / 32)
  image = np.broadcast_to(0.5 + 0.1 * rows[:, None, None], (32, 40, 2))
  frequencies, shares = metrics.radial_power_spectrum(image)
  assert frequencies[shares.argmax()] == pytest.approx(6 / 32) and shares.max() == pytest.approx(1)
  noise = np.random.default_rng(0).standard_normal((64, 64, 1))
  frequencies, shares = metrics.radial_power_spectrum(noise)
  slope = np.polyfit(frequencies, shares, 1)[0]  # white noise: power grows with the ring's length
  assert slope * 0.5 == pytest.approx(shares.max(), rel=0.3) and len(frequencies) == 32
  assert not metrics.radial_power_spectrum(np.ones((16, 16, 1)))[1].any()


@pytest.mark.slow
@pytest.mark.parametrize("operator", ["identity", "mri"])  # an MR image is complex, and seen as its magnitude
def test_the_spectrum_of_a_run(tmp_path, operator):
  config = denoise.get_config()
  config.update_from_flattened_dict({
      "data.source": "coins", "data.crop": (100, 150, 24, 30), "generator.num_scales": 1, "operator.name": operator,
      "generator.channels": (8,), "mask.num_steps": 12, "mask.keep_fraction": 0.4, "weights.num_steps": 15,
      "compute.compilation_cache": ""})
  run.run(jobs.prepare(config, str(tmp_path / "run")))
  bench_spectrum.run_spectrum(argparse.Namespace(run=str(tmp_path / "run"), folder=str(tmp_path / "out")))
  with open(tmp_path / "out" / "spectrum.csv", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
  assert {row["image"] for row in rows} == {
      "masked, untrained", "dense, untrained", "restored (average)", "measurement", "truth"}
  assert sum(float(row["share_of_power"]) for row in rows) == pytest.approx(5, abs=1e-3)
  assert (tmp_path / "out" / "spectrum.png").is_file()


def test_the_spectrum_needs_a_finished_run(tmp_path):
  with pytest.raises(ValueError, match="allowed: the folder of a finished run"):
    bench_spectrum.read_job(tmp_path)
