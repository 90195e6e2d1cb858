"""Method auto: candidates, and their mix."""

import importlib.util
import json

import numpy as np
import pytest

import oes_jax
from oes_jax import runs
from oes_jax.runs import _auto
from oes_jax.runs import _budget
from oes_jax.runs import _candidates
from oes_jax.runs import _run as runs_of_one
import pages
from runs import tiny_run

_AUTO = {**tiny_run.TINY_MEASURED, **tiny_run.RECORRUPTED, "mask.source": "dense", "weights.num_steps": 6, "method": "auto",
         "compute.chunk_steps": 3, "noise.sigma": 0.1, "checkpoint.every_steps": 3}
_CLASSICAL = ["plug-and-play", "non-local means", "total variation"]


def _leave_two_networks(patch):
  """Leave two networks, one of each objective, and no BM3D, whose last bits differ from run to run."""
  patch.setattr(importlib.util, "find_spec", lambda name, of_all=importlib.util.find_spec: None if name == "bm3d" else of_all(name))
  of_all = _candidates.networks
  patch.setattr(_candidates, "networks", lambda settings: {
      name: changes for name, changes in of_all(settings).items() if name in (_candidates.RECORRUPTED, _candidates.GUARDED)})


@pytest.fixture(autouse=True)
def _two_networks(monkeypatch):
  _leave_two_networks(monkeypatch)


@pytest.fixture(scope="module", name="whole")
def fixture_whole(tmp_path_factory):
  """An uninterrupted run, (folder, summary); no test changes it."""
  with pytest.MonkeyPatch.context() as patch:
    _leave_two_networks(patch)
    folder = tmp_path_factory.mktemp("auto") / "run"
    return folder, tiny_run.restore(folder, _AUTO)


def test_the_result_is_the_mix_that_the_summary_says(whole):
  folder, summary = whole
  shares = {one["name"]: one["share"] for one in summary["candidates"]}
  assert {_candidates.RECORRUPTED, _candidates.GUARDED} <= set(shares) and sum(shares.values()) == pytest.approx(1)
  mixed = sum(share * np.load(folder / "candidates" / _candidates.folder_name(name) / "output.npy")
              for name, share in shares.items())
  np.testing.assert_allclose(np.load(folder / "output.npy"), mixed, atol=1e-5)
  assert summary["quality"].keys() == {"measurement", "combined"} and summary["expected_psnr"]["of"] == "image"
  assert runs.read_finished(folder) == json.loads((folder / "summary.json").read_text())


def test_a_network_that_is_the_estimate_counts_once(whole):
  job = runs.inspect(tiny_run.config(_AUTO), str(whole[0]))
  problem = _auto.problem_of(job, runs.measure(job))
  made = {name: make() for name, make in _auto.classical(job, problem)}
  twice = {**made, _candidates.RECORRUPTED: made["plug-and-play"]}
  shares = _auto.mix(job, problem, twice, expects=False).shares
  assert shares == {**_auto.mix(job, problem, made, expects=False).shares, _candidates.RECORRUPTED: 0.0}


def test_candidates_restore_one_measurement_and_see_no_value_that_is_held_out(whole):
  folder, summary = whole
  listed = {path.name for path in (folder / "candidates").iterdir()}
  assert {_candidates.folder_name(name) for name in _CLASSICAL} < listed
  parts = [json.loads((folder / "candidates" / _candidates.folder_name(name) / "summary.json").read_text())
           for name in (_candidates.RECORRUPTED, _candidates.GUARDED)]
  for part in parts:
    assert part["quality"]["measurement"] == summary["quality"]["measurement"] and part["config"]["method"] == "network"
  assert [part["config"]["fit"]["objective"] for part in parts] == ["recorrupted", "plain"]


