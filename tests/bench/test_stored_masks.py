"""Densities and overlaps of masks that are read from files."""

import argparse
import csv

import jax
import pytest

from oes_jax.bench import _density
from oes_jax.bench import _overlap
from oes_jax import files
from oes_jax import generators
from oes_jax import masks


def _store(folder, seed, channels=(6, 8)):
  generator = generators.make_generator("hourglass", image_shape=(24, 24, 3), num_scales=2, channels=channels)
  params = generator.init(jax.random.key(seed))[0]
  scores = masks.random_scores(jax.random.key(seed), params)
  mask = masks.threshold(scores, 0.3, scope="global")
  folder.mkdir(parents=True, exist_ok=True)
  files.save_mask(folder / "mask", mask, {"generator": generator.spec})
  return mask


@pytest.mark.slow
def test_commands_write_csv_and_figure(tmp_path, capsys):
  stored = {name: _store(tmp_path / name, seed) for seed, name in enumerate("ab")}
  arguments = argparse.Namespace(mask=[str(tmp_path / name / "mask") for name in "ab"], num_scales=6,
                                 folder=str(tmp_path / "out"))
  _density.run_density(arguments)
  _overlap.run_overlap(arguments)
  with open(tmp_path / "out" / "density.csv", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
  for name, mask in stored.items():
    kept = sum(int(leaf.sum()) for leaf in jax.tree.leaves(mask))
    assert sum(int(row["kept"]) for row in rows if row["mask"] == name) == kept
  assert {row["part"] for row in rows} == set(_density.PARTS)
  assert (tmp_path / "out" / "density.png").is_file() and (tmp_path / "out" / "overlap.png").is_file()
  with open(tmp_path / "out" / "overlap.csv", encoding="utf-8") as file:
    row, = csv.DictReader(file)
  assert float(row["iou"]) == pytest.approx(_overlap.overlap(stored["a"], stored["b"])[0])
  assert "if independent" in capsys.readouterr().out
  _store(tmp_path / "other" / "a", 2)  # runs of one name are told apart by their paths
  arguments.mask = [str(tmp_path / "a" / "mask"), str(tmp_path / "other" / "a" / "mask")]
  _density.run_density(arguments)
  with open(tmp_path / "out" / "density.csv", encoding="utf-8") as file:
    assert {row["mask"] for row in csv.DictReader(file)} == set(arguments.mask)


@pytest.mark.slow
def test_masks_of_two_generators_are_refused(tmp_path):
  _store(tmp_path / "a", 0)
  _store(tmp_path / "b", 0, channels=(6, 9))
  with pytest.raises(ValueError, match="allowed: masks of one generator"):
    _overlap.run_overlap(argparse.Namespace(
        mask=[str(tmp_path / name / "mask") for name in "ab"], num_scales=6, folder=str(tmp_path)))
