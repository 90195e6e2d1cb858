"""Many cases: what a config asks for, failures, restarts, ensembles, tables, shares."""

import json
import os
import shutil
import signal

import numpy as np
import pytest

from configs import default
from oes_jax import files
from oes_jax.fitting import _engine as engine
from oes_jax.fitting import _objectives as objectives
from oes_jax import main
from oes_jax.runs import _jobs as jobs
from oes_jax.runs import _processes as processes
from oes_jax.sweeps import _cases as cases
from oes_jax.sweeps import _plans as plans
from oes_jax.sweeps import _results as results
from oes_jax.sweeps import _sweep as sweep

TINY = {
    "data.source": "camera,coins", "data.crop": (100, 150, 24, 30), "generator.num_scales": 1,
    "generator.channels": (8,), "mask.num_steps": 12, "mask.keep_fraction": 0.4,
    "weights.num_steps": 15, "checkpoint.every_steps": 6, "compute.chunk_steps": 6,
    "compute.compilation_cache": "", "compute.images_per_device": 1,
}


def _config(**changes):
  config = default.get_config()
  config.update_from_flattened_dict(
      {**TINY, **{key.replace("__", "."): value for key, value in changes.items()}})
  return config


@pytest.fixture(scope="module", name="whole")
def fixture_whole(tmp_path_factory):
  """Two images, one after another; not changed by the tests below."""
  folder = tmp_path_factory.mktemp("sweep") / "run"
  assert sweep.run_all(_config(), str(folder)) == (folder, True)
  return folder


def _restored(folder):
  return {path.name: path.read_bytes() for path in (folder / "restored").iterdir()}


def test_settings_are_crossed_without_repeats():
  config = _config(sweep__mask_sources=("learn", "random", "dense"), sweep__seeds=(0, 1),
                   sweep__keep_fractions=(0.1, 0.5), sweep__kl_weights=(1e-8, 1e-7))
  listed = [case.config for case in cases.expand(config)]
  assert len(listed) == 2 * 2 * (2 * 2 + 2 + 1)
  dense = [c for c in listed if c.mask.source == "dense"]
  assert len(dense) == 4 and all(c.mask.keep_fraction is None for c in dense)
  assert all(not len(values) for c in listed for values in c.sweep.values())
  assert not cases.is_many(_config(data__source="camera"))
  for key, value in {"sweep__mask_sources": ("learned",), "sweep__seeds": ("a",),
                     "sweep__keep_fractions": (2.0,), "sweep__sigmas": (-1.0,)}.items():
    with pytest.raises(ValueError, match=f"{key.replace('__', '.')} holds .*(allowed|cannot be cast)"):
      cases.expand(_config(**{key: value}))


def test_members_of_an_ensemble_share_one_measurement():
  listed = cases.expand(_config(ensemble=3, seed=7))
  assert [(case.ensemble, case.member) for case in listed] == [(i, j) for i in (0, 1) for j in (0, 1, 2)]
  assert len({case.config.seed for case in listed[:3]}) == 3
  assert {case.config.noise.seed for case in listed} == {7}


def test_every_case_is_on_record_and_finished_ones_are_skipped(whole):
  lines = results.read_results(whole)
  assert len(lines) == 2 and all(line["failure"] is None for line in lines.values())
  for name, line in lines.items():
    summary = json.loads((whole / "cases" / name / "summary.json").read_text())
    assert line["psnr"]["average"] == summary["quality"]["average"]["psnr"]
  before = {path: path.stat().st_mtime_ns for path in whole.rglob("metrics.jsonl")}
  sweep.run_all(_config(), str(whole))
  assert before == {path: path.stat().st_mtime_ns for path in whole.rglob("metrics.jsonl")}
  assert (whole / "results.jsonl").read_text().count("\n") == 2
  assert "all images" in results.write_tables(whole)
  assert (whole / "results.md").read_text().count("|\n") == 5
  assert (whole / "results.csv").read_text().startswith("image,mask,keep_fraction")


@pytest.mark.slow
def test_one_mask_program_serves_all_cases(tmp_path, monkeypatch):
  compiled, compile_chunk = [], engine.compile_chunk
  def recording(step, state, args, **options):
    compiled.append(isinstance(args[0], objectives.Prior))
    return compile_chunk(step, state, args, **options)
  monkeypatch.setattr(engine, "compile_chunk", recording)
  config = _config(sweep__seeds=(0, 1, 2), compute__compaction=False, data__source="camera")
  sweep.run_all(config, str(tmp_path / "a"))
  assert sum(compiled) == 1 and len(compiled) == 2  # three batches, two programs


@pytest.mark.slow
def test_a_batch_agrees_with_its_cases_alone(whole, tmp_path):
  sweep.run_all(_config(compute__images_per_device=2), str(tmp_path / "b"))
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
  assert len(results.read_results(tmp_path / "run")) == 2
  assert not any((tmp_path / "run" / "batches").iterdir())


