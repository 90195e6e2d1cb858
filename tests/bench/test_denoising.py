"""Restorations with the denoising config: their rows, their table, and that they are not repeated."""

import json
import pathlib

import pytest

from oes_jax.bench import _denoising
from oes_jax import files

ROOT = pathlib.Path(__file__).parents[2]
TINY = {"mask.num_steps": 4, "weights.num_steps": 3, "generator.channels": (8,),
        "generator.num_scales": 1, "mask.keep_fraction": 0.4, "compute.chunk_steps": 4,
        "compute.compilation_cache": ""}
CROPS = {"camera": (100, 200, 16, 16)}


def _row(method, image, average):
  return {"method": method, "image": image, "seed": 0, "last psnr": average - 1,
          "average psnr": average, "kept": 50, "acting": 30, "size": 1000}


def test_table_holds_means_and_spreads():
  assert _denoising.tabulate([_row("a", "x", 20.), _row("a", "y", 22.), _row("b", "x", 30.), _row("b", "y", 30.)]) == [
      ["mask", "last", "averaged", "x, averaged", "y, averaged", "kept", "can act"],
      ["a", "20.00 ± 1.41", "21.00 ± 1.41", "20.00", "22.00", "5.0 %", "30"],
      ["b", "29.00 ± 0.00", "30.00 ± 0.00", "30.00", "30.00", "5.0 %", "30"]]


@pytest.mark.parametrize("name", ["schedule", "masks"])
def test_the_results_show_the_recorded_table(name):
  record = json.loads((ROOT / "docs" / "records" / f"{name}.json").read_text(encoding="utf-8"))
  assert record["table"] == files.format_markdown(_denoising.tabulate(record["rows"]))
  page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
  assert record["table"] in page and record["date"] in page


@pytest.mark.slow
def test_restorations_fill_the_rows_and_are_not_repeated(tmp_path):
  methods = {"learned": {}, "random": {"mask.source": "random"}}
  rows = _denoising.run_methods(tmp_path, methods, CROPS, [3], TINY)
  assert [(r["method"], r["image"], r["seed"]) for r in rows] == [
      ("learned", "camera", 3), ("random", "camera", 3)]
  assert all(r["kept"] == int(0.4 * r["size"]) and r["last psnr"] > 0 for r in rows)
  summary = json.loads((tmp_path / "random-camera-3" / "summary.json").read_text())
  assert summary["config"]["mask"]["source"] == "random" and summary["config"]["seed"] == 3
  written = (tmp_path / "random-camera-3" / "metrics.jsonl").stat().st_mtime_ns
  assert _denoising.run_methods(tmp_path, methods, CROPS, [3], TINY) == rows
  assert (tmp_path / "random-camera-3" / "metrics.jsonl").stat().st_mtime_ns == written
