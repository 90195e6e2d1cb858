"""Checkpoints of batches: cut anew, of other frames, of cases that have ended."""

import shutil

import numpy as np
import pytest

from oes_jax import files
from oes_jax import runs
from oes_jax.sweeps import _batch_folders as batch_folders
import tiny_sweep


@pytest.mark.slow
def test_a_batch_that_is_cut_anew_starts_over(whole, tmp_path, monkeypatch):
  """Shares that were 2, 1 and 2 again: the first ones' checkpoints are not gone back to."""
  stop = tiny_sweep.stop_in(monkeypatch, "weights")
  folder, paired = tmp_path / "run", tiny_sweep.config(compute__images_per_device=2)
  with pytest.raises(runs.Interrupted):
    tiny_sweep.run(tiny_sweep.config(), folder)
  first, = (folder / "batches").iterdir()
  stop.clear()
  with pytest.raises(runs.Interrupted):
    tiny_sweep.run(paired, folder)
  second, = (folder / "batches").iterdir()
  assert first != second
  assert tiny_sweep.run(tiny_sweep.config(), folder)[1]
  assert tiny_sweep.restored(folder) == tiny_sweep.restored(whole)


@pytest.mark.slow
def test_frames_of_other_sizes_are_other_batches(tmp_path, monkeypatch):
  """More images in a folder may widen the frame of a batch that has begun."""
  for name, height in (("a", 21), ("b", 21), ("c", 22)):
    np.save(tmp_path / f"{name}.npy", np.random.default_rng(0).uniform(size=(height, 30)).astype(np.float32))
  common = {"data__crop": None, "sweep__mask_sources": ("random",), "compute__images_per_device": 2}
  tiny_sweep.stop_in(monkeypatch, "weights")
  names = [str(tmp_path / f"{name}.npy") for name in "abc"]
  with pytest.raises(runs.Interrupted):
    tiny_sweep.run(tiny_sweep.config(data__source=",".join(names[:2]), **common), tmp_path / "run")
  assert tiny_sweep.run(tiny_sweep.config(data__source=",".join(names), **common), tmp_path / "run")[1]


def test_checkpoints_of_ended_cases_are_removed(whole, tmp_path):
  folder = tmp_path / "run"
  shutil.copytree(whole, folder)
  names = [path.name for path in (folder / "cases").iterdir()]
  for batch, members in {"ended": names, "going on": [*names, "elsewhere"]}.items():
    (folder / "batches" / batch).mkdir(parents=True)
    files.write_sealed(folder / "batches" / batch / "batch.json", {"cases": members})
  tiny_sweep.run(tiny_sweep.config(), folder)
  assert [path.name for path in (folder / "batches").iterdir()] == ["going on"]


@pytest.mark.slow
def test_a_case_that_another_process_had_for_a_while_is_restored_later(tmp_path, monkeypatch):
  """The batch went on without it: what its row holds in the checkpoint since is not its own."""
  config, folder = tiny_sweep.config(compute__images_per_device=2), tmp_path / "run"
  assert tiny_sweep.run(config, tmp_path / "whole")[1]
  stop = tiny_sweep.stop_in(monkeypatch, "weights")
  with pytest.raises(runs.Interrupted):
    tiny_sweep.run(config, folder)
  stop.clear()
  coins, = (folder / "cases").glob("coins-*")
  with runs.lock(coins), pytest.raises(runs.Interrupted):
    tiny_sweep.run(config, folder)
  assert not tiny_sweep.run(config, folder)[1]  # the batch ends without it
  assert tiny_sweep.run(config, folder)[1]
  assert tiny_sweep.restored(folder) == tiny_sweep.restored(tmp_path / "whole")


@pytest.mark.slow
def test_a_batch_that_another_process_ends_at_that_moment_is_left_to_it(whole, tmp_path, monkeypatch):
  lock = runs.lock
  def removing(folder):
    if folder.parent.name == "batches":
      shutil.rmtree(folder)
    return lock(folder)
  monkeypatch.setattr(runs, "lock", removing)
  assert tiny_sweep.run(tiny_sweep.config(), tmp_path / "run") == (tmp_path / "run", False)
  monkeypatch.setattr(runs, "lock", lock)
  assert tiny_sweep.run(tiny_sweep.config(), tmp_path / "run")[1]
  assert tiny_sweep.restored(tmp_path / "run") == tiny_sweep.restored(whole)


def test_only_what_no_process_works_on_makes_room_for_a_batch(tmp_path):
  others = {"going on": ["a", "b"], "left": ["b", "c"], "elsewhere": ["d"]}
  for name, members in {**others, "mine": None}.items():
    (tmp_path / "batches" / name).mkdir(parents=True)
    if members:
      files.write_sealed(tmp_path / "batches" / name / "batch.json", {"cases": members})
  with runs.lock(tmp_path / "batches" / "going on"):
    batch_folders._note(tmp_path, tmp_path / "batches" / "mine", ["b"], begins=True)
  assert {path.name for path in (tmp_path / "batches").iterdir()} == {"going on", "elsewhere", "mine"}
  assert files.read_sealed(tmp_path / "batches" / "mine" / "batch.json") == {"cases": ["b"]}
