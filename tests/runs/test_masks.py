"""Masks of whole runs: from every source, of automatic density, stored, and announced where they collapse."""

import json
import shutil

import jax
import numpy as np
import pytest

from oes_jax import files
from oes_jax import fitting
from oes_jax import masks
from oes_jax import runs
from oes_jax.runs import _masks
from runs import tiny_run


@pytest.mark.parametrize("source, density", [
    ("dense", 1.0), ("random", 0.4), ("synflow", 0.4), pytest.param("snip", 0.4, marks=pytest.mark.slow),
    pytest.param("grasp", 0.4, marks=pytest.mark.slow), pytest.param("magnitude", 0.4, marks=pytest.mark.slow)])
def test_other_mask_sources(tmp_path, source, density):
  summary = tiny_run.restore(tmp_path / "run", mask__source=source, weights__num_steps=3)
  assert summary["mask"]["density"] == pytest.approx(density, abs=1e-3)
  assert "mask" not in summary["seconds"]


@pytest.mark.slow
def test_a_stored_mask_loads_alone_into_another_run(whole, tmp_path):
  summary = tiny_run.restore(tmp_path / "run", mask__source="file", mask__path=str(whole[0] / "mask"),
                             seed=5, data__crop=(0, 0, 24, 32))
  assert summary["mask"]["layers"] == json.loads(json.dumps(whole[1]))["mask"]["layers"]
  shuffled = tiny_run.restore(
      tmp_path / "shuffled", mask__source="shuffled", mask__path=str(whole[0] / "mask"),
      seed=5, data__crop=(0, 0, 20, 20), weights__num_steps=3)  # of another size, too
  for before, after in zip(summary["mask"]["layers"], shuffled["mask"]["layers"]):
    assert before["kept"] == after["kept"]
  assert shuffled["mask"]["acting"] != summary["mask"]["acting"]


def test_a_stored_mask_of_another_run_fails_its_image_alone(whole, tmp_path):
  folder = tmp_path / "run"
  shutil.copytree(whole[0], folder)
  (folder / "summary.json").unlink()
  files.save_mask(folder / "mask", {"b": np.ones(3)}, {"collapse": []})
  with pytest.raises(runs.Failed, match="mask is not the mask of this run; remove it"):
    tiny_run.restore(folder)


@pytest.mark.slow
def test_automatic_density_counts_weights_that_can_act(tmp_path, monkeypatch):
  asked, make = [], fitting.make_mask
  def recording(generator, *args, scores, settings, density, **options):
    asked.extend([density.target, settings.scope,
                  masks.fraction_that_acts(generator, scores, density.target, scope=settings.scope)])
    return make(generator, *args, scores=scores, settings=settings, density=density, **options)
  monkeypatch.setattr(fitting, "make_mask", recording)
  summary = tiny_run.restore(tmp_path / "run", mask__keep_fraction=None, weights__num_steps=2)
  assert summary["mask"]["acting"] >= round(0.19 * 24 * 32)
  assert asked[:2] == [round(0.19 * 24 * 32), "global"] and asked[2] < 0.5
  assert summary["mask"]["kept"] == int(asked[2] * summary["mask"]["size"])


def test_automatic_density_leaves_a_collapse(tmp_path, caplog, monkeypatch):
  choose = fitting.choose_density
  monkeypatch.setattr(fitting, "choose_density", lambda *args: choose(*args)._replace(target=1))
  summary = tiny_run.restore(tmp_path / "run", mask__source="random", mask__keep_fraction=None,
                             weights__num_steps=2)
  assert "collapses" in caplog.text and "trying" in caplog.text
  assert 0.05 < summary["mask"]["density"] <= 0.5


@pytest.mark.slow
def test_a_collapsed_mask_is_announced(tmp_path, caplog):
  tiny_run.restore(tmp_path / "run", mask__source="random", mask__keep_fraction=0.01, weights__num_steps=2)
  assert "COLLAPSED" in caplog.text


def test_it_is_said_once_that_a_shipped_mask_has_seen_the_image(tmp_path, caplog, monkeypatch):
  def given(generator, params):
    del generator
    return jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), params), "camera"
  monkeypatch.setattr(files, "read_bundled_mask", given)
  tiny_run.restore(tmp_path / "run", mask__source="bundled", mask__keep_fraction=None, weights__num_steps=2)
  assert caplog.text.count("the shipped mask was learned on the clean camera") == 1


def test_a_mask_that_is_told_to_the_other_processes_is_the_same_mask():
  tree = {"a": {"kernel": np.zeros((3, 3, 1, 2)), "bias": np.zeros(2)}, "b": np.zeros((5, 1))}
  mask = jax.tree.map(lambda leaf: np.random.default_rng(leaf.size).random(leaf.shape) < 0.4, tree)
  told = json.loads(json.dumps(_masks._to_text(mask)))
  jax.tree.map(np.testing.assert_array_equal, _masks._from_text(told, tree), mask)
