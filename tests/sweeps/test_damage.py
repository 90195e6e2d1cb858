"""What was damaged, lost or crafted in the folder of a sweep: made anew from what is sound, and no case stops another."""

import json
import pathlib
import shutil

import numpy as np
import pytest

from oes_jax import files
from oes_jax import runs
from oes_jax.sweeps import _batch_folders as batch_folders
from oes_jax.sweeps import _results as results
import tiny_sweep

DAMAGE = {
    "deleted": pathlib.Path.unlink, "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "one byte changed": lambda path: path.write_bytes(path.read_bytes()[:-9] + bytes([path.read_bytes()[-9] ^ 1])
                                                      + path.read_bytes()[-8:])}


@pytest.fixture(name="copy")
def fixture_copy(whole, tmp_path):
  """A copy of the undisturbed sweep, to be damaged."""
  shutil.copytree(whole, tmp_path / "run")
  return tmp_path / "run"


def _logs(folder):
  return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("cases/*/metrics.jsonl")}


def _assert_mended_without_restoring(copy, whole):
  before = _logs(copy)
  assert tiny_sweep.run(tiny_sweep.config(), copy)[1]
  assert _logs(copy) == before
  assert tiny_sweep.restored(copy) == tiny_sweep.restored(whole)
  assert results.read_results(copy) == results.read_results(whole)


@pytest.mark.parametrize("damage", [shutil.rmtree, *(
    lambda folder, one=one: one(sorted(folder.iterdir())[0]) for one in DAMAGE.values())], ids=["the folder deleted", *DAMAGE])
def test_restored_images_are_filled_in_again(copy, whole, caplog, damage):
  damage(copy / "restored")
  _assert_mended_without_restoring(copy, whole)
  assert "images were gone from" in caplog.text


def test_what_a_user_adds_to_restored_stays(copy, whole):
  (copy / "restored" / "notes.txt").write_text("mine")
  tiny_sweep.run(tiny_sweep.config(), copy)
  assert (copy / "restored" / "notes.txt").read_text() == "mine"
  assert tiny_sweep.restored(copy).keys() - tiny_sweep.restored(whole).keys() == {"notes.txt"}


@pytest.mark.parametrize("damage, said", [
    (lambda text: "", ""), (lambda text: text.replace('"kept": 3', '"kept": 4', 1), "line 1 of"),
    (lambda text: text.split("\n")[1] + "\n", ""), (lambda text: text.replace("camera", "cameru", 1), "line 1 of"),
    (lambda text: text.replace("}", "", 1), "line 1 of"), (lambda text: text + "\n\nno line\n", "line 5 of"),
    (lambda text: text + "[" * 100_000 + "\n", "line 3 of"), (lambda text: text + "9" * 5000 + "\n", "line 3 of"),
    (lambda text: text + "\udcff\n", "line 3 of"),
    *((lambda text, line=line: text + json.dumps(files.seal(line)) + "\n", "line 3 of")
      for line in ({}, {"case": 1}, {"case": "a"}, {"case": "a", "source": "b", "failure": ""},
                   {"case": "a", "source": "b", "failure": "x", "mask": []}, {"case": "a", "source": "b", "failure": None, "psnr": 3}))])
def test_the_folders_of_cases_are_believed_not_a_damaged_line(copy, whole, caplog, damage, said):
  path = copy / "results.jsonl"
  path.write_bytes(damage(path.read_text()).encode(errors="surrogateescape"))
  _assert_mended_without_restoring(copy, whole)
  assert said in caplog.text and ("does not count" in caplog.text) == bool(said)


def test_a_line_that_says_what_its_folder_does_not_is_recorded_anew(copy, whole, caplog):
  first = next(iter(results.read_results(copy).values()))
  results.append_result(copy, {**first, "psnr": {"average": 99.0}})
  _assert_mended_without_restoring(copy, whole)
  assert "says of camera" in caplog.text and "it is recorded anew" in caplog.text


def test_a_line_that_is_not_finite_is_that_of_its_folder(copy):
  assert results._is_same({"psnr": float("nan")}, {"psnr": float("nan")})
  lines = (copy / "results.jsonl").read_text()
  tiny_sweep.run(tiny_sweep.config(), copy)
  assert (copy / "results.jsonl").read_text() == lines


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_case_is_restored_anew_alone(copy, whole, caplog, damage):
  case, other = sorted((copy / "cases").iterdir())
  DAMAGE[damage](case / "output.npy")
  before = _logs(copy)
  assert tiny_sweep.run(tiny_sweep.config(), copy)[1]
  after = _logs(copy)
  assert after[other.name] == before[other.name] and after[case.name] != before[case.name]
  assert f"{case / 'output.npy'} is damaged or gone: it is made anew, and with no checkpoint left from the start" in caplog.text
  for name in ("output.npy", "restored.npy", "metrics.jsonl", "restored.png"):
    assert (case / name).read_bytes() == (whole / "cases" / case.name / name).read_bytes()
  assert tiny_sweep.restored(copy) == tiny_sweep.restored(whole) and not any((copy / "batches").iterdir())


