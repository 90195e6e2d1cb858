"""Many cases: batches, failures, restarts, shares."""

import json
import os
import shutil
import signal

import numpy as np
import pytest

from oes_jax import files
from oes_jax.fitting import _engine as engine
from oes_jax.fitting import _objectives as objectives
from oes_jax.runs import _jobs as jobs
from oes_jax.runs import _processes as processes
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
  sweep.run_all(tiny_sweep.config(), str(whole))
  assert before == {path: path.stat().st_mtime_ns for path in whole.rglob("metrics.jsonl")}
  assert (whole / "results.jsonl").read_text().count("\n") == 2
  assert "all images" in tables.write_tables(whole)
  assert (whole / "results.md").read_text().count("|\n") == 5
  assert (whole / "results.csv").read_text().startswith("image,mask,keep_fraction")


@pytest.mark.slow
def test_one_mask_program_serves_all_cases(tmp_path, monkeypatch):
  compiled, compile_chunk = [], engine.compile_chunk
  def recording(step, state, args, **options):
    compiled.append(isinstance(args[0], objectives.Prior))
    return compile_chunk(step, state, args, **options)
  monkeypatch.setattr(engine, "compile_chunk", recording)
  config = tiny_sweep.config(sweep__seeds=(0, 1, 2), compute__compaction=False, data__source="camera")
  sweep.run_all(config, str(tmp_path / "a"))
  assert sum(compiled) == 1 and len(compiled) == 2  # three batches, two programs


@pytest.mark.slow
def test_a_batch_agrees_with_its_cases_alone(whole, tmp_path):
  sweep.run_all(tiny_sweep.config(compute__images_per_device=2), str(tmp_path / "b"))
  for name, line in results.read_results(tmp_path / "b").items():
    assert line["psnr"]["average"] == pytest.approx(
        results.read_results(whole)[name]["psnr"]["average"], abs=0.1)


@pytest.mark.parametrize("stop_after", [
    pytest.param(1, marks=pytest.mark.slow), pytest.param(4, marks=pytest.mark.slow), 6])
def test_a_stopped_sweep_goes_on_bit_for_bit(whole, tmp_path, monkeypatch, stop_after):
  chunks, write = [], files.MetricsLog.write
  def interrupting(self, *args):
    write(self, *args)
    chunks.append(1)
    if len(chunks) == stop_after:
      os.kill(os.getpid(), signal.SIGTERM)
  monkeypatch.setattr(files.MetricsLog, "write", interrupting)
  with pytest.raises(processes.Interrupted):
    sweep.run_all(_config(), str(tmp_path / "run"))
  monkeypatch.setattr(files.MetricsLog, "write", write)
  assert sweep.run_all(_config(), str(tmp_path / "run"))[1]
  assert _restored(tmp_path / "run") == _restored(whole)
    sweep.run_all(tiny_sweep.config(), str(tmp_path / "run"))
  assert sweep.run_all(tiny_sweep.config(), str(tmp_path / "run"))[1]
  assert tiny_sweep.restored(tmp_path / "run") == tiny_sweep.restored(whole)
  assert len(results.read_results(tmp_path / "run")) == 2
  assert not any((tmp_path / "run" / "batches").iterdir())


@pytest.mark.slow
def test_a_batch_goes_on_after_a_row_failed_and_a_stop(tmp_path, monkeypatch):
  """The widths of the compacted nets stand, though one of the masks that they came from is gone."""
  iterate, failed = engine.iterate, []
  def spoiled(*args, **options):
    for done, state, record, sound in iterate(*args, **options):
      if "kl" not in record and not failed:  # the first chunk of the weight stage
        failed.append(done)
        record["loss"][1, 2:], sound = np.nan, np.array([True, False])
        if stop:
          os.kill(os.getpid(), signal.SIGTERM)
      yield done, state, record, sound
  monkeypatch.setattr(engine, "iterate", spoiled)
  config, stop = tiny_sweep.config(compute__images_per_device=2), False
  assert not sweep.run_all(config, str(tmp_path / "whole"))[1]
  failed.clear()
  stop = True
  with pytest.raises(processes.Interrupted):
    sweep.run_all(config, str(tmp_path / "run"))
  assert not sweep.run_all(config, str(tmp_path / "run"))[1]
  assert results.read_results(tmp_path / "run").keys() == results.read_results(tmp_path / "whole").keys()
  assert len(_restored(tmp_path / "run")) == 1
  assert _restored(tmp_path / "run") == _restored(tmp_path / "whole")


@pytest.mark.slow
def test_a_mended_file_is_restored_and_its_failure_forgotten(tmp_path):
  image = tmp_path / "frame.npy"
  image.write_bytes(b"no image")
  config = _config(data__source=f"camera,{image}", data__crop=(0, 0, 24, 30), sweep__mask_sources=("random",))
  assert not sweep.run_all(config, str(tmp_path / "run"))[1]
  assert len(results.read_results(tmp_path / "run")) == 2
  np.save(image, np.random.default_rng(0).uniform(size=(24, 30)).astype(np.float32))
  assert sweep.run_all(config, str(tmp_path / "run"))[1]
  lines = results.read_results(tmp_path / "run").values()
  assert len(lines) == 2 and not any(line["failure"] for line in lines)


