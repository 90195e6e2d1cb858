"""Inverse problems."""

import json
import pathlib

import pytest
from ml_collections import config_dict

from configs import benchmark
from oes_jax.bench import _inverse
from oes_jax.bench import _methods
from oes_jax.bench import _tables
from oes_jax import files

RECORDS = pathlib.Path(__file__).parents[2] / "docs" / "records"


def test_the_recorded_inverse_problems_follow_from_their_rows():
  stored = json.loads((RECORDS / "inverse.json").read_text(encoding="utf-8"))
  config = config_dict.ConfigDict(stored["config"])
  with config.unlocked():
    config.benchmark.inverse_seeds = config.benchmark.get("inverse_seeds", config.benchmark.seeds)
  methods = stored.get("methods") or {
      problem: list(dict.fromkeys(row["method"] for row in stored["rows"] if row["problem"] == problem))
      for problem, _, _ in config.benchmark.problems}
  table = _inverse.tabulate(config, stored["rows"], methods)
  assert stored["table"] == files.format_markdown(table)
  part = _inverse.tabulate(config, [row for row in stored["rows"] if row["method"] != "zero-filled"], methods)
  failed, = [line for line in part[1:] if line[-1]]
  assert failed[1] == "zero-filled" and failed[-1] == "3 of 3" and len(part) == len(table)


@pytest.mark.parametrize("name", ["default", "mask", "ensemble", "operators"])
def test_tables_of_the_presets_follow_from_their_rows(name):
  stored = json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8"))
  config = config_dict.ConfigDict(stored["config"])
  assert stored["table"] == files.format_markdown(_inverse.tabulate(config, stored["rows"], stored["methods"]))
  assert [problem for problem, _, _ in config.benchmark.problems] == [
      problem for problem, _, _ in benchmark.get_config(name).benchmark.problems]
  assert all(set(benchmark.get_config(name).benchmark.networks) < set(methods) for methods in stored["methods"].values())


@pytest.mark.parametrize("name, line, method, score", [
    ("default", "| **default** |", _methods.RECORRUPTED_DENSE, _tables.returned),
    ("ensemble", "| **the mean of four, `ensemble=4`** |", _methods.ENSEMBLE, _tables.returned),
    ("operators", "| `:oes` |", _methods.LEARNED, lambda row: row["average psnr"]),
    ("operators", "| dense net, plain objective, stopped by ES-WMV |", _methods.DENSE, lambda row: row["guarded psnr"])])
def test_what_the_results_say_of_a_record_follows_from_its_rows(name, line, method, score):
  stored = json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8"))
  config, rows = config_dict.ConfigDict(stored["config"]), stored["rows"]
  said = [text for text in (RECORDS.parent / "results.md").read_text(encoding="utf-8").splitlines() if text.startswith(line)]
  for problem, _, _ in config.benchmark.problems:
    scores = [score(row) for row in rows if (row["problem"], row["method"]) == (problem, method)]
    assert len(scores) == 9 and any(f"{sum(scores) / 9:.2f} ±" in text for text in said)


@pytest.mark.parametrize("line, name, methods", [
    ("default", "default", [_methods.RECORRUPTED_DENSE]), ("mean of four", "ensemble", [_methods.ENSEMBLE]),
    ("BM3D", "default", ["BM3D, told sigma"]),
    ("non-local means", "default", ["non-local means, told sigma", "plug-and-play, non-local means"]),
    ("total variation", "default", ["total variation, weight sigma", "total variation, told sigma"])])
def test_the_table_of_the_readme_follows_from_the_rows_of_its_record(line, name, methods):
  stored = json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8"))
  page = (RECORDS.parents[1] / "README.md").read_text(encoding="utf-8").splitlines()
  said, = [text for text in page if text.startswith(f"| {line} |")]
  means = [[_tables.returned(row) for row in stored["rows"] if row["problem"] == problem and row["method"] in methods]
           for problem in json.loads((RECORDS / "default.json").read_text(encoding="utf-8"))["methods"]]
  assert [cell.strip() for cell in said.split("|")[2:-1]] == [f"{sum(scores) / 9:.2f}" if scores else "" for scores in means]


@pytest.mark.slow
def test_inverse_problems_are_solved_by_networks_and_peers(tmp_path, arguments):
  _inverse.run_inverse(arguments)
  record = json.loads((tmp_path / "record.json").read_text())
  found = {(row["problem"].split()[0], row["method"]) for row in record["rows"]}
  assert {("half", "biharmonic inpainting"), ("Gaussian", "Richardson-Lucy, 10 iterations"), ("4", "bicubic"),
          ("MRI,", "zero-filled"), ("tomography,", "SART, 2 passes")} <= found
  for problem in ("half", "Gaussian", "4", "MRI,", "tomography,"):
    assert {(problem, name) for name in (
        _methods.LEARNED, _methods.ENSEMBLE, "total variation, told sigma", "plug-and-play, non-local means")} <= found
  assert all(_tables.returned(row) > 8 for row in record["rows"])
  for suffix in ("csv", "png"):
    assert (tmp_path / "runs" / f"inverse.{suffix}").stat().st_size > 100
  count = len({(row["problem"], row["method"]) for row in record["rows"]})
  assert record["table"].count("\n") == 2 + count and "rocket, retina" in record["table"]
