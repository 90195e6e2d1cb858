"""Many cases: batches, failures, restarts, shares."""

import json
import os
import shutil
import signal

import interruption
import numpy as np
import pytest

from oes_jax import fitting
from oes_jax import runs
from oes_jax.sweeps import _results as results
from oes_jax.sweeps import _sweep as sweep
from oes_jax.sweeps import _tables as tables
import tiny_sweep


def test_every_case_is_on_record_and_finished_ones_are_skipped(whole):
  lines = results.read_results(whole)
  assert len(lines) == 2 and all(line["failure"] is None for line in lines.values())
  for name, line in lines.items():
    summary = json.loads((whole / "cases" / name / "summary.json").read_text())
    assert line["psnr"]["average"] == summary["quality"]["average"]["psnr"]
  before = {path: path.stat().st_mtime_ns for path in whole.rglob("metrics.jsonl")}
  tiny_sweep.run(tiny_sweep.config(), whole)
  assert before == {path: path.stat().st_mtime_ns for path in whole.rglob("metrics.jsonl")}
  assert (whole / "results.jsonl").read_text().count("\n") == 2
  assert "all images" in tables.write_tables(whole)
  assert (whole / "results.md").read_text().count("|\n") == 5
  assert (whole / "results.csv").read_text().startswith("image,mask,keep_fraction")


@pytest.mark.slow
def test_one_mask_program_serves_all_cases(tmp_path, monkeypatch):
  compiled, compile_stage = [], fitting.compile_stage
  def recording(stage, *args, **options):
    compiled.append(stage.name)
    return compile_stage(stage, *args, **options)
  monkeypatch.setattr(fitting, "compile_stage", recording)
  config = tiny_sweep.config(sweep__seeds=(0, 1, 2), compute__compaction=False, data__source="camera")
  tiny_sweep.run(config, tmp_path / "a")
  assert compiled == ["mask", "weights"]  # three batches, two programs


@pytest.mark.slow
def test_programs_that_are_fed_with_the_measurement_serve_all_batches(tmp_path):
  config = tiny_sweep.config(sweep__seeds=(0, 1), operator__name="super_resolution", operator__factor=2, mask__source="dense",
                             generator__input="measurement", fit__objective="recorrupted", data__source="camera")
  tiny_sweep.run(config, tmp_path / "a")
  assert [line["failure"] for line in results.read_results(tmp_path / "a").values()] == [None, None]


@pytest.mark.slow
def test_a_batch_agrees_with_its_cases_alone(whole, tmp_path):
  tiny_sweep.run(tiny_sweep.config(compute__images_per_device=2), tmp_path / "b")
  for name, line in results.read_results(tmp_path / "b").items():
    assert line["psnr"]["average"] == pytest.approx(
        results.read_results(whole)[name]["psnr"]["average"], abs=0.1)


@pytest.mark.slow
def test_images_that_are_fed_are_those_alone_whatever_their_sizes(tmp_path):
  for name, height in (("a", 21), ("b", 22), ("c", 21)):
    np.save(tmp_path / f"{name}.npy", np.random.default_rng(height).uniform(size=(height, 30)).astype(np.float32))
  changes = {"data__crop": None, "compute__images_per_device": 2, "mask__source": "dense", "fit.objective": "recorrupted",
             "generator.input": "measurement", "generator.name": "skip_hourglass"}
  source = lambda names: ",".join(str(tmp_path / f"{name}.npy") for name in names)
  assert tiny_sweep.run(tiny_sweep.config(data__source=source("abc"), **changes), tmp_path / "all")[1]
  for name in "abc":
    alone = runs.run(tiny_sweep.config(data__source=source(name), **changes), str(tmp_path / name))
    folder, = (tmp_path / "all" / "cases").glob(f"{name}-*")
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["noise_level"] == alone["noise_level"]
    np.testing.assert_allclose(np.load(folder / "output.npy"), np.load(tmp_path / name / "output.npy"), atol=2e-3)


@pytest.mark.parametrize("stop_after", [
    pytest.param(1, marks=pytest.mark.slow), pytest.param(4, marks=pytest.mark.slow), 6])
def test_a_stopped_sweep_goes_on_bit_for_bit(whole, tmp_path, monkeypatch, stop_after):
  resume = interruption.interrupt_after(monkeypatch, stop_after)
  with pytest.raises(runs.Interrupted):
    tiny_sweep.run(tiny_sweep.config(), tmp_path / "run")
  resume()
  assert tiny_sweep.run(tiny_sweep.config(), tmp_path / "run")[1]
  assert tiny_sweep.restored(tmp_path / "run") == tiny_sweep.restored(whole)
  assert len(results.read_results(tmp_path / "run")) == 2
  assert not any((tmp_path / "run" / "batches").iterdir())


@pytest.mark.slow
def test_a_batch_goes_on_after_a_row_failed_and_a_stop(tmp_path, monkeypatch):
  """The widths of the compacted nets stand, though one of the masks that they came from is gone."""
  iterate, failed = fitting.Program.iterate, []
  def spoiled(*args, **options):
    for done, state, record, sound in iterate(*args, **options):
      if "kl" not in record and not failed:  # the first chunk of the weight stage
        failed.append(done)
        record["loss"][1, 2:], sound = np.nan, np.array([True, False])
        if stop:
          os.kill(os.getpid(), signal.SIGTERM)
      yield done, state, record, sound
  monkeypatch.setattr(fitting.Program, "iterate", spoiled)
  config, stop = tiny_sweep.config(compute__images_per_device=2), False
  assert not tiny_sweep.run(config, tmp_path / "whole")[1]
  failed.clear()
  stop = True
  with pytest.raises(runs.Interrupted):
    tiny_sweep.run(config, tmp_path / "run")
  assert not tiny_sweep.run(config, tmp_path / "run")[1]
  assert results.read_results(tmp_path / "run").keys() == results.read_results(tmp_path / "whole").keys()
  assert len(tiny_sweep.restored(tmp_path / "run")) == 1
  assert tiny_sweep.restored(tmp_path / "run") == tiny_sweep.restored(tmp_path / "whole")


def test_one_image_and_many_do_not_share_a_folder(whole):
  with pytest.raises(ValueError, match="holds a run of many images, this is one of one image"):
    runs.prepare(tiny_sweep.config(data__source="camera"), str(whole))


@pytest.mark.slow
def test_shares_split_the_cases_and_meet_in_one_table(whole, tmp_path):
  for share in (1, 0):
    assert tiny_sweep.run(tiny_sweep.config(), tmp_path / "run", (share, 2))[1]
    assert len(results.read_results(tmp_path / "run")) == 2 - share
  assert tiny_sweep.restored(tmp_path / "run") == tiny_sweep.restored(whole)


@pytest.mark.slow
def test_another_config_in_the_folder_is_refused_but_more_seeds_are_not(whole, tmp_path):
  folder = tmp_path / "run"
  shutil.copytree(whole, folder)
  with pytest.raises(ValueError, match="weights.num_steps: 15 there, 16 now"):
    tiny_sweep.run(tiny_sweep.config(weights__num_steps=16), folder)
  assert sweep.find_folder(tiny_sweep.config(sweep__seeds=(0, 1)), str(folder))[0] == folder
