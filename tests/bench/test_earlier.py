"""Results of an earlier record."""

import json

import pytest

from configs import benchmark
from oes_jax.bench import _earlier
from oes_jax import runs

ROWS = [{"method": "a", "image": "x", "seed": 0, "learning rate": 0.01, "measurement psnr": 20.0},
        {"method": "b", "image": "x", "seed": 0, "problem": "blur"}]


def _record(tmp_path, **changes):
  path = tmp_path / "record.json"
  config = runs.make_config(preset="oes", **changes)
  path.write_text(json.dumps({"date": "2026-11-01", "config": {**runs.plain(config), "experiment": "other", "benchmark": {"seeds": [0]}}, "rows": ROWS}))
  return str(path)


def test_rows_are_taken_by_method_image_seed_problem_and_rate(tmp_path):
  rows = _earlier.read(_record(tmp_path), runs.make_config(preset="oes"))
  keys = [("x", 0), ("x", 1)]
  assert _earlier.lacking(rows, keys, "a", 0.01) == [("x", 1)] and _earlier.taken(rows, keys, "a", 0.01) == [
      {"from": "2026-11-01", **ROWS[0]}]
  assert _earlier.lacking(rows, keys, "a", 0.02) == keys and _earlier.taken(rows, keys, "a", 0.02) == []
  assert _earlier.lacking(rows, keys, "b") == keys and _earlier.lacking(rows, keys, "b", problem="blur") == [("x", 1)]
  assert _earlier.read(None, None) == {}


def test_a_record_of_another_config_is_refused(tmp_path):
  with pytest.raises(ValueError, match="--extends=.* made with weights.num_steps=7, and this config has 1500; allowed"):
    _earlier.read(_record(tmp_path, **{"weights.num_steps": 7}), runs.make_config(preset="oes"))
  assert _earlier.read(_record(tmp_path), runs.make_config(preset="oes"), "tuned") == {}
  (tmp_path / "other.json").write_text(json.dumps({"rows": ROWS}))
  with pytest.raises(ValueError, match="holds no 'rows' of cases with their config; allowed"):
    _earlier.read(str(tmp_path / "other.json"), runs.make_config(preset="oes"))


def test_another_crop_or_problem_and_doubles_are_refused(tmp_path):
  config = benchmark.get_config("default")
  record = {"date": "2026-11-01", "config": runs.plain(config), "rows": ROWS}
  def refused(said):
    (tmp_path / "record.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match=said):
      _earlier.read(str(tmp_path / "record.json"), config)
  record["rows"] = [*ROWS, ROWS[0]]
  refused("two results of one case")
  record["rows"], record["config"]["benchmark"]["crops"][0][1][0] = ROWS, 7
  refused(r"made with crop of rocket=\[7, 280, 64, 64\]")
  record["config"] = runs.plain(config)
  record["config"]["benchmark"]["problems"][0][2][1][1] = 0.3
  refused("made with problem 'noise 0.1'=.*0.3")


def test_other_measurements_are_refused():
  other = [{**ROWS[0], "method": "c", "measurement psnr": 21.0}, {**ROWS[0], "seed": 1, "measurement psnr": 23.0}, ROWS[1]]
  _earlier.check_measurements("r.json", [*ROWS, other[1]])
  with pytest.raises(ValueError, match="'r.json': x, seed 0, has a measurement of 20.000 dB and one of 21.000; allowed"):
    _earlier.check_measurements("r.json", [*ROWS, *other])