@pytest.mark.slow
def test_a_damaged_case_of_a_batch_is_as_wide_as_it_was(tmp_path):
  """Its network was compacted to the widths of a denser mask beside it."""
  made = tiny_sweep.config(data__source="camera", sweep__mask_sources=("random",), sweep__keep_fractions=(0.9, 0.4),
                           generator__channels=(40,), compute__images_per_device=2)
  tiny_sweep.run(made, tmp_path / "whole")
  shutil.copytree(tmp_path / "whole", tmp_path / "run")
  for case in (tmp_path / "run" / "cases").iterdir():
    (case / "output.npy").unlink()
    assert tiny_sweep.run(made, tmp_path / "run")[1]
    for name in ("output.npy", "metrics.jsonl"):
      assert (case / name).read_bytes() == (tmp_path / "whole" / "cases" / case.name / name).read_bytes()


@pytest.mark.parametrize("text", [b"", b"[1]", b"[" * 100_000, b'{"choices": {"tile": "x"}}', b'{"format": 1}'])
def test_a_case_with_a_crafted_config_fails_alone(copy, text):
  case, other = sorted((copy / "cases").iterdir())
  (case / "config.json").write_bytes(text)
  assert not tiny_sweep.run(tiny_sweep.config(), copy)[1]
  failures = [line["failure"] for line in results.read_results(copy).values() if line["failure"]]
  assert len(failures) == 1 and f"{case}' holds " in failures[0] and "se a new folder" in failures[0]
  assert results.read_results(copy)[other.name]["failure"] is None


@pytest.mark.parametrize("record", [{}, {"failure": 1, "sigma": 0.1}, {"failure": "", "sigma": 0.1}, {"failure": "x"}, {"failure": "x", "sigma": None}])
def test_a_crafted_failure_does_not_end_a_case(tmp_path, caplog, record):
  files.write_sealed(tmp_path / "failure.json", {"failure": "the loss is not finite", "sigma": 0.1})
  assert results._plan.has_ended(tmp_path)
  files.write_sealed(tmp_path / "failure.json", record)
  assert not results._plan.has_ended(tmp_path, warn=True) and "failure.json does not say why" in caplog.text
  (tmp_path / "failure.json").write_text('{"failure": "edited"}')
  assert not results._plan.has_ended(tmp_path, warn=True) and "it was changed since it was written" in caplog.text


@pytest.mark.parametrize("text", [b"", b"[1]", b'["camera"]', b"[" * 100_000, b'{"cases": ["a"]}'])
def test_a_batch_with_a_damaged_list_of_cases_starts_over_and_is_cleared(tmp_path, caplog, text):
  batch = tmp_path / "batches" / "a"
  (batch / "checkpoints" / "6").mkdir(parents=True)
  (batch / "batch.json").write_bytes(text)
  assert batch_folders._read_names(batch) is None and not (batch / "checkpoints").exists()
  assert "batch.json cannot be read" in caplog.text and "the batch starts over" in caplog.text
  batch_folders.clear(tmp_path)
  assert not batch.exists()


@pytest.mark.parametrize("name", ["", "..", "../x", "/etc", "a/b", "x" * 256, "a\0b"])
def test_names_that_leave_the_folder_are_none(tmp_path, name):
  files.write_sealed(tmp_path / "batch.json", {"cases": ["camera-seed0-66385ebe", name]})
  with pytest.raises(ValueError, match="batch.json holds no names of cases"):
    batch_folders._parse_names(tmp_path / "batch.json")


@pytest.mark.slow
def test_a_stopped_batch_whose_list_of_cases_is_damaged_ends_alike(whole, tmp_path, monkeypatch):
  tiny_sweep.stop_in(monkeypatch, "weights")
  with pytest.raises(runs.Interrupted):
    tiny_sweep.run(tiny_sweep.config(), tmp_path / "run")
  batch, = (tmp_path / "run" / "batches").iterdir()
  DAMAGE["one byte changed"](batch / "batch.json")
  assert tiny_sweep.run(tiny_sweep.config(), tmp_path / "run")[1]
  assert tiny_sweep.restored(tmp_path / "run") == tiny_sweep.restored(whole)


@pytest.mark.slow
def test_a_damaged_ensemble_is_averaged_anew_of_sound_members(tmp_path, caplog):
  made, folder = tiny_sweep.config(data__source="camera", ensemble=2), tmp_path / "run"
  tiny_sweep.run(made, folder)
  ensemble, = (folder / "ensembles").iterdir()
  member = sorted((folder / "cases").iterdir())[1]
  before = {path.name: path.read_bytes() for path in ensemble.iterdir() if path.name != "manifest.json"}
  for name in ("restored.png", "spread.npy", "output.npy", "summary.json", "manifest.json"):
    for damage in DAMAGE.values():
      damage(ensemble / name)
      assert tiny_sweep.run(made, folder)[1]
      assert {path.name: path.read_bytes() for path in ensemble.iterdir() if path.name != "manifest.json"} == before
  caplog.clear()
  np.save(member / "output.npy", np.zeros((24, 30, 1), np.float32))
  (ensemble / "manifest.json").unlink()
  assert tiny_sweep.run(made, folder)[1]
  assert f"{member / 'output.npy'} is damaged or gone" in caplog.text
  assert {path.name: path.read_bytes() for path in ensemble.iterdir() if path.name != "manifest.json"} == before
