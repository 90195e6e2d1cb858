"""Masks that are shipped."""

import argparse

import numpy as np
import pytest

from oes_jax.bench import _bundle
from oes_jax.bench import _denoising
from oes_jax import files
from oes_jax import generators

TINY = {"mask.num_steps": 4, "weights.num_steps": 3, "generator.channels": (8,),
        "generator.num_scales": 1, "mask.keep_fraction": 0.4, "compute.chunk_steps": 4,
        "compute.compilation_cache": ""}
CROPS = {"camera": (100, 200, 16, 16)}


@pytest.mark.slow
def test_a_mask_of_a_run_becomes_a_shipped_mask(tmp_path, monkeypatch):
  monkeypatch.setattr("oes_jax.files._masks.FOLDER", tmp_path)
  _denoising.run(tmp_path / "run", "quick", {
      **TINY, "generator.channels": (16,), "data.source": "camera", "data.crop": CROPS["camera"]})
  _bundle.run_bundle(argparse.Namespace(run=str(tmp_path / "run")))
  generator = generators.make_generator(
      "hourglass", image_shape=(16, 16, 1), num_scales=1)
  mask, metadata = files.read_packed_mask(files.find_bundled_mask(generator))
  stored = files.load_mask(tmp_path / "run" / "mask")[0]
  np.testing.assert_array_equal(mask["head"]["kernel"], stored["head"]["kernel"])
  assert metadata["steps"] == 4 and metadata["source"] == "camera" and metadata["sigma"] == 0.1


@pytest.mark.slow
def test_only_a_learned_mask_is_shipped(tmp_path, monkeypatch):
  monkeypatch.setattr("oes_jax.files._masks.FOLDER", tmp_path / "shipped")
  _denoising.run(tmp_path / "run", "quick", {
      **TINY, "data.source": "camera", "data.crop": CROPS["camera"], "mask.source": "random"})
  with pytest.raises(ValueError, match="cannot be shipped.*random"):
    _bundle.run_bundle(argparse.Namespace(run=str(tmp_path / "run")))
  assert not (tmp_path / "shipped").exists()
