"""The time of many restorations together."""

import argparse
import json

import pytest

from oes_jax.bench import _batch


@pytest.mark.slow
def test_batches_are_timed_against_one_case(tmp_path, capsys):
  _batch.run_batch(argparse.Namespace(
      folder=str(tmp_path / "runs"), output=str(tmp_path / "record.json"), size=24, cases=2, width=[1, 2],
      mask_steps=60, weight_steps=60, rounds=1))
  rows = json.loads((tmp_path / "record.json").read_text())["rows"]
  assert [(row["cases"], row["images at once"]) for row in rows] == [(1, 1), (2, 1), (2, 2)]
  assert all(row["seconds"] > row["steps alone"] > 0 and row["compilation"] > 0 for row in rows)
  assert rows[0]["ratio"] == 1 and rows[1]["ratio"] > 1
  assert "images an hour" in capsys.readouterr().out
