"""Folders of runs: which is whose, and what is never touched."""

import pytest

from oes_jax import files
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


def _claimed(tmp_path, **changes):
  folder = tmp_path / "run"
  runs.prepare(tiny_run.config(**changes), str(folder))
  return folder


@pytest.mark.parametrize("choices", [
    None, {}, [], {"tile": "0"}, {"tile": -1}, {"tile": True}, {"tile": float("nan")}, {"tile": 0, "memory": 1}, {"memory": 1}])
def test_choices_of_other_types_are_named_with_what_to_do(tmp_path, choices):
  folder = _claimed(tmp_path)
  files.write_sealed(folder / "config.json", {**files.read_sealed(folder / "config.json"), "choices": choices})
  with pytest.raises(ValueError, match="--workdir=.*holds a config.json that was changed.*use a new folder, or delete"):
    runs.prepare(tiny_run.config(), str(folder))


def test_an_edited_choice_is_not_believed(tmp_path):
  folder = _claimed(tmp_path, data__crop=(0, 0, 48, 100), compute__tile=64)
  path = folder / "config.json"
  path.write_text(path.read_text().replace('"choices": {\n    "tile": 64', '"choices": {\n    "tile": 32'))
  with pytest.raises(ValueError, match="holds a config.json that was changed since the run began.*'tile': 32"):
    runs.prepare(tiny_run.config(data__crop=(0, 0, 48, 100), compute__tile=64), str(folder))


@pytest.mark.parametrize("asked, crafted", [(64, 0), (64, 32), (128, 64), (None, 3), (None, 10 ** 30), (0, 64)])
def test_a_crafted_choice_overrides_no_key(tmp_path, asked, crafted):
  changes = {"data__crop": (0, 0, 48, 100), "compute__tile": asked}
  folder = _claimed(tmp_path, **changes)
  stored = files.read_sealed(folder / "config.json")
  files.write_sealed(folder / "config.json", {**stored, "choices": {"tile": crafted}})
  with pytest.raises(ValueError, match=f"choices.tile={crafted}, which compute.tile={asked} does not choose for 48x100"):
    runs.prepare(tiny_run.config(**changes), str(folder))


@pytest.mark.parametrize("text", [b"", b"[1]", b"null", b"\xff\xfe", b"[" * 100_000, b"9" * 5000])
def test_a_config_json_that_is_none_is_named_with_what_to_do(tmp_path, text):
  (tmp_path / "config.json").write_bytes(text)
  with pytest.raises(ValueError, match="holds a config.json that is not a run's.*Use a new folder, or delete this") as raised:
    runs.prepare(tiny_run.config(), str(tmp_path))
  assert "\n" not in str(raised.value)
