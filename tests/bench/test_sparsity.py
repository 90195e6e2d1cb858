"""PSNR against density."""

import json
import pathlib

from ml_collections import config_dict
import pytest

from oes_jax.bench import _sparsity
from oes_jax import files

RECORDS = pathlib.Path(__file__).parents[2] / "docs" / "records"


@pytest.mark.slow
def test_the_analysis_writes_csv_figure_and_record(tmp_path, arguments):
  _sparsity.run_sparsity(arguments)
  assert json.loads((tmp_path / "record.json").read_text())["table"].count("\n") > 3
  for suffix in ("csv", "png"):
    assert (tmp_path / "runs" / f"sparsity.{suffix}").stat().st_size > 100


def test_the_recorded_table_follows_from_its_rows():
  stored = json.loads((RECORDS / "sparsity_small.json").read_text(encoding="utf-8"))
  config = config_dict.ConfigDict(stored["config"])
  table = _sparsity.tabulate(config, stored["rows"])
  assert stored["table"] == files.format_markdown(table)
  # A density whose every case has failed keeps its line.
  part = _sparsity.tabulate(config, [row for row in stored["rows"] if row["source"] != "random"])
  assert [line[:2] for line in part] == [line[:2] for line in table] and part[0][-1] == "failed"
  assert {line[0] for line in part[1:] if line[-1]} == {"random"}
