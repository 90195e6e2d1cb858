"""The measurement of an accelerator."""

import argparse
import json
import time

import pytest

from oes_jax.bench import _device
from oes_jax.bench import _device_parts


def _fails(small, folder):
  yield {"size": 1, "steps a second": 2.5}
  raise MemoryError("the card is full")


def test_a_part_that_raises_leaves_its_rows(tmp_path, monkeypatch):
  monkeypatch.setitem(_device_parts.PARTS, "steps", (_fails, 1.0))
  with pytest.raises(MemoryError):
    _device.run_part("steps", True, tmp_path)
  assert json.loads((tmp_path / "steps.json").read_text())["rows"] == [{"size": 1, "steps a second": 2.5}]


def test_tables_hold_every_value_but_trees():
  rows = [{"stage": "dense", "steps a second": 1234.5, "seconds": {"weights": 1}}, {"stage": "mask", "error": "out of memory"}]
  assert _device.tabulate({"rows": rows}) == [["stage", "steps a second", "error"], ["dense", "1,234", ""], ["mask", "", "out of memory"]]


def test_parts_end_in_time_and_failures_leave_the_others(tmp_path, monkeypatch):
  found = {"default": {"state": "failed", "said": ["no memory"], "rows": []}, "steps": {"state": "done", "rows": [{"size": 8}]}}
  allowed = {}
  def supervise(part, small, folder, seconds):
    allowed[part] = seconds
    return {"part": part, "seconds": 10.0, **found.get(part, {"state": "done", "rows": []})}
  monkeypatch.setattr(_device, "_supervise", supervise)
  _device.run_device(argparse.Namespace(out=str(tmp_path), part=None, small=True, seconds=100))
  record = json.loads((tmp_path / "device.json").read_text())
  assert [part["part"] for part in record["parts"]] == list(_device_parts.PARTS)
  assert record["parts"][0]["state"] == "failed" and record["parts"][1]["table"].startswith("| size |")
  assert {"driver", "python", "versions", "device", "backend"} <= record.keys()
  assert allowed["default"] == pytest.approx(20) and allowed["steps"] == pytest.approx(35 + 10)  # what one leaves the next has
  assert sum(share for _, share in _device_parts.PARTS.values()) == pytest.approx(1)


@pytest.mark.slow
def test_a_part_is_ended_where_its_time_is_up(tmp_path):
  began = time.monotonic()
  found = _device._supervise("steps", True, tmp_path, 0.5)
  assert found["state"] == "out of time" and found["rows"] == [] and time.monotonic() - began < 10


@pytest.mark.slow
def test_every_part_measures_something_on_a_cpu(tmp_path):
  _device.run_device(argparse.Namespace(out=str(tmp_path), part=None, small=True, seconds=400))
  parts = {part["part"]: part for part in json.loads((tmp_path / "device.json").read_text())["parts"]}
  assert {name: part["state"] for name, part in parts.items()} == dict.fromkeys(_device_parts.PARTS, "done")
  assert {row["stage"] for row in parts["steps"]["rows"] if "steps a second" in row} == {"dense", "compacted", "mask", "recorrupted"}
  assert all(row["held"] for row in parts["equality"]["rows"]) and len(parts["profile"]["rows"]) == 10
  assert [row["run"] for row in parts["paper"]["rows"]] == ["projected", "0.01 % of the steps"]
