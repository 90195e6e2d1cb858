"""Masks under the recorrupted objective, at equal steps and at equal seconds."""

import argparse
import json
import pathlib

import pytest

from oes_jax.bench import _recorrupted_masks
from oes_jax import files

ROOT = pathlib.Path(__file__).parents[2]
# A mask stage of 2 s, then a step every 0.1 s; a value of the trace every 10 steps.
ROW = {"part": "p", "method": "learned, 10 %", "image": "x", "seed": 0, "guarded psnr": 29.0,
       "best average psnr": 30.0, "best average step": 20, "acting": 50, "collapse": [], "mask seconds": 2.0,
       "step seconds": 0.1, "trace": [25.0, 30.0, 28.0]}
DENSE = {**ROW, "method": "dense", "mask seconds": 0.0, "step seconds": 0.2, "trace": [20.0, 26.0, 29.0], "best average psnr": 29.0}


def test_quality_follows_the_clock():
  assert [_recorrupted_masks.at_seconds(ROW, seconds) for seconds in (2.9, 3.01, 3.9, 4.01, 5.01, 60.0)] == [
      None, 25.0, 25.0, 30.0, 28.0, 28.0]
  assert _recorrupted_masks.seconds_to(ROW, 24.0) == 3.0 and _recorrupted_masks.seconds_to(ROW, 29.0) == 4.0
  assert _recorrupted_masks.seconds_to(ROW, 31.0) is None


@pytest.mark.parametrize("seconds", [0.0721, 0.1, 1 / 3, 0.04199])
def test_a_run_has_all_its_steps_in_its_own_time(seconds):
  row = {**ROW, "mask seconds": 0.0, "step seconds": seconds, "trace": [float(n) for n in range(60)]}
  assert _recorrupted_masks.at_seconds(row, 600 * seconds) == 59.0


def test_the_dense_net_is_the_measure():
  head, dense, learned = _recorrupted_masks.tabulate([DENSE, ROW])
  dense, learned = (dict(zip(head, line)) for line in (dense, learned))
  assert dense["in the dense net's time"] == "29.00" and dense["in half of it"] == "20.00"  # 6 s: 30 steps, 15
  assert dense["seconds to the dense net's quality"] == "6.0" and learned["seconds to the dense net's quality"] == "4.0"
  assert learned["in the dense net's time"] == "28.00" and learned["in half of it"] == "25.00"
  slow = {**ROW, "trace": [25.0, 26.0, 28.0]}
  assert dict(zip(*(_recorrupted_masks.tabulate([DENSE, slow])[i] for i in (0, 2))))["reached"] == "0 of 1"


def test_the_recorded_table_follows_from_its_rows():
  stored = json.loads((ROOT / "docs" / "records" / "recorrupted_masks.json").read_text(encoding="utf-8"))
  assert stored["table"] == files.format_markdown(_recorrupted_masks.tabulate(stored["rows"]))
  assert {row["part"] for row in stored["rows"]} == {part.name for part in _recorrupted_masks.PARTS}


@pytest.mark.slow
def test_every_method_of_a_part_is_run(tmp_path, monkeypatch):
  part = _recorrupted_masks.PARTS[0]
  small = part._replace(methods={name: part.methods[name] for name in ("dense", "learned, 10 %")}, crops={"chelsea": (90, 130, 24, 24)},
                        common={**part.common, "generator.num_scales": 1, "weights.num_steps": 30, "compute.compilation_cache": ""})
  monkeypatch.setattr(_recorrupted_masks, "PARTS", (small,))
  _recorrupted_masks.run_recorrupted_masks(argparse.Namespace(
      folder=str(tmp_path / "runs"), output=str(tmp_path / "record.json"), seeds=1))
  rows = json.loads((tmp_path / "record.json").read_text())["rows"]
  assert [row["method"] for row in rows] == ["dense", "learned, 10 %"] and all(len(row["trace"]) == 3 for row in rows)
  assert rows[0]["mask seconds"] == 0 < rows[1]["mask seconds"] and rows[1]["acting"] < rows[0]["acting"]
