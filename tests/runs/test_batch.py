"""Batches: every image as if it were alone, rows that fill up, damaged logs, and programs that are shared."""

import shutil

import jax
import numpy as np
import pytest

from oes_jax import files
from oes_jax import fitting
from oes_jax import parallel
from oes_jax import runs
from oes_jax import sweeps
from oes_jax.runs import _measure
from runs import tiny_run


@pytest.mark.slow
def test_a_batch_through_an_operator_gives_each_image_alone(tmp_path):
  changes = {"operator.name": "inpainting", "mask.source": "random", "noise.sigma": 0.05}
  both = tiny_run.config(tiny_run.TINY_MEASURED, data__source="camera,coins", **changes)
  sweeps.run_all(both, str(tmp_path / "both"))
  for name in ("camera", "coins"):
    alone = tiny_run.restore(tmp_path / name, tiny_run.TINY_MEASURED, **changes, data__source=name)
    folder, = (tmp_path / "both" / "cases").glob(f"{name}-*")
    one, other = (files.read_metrics(path / "metrics.jsonl")["weights"] for path in (folder, tmp_path / name))
    np.testing.assert_allclose(one["loss"][:5], other["loss"][:5], rtol=1e-4)
    assert alone["quality"]["measurement"]["psnr"] > 0


@pytest.mark.slow
def test_a_row_that_only_fills_up_changes_no_other_and_writes_nothing(tmp_path, monkeypatch):
  losses, measured, measure = [], [], _measure.measure
  monkeypatch.setattr(_measure, "measure", lambda job: measured.append(job) or measure(job))
  for name, filling in (("a", [False, True]), ("b", [False, False])):
    jobs = [runs.prepare(tiny_run.config(mask__source="random", weights__num_steps=3, seed=seed),
                         str(tmp_path / f"{name}{seed}")) for seed in (0, 1)]
    jobs[1] = jobs[0] if filling[1] else jobs[1]
    outcomes = runs.restore_batch(runs.Batch(
        jobs=jobs, filling=filling, generator=jobs[0].generator, frame=jobs[0].shape, framed=False,
        folder=tmp_path / name, mesh=parallel.image_mesh(jax.local_devices()[:1]), programs={}, signals=runs.Signals()))
    assert outcomes[0].summary["quality"]["average"]["psnr"] > 0 and (outcomes[1] == runs.Outcome()) == filling[1]
    losses.append(files.read_metrics(tmp_path / f"{name}0" / "metrics.jsonl")["weights"]["loss"])
  np.testing.assert_array_equal(*losses)
  assert {path.name for path in (tmp_path / "a1").iterdir()} == {"config.json"}
  assert (tmp_path / "b1" / "restored.png").is_file()
  assert len(measured) == 3  # what is said of an image is said once


def test_a_log_that_another_program_cut_is_named(whole, tmp_path):
  folder = tmp_path / "run"
  shutil.copytree(whole[0], folder)
  (folder / "manifest.json").unlink()
  (folder / "metrics.jsonl").write_text("")
  with pytest.raises(runs.Failed, match="does not reach step 30 of the weights stage.*another program changed it"):
    tiny_run.restore(folder)


@pytest.mark.slow
def test_lax_convolutions_run_without_a_compiled_loop(whole, tmp_path, monkeypatch):
  loops, compile_stage = [], fitting.compile_stage
  def recording(*args, use_scan, **options):
    loops.append(use_scan)
    return compile_stage(*args, use_scan=use_scan, **options)
  monkeypatch.setattr(fitting, "compile_stage", recording)
  summary = tiny_run.restore(tmp_path / "run", compute__conv="lax", mask__num_steps=4, weights__num_steps=4)
  assert summary["conv"] == "lax" and loops == [False, False]
  first, expected = (tiny_run.read_lines(folder)[0]["mse"] for folder in (tmp_path / "run", whole[0]))
  assert first == pytest.approx(expected, rel=1e-4)
