"""Folders of runs: which is whose, and what is never touched."""

import pytest

from oes_jax import runs
from runs import tiny_run


def test_a_changed_config_gets_a_new_default_folder():
  first = runs.prepare(tiny_run.config()).workdir
  assert first == runs.prepare(tiny_run.config()).workdir
  assert first.parent.name == "runs" and first.name.startswith("default-")
  assert runs.prepare(tiny_run.config(seed=1)).workdir != first


def test_folders_of_others_are_not_touched(whole, tmp_path):
  with pytest.raises(ValueError, match="another config.*seed: 0 there, 1 now"):
    runs.prepare(tiny_run.config(seed=1), str(whole[0]))
  (tmp_path / "mine").mkdir()
  (tmp_path / "mine" / "thesis.txt").write_text("keep me")
  with pytest.raises(ValueError, match="holds files"):
    runs.prepare(tiny_run.config(), str(tmp_path / "mine"))
  with pytest.raises(OSError, match="--workdir.*cannot be written"):
    runs.prepare(tiny_run.config(), "/proc/nowhere/run")
  assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_a_folder_that_was_emptied_is_taken_again(tmp_path):
  (tmp_path / ".lock").touch()  # rm -r folder/* leaves it
  assert runs.prepare(tiny_run.config(), str(tmp_path)).workdir == tmp_path


def test_a_file_and_a_foreign_config_are_named(tmp_path):
  (tmp_path / "file").touch()
  with pytest.raises(ValueError, match="--workdir=.* is not a folder"):
    runs.prepare(tiny_run.config(), str(tmp_path / "file"))
  (tmp_path / "other").mkdir()
  (tmp_path / "other" / "config.json").write_text("{no json")
  with pytest.raises(ValueError, match="--workdir=.*holds a config.json that is not a run's"):
    runs.prepare(tiny_run.config(), str(tmp_path / "other"))


def test_keys_and_sections_are_left_out_of_a_copy():
  given = {"seed": 1, "data": {"source": "a", "crop": [1, 2]}, "sweep": {"seeds": []}}
  assert runs.without(given, ["data.source", "sweep"]) == {"seed": 1, "data": {"crop": [1, 2]}}
  assert given["data"]["source"] == "a" and runs.digest_of(given) == runs.digest_of(dict(reversed(given.items())))
