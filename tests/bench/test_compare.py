"""The comparison: its ranks, its learning rates, and that nothing is run twice."""

import json
import pathlib

import pytest

from oes_jax.bench import _cases
from oes_jax.bench import _compare
from oes_jax.bench import _methods
from oes_jax import files

RECORDS = pathlib.Path(__file__).parents[2] / "docs" / "records"


def _row(method, seed, psnr, collapse=()):
  return {"method": method, "image": "x", "seed": seed, "last psnr": psnr - 1, "last ssim": 0.4,
          "average psnr": psnr, "average ssim": 0.5, "best psnr": psnr + 1, "kept": 1200, "acting": 300,
          "collapse": list(collapse), "guarded psnr": psnr, "guarded ssim": 0.5, "guard step": 1000,
          "learning rate": 0.01, "seconds": {"mask": 2.0, "weights": 3.0}, "peak bytes": 5e6}


def test_the_table_ranks_what_does_not_see_the_truth_and_counts_collapsed_runs():
  peer = {"method": "b", "image": "x", "seed": 0, "average psnr": 28.0, "average ssim": 0.7, "collapse": [],
          "seconds": {"all": 0.25}}
  rows = [_row("a", 0, 20.0), _row("a", 1, 22.0, ["dead"]), peer, _row(_methods.LEARNED, 0, 24.0),
          _row(_methods.LEARNED, 1, 25.0), _row(_methods.ORACLE, 0, 30.0), _row(_methods.ORACLE, 1, 30.0),
          _row("d", 1, 27.0), _row("e", 0, 19.0, ["dead"]), _row("e", 1, 19.0, ["dead"])]
  table = _compare.tabulate(rows, 2)
  assert [line[:2] for line in table[1:]] == [
      ["", _methods.ORACLE], ["", "b"], ["", "d"], ["1", _methods.LEARNED], ["2", "a"], ["", "e"]]
  assert table[3][-1] == "1 of 2" and table[3][3] == "+2.00" and table[4][3] == ""
  assert table[6][-2:] == ["2 of 2", ""]  # that every case collapses is no rank
  assert _compare.tabulate(rows, 2, ["f", "a"])[7] == ["", "f", *[""] * 15, "2 of 2"]  # every case has failed
  assert table[5] == ["2", "a", "21.00 ± 1.41", "-3.50", "0.500", "20.00 ± 1.41", "0.400", "21.00 ± 1.41", "0.500",
                      "1,000", "22.00 ± 1.41", "1,200", "300", "2.0", "3.0", "5", "1 of 2", ""]
  assert table[2] == ["", "b", "28.00", "+4.00", "0.700", *[""] * 9, "0.2", "", "", "1 of 2"]


def test_ranks_are_by_what_a_method_returns():
  returning = {**_row("b", 0, 20.0), "output": "guarded", "guarded psnr": 29.0, "guarded ssim": 0.9}
  mean = {name: value for name, value in returning.items() if not name.startswith(("last", "average", "best"))}
  rows = [_row("a", 0, 25.0), returning, {**mean, "method": "mean", "guarded psnr": 30.0}]
  table = _compare.tabulate(rows, 1)
  assert table[0][:7] == ["rank", "method", "PSNR", "SSIM", "returned", "averaged PSNR", "last PSNR"]
  assert [line[:6] for line in table[1:]] == [
      ["1", "mean", "30.00", "0.900", "guarded", ""], ["2", "b", "29.00", "0.900", "guarded", "20.00"],
      ["3", "a", "25.00", "0.500", "average", "25.00"]]
  rates = [{**row, "learning rate": rate, "guarded psnr": 20 + rate} for row in rows for rate in (0.1, 0.2)]
  assert _compare._best_rates(rates, 1) == {"a": 0.1, "b": 0.2, "mean": 0.2}
  assert [line[:5] for line in _compare.tabulate_tuned(rows, rates, 1)[1:3]] == [
      ["mean", "0.01", "30.00", "guarded", ""], ["b", "0.01", "29.00", "guarded", "20.00"]]