def _stop_in(monkeypatch, stage):
  """Send one SIGTERM in the first chunk of a stage, and again whenever the returned list is cleared."""
  sent, write = [], files.MetricsLog.write
  def interrupting(self, name, *args):
    write(self, name, *args)
    if name == stage and not sent:
      sent.append(name)
      os.kill(os.getpid(), signal.SIGTERM)
  monkeypatch.setattr(files.MetricsLog, "write", interrupting)
  return sent


@pytest.mark.slow
def test_a_batch_that_is_cut_anew_starts_over(whole, tmp_path, monkeypatch):
  """Shares that were 2, 1 and 2 again: the first ones' checkpoints are not gone back to."""
  stop = _stop_in(monkeypatch, "weights")
  folder, paired = tmp_path / "run", _config(compute__images_per_device=2)
  with pytest.raises(processes.Interrupted):
    sweep.run_all(_config(), str(folder))
  first, = (folder / "batches").iterdir()
  stop.clear()
  with pytest.raises(processes.Interrupted):
    sweep.run_all(paired, str(folder))
  second, = (folder / "batches").iterdir()
  assert first != second
  assert sweep.run_all(_config(), str(folder))[1]
  assert _restored(folder) == _restored(whole)


@pytest.mark.slow
def test_a_file_that_goes_during_a_sweep_fails_alone(tmp_path, monkeypatch):
  image = tmp_path / "frame.npy"
  np.save(image, np.random.default_rng(0).uniform(size=(24, 30)).astype(np.float32))
  make_plan = plans.make_plan
  def planned_then_removed(*args):
    plan = make_plan(*args)
    image.unlink()
    return plan
  monkeypatch.setattr(plans, "make_plan", planned_then_removed)
  config = _config(data__source=f"{image},camera", data__crop=(0, 0, 24, 30), sweep__mask_sources=("random",))
  folder, complete = sweep.run_all(config, str(tmp_path / "run"))
  failures = {line["source"]: line["failure"] for line in results.read_results(folder).values()}
  assert not complete and failures["camera"] is None and "does not exist" in failures[str(image)]


@pytest.mark.slow
def test_frames_of_other_sizes_are_other_batches(tmp_path, monkeypatch):
  """More images in a folder may widen the frame of a batch that has begun."""
  for name, height in (("a", 21), ("b", 21), ("c", 22)):
    np.save(tmp_path / f"{name}.npy", np.random.default_rng(0).uniform(size=(height, 30)).astype(np.float32))
  common = {"data__crop": None, "sweep__mask_sources": ("random",), "compute__images_per_device": 2}
  _stop_in(monkeypatch, "weights")
  names = [str(tmp_path / f"{name}.npy") for name in "abc"]
  with pytest.raises(processes.Interrupted):
    sweep.run_all(_config(data__source=",".join(names[:2]), **common), str(tmp_path / "run"))
  assert sweep.run_all(_config(data__source=",".join(names), **common), str(tmp_path / "run"))[1]


def test_checkpoints_of_ended_cases_are_removed(whole, tmp_path):
  folder = tmp_path / "run"
  shutil.copytree(whole, folder)
  names = [path.name for path in (folder / "cases").iterdir()]
  for batch, members in {"ended": names, "going on": [*names, "elsewhere"]}.items():
    (folder / "batches" / batch).mkdir(parents=True)
    (folder / "batches" / batch / "batch.json").write_text(json.dumps(members))
  sweep.run_all(_config(), str(folder))
  assert [path.name for path in (folder / "batches").iterdir()] == ["going on"]


@pytest.mark.slow
def test_a_collapsed_case_is_a_failure_without_a_restored_image(tmp_path):
  config = _config(sweep__mask_sources=("random",), sweep__keep_fractions=(0.001, 0.5), data__source="camera")
  folder, complete = sweep.run_all(config, str(tmp_path / "run"))
  failures = {line["keep_fraction"]: line["failure"] for line in results.read_results(folder).values()}
  assert not complete and failures[0.5] is None and "collapsed" in failures[0.001]
  assert len(_restored(folder)) == 1
  assert "cases on record: 2, 1 of them failed" in results.write_tables(folder)
  assert len(tiny_sweep.restored(tmp_path / "run")) == 1
  assert tiny_sweep.restored(tmp_path / "run") == tiny_sweep.restored(tmp_path / "whole")


def test_one_image_and_many_do_not_share_a_folder(whole):
  with pytest.raises(ValueError, match="holds a run of many images, this is one of one image"):
    jobs.prepare(tiny_sweep.config(data__source="camera"), str(whole))


@pytest.mark.slow
def test_shares_split_the_cases_and_meet_in_one_table(whole, tmp_path):
  for share in (1, 0):
    assert sweep.run_all(tiny_sweep.config(), str(tmp_path / "run"), (share, 2))[1]
    assert len(results.read_results(tmp_path / "run")) == 2 - share
  assert tiny_sweep.restored(tmp_path / "run") == tiny_sweep.restored(whole)


@pytest.mark.slow
def test_another_config_in_the_folder_is_refused_but_more_seeds_are_not(whole, tmp_path):
  folder = tmp_path / "run"
  shutil.copytree(whole, folder)
  with pytest.raises(ValueError, match="weights.num_steps: 15 there, 16 now"):
    sweep.run_all(tiny_sweep.config(weights__num_steps=16), str(folder))
  assert sweep.find_folder(tiny_sweep.config(sweep__seeds=(0, 1)), str(folder))[0] == folder
