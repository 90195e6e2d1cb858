"""Rows of results and what tables say of them."""

import json

import numpy as np
import pytest

from configs import benchmark
from oes_jax.bench import _tables
from oes_jax import files
from oes_jax import runs


def test_differences_are_averaged_over_seeds_and_their_error_is_over_images():
  row = lambda image, seed, psnr: {"image": image, "seed": seed, "average psnr": psnr}
  mine = [row("x", 0, 21.0), row("x", 1, 23.0), row("y", 0, 34.0), row("z", 5, 50.0)]
  others = [row("x", 0, 20.0), row("x", 1, 20.0), row("y", 0, 30.0), row("z", 0, 1.0)]
  assert _tables.paired(mine, others) == "+3.00 ± 1.00"  # of 2 and 4; z has no pair
  assert _tables.paired(mine[:2], others) == "+2.00" and _tables.paired(mine, []) == ""


def test_the_finish_writes_single_values_and_the_matrix_means(tmp_path):
  rows = [{"mask from": source, "image": image, "average psnr": psnr, "seconds": {"all": 1.0}}
          for source, image, psnr in (("a", "x", 20.0), ("a", "x", 22.0), ("a", "y", 30.0), ("b", "y", 25.0))]
  _tables.finish(tmp_path, str(tmp_path / "record.json"), benchmark.get_config(), "tried", rows, [["n"], ["4"]])
  assert (tmp_path / "tried.csv").read_text().splitlines() == [
      "mask from,image,average psnr", "a,x,20.0", "a,x,22.0", "a,y,30.0", "b,y,25.0"]
  record = json.loads((tmp_path / "record.json").read_text())
  assert record["rows"] == rows and record["table"] == "| n |\n| --- |\n| 4 |\n"
  with pytest.raises(runs.Failed, match="tried: no case"):
    _tables.finish(tmp_path, str(tmp_path / "other.json"), benchmark.get_config(), "tried", [], [["n"]])
  part = [*rows, {"mask from": "b", "image": "x", "average psnr": 28.0}]  # its other case has failed
  names, columns, means = _tables.averages(part, lambda row: row["mask from"], lambda row: row["image"])
  assert (names, columns) == (["a", "b"], ["x", "y"])
  np.testing.assert_array_equal(means, [[21, 30], [np.nan, 25]])
  files.save_matrix(tmp_path / "tried.png", names, columns, means, title="t")
  assert (tmp_path / "tried.png").stat().st_size > 100