def test_a_run_that_was_stopped_and_damaged_ends_in_the_same_image(whole, tmp_path, monkeypatch):
  folder, _ = whole
  stop = iter((None,) * 4 + (15,) * 99)  # within the first network
  with monkeypatch.context() as patch, pytest.raises(runs.Interrupted):
    patch.setattr(runs.Signals, "received", property(lambda self: next(stop), lambda self, value: None), raising=False)
    tiny_run.restore(tmp_path / "run", _AUTO)
  place = tmp_path / "run" / "candidates"
  assert json.loads((tmp_path / "run" / "candidates.json").read_text())["seconds"] > 0
  assert not (tmp_path / "run" / "summary.json").exists() and (place / "recorrupted-dense" / "checkpoints").is_dir()
  (place / "non-local-means" / "output.npy").write_bytes(b"damaged")
  tiny_run.restore(tmp_path / "run", _AUTO)
  assert (tmp_path / "run" / "output.npy").read_bytes() == (folder / "output.npy").read_bytes()


def test_a_budget_leaves_out_what_does_not_fit_in_and_a_restart_keeps_to_it(tmp_path):
  summary = tiny_run.restore(tmp_path / "run", _AUTO, budget_s=1e-6)
  assert [one["name"] for one in summary["candidates"]] == ["plug-and-play"]
  assert set(summary["left_out"]) >= {"non-local means", "total variation", _candidates.RECORRUPTED, _candidates.GUARDED}
  assert all("budget_s" in why or "pip install bm3d" in why for why in summary["left_out"].values())
  (tmp_path / "run" / "summary.json").unlink()
  again = tiny_run.restore(tmp_path / "run", _AUTO, budget_s=1e-6)
  assert again["left_out"] == summary["left_out"] and again["candidates"] == summary["candidates"]


def test_a_candidate_that_would_not_end_in_time_is_ended(monkeypatch):
  now = iter((0.0, 1.0, 2.0, 4.0, 6.0, 8.0))
  monkeypatch.setattr(_budget.time, "monotonic", lambda: next(now))
  budget = _budget.Budget(runs.Signals(), 20.0, 5.0)  # until 15
  budget.begin(4)
  assert [budget.received for _ in range(3)] == [None, None, None]  # a chunk takes 1.5 s: it would end at 5.5
  budget.expect(0.2)
  assert budget.quickest == 4.0
  budget.end(9.0)
  budget.expect(0.1)
  assert budget.quickest == 9.0  # a network has ended: its own seconds count
  budget.begin(40)
  assert budget.received is None and budget.received is None and not budget.over


def test_settings_that_some_networks_do_not_follow_are_named(monkeypatch):
  monkeypatch.undo()  # all networks
  told = {"data.source": "camera", "data.crop": (0, 0, 32, 32)}
  of = lambda **changes: _candidates.remark_dropped(runs.check_config(runs.make_config(
      preset="quick", **told, method="auto", **{key.replace("__", "."): value for key, value in changes.items()})))
  assert not of() and not of(weights__num_steps=50, mask__num_steps=20, fit__sigma=0.1)
  said, = of(mask__temperature=0.4, generator__num_scales=2)
  assert "mask.temperature=0.4 (recorrupted, learned mask has" in said and "generator.num_scales=2 (" in said


def test_a_candidate_that_fails_is_left_out(tmp_path, monkeypatch):
  def fail(job, signals, label):
    raise runs.Failed(f"{label}the loss is not finite")
  monkeypatch.setattr(runs_of_one, "_restore_whole", fail)
  summary = tiny_run.restore(tmp_path / "run", _AUTO)
  assert {key: why for key, why in summary["left_out"].items() if key != "BM3D"} == {
      name: f"{name}: the loss is not finite" for name in (_candidates.RECORRUPTED, _candidates.GUARDED)}
  assert {one["name"] for one in summary["candidates"]} <= set(_CLASSICAL)


