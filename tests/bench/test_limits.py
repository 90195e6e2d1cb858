"""PSNR against the noise level."""

import json
import pathlib

from ml_collections import config_dict
import pytest

from oes_jax.bench import _limits
from oes_jax import files

RECORDS = pathlib.Path(__file__).parents[2] / "docs" / "records"


@pytest.mark.slow
def test_the_analysis_writes_csv_figure_and_record(tmp_path, arguments):
  _limits.run_limits(arguments)
  assert json.loads((tmp_path / "record.json").read_text())["table"].count("\n") > 3
  for suffix in ("csv", "png"):
    assert (tmp_path / "runs" / f"limits.{suffix}").stat().st_size > 100


def test_the_recorded_table_follows_from_its_rows():
  stored = json.loads((RECORDS / "limits_small.json").read_text(encoding="utf-8"))
  config = config_dict.ConfigDict(stored["config"])
  table = _limits.tabulate(config, stored["rows"])
  assert stored["table"] == files.format_markdown(table)
  method = "deep decoder, dense"  # of which every case on photographs fails
  part = _limits.tabulate(config, [
      row for row in stored["rows"] if (row["method"], row["kind"]) != (method, "photograph")])
  lost = len(config.benchmark.crops) * len(config.benchmark.seeds)
  assert {(line[0], line[-1]) for line in part} == {
      ("images", "failed"), ("photograph", f"{method}: {lost}"), ("texture", "")}