def test_a_line_lost_by_a_kill_is_written_again(whole, tmp_path):
  folder = tmp_path / "run"
  shutil.copytree(whole, folder)
  first, second = (folder / "results.jsonl").read_text().splitlines()
  (folder / "results.jsonl").write_text(f"{first}\n{second[:20]}")
  sweep.run_all(_config(), str(folder))
  assert results.read_results(folder) == results.read_results(whole)


def test_failures_are_the_cases_own(whole, tmp_path, monkeypatch):
  (tmp_path / "broken.png").write_bytes(b"no image")
  iterate = engine.iterate
  def spoiled(*args, **options):
    for done, state, record, sound in iterate(*args, **options):
      if len(sound) == 2:
        record["loss"][1, 2:], sound = np.nan, np.array([True, False])
      yield done, state, record, sound
  monkeypatch.setattr(engine, "iterate", spoiled)
  config = _config(data__source=f"camera,coins,{tmp_path / 'broken.png'}",
                   compute__images_per_device=2)
  folder, complete = sweep.run_all(config, str(tmp_path / "run"))
  assert not complete
  failures = {line["source"].rsplit("/", 1)[-1]: line["failure"] for line in results.read_results(folder).values()}
  assert failures["camera"] is None and "step 3 of the mask stage" in failures["coins"]
  assert "cannot be read as an image" in failures["broken.png"]
  assert "FAILED coins" in results.write_tables(folder)


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
  config, stop = _config(compute__images_per_device=2), False
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


def test_one_image_and_many_do_not_share_a_folder(whole):
  with pytest.raises(ValueError, match="holds a run of many images, this is one of one image"):
    jobs.prepare(_config(data__source="camera"), str(whole))


def test_one_program_needs_all_its_variables(monkeypatch):
  monkeypatch.setenv("JAX_PROCESS_ID", "0")
  with pytest.raises(ValueError, match="--distributed found .*JAX_COORDINATOR_ADDRESS=host:port"):
    main._join_program()


@pytest.mark.slow
def test_shares_split_the_cases_and_meet_in_one_table(whole, tmp_path):
  for share in (1, 0):
    assert sweep.run_all(_config(), str(tmp_path / "run"), (share, 2))[1]
    assert len(results.read_results(tmp_path / "run")) == 2 - share
  assert _restored(tmp_path / "run") == _restored(whole)


def test_an_ensemble_is_the_mean_of_its_members(tmp_path):
  folder, _ = sweep.run_all(_config(data__source="camera", ensemble=2), str(tmp_path / "run"))
  ensemble, = (folder / "ensembles").iterdir()
  members = [np.load(path / "output.npy") for path in (folder / "cases").iterdir()]
  mean, spread = np.load(ensemble / "output.npy"), np.load(ensemble / "spread.npy")
  np.testing.assert_allclose(mean, np.mean(members, 0), atol=1e-6)
  np.testing.assert_allclose(spread, 255 * np.std(members, 0, ddof=1), rtol=1e-3, atol=1e-3)
  measured = [path.read_bytes() for path in (folder / "cases").rglob("measurement.png")]
  assert measured[0] == measured[1]
  quality = json.loads((ensemble / "summary.json").read_text())["quality"]
  assert quality["gain"] == pytest.approx(quality["average"]["psnr"] - np.mean(quality["members"]))
  assert (ensemble / "uncertainty.png").is_file() and (ensemble / "restored.png").is_file()
  assert "PSNR of their mean" in results.write_tables(folder)


@pytest.mark.parametrize("flag, environment, share", [
    ("1/3", {"SLURM_ARRAY_TASK_ID": "0"}, (1, 3)),
    (None, {}, (0, 1)),
    (None, {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MIN": "5", "SLURM_ARRAY_TASK_COUNT": "4"}, (2, 4)),
    (None, {"JOB_COMPLETION_INDEX": "2", "JOB_COMPLETIONS": "5"}, (2, 5)),
])
def test_the_share_comes_from_the_flag_or_the_scheduler(flag, environment, share):
  assert main.find_shard(flag, environment) == share


@pytest.mark.parametrize("flag", ["3/3", "1", "-1/2", "a/b"])
def test_a_faulty_share_is_named(flag):
  with pytest.raises(ValueError, match="--shard=.*allowed: i/n"):
    main.find_shard(flag, {})


@pytest.mark.slow
def test_another_config_in_the_folder_is_refused_but_more_seeds_are_not(whole, tmp_path):
  folder = tmp_path / "run"
  shutil.copytree(whole, folder)
  with pytest.raises(ValueError, match="weights.num_steps: 15 there, 16 now"):
    sweep.run_all(_config(weights__num_steps=16), str(folder))
  assert sweep.find_folder(_config(sweep__seeds=(0, 1)), str(folder))[0] == folder


def test_an_array_with_gaps_is_refused():
  with pytest.raises(ValueError, match="SLURM_ARRAY_TASK_ID=3 .*allowed: an array without gaps"):
    main.find_shard(None, {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_MIN": "1",
                           "SLURM_ARRAY_TASK_COUNT": "2"})
