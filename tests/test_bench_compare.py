"""The comparison: what methods share, and what its table says."""

import argparse
import json
import pathlib

import jax
import numpy as np
import pytest

from oes_jax import bench_compare
from oes_jax import classical
from oes_jax import generators
from oes_jax import masks
from oes_jax import reports

ROOT = pathlib.Path(__file__).parent.parent
SHAPE = (32, 32, 3)
LEARNED = bench_compare.Learned(
    "mask", 2000, 500, 20000, {"name": "hourglass", "num_scales": 2, "channels": [16, 32]}, SHAPE)


def _weights(channels):
  generator = generators.make_generator("hourglass", image_shape=SHAPE, num_scales=2, channels=channels)
  return masks.count_weights(jax.eval_shape(generator.init, jax.random.key(0))[0])


@pytest.mark.parametrize("count", [3000, 20000])
def test_a_narrow_net_has_about_as_many_weights(count):
  channels = bench_compare.narrow_channels(LEARNED.spec, SHAPE, count)
  assert len(channels) == 2 and channels[1] / channels[0] == pytest.approx(2, abs=0.5)
  assert _weights(channels) == pytest.approx(count, rel=0.25)


def test_masks_of_criteria_keep_as_many_weights_as_the_learned_one():
  for name in ("random", "magnitude", "SNIP", "GraSP", "SynFlow"):
    changes = bench_compare.METHODS[name](LEARNED)
    assert masks.keep_count(changes["mask.keep_fraction"], LEARNED.size) == LEARNED.kept


def _row(method, seed, psnr, collapse=()):
  return {"method": method, "image": "x", "seed": seed, "last psnr": psnr - 1, "average psnr": psnr,
          "average ssim": 0.5, "best psnr": psnr + 1, "kept": 1200, "acting": 300,
          "collapse": list(collapse), "guarded psnr": psnr, "guard step": 1000,
          "seconds": {"mask": 2.0, "weights": 3.0}}


def test_the_table_counts_collapsed_runs_and_leaves_out_what_is_not_measured():
  peer = {"method": "b", "image": "x", "seed": 0, "average psnr": 28.0, "average ssim": 0.7, "collapse": [],
          "seconds": {"all": 0.25}}
  table = bench_compare.tabulate([_row("a", 0, 20.0), _row("a", 1, 22.0, ["dead"]), peer])
  assert table[1] == ["a", "20.00 ± 1.41", "21.00 ± 1.41", "21.00 ± 1.41", "1,000", "22.00 ± 1.41",
                      "0.500 ± 0.000", "1,200", "300", "5.0", "1 of 2"]
  assert table[2] == ["b", "", "28.00", "", "", "", "0.700", "", "", "0.2", ""]


def test_the_readme_shows_the_recorded_table():
  record = json.loads((ROOT / "docs" / "records" / "compare_quick.json").read_text(encoding="utf-8"))
  assert record["table"] == reports.format_markdown(bench_compare.tabulate(record["rows"]))
  assert record["table"] in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("argument, said", [
    ("missing.py", "does not exist"), (str(ROOT / "configs" / "sweep.py"), "has no section `benchmark`")])
def test_a_faulty_config_is_named(argument, said):
  with pytest.raises(ValueError, match=f"--config=.*{said}.*allowed"):
    bench_compare.read_config(argument)


def test_every_case_has_its_crop_and_seed():
  config = bench_compare.read_config(f"{ROOT / 'configs' / 'benchmark.py'}:answer")
  listed = bench_compare._cases(config, {("coffee", 1): {"mask.source": "dense"}, ("chelsea", 0): {}})
  assert [(c.config.data.source, c.config.seed, c.config.mask.source) for c in listed] == [
      ("chelsea", 0, "learn"), ("coffee", 1, "dense")]
  assert tuple(listed[1].config.data.crop) == dict(config.benchmark.crops)["coffee"]
  assert "benchmark" not in listed[0].config


@pytest.mark.parametrize("channels", [1, 3])
def test_classical_denoisers_remove_noise(channels):
  rng = np.random.default_rng(0)
  truth = np.tile(np.linspace(0.3, 0.7, 48)[:, None, None], (1, 48, channels))
  noisy = truth + 0.1 * rng.standard_normal(truth.shape)
  for name in classical.available():
    image = classical.denoise(name, noisy, 0.1)
    assert image.shape == truth.shape
    assert np.mean((image - truth) ** 2) < 0.5 * np.mean((noisy - truth) ** 2), name


@pytest.mark.slow
def test_a_small_comparison_runs_and_is_not_repeated(tmp_path):
  (tmp_path / "small.py").write_text("""
from configs import benchmark
def get_config():
  config = benchmark.get_config("quick")
  config.update_from_flattened_dict({
      "generator.num_scales": 1, "generator.channels": (8,), "mask.num_steps": 30, "mask.keep_fraction": 0.4,
      "weights.num_steps": 30, "weights.guard_window": 10, "compute.compilation_cache": ""})
  config.benchmark.crops = (("astronaut", (60, 190, 24, 24)),)
  return config
""")
  arguments = argparse.Namespace(config=str(tmp_path / "small.py"), folder=str(tmp_path / "runs"),
                                 output=str(tmp_path / "record.json"))
  bench_compare.run_compare(arguments)
  rows = json.loads((tmp_path / "record.json").read_text())["rows"]
  by_method = {row["method"]: row for row in rows}
  assert set(bench_compare.METHODS) < set(by_method)
  kept = by_method[bench_compare.LEARNED]["kept"]
  for name in ("random", "magnitude", "SNIP", "GraSP", "SynFlow", "learned mask shuffled inside arrays"):
    assert by_method[name]["kept"] == kept
  assert len({row["measurement psnr"] for row in rows}) == 1  # one measurement for all
  assert (tmp_path / "runs" / "traces.png").is_file() and (tmp_path / "runs" / "traces.csv").is_file()
  written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("metrics.jsonl")}
  bench_compare.run_compare(arguments)
  assert written == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("metrics.jsonl")}