def test_a_file_without_a_truth_has_all_outputs(tmp_path):
  np.save(tmp_path / "noisy.npy", np.float32(tiny_run.phantom() + 5 * np.random.default_rng(0).standard_normal((24, 32))))
  told = {**_AUTO, "data.source": str(tmp_path / "noisy.npy"), "data.crop": None, "noise.sigma": None, "output.figures": True,
          "budget_s": 1e-6}
  summary = tiny_run.restore(tmp_path / "run", told)
  assert summary["quality"] is None and summary["expected_psnr"]["psnr"] > 10
  assert {"report.html", "before_after.png", "error_map.npy", "restored.npy", "manifest.json"} <= {
      path.name for path in (tmp_path / "run").iterdir()}
  assert not (tmp_path / "run" / "preview.png").exists()
  page = pages.read(tmp_path / "run")
  assert "Methods" in page.headings and "measurement alone: plug-and-play. How" in page.text and "PSNR of the measurement" in page.text
  assert "plug-and-play 100 %" in page.text and "total variation left out: no time was left of budget_s" in page.text
  assert "denoising; 24 × 32 pixels" in page.text and "PSNR, dB" not in page.text


def test_a_network_in_memory_that_would_not_end_in_time_is_ended(monkeypatch):
  monkeypatch.setattr(_budget.Budget, "is_spent", property(lambda self: False))
  monkeypatch.setattr(_budget.Budget, "received", property(lambda self: 15))
  noisy = np.float32(tiny_run.phantom() / 120)
  told = {key: value for key, value in _AUTO.items() if not key.startswith(("data.", "noise.", "output.", "method", "checkpoint"))}
  with pytest.warns(UserWarning, match="left out of measurement: recorrupted, dense; dense, guarded: it would not end"):
    restored = oes_jax.restore(noisy, method="auto", settings={**told, "data.range": (0.0, 1.0), "budget_s": 100.0, "fit.sigma": 0.1},
                               progress=False)
  assert restored.summary["quality"] is None and "expected PSNR" in repr(restored)
  assert [one["name"] for one in restored.summary["candidates"]][0] in _CLASSICAL


def test_the_call_mixes_in_memory(recwarn):
  clean = np.float32(tiny_run.phantom() / 120)
  told = {key: value for key, value in _AUTO.items() if not key.startswith(("data.", "noise.", "output.", "method", "checkpoint"))}
  measured = np.clip(clean + 0.1 * np.random.default_rng(0).standard_normal(clean.shape), 0, 1).astype(np.float32)
  restored = oes_jax.restore(measured, truth=clean, method="auto", settings={**told, "data.range": (0.0, 1.0), "budget_s": 1e-6},
                             progress=False)
  assert [one["name"] for one in restored.summary["candidates"]] == ["plug-and-play"]
  assert sum("left out of measurement" in str(one.message) for one in recwarn) == 1 and len(restored.summary["left_out"]) > 3
  assert restored.image.shape == clean.shape and restored.error.shape == clean.shape
  assert restored.summary["quality"]["combined"]["psnr"] > restored.summary["quality"]["measurement"]["psnr"]


@pytest.mark.parametrize("changes, words", [
    ({"budget_s": 5.0, "method": "network"}, "budget_s=5 is not used by method='network'"),
    ({"mask.source": "learn"}, "mask.source='learn' does not go with method='auto'"),
    ({"fit.objective": "plain", "fit.flips": False, "generator.input": "noise", "weights.combine": False, "output.image": "average"},
     "fit.objective='plain' does not go with method='auto'")])
def test_what_does_not_go_with_a_method_is_refused(changes, words):
  made = tiny_run.config(_AUTO)
  made.update_from_flattened_dict(changes)
  with pytest.raises(ValueError, match=words):
    runs.check_config(made)


def test_objects_of_ones_own_do_not_go_with_it():
  with pytest.raises(ValueError, match="mask is an object of your own, and method='auto'"):
    oes_jax.restore(np.zeros((16, 16)), method="auto", mask=None)


def test_a_mix_without_bm3d_says_what_it_lacks():
  noisy = np.random.default_rng(0).random((32, 32), np.float32)
  few = {"generator.num_scales": 1, "budget_s": 1e-6, "fit.sigma": 0.1}
  summary = oes_jax.restore(noisy, method="auto", settings=few, progress=False).summary
  assert "pip install bm3d" in summary["left_out"]["BM3D"]