def test_the_learning_rate_is_the_best_one_on_the_tuning_images():
  rows = [{**_row(name, 0, psnr), "learning rate": rate} for name, rate, psnr in (
      ("a", 0.01, 20.0), ("a", 0.1, 21.0), ("b", 0.01, 25.0), ("b", 0.1, 24.0))]
  assert _compare._best_rates(rows, 1) == {"a": 0.1, "b": 0.01}
  half = [*rows, {**rows[2], "seed": 1}]  # of b, at 0.01 alone, both cases have a result
  assert _compare._best_rates(half, 2) == {"b": 0.01}
  table = _compare.tabulate_tuned(rows[1:3], rows, 1)
  assert table[1] == ["b", "0.01 (an end of the range)", "25.00", "24.00", "26.00", "25.00", "24.00"]
  assert table[0][-2:] == ["tuning, 0.01", "tuning, 0.1"]
  # Every case of c has failed, at every rate.
  table = _compare.tabulate_tuned(rows[1:3], rows, 1, ["a", "c"])
  assert table[0][-3] == "failed" and table[-1] == ["c", "", "", "", "", "all", "", ""]
  assert _compare.tabulate_tuned([], [], 1, ["c"]) == [["method", "failed"], ["c", "all"]]


@pytest.mark.parametrize("record", sorted(RECORDS.glob("compare_*.json")), ids=lambda path: path.stem)
def test_recorded_tables_follow_from_their_rows(record):
  stored = json.loads(record.read_text(encoding="utf-8"))
  asked = stored["config"]["benchmark"]
  cases, names = len(asked["crops"]) * len(asked["seeds"]), asked["methods"]
  assert stored["table"] == files.format_markdown(_compare.tabulate(stored["rows"], cases, names))
  if "tuned" in stored:
    assert stored["tuned table"] == files.format_markdown(
        _compare.tabulate_tuned(stored["tuned"], stored["tuning"], cases, names))


@pytest.mark.slow
def test_a_small_comparison_runs_and_is_not_repeated(tmp_path, arguments):
  _compare.run_compare(arguments)
  record = json.loads((tmp_path / "record.json").read_text())
  rows = [row for row in record["rows"] if row["image"] == "astronaut"]
  by_method = {row["method"]: row for row in rows}
  config = _cases.read_config(arguments.config)
  assert set(config.benchmark.methods) < set(by_method)
  kept = by_method[_methods.LEARNED]["kept"]
  for name in ("random", "magnitude", "SNIP", "GraSP", "SynFlow", "learned mask shuffled inside arrays",
               "iterative magnitude pruning", _methods.ORACLE):
    assert by_method[name]["kept"] == kept
  assert len({row["measurement psnr"] for row in rows}) == 1  # one measurement for all
  recorrupted = by_method[_methods.RECORRUPTED_DENSE]
  assert recorrupted["output"] == "combined" and 0.05 < recorrupted["estimated sigma"] < 0.2
  assert by_method[_methods.ENSEMBLE]["combined psnr"] > 10 and "average psnr" not in by_method[_methods.ENSEMBLE]
  assert (tmp_path / "runs" / "traces.png").is_file() and (tmp_path / "runs" / "traces.csv").is_file()
  assert {row["image"] for row in record["tuning"]} == {"rocket"}
  assert {row["image"] for row in record["tuned"]} == {"astronaut", "coffee"}
  assert len(record["tuning"]) == 2 * len(config.benchmark.methods)
  written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("metrics.jsonl")}
  _compare.run_compare(arguments)
  assert written == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("metrics.jsonl")}
  # Nothing at all is run where an earlier record holds everything.
  arguments.extends, arguments.folder = arguments.output, str(tmp_path / "elsewhere")
  _compare.run_compare(arguments)
  again = json.loads((tmp_path / "record.json").read_text())
  assert all(again[entry] == record[entry] for entry in ("table", "tuned table"))
  assert all(again[entry] == [{"from": record["date"], **row} for row in record[entry]] for entry in ("rows", "tuning", "tuned"))
  assert not list((tmp_path / "elsewhere").rglob("*.json"))
