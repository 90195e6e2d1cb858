"""Jobs: what may share a batch, how cases are called, and how long chunks last."""

import os

import numpy as np
import pytest

from oes_jax import operators
from oes_jax import runs
from oes_jax.runs import _job
from runs import tiny_run


def test_scans_of_other_coils_are_another_group(tmp_path):
  keys = set()
  for count in (2, 3):
    coils = operators.simulated_coils((16, 16), count)
    (tmp_path / str(count)).mkdir()
    keys.add(runs.group_key(runs.inspect(
        tiny_run.scan_config(tmp_path / str(count), "mri", kspace=coils, coil_maps=coils))))
  assert len(keys) == 2


@pytest.mark.parametrize("changes, alike", [
    ({"seed": 3}, True), ({"data.source": "coins"}, True), ({"noise.sigma": 0.2}, True),
    ({"mask.keep_fraction": 0.3}, True), ({"mask.kl_weight": 1e-7}, True), ({"data.crop": (0, 0, 23, 31)}, True),
    ({"weights.num_steps": 31}, False),
    ({"mask.source": "random"}, False), ({"generator.channels": (9,)}, False), ({"data.source": "astronaut"}, False),
    ({"weights.guard": "held_out"}, False), ({"noise.model": "poisson"}, False)])
def test_what_all_images_of_a_batch_have_alike(changes, alike):
  key = runs.group_key(runs.inspect(tiny_run.config()))
  assert (runs.group_key(runs.inspect(tiny_run.config(**changes))) == key) == alike


@pytest.mark.parametrize("changes", [
    {"fit.objective": "recorrupted"}, {"fit.objective": "recorrupted", "generator.input": "measurement"}])
def test_images_of_other_sizes_share_no_frame_where_it_would_change_them(changes):
  keys = {runs.group_key(runs.inspect(tiny_run.config(**changes, data__crop=(100, 200, height, 32)))) for height in (23, 24)}
  assert len(keys) == 2


def test_a_cases_folder_is_called_by_its_image_and_seed():
  identity = {"a": 1}
  digest = runs.digest_of(identity)
  for source, stem in {"camera": "camera", "x/my photo.png": "my_photo", "scan.tif@3": "scan-page3"}.items():
    assert runs.case_name(source, 7, identity) == f"{stem}-seed7-{digest}"


def test_names_of_cases_are_names_of_files_whatever_the_source_is_called():
  for stem in ("a" * 250, "\u00e4" * 125, os.fsdecode(b"\xff\xfe"), "a|b\nc"):
    name = runs.case_name(f"folder/{stem}.png", 7, {"a": 1})
    assert len(name.encode()) < 200 and not set("/|\n") & set(name)


def test_stages_and_chunks():
  settings = runs.check_config(tiny_run.config(mask__source="imp", mask__rounds=2))
  assert _job.stage_steps(settings) == {"round_1": 30, "round_2": 30, "weights": 30}
  assert _job.stage_steps(runs.check_config(tiny_run.config())) == {"mask": 24, "weights": 30}
  assert _job.stage_steps(runs.check_config(tiny_run.config(mask__source="random"))) == {"weights": 30}
  automatic = runs.check_config(tiny_run.config(compute__chunk_steps=None))
  lengths = [_job.steps_of_chunk(automatic, (side, side)) for side in (16, 128, 4096)]
  assert lengths[0] == 1000 and lengths == sorted(lengths, reverse=True) and lengths[-1] >= 1
  assert _job.steps_of_chunk(settings, (4096, 4096)) == 5


def test_nothing_is_written_before_the_folder_is_claimed(tmp_path):
  job = runs.inspect(tiny_run.config(), str(tmp_path / "run"))
  assert not job.workdir.exists() and job.num_measured == 24 * 32
  runs.claim(job)
  assert [path.name for path in job.workdir.iterdir()] == ["config.json"]
  assert np.prod(job.shape) == job.num_measured
