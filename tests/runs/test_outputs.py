"""What a finished run leaves in its folder: images, scores and the summary."""

import json

import numpy as np
from PIL import Image
import pytest
import tifffile

from oes_jax import files
from oes_jax import operators
from oes_jax import runs
from oes_jax.runs import _outputs
from runs import tiny_run


def test_outputs_are_complete(whole):
  folder, summary = whole
  for name in ("restored.png", "restored.npy", "measurement.png", "before_after.png", "curves.png",
               "mask.png", "metrics.jsonl", "summary.json", "config.json",
               "manifest.json"):
    assert (folder / name).stat().st_size > 0, name
  assert any((folder / "tensorboard").iterdir())
  restored = np.load(folder / "restored.npy")
  assert restored.shape == (24, 32) and restored.dtype == np.uint8
  np.testing.assert_array_equal(files.read_picture(str(folder / "restored.png")).values[..., 0],
                                restored)
  assert json.loads((folder / "summary.json").read_text()) == json.loads(json.dumps(summary))
  assert summary["mask"]["kept"] == int(0.4 * summary["mask"]["size"])
  assert summary["mask"]["acting"] <= summary["mask"]["kept"]


def test_summary_scores_what_was_written(whole):
  folder, summary = whole
  truth = files.read_picture("camera", tiny_run.TINY["data.crop"]).values / 255
  restored = np.load(folder / "restored.npy")[..., None] / 255
  psnr = -10 * np.log10(np.mean((restored - truth) ** 2))
  assert abs(psnr - summary["quality"]["average"]["psnr"]) < 0.05  # 8-bit rounding
  trace = [line["psnr"] for line in tiny_run.read_lines(folder) if line["stage"] == "weights"]
  assert summary["quality"]["best"]["psnr"] == max(trace)


@pytest.mark.slow
def test_a_users_16_bit_file_comes_back_alike(tmp_path):
  rng = np.random.default_rng(0)
  values = (20000 + 9000 * np.sin(np.arange(37) / 5)[:, None] * np.ones(29)
            + 1500 * rng.standard_normal((37, 29))).astype(np.uint16)
  tifffile.imwrite(tmp_path / "frame.tif", values)
  summary = tiny_run.restore(
      tmp_path / "run", data__source=str(tmp_path / "frame.tif"), data__crop=None, mask__source="dense",
      weights__num_steps=150, weights__average_decay=0.9)
  restored = tifffile.imread(tmp_path / "run" / summary["output"])
  assert restored.shape == values.shape and restored.dtype == np.uint16
  assert summary["truth"] is None and summary["quality"] is None and summary["sigma"] == 0
  clean = 20000 + 9000 * np.sin(np.arange(37) / 5)[:, None] * np.ones(29)
  assert np.mean((restored - clean) ** 2) < 0.7 * np.mean((values - clean) ** 2)


@pytest.mark.slow
@pytest.mark.parametrize("guard", [pytest.param("variance", marks=pytest.mark.slow), "held_out"])
def test_a_guard_chooses_one_more_output(tmp_path, guard):
  summary = tiny_run.restore(tmp_path / "run", weights__guard=guard, weights__guard_window=5,
                             weights__guard_patience=8, output__image="guarded")
  assert 1 <= summary["guard"]["step"] <= tiny_run.TINY["weights.num_steps"]
  trace = files.read_metrics(tmp_path / "run" / "metrics.jsonl")["weights"]["psnr"]
  if guard == "variance":  # the output of that step itself
    assert summary["quality"]["guarded"]["psnr"] == pytest.approx(trace[summary["guard"]["step"] - 1], abs=1e-3)
  else:
    assert summary["quality"]["guarded"]["psnr"] > 0
  assert "guard's step" in files.closing_table(summary)


@pytest.mark.slow
def test_the_mix_is_one_more_output_and_says_its_share(tmp_path):
  summary = tiny_run.restore(tmp_path / "run", **{**tiny_run.RECORRUPTED, "mask.source": "dense", "weights.num_steps": 4})
  share = summary["combined"]["share"]
  assert 0 <= share <= 1 and summary["output_image"] == "combined"
  assert set(summary["quality"]) == {"measurement", "average", "last", "guarded", "combined", "estimate", "best"}
  table = files.closing_table(summary)
  assert f"{100 * share:.0f} % of the mix" in table and "estimate" in table


@pytest.mark.slow
def test_a_complex_image_is_scored_and_written_as_its_magnitude(tmp_path):
  summary = tiny_run.restore(tmp_path / "run", tiny_run.TINY_MEASURED, operator__name="mri", mask__source="dense",
                             weights__num_steps=3, noise__sigma=0.01)
  whole, shown = (np.load(tmp_path / "run" / name) for name in ("complex.npy", "output.npy"))
  assert whole.shape == (24, 32) and np.iscomplexobj(whole) and shown.shape == (24, 32, 2)
  np.testing.assert_allclose(
      np.abs(whole), summary["limits"][1] * operators.magnitude_of_unit(shown)[..., 0], rtol=1e-3)
  trace = files.read_metrics(tmp_path / "run" / "metrics.jsonl")["weights"]
  assert trace["psnr"][-1] == pytest.approx(summary["quality"]["last"]["psnr"], abs=1e-3)  # of the magnitude, too
  assert Image.open(tmp_path / "run" / "restored.png").size == (32, 24)
  job = runs.inspect(tiny_run.config(tiny_run.TINY_MEASURED, operator__name="mri", operator__acceleration=1.0,
                                     operator__centre=1.0, noise__sigma=0.0))
  measured = runs.measure(job)
  np.testing.assert_allclose(measured.estimate, measured.truth, atol=1e-4)  # all is measured: zero-filling is exact


def test_figures_can_be_left_out(tmp_path):
  tiny_run.restore(tmp_path / "run", output__figures=False, mask__source="random", weights__num_steps=2)
  assert {path.name for path in (tmp_path / "run").glob("*.png")} == {"restored.png", "measurement.png"}


def test_images_that_are_restored_with_the_same_settings_are_one_series(tmp_path):
  for name in ("a.npy", "b.npy"):
    np.save(tmp_path / name, np.random.default_rng(0).random((20, 24)))
  def origin(name, **changes):
    job = runs.inspect(tiny_run.config(data__source=str(tmp_path / name), data__crop=None, **changes))
    return _outputs._origin_of(job, "restored")
  first = origin("a.npy")
  assert first == origin("b.npy") != origin("b.npy", weights__num_steps=7) and first.description == "restored (identity)"
