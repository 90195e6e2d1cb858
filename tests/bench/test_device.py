"""The measurement of an accelerator."""

import argparse
import json
import time

import jax
import numpy as np
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
  assert allowed["default"] == pytest.approx(20) and allowed["steps"] == pytest.approx(30 + 10)  # what one leaves the next has
  assert sum(share for _, share in _device_parts.PARTS.values()) == pytest.approx(1)


def test_differences_are_of_all_arrays_together_and_a_nan_is_none():
  tree = {"a": np.array([2.0, 0.0]), "b": np.array([1e-9])}
  assert _device_parts.relative_difference({"a": np.array([2.0, 0.002]), "b": np.array([3e-9])}, tree) == pytest.approx(1e-3)
  assert not _device_parts.relative_difference({"a": tree["a"], "b": np.array([np.nan])}, tree) < 1e-3


def test_the_lines_of_a_trace_are_those_of_the_device(monkeypatch):
  def named(kind, pid, tid, name):
    return {"name": kind, "pid": pid, "tid": tid, "args": {"name": name}}
  events = [named("process_name", 1, 0, "/device:GPU:0"), named("process_name", 2, 0, "/host:CPU"),
            named("thread_name", 1, 7, "Stream #13(Compute)"), named("thread_name", 1, 8, "XLA Modules"),
            named("thread_name", 2, 7, "python")]
  monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
  assert _device_parts._threads_of_operations(events) == {(1, 7)}
  with pytest.raises(RuntimeError, match="no operations of the device; it has ...host:CPU"):
    _device_parts._threads_of_operations(events[1:2])


def test_the_pytorch_steps_lower_their_loss():
  pytest.importorskip("torch")
  from oes_jax.bench.peers import torch_hourglass  # pylint: disable=g-import-not-at-top
  steps = torch_hourglass.fast_weight_steps((4, 8), 16, "float32")
  first = steps(1)
  assert steps(100) < first


@pytest.mark.slow
def test_a_part_is_ended_where_its_time_is_up(tmp_path):
  began = time.monotonic()
  (tmp_path / "steps.json").write_text('{"rows": [{"of": "an earlier call"}]}')
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
