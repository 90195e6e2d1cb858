"""Chunk by chunk: logged, saved, interrupted and resumed bit for bit, whatever was lost; divergence."""

import errno
import os
import re
import shutil
import signal
import types

import interruption
import numpy as np
from PIL import Image
import pytest

from oes_jax import files
from oes_jax import fitting
from oes_jax import runs
from oes_jax.runs import _stage_loop
from runs import tiny_run


def test_metrics_hold_every_step_once(whole):
  lines = tiny_run.read_lines(whole[0])
  assert [(r["stage"], r["step"]) for r in lines] == (
      [("mask", i) for i in range(1, 25)] + [("weights", i) for i in range(1, 31)])
  assert {"loss", "mse", "kl", "mean_logit", "psnr", "psnr_average"} <= lines[0].keys()


@pytest.mark.parametrize("stop_after, changes", [  # chunks; the mask stage has five, the weight stage six
    pytest.param(2, {}, marks=pytest.mark.slow), (5, {}), pytest.param(8, {}, marks=pytest.mark.slow),
    pytest.param(8, tiny_run.RECORRUPTED, marks=pytest.mark.slow),
    pytest.param(11, tiny_run.RECORRUPTED, marks=pytest.mark.slow)])
def test_resume_after_a_signal_is_bit_exact(whole, tmp_path, monkeypatch, stop_after, changes):
  folder, undisturbed = tmp_path / "run", whole[0]
  if changes:
    undisturbed = tmp_path / "whole"
    tiny_run.restore(undisturbed, **changes)
  resume = interruption.interrupt_after(monkeypatch, stop_after)
  with pytest.raises(runs.Interrupted, match="SIGTERM"):
    tiny_run.restore(folder, **changes)
  with Image.open(folder / "preview.png") as preview:
    assert preview.size == (32, 24)
  resume()
  tiny_run.restore(folder, **changes)
  tiny_run.same_result(folder, undisturbed)
  assert not (folder / "preview.png").exists()


def test_resume_survives_lost_and_damaged_work(whole, tmp_path):
  folder = tmp_path / "run"
  shutil.copytree(whole[0], folder)
  (folder / "summary.json").unlink()
  newest = max((folder / "checkpoints").iterdir(), key=lambda p: int(p.name))
  (newest / "manifest.json").unlink()
  with open(folder / "metrics.jsonl", "a", encoding="utf-8") as file:
    file.write('{"stage": "weights", "st')  # a line cut by a kill
  tiny_run.restore(folder)
  tiny_run.same_result(folder, whole[0])


@pytest.mark.slow
@pytest.mark.parametrize("lost", [("mask",), ("checkpoints",), ("checkpoints", "mask"),
                                  ("checkpoints/54", "checkpoints/48")])
def test_whatever_is_lost_the_run_ends_alike(whole, tmp_path, lost):
  folder = tmp_path / "run"
  shutil.copytree(whole[0], folder)
  (folder / "summary.json").unlink()
  for name in lost:
    shutil.rmtree(folder / name, ignore_errors=True)
  tiny_run.restore(folder)
  tiny_run.same_result(folder, whole[0])


@pytest.mark.slow
def test_a_run_goes_on_where_the_disk_was_full(whole, tmp_path, monkeypatch):
  folder, save, saved = tmp_path / "run", files.Checkpoints.save, []
  def full(self, *args):
    if len(saved) == 3:
      raise OSError(errno.ENOSPC, "No space left on device")
    saved.append(args[0])
    save(self, *args)
  monkeypatch.setattr(files.Checkpoints, "save", full)
  with pytest.raises(files.Unwritable, match="the disk of .*run is full"):
    tiny_run.restore(folder)
  monkeypatch.setattr(files.Checkpoints, "save", save)
  assert files.Checkpoints(folder / "checkpoints").latest()[0] == saved[-1] == 20
  tiny_run.restore(folder)
  tiny_run.same_result(folder, whole[0])


@pytest.mark.slow
def test_seconds_count_all_processes(whole, tmp_path, monkeypatch):
  folder, stop = tmp_path / "run", files.MetricsLog.write
  def interrupting(self, stage, *args):
    stop(self, stage, *args)
    if stage == "weights":
      os.kill(os.getpid(), signal.SIGTERM)
  monkeypatch.setattr(files.MetricsLog, "write", interrupting)
  with pytest.raises(runs.Interrupted):
    tiny_run.restore(folder)
  monkeypatch.setattr(files.MetricsLog, "write", stop)
  summary = tiny_run.restore(folder)
  assert summary["seconds"].keys() == whole[1]["seconds"].keys() == {"mask", "weights"}
  for times in summary["seconds"].values():
    assert times["total"] == pytest.approx(times["run"] + times["compile"])
    assert times["per_step"] > 0


@pytest.mark.slow
def test_divergence_is_named_each_time(tmp_path):
  folder = tmp_path / "run"
  with pytest.raises(runs.Failed, match="step .* of the mask stage.*mask.learning_rate"):
    # Logits overflow float32 after a few steps of this size.
    tiny_run.restore(folder, mask__learning_rate=1e38, mask__schedule="constant")
  with pytest.raises(runs.Failed):  # and again, not worse
    tiny_run.restore(folder, mask__learning_rate=1e38, mask__schedule="constant")


@pytest.mark.parametrize("first, stage, said", [
    (1, "mask", "step 1 of the mask stage.*No step came before.*scale them"), (6, "mask", "step 6 .*Lower mask.learning_rate"),
    (6, "round_2", "step 6 of the round_2 stage.*Lower weights.learning_rate")])
def test_no_learning_rate_is_blamed_for_a_loss_that_is_infinite_from_the_start(first, stage, said):
  image = types.SimpleNamespace(log=types.SimpleNamespace(write=lambda *_: None), failure=None)
  _stage_loop._log_chunk(image, 0, stage, first, {"loss": np.array([[np.inf, np.nan]])}, False)
  assert re.search(said, image.failure)


def test_divergence_saves_the_last_good_state(tmp_path, monkeypatch):
  folder = tmp_path / "run"
  iterate = fitting.Program.iterate
  def spoiled(*args, **options):
    for count, (done, state, record, sound) in enumerate(iterate(*args, **options)):
      if count == 2:  # steps 11 to 15
        record["loss"][0, 2:], sound = np.nan, np.array([False])
      yield done, state, record, sound
  monkeypatch.setattr(fitting.Program, "iterate", spoiled)
  with pytest.raises(runs.Failed, match="step 13 of the mask stage; the state of step 10 was kept"):
    tiny_run.restore(folder)
  _, record = files.Checkpoints(folder / "checkpoints").latest()
  assert (record["stage"], record["step"]) == ("mask", 10)
  assert tiny_run.read_lines(folder)[-1]["step"] == 12
