"""Whole runs: from the start or the end, through operators, with other noise, and in tiles."""

import json
import os
import signal

import jax
import numpy as np
import pytest
from skimage import transform

from oes_jax import files
from oes_jax import intensity
from oes_jax import runs
import pages
from runs import tiny_run


def test_a_finished_run_is_not_run_again(whole):
  folder, summary = whole
  before = (folder / "metrics.jsonl").stat().st_mtime_ns
  assert tiny_run.restore(folder) == json.loads(json.dumps(summary))
  assert (folder / "metrics.jsonl").stat().st_mtime_ns == before


def test_a_library_call_leaves_signals_and_the_settings_of_jax_alone(tmp_path, monkeypatch):
  handlers, write = [], files.MetricsLog.write
  def looking(self, *args):
    handlers.append((signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)))
    write(self, *args)
  monkeypatch.setattr(files.MetricsLog, "write", looking)
  before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), jax.config.jax_compilation_cache_dir
  config = tiny_run.config(mask__source="random", weights__num_steps=2)
  config.compute.compilation_cache = str(tmp_path / "cache")
  summary = runs.run(config, str(tmp_path / "run"))
  assert summary["output"] == "restored.png" and set(handlers) == {before[:2]}
  assert before[2] == jax.config.jax_compilation_cache_dir and not (tmp_path / "cache").exists()


@pytest.mark.parametrize("name, changes", [
    ("inpainting", {"operator.mask": "lines"}), pytest.param("tomography", {"operator.angles": 12}, marks=pytest.mark.slow),
    pytest.param("super_resolution", {"operator.factor": 2}, marks=pytest.mark.slow),
    pytest.param("mri", {"operator.acceleration": 2.0}, marks=pytest.mark.slow),
    pytest.param("deblurring", {}, marks=pytest.mark.slow),
    pytest.param("fourier_rows", {}, marks=pytest.mark.slow),
    pytest.param("gaussian_rows", {}, marks=pytest.mark.slow),
    *(pytest.param(name, {**tiny_run.RECORRUPTED, "fit.split": split, **more}, marks=pytest.mark.slow) for name, split, more in (
        ("inpainting", None, {}), ("mri", 0.8, {"operator.acceleration": 2.0}), ("tomography", 0.8, {"operator.angles": 12}),
        ("deblurring", None, {}), ("gaussian_rows", 0.9, {"fit.sigma": 0.02}), ("fourier_rows", 0.9, {})))])
def test_an_image_is_restored_through_an_operator(tmp_path, name, changes):
  folder = tmp_path / "run"
  summary = tiny_run.restore(folder, tiny_run.TINY_MEASURED, **{
      "operator.name": name, "noise.sigma": 0.02, "mask.source": "random", "weights.guard": "variance", **changes})
  trace = files.read_metrics(folder / "metrics.jsonl")["weights"]
  assert trace["psnr"][-5:].mean() > trace["psnr"][0] + 1  # the image is found, not only the measurement
  assert trace["mse"][-1] < trace["mse"][0]
  assert np.load(folder / "restored.npy").shape == (24, 32)
  assert (folder / "restored.png").is_file() and summary["quality"]["measurement"]["psnr"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("model, changes", [
    *((model, {}) for model in ("poisson", "salt_and_pepper", "speckle", "poisson_gaussian", "rician")),
    *((model, tiny_run.RECORRUPTED) for model in ("poisson", "poisson_gaussian"))])
def test_an_image_is_restored_from_other_noise(tmp_path, model, changes):
  folder = tmp_path / "run"
  summary = tiny_run.restore(folder, tiny_run.TINY_MEASURED, noise__model=model, mask__source="random",
                             **{"weights.guard": "held_out", **changes})
  trace = files.read_metrics(folder / "metrics.jsonl")["weights"]
  assert trace["loss"][-1] < trace["loss"][0] and trace["psnr"][-1] > trace["psnr"][0] + 1
  assert summary["quality"]["guarded"]["psnr"] > 0
  assert any(summary["noise"].values())
  if changes:
    assert 0 <= summary["combined"]["share"] <= 1
    assert summary["quality"]["combined"]["psnr"] > summary["quality"]["measurement"]["psnr"]


@pytest.mark.slow
def test_a_measured_sinogram_is_restored(tmp_path):
  angles = np.linspace(0, 180, 20, endpoint=False)
  sinogram = transform.radon(np.pad(tiny_run.phantom(), ((4, 4), (0, 0))), angles, circle=False)
  config = tiny_run.scan_config(tmp_path, "tomography", angles=angles, shape=(24, 32), sinogram=sinogram)
  summary = tiny_run.run(config, tmp_path / "run")
  restored = np.load(tmp_path / "run" / "restored.npy")
  assert restored.shape == (24, 32) and summary["quality"] is None
  assert 0 < restored.mean() < 120 and summary["limits"][1] > 50


def _tiled(folder, **changes):
  return tiny_run.restore(folder, data__crop=(100, 200, 48, 100), compute__tile=64, compute__tile_overlap=20,
                          mask__num_steps=4, weights__num_steps=6, **changes)


@pytest.mark.slow
def test_tiles_are_restored_blended_and_resumed(tmp_path, capsys, monkeypatch):
  undisturbed = _tiled(tmp_path / "a")
  assert undisturbed["tiles"] == 2 and undisturbed["quality"].keys() == {"measurement", "average"}
  assert "2 tiles of up to 64x64" in capsys.readouterr().out
  assert {"average", "mask stage", "weights stage"} <= {
      line.split("  ")[0] for line in files.closing_table(undisturbed).splitlines()}
  assert np.load(tmp_path / "a" / "restored.npy").shape == (48, 100)
  parts = [np.load(tmp_path / "a" / "tiles" / f"{i:03d}" / "restored.npy") for i in range(2)]
  assert [part.shape for part in parts] == [(48, 64, 1)] * 2 and parts[0].dtype == np.float32
  corner = intensity.from_unit(parts[0][:, :36], (0, 255), np.uint8)  # only the first tile reaches it
  np.testing.assert_array_equal(np.load(tmp_path / "a" / "restored.npy")[:, :36], corner[..., 0])
  assert pages.read(tmp_path / "a").links == [f"tiles/{i:03d}/report.html" for i in range(2)]

  write = files.MetricsLog.write
  def interrupting(self, *args):
    write(self, *args)
    if "001" in str(self._path):
      os.kill(os.getpid(), signal.SIGTERM)
  monkeypatch.setattr(files.MetricsLog, "write", interrupting)
  with pytest.raises(runs.Interrupted):
    _tiled(tmp_path / "b")
  monkeypatch.setattr(files.MetricsLog, "write", write)
  first = (tmp_path / "b" / "tiles" / "000" / "metrics.jsonl").stat().st_mtime_ns
  _tiled(tmp_path / "b")
  assert (tmp_path / "b" / "tiles" / "000" / "metrics.jsonl").stat().st_mtime_ns == first
  assert (tmp_path / "a" / "restored.npy").read_bytes() == (tmp_path / "b" / "restored.npy").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, tiny_run.RECORRUPTED])
def test_bfloat16_rounds_and_stays_close(whole, tmp_path, changes):
  few, other = {"mask__num_steps": 2, "weights__num_steps": 2, **changes}, whole[0]
  tiny_run.restore(tmp_path / "run", compute__dtype="bfloat16", **few)
  if changes:
    other = tmp_path / "other"
    tiny_run.restore(other, **few)
  first, expected = (tiny_run.read_lines(folder)[0]["mse"] for folder in (tmp_path / "run", other))
  assert first != expected
  assert first == pytest.approx(expected, rel=0.02)
