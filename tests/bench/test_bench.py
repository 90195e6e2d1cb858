"""Benchmarks: their tables, their records, and that a finished restoration is not run again."""

import argparse
import json
import pathlib

import numpy as np
import pytest

from oes_jax.bench import __main__ as bench
from oes_jax.bench import _batch as bench_batch
from oes_jax.bench import _quality as bench_quality
from oes_jax.bench import _steps as bench_steps
from oes_jax import files
from oes_jax.generators import _generators as generators

ROOT = pathlib.Path(__file__).parents[2]
TINY = {"mask.num_steps": 4, "weights.num_steps": 3, "generator.channels": (8,),
        "generator.num_scales": 1, "mask.keep_fraction": 0.4, "compute.chunk_steps": 4,
        "compute.compilation_cache": ""}
CROPS = {"camera": (100, 200, 16, 16)}


def _row(method, image, average):
  return {"method": method, "image": image, "seed": 0, "last psnr": average - 1,
          "average psnr": average, "kept": 50, "acting": 30, "size": 1000}


def test_table_holds_means_and_spreads():
  assert bench_quality.tabulate([_row("a", "x", 20.), _row("a", "y", 22.), _row("b", "x", 30.), _row("b", "y", 30.)]) == [
      ["mask", "last", "averaged", "x, averaged", "y, averaged", "kept", "can act"],
      ["a", "20.00 ± 1.41", "21.00 ± 1.41", "20.00", "22.00", "5.0 %", "30"],
      ["b", "29.00 ± 0.00", "30.00 ± 0.00", "30.00", "30.00", "5.0 %", "30"]]


@pytest.mark.parametrize("name", ["schedule", "masks"])
def test_the_results_show_the_recorded_table(name):
  record = json.loads((ROOT / "docs" / "records" / f"{name}.json").read_text(encoding="utf-8"))
  assert record["table"] == files.format_markdown(bench_quality.tabulate(record["rows"]))
  page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
  assert record["table"] in page and record["date"] in page


@pytest.mark.slow
def test_restorations_fill_the_rows_and_are_not_repeated(tmp_path):
  methods = {"learned": {}, "random": {"mask.source": "random"}}
  rows = bench_quality._rows(tmp_path, methods, CROPS, [3], TINY)
  assert [(r["method"], r["image"], r["seed"]) for r in rows] == [
      ("learned", "camera", 3), ("random", "camera", 3)]
  assert all(r["kept"] == int(0.4 * r["size"]) and r["last psnr"] > 0 for r in rows)
  summary = json.loads((tmp_path / "random-camera-3" / "summary.json").read_text())
  assert summary["config"]["mask"]["source"] == "random" and summary["config"]["seed"] == 3
  written = (tmp_path / "random-camera-3" / "metrics.jsonl").stat().st_mtime_ns
  assert bench_quality._rows(tmp_path, methods, CROPS, [3], TINY) == rows
  assert (tmp_path / "random-camera-3" / "metrics.jsonl").stat().st_mtime_ns == written


@pytest.mark.slow
def test_a_mask_of_a_run_becomes_a_shipped_mask(tmp_path, monkeypatch):
  monkeypatch.setattr("oes_jax.files._masks.FOLDER", tmp_path)
  bench_quality._restore(tmp_path / "run", "quick", {
      **TINY, "generator.channels": (16,), "data.source": "camera", "data.crop": CROPS["camera"]})
  bench_quality.run_bundle(argparse.Namespace(run=str(tmp_path / "run")))
  generator = generators.make_generator(
      "hourglass", image_shape=(16, 16, 1), num_scales=1)
  mask, metadata = files.read_packed_mask(files.find_bundled_mask(generator))
  stored = files.load_mask(tmp_path / "run" / "mask")[0]
  np.testing.assert_array_equal(mask["head"]["kernel"], stored["head"]["kernel"])
  assert metadata["steps"] == 4 and metadata["source"] == "camera" and metadata["sigma"] == 0.1


@pytest.mark.slow
def test_only_a_learned_mask_is_shipped(tmp_path, monkeypatch):
  monkeypatch.setattr("oes_jax.files._masks.FOLDER", tmp_path / "shipped")
  bench_quality._restore(tmp_path / "run", "quick", {
      **TINY, "data.source": "camera", "data.crop": CROPS["camera"], "mask.source": "random"})
  with pytest.raises(ValueError, match="cannot be shipped.*random"):
    bench_quality.run_bundle(argparse.Namespace(run=str(tmp_path / "run")))
  assert not (tmp_path / "shipped").exists()


def test_faults_are_one_line(monkeypatch):
  monkeypatch.setattr("sys.argv", ["bench", "bundle", "/nowhere"])
  with pytest.raises(SystemExit, match="error: .*/nowhere"):
    bench.main()


def test_time_to_quality_uses_a_kept_record(tmp_path, monkeypatch, capsys):
  quality = {name: {"psnr": 20.0} for name in ("measurement", "last", "average")}
  summary = {"quality": quality, "seconds": {"mask": {"total": 1.0}, "weights": {"total": 3.0}},
             "config": {"mask": {"num_steps": 100}, "weights": {"num_steps": 50}}}
  (tmp_path / "kept.json").write_text(json.dumps({**summary, "date": "2026-01-01", "cores": 2}))
  monkeypatch.setattr(bench_quality, "_restore", lambda *_: summary)
  monkeypatch.setattr(bench_quality._steps, "time_own_steps",
                      lambda *_, **__: {"mask": 2.0, "dense": 4.0})
  monkeypatch.setattr("sys.argv", [
      "bench", "time_to_quality", "--faithful_record", str(tmp_path / "kept.json"),
      "--output", str(tmp_path / "out.json"), "--folder", str(tmp_path)])
  for name in ("first", "cache"):  # a user's own, as it happens
    (tmp_path / name).mkdir()
  bench.main()
  assert (tmp_path / "first").is_dir() and (tmp_path / "cache").is_dir()
  record = json.loads((tmp_path / "out.json").read_text())
  for name, seconds in record["default"]["seconds"].items():
    assert record["ratio"][name] == pytest.approx((100 * 2 + 50 * 4) / seconds)
  assert record["faithful"]["seconds"] == 4 and {"date", "device", "cores"} <= record.keys()
  assert "ratio: " in capsys.readouterr().out


@pytest.mark.slow
def test_step_timer_times_both_stages():
  times = bench_steps.time_own_steps(16, num_scales=1, rounds=1, length=2)
  assert times.keys() == {"dense", "mask"} and all(0 < t < 10 for t in times.values())


@pytest.mark.slow
def test_batches_are_timed_against_one_case(tmp_path, capsys):
  bench_batch.run_batch(argparse.Namespace(
      folder=str(tmp_path / "runs"), output=str(tmp_path / "record.json"), size=24, cases=2, width=[1, 2],
      mask_steps=60, weight_steps=60, rounds=1))
  rows = json.loads((tmp_path / "record.json").read_text())["rows"]
  assert [(row["cases"], row["images at once"]) for row in rows] == [(1, 1), (2, 1), (2, 2)]
  assert all(row["seconds"] > row["steps alone"] > 0 and row["compilation"] > 0 for row in rows)
  assert rows[0]["ratio"] == 1 and rows[1]["ratio"] > 1
  assert "images an hour" in capsys.readouterr().out
