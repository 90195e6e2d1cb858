"""Masks on other images."""

import json
import pathlib

import pytest
from ml_collections import config_dict

from oes_jax.bench import _transfer
from oes_jax import files

RECORDS = pathlib.Path(__file__).parents[2] / "docs" / "records"


def test_the_recorded_transfer_follows_from_its_rows():
  stored = json.loads((RECORDS / "transfer_quick.json").read_text(encoding="utf-8"))
  config = config_dict.ConfigDict(stored["config"])
  table = _transfer.tabulate(config, stored["rows"])
  assert stored["table"] == files.format_markdown(table)
  # What is left of the own mask's rows says what other initial weights cost; the last rows are of all other images.
  assert table[1][5] == "" and table[-2][:2] == ["all other images", "of the mask"] and "±" in table[-1][5]
  # A mask whose every case has failed keeps its line.
  part = _transfer.tabulate(config, [
      row for row in stored["rows"] if row["mask from"] != "astronaut"])
  assert [line[0] for line in part] == [line[0] for line in table] and part[0][-1] == "failed"
  assert {line[0] for line in part if line[-1]} == {"mask learned on", "astronaut"}
  # One image alone has no line for its mask on others.
  config.benchmark.crops = config.benchmark.crops[:1]
  alone = _transfer.tabulate(config, [row for row in stored["rows"] if row["image"] == "rocket"])
  assert "rocket" not in {line[0] for line in alone} and len(alone) == len(table) - 6


@pytest.mark.slow
def test_masks_are_tried_on_the_other_images(tmp_path, arguments):
  _transfer.run_transfer(arguments)
  rows = json.loads((tmp_path / "record.json").read_text())["rows"]
  for suffix in ("csv", "png"):
    assert (tmp_path / "runs" / f"transfer.{suffix}").stat().st_size > 100
  pairs = [(row["mask from"], row["image"], row["init"]) for row in rows]
  assert len(set(pairs)) == len(pairs) == 2 * 2 * (1 + 2 + 3)
  assert ("astronaut", "coffee", "new") in pairs and ("retina", "astronaut", "of the mask") in pairs
  for image in ("astronaut", "coffee"):  # one measurement for all
    assert len({row["measurement psnr"] for row in rows if row["image"] == image}) == 1
