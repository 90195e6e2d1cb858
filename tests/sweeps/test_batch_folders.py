"""Checkpoints of batches: cut anew, of other frames, of cases that have ended."""

import json
import shutil

import numpy as np
import pytest

from oes_jax.runs import _processes as processes
from oes_jax.sweeps import _sweep as sweep
import tiny_sweep


@pytest.mark.slow
def test_a_batch_that_is_cut_anew_starts_over(whole, tmp_path, monkeypatch):
  """Shares that were 2, 1 and 2 again: the first ones' checkpoints are not gone back to."""
  stop = tiny_sweep.stop_in(monkeypatch, "weights")
  folder, paired = tmp_path / "run", tiny_sweep.config(compute__images_per_device=2)
  with pytest.raises(processes.Interrupted):
    sweep.run_all(tiny_sweep.config(), str(folder))
  first, = (folder / "batches").iterdir()
  stop.clear()
  with pytest.raises(processes.Interrupted):
    sweep.run_all(paired, str(folder))
  second, = (folder / "batches").iterdir()
  assert first != second
  assert sweep.run_all(tiny_sweep.config(), str(folder))[1]
  assert tiny_sweep.restored(folder) == tiny_sweep.restored(whole)


@pytest.mark.slow
def test_frames_of_other_sizes_are_other_batches(tmp_path, monkeypatch):
  """More images in a folder may widen the frame of a batch that has begun."""
  for name, height in (("a", 21), ("b", 21), ("c", 22)):
    np.save(tmp_path / f"{name}.npy", np.random.default_rng(0).uniform(size=(height, 30)).astype(np.float32))
  common = {"data__crop": None, "sweep__mask_sources": ("random",), "compute__images_per_device": 2}
  tiny_sweep.stop_in(monkeypatch, "weights")
  names = [str(tmp_path / f"{name}.npy") for name in "abc"]
  with pytest.raises(processes.Interrupted):
    sweep.run_all(tiny_sweep.config(data__source=",".join(names[:2]), **common), str(tmp_path / "run"))
  assert sweep.run_all(tiny_sweep.config(data__source=",".join(names), **common), str(tmp_path / "run"))[1]


def test_checkpoints_of_ended_cases_are_removed(whole, tmp_path):
  folder = tmp_path / "run"
  shutil.copytree(whole, folder)
  names = [path.name for path in (folder / "cases").iterdir()]
  for batch, members in {"ended": names, "going on": [*names, "elsewhere"]}.items():
    (folder / "batches" / batch).mkdir(parents=True)
    (folder / "batches" / batch / "batch.json").write_text(json.dumps(members))
  sweep.run_all(tiny_sweep.config(), str(folder))
  assert [path.name for path in (folder / "batches").iterdir()] == ["going on"]
