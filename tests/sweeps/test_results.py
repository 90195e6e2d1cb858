"""What is on record of cases that ended, failed or were mended."""

import os
import shutil

import numpy as np
import pytest

from oes_jax import fitting
from oes_jax.sweeps import _results as results
from oes_jax.sweeps import _tables as tables
import tiny_sweep


def test_a_line_lost_by_a_kill_is_written_again(whole, tmp_path):
  folder = tmp_path / "run"
  shutil.copytree(whole, folder)
  first, second = (folder / "results.jsonl").read_text().splitlines()
  (folder / "results.jsonl").write_text(f"{first}\n{second[:20]}")
  tiny_sweep.run(tiny_sweep.config(), folder)
  assert results.read_results(folder) == results.read_results(whole)


@pytest.mark.parametrize("lines", [0, 1, 40])
@pytest.mark.parametrize("cut", ["", "x", "x" * 10_000])
def test_a_line_follows_the_last_whole_one(tmp_path, lines, cut):
  for number in range(lines):
    results.append_result(tmp_path, {"case": f"c{number}", "source": "a", "failure": "x" * 300})
  with open(tmp_path / "results.jsonl", "a", encoding="utf-8") as file:
    file.write(cut)
  results.append_result(tmp_path, {"case": "new", "source": "a", "failure": "y"})
  assert list(results.read_results(tmp_path)) == [f"c{number}" for number in range(lines)] + ["new"]


def test_tables_hold_names_that_are_no_text(tmp_path):
  source = os.fsdecode(b"a|b\n\xff.png")
  line = {"source": source, "seed": 0, "mask": "dense", "keep_fraction": None, "kl_weight": None, "sigma": 0.1, "failure": None,
          "psnr": {"average": 30.0}, "ssim": {"average": 0.9}, "kept": 9, "can_act": 9, "size": 9, "seconds": 1.0}
  results.append_result(tmp_path, {"case": "a", **line})
  assert source in tables.write_tables(tmp_path)
  assert r"| a\|b \udcff.png |" in (tmp_path / "results.md").read_text(encoding="utf-8")
  assert r"\udcff.png" in (tmp_path / "results.csv").read_text(encoding="utf-8")


@pytest.mark.slow
def test_failures_are_the_cases_own(whole, tmp_path, monkeypatch):
  (tmp_path / "broken.png").write_bytes(b"no image")
  iterate = fitting.Program.iterate
  def spoiled(*args, **options):
    for done, state, record, sound in iterate(*args, **options):
      if len(sound) == 2:
        record["loss"][1, 2:], sound = np.nan, np.array([True, False])
      yield done, state, record, sound
  monkeypatch.setattr(fitting.Program, "iterate", spoiled)
  config = tiny_sweep.config(data__source=f"camera,coins,{tmp_path / 'broken.png'}",
                             compute__images_per_device=2)
  folder, complete = tiny_sweep.run(config, tmp_path / "run")
  assert not complete
  failures = {line["source"].rsplit("/", 1)[-1]: line["failure"] for line in results.read_results(folder).values()}
  assert failures["camera"] is None and "step 3 of the mask stage" in failures["coins"]
  assert "cannot be read as an image" in failures["broken.png"]
  assert "FAILED coins" in tables.write_tables(folder)


@pytest.mark.slow
def test_a_mended_file_is_restored_and_its_failure_forgotten(tmp_path):
  image = tmp_path / "frame.npy"
  image.write_bytes(b"no image")
  config = tiny_sweep.config(data__source=f"camera,{image}", data__crop=(0, 0, 24, 30), sweep__mask_sources=("random",))
  assert not tiny_sweep.run(config, tmp_path / "run")[1]
  assert len(results.read_results(tmp_path / "run")) == 2
  np.save(image, np.random.default_rng(0).uniform(size=(24, 30)).astype(np.float32))
  assert tiny_sweep.run(config, tmp_path / "run")[1]
  lines = results.read_results(tmp_path / "run").values()
  assert len(lines) == 2 and not any(line["failure"] for line in lines)


@pytest.mark.slow
def test_a_collapsed_case_is_a_failure_without_a_restored_image(tmp_path):
  config = tiny_sweep.config(sweep__mask_sources=("random",), sweep__keep_fractions=(0.001, 0.5), data__source="camera")
  folder, complete = tiny_sweep.run(config, tmp_path / "run")
  failures = {line["keep_fraction"]: line["failure"] for line in results.read_results(folder).values()}
  assert not complete and failures[0.5] is None and "collapsed" in failures[0.001]
  assert len(tiny_sweep.restored(folder)) == 1
  assert "cases on record: 2, 1 of them failed" in tables.write_tables(folder)
  tiny_sweep.run(config, folder)  # a start that finds all ended puts nothing on record again
  assert len((folder / "results.jsonl").read_text().splitlines()) == 2
