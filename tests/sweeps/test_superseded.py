"""What a file held earlier does not stay among the results as if it were what it holds now."""

import numpy as np
import pytest
import tiny_sweep

from oes_jax import runs
from oes_jax.sweeps import _cases as cases
from oes_jax.sweeps import _plan as plan
from oes_jax.sweeps import _results as results
from oes_jax.sweeps import _superseded as superseded

_LINE = {"mask": "dense", "keep_fraction": None, "kl_weight": None, "sigma": 0.0, "failure": None, "psnr": {}, "ssim": {},
         "kept": 9, "can_act": 9, "size": 9, "seconds": 1.0}


def _write(path, value):
  np.save(path, np.random.default_rng(value).uniform(size=(24, 30)).astype(np.float32))


def _plan(folder, *paths):
  config = tiny_sweep.config(data__source=",".join(map(str, paths)), data__crop=None, mask__source="dense")
  return plan.make_plan(cases.expand(config), folder / "cases")


def _finish(folder, planned, *, ensemble=False):
  """Put planned cases on record as a sweep does, with nothing restored."""
  (folder / "restored").mkdir(exist_ok=True)
  for case in planned:
    runs.claim(runs.inspect(case.config, parent=folder / "cases"))
    results.append_result(folder, {"case": case.name, **case.asked, **_LINE})
    (folder / "restored" / f"{case.name}.npy").write_bytes(b"")
    if ensemble:
      results.append_result(folder, {"case": f"ensemble-{case.name}", "source": case.asked["source"], "failure": None,
                                     "members": 2, "psnr": {}})
      (folder / "restored" / f"ensemble-{case.name}.npy").write_bytes(b"")


def _restored(folder):
  return {path.stem for path in (folder / "restored").iterdir()}


@pytest.mark.parametrize("ensemble", [False, True])
def test_results_of_a_file_that_was_replaced_are_withdrawn(tmp_path, caplog, ensemble):
  first, second = tmp_path / "a.npy", tmp_path / "b.npy"
  _write(first, 0), _write(second, 1)
  old = _plan(tmp_path, first, second)
  _finish(tmp_path, old, ensemble=ensemble)
  superseded.withdraw(tmp_path, old)
  assert not caplog.text and len(_restored(tmp_path)) == 2 + 2 * ensemble
  _write(first, 2)
  new = _plan(tmp_path, first, second)
  superseded.withdraw(tmp_path, new)
  kept = {old[1].name, f"ensemble-{old[1].name}"} if ensemble else {old[1].name}
  assert _restored(tmp_path) == set(results.read_results(tmp_path)) == kept
  assert "a.npy" in caplog.text and "b.npy" not in caplog.text and (tmp_path / "cases" / old[0].name).is_dir()


def test_results_of_another_start_with_other_files_stay(tmp_path, caplog):
  first, second = tmp_path / "a.npy", tmp_path / "b.npy"
  _write(first, 0), _write(second, 1)
  _finish(tmp_path, _plan(tmp_path, first))
  superseded.withdraw(tmp_path, _plan(tmp_path, second))
  assert len(_restored(tmp_path)) == 1 and not caplog.text


def test_files_that_have_gone_are_named(tmp_path, caplog):
  first, second = tmp_path / "a.npy", tmp_path / "b.npy"
  _write(first, 0), _write(second, 1)
  _finish(tmp_path, _plan(tmp_path, first, second))
  first.unlink()
  superseded.withdraw(tmp_path, _plan(tmp_path, second))
  assert len(_restored(tmp_path)) == 2 and "no longer there" in caplog.text and "a.npy" in caplog.text


def test_a_file_that_cannot_be_read_now_takes_nothing_away(tmp_path):
  path = tmp_path / "a.npy"
  _write(path, 0)
  _finish(tmp_path, _plan(tmp_path, path))
  path.write_bytes(b"half")
  superseded.withdraw(tmp_path, _plan(tmp_path, path))
  assert len(_restored(tmp_path)) == 1
