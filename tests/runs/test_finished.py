"""Finished folders: damage to anything that is relied on is found, and made anew byte for byte; the rest may go."""

import json
import pathlib
import shutil

import numpy as np
import pytest

from oes_jax import files
from oes_jax.runs import _finished as finished
from runs import tiny_run

OUTPUTS = ("restored.png", "restored.npy", "output.npy", "measurement.png", "metrics.jsonl")
DAMAGE = {
    "deleted": pathlib.Path.unlink, "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "one byte changed": lambda path: path.write_bytes(path.read_bytes()[:-3] + bytes([path.read_bytes()[-3] ^ 1])
                                                      + path.read_bytes()[-2:])}


@pytest.fixture(name="copy")
def fixture_copy(whole, tmp_path):
  """A copy of the undisturbed run, to be damaged."""
  shutil.copytree(whole[0], tmp_path / "run")
  return tmp_path / "run"


def _mask_files(folder):
  return [str(path.relative_to(folder)) for path in (folder / "mask").rglob("*") if path.is_file()]


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_to_whatever_is_relied_on_is_found_and_named(copy, caplog, damage):
  names = [*OUTPUTS, "summary.json", *_mask_files(copy)]
  assert set(names) == set(files.read_manifest(copy)) and finished.read_finished(copy)["output"] == "restored.png"
  for name in names:
    before = (copy / name).read_bytes()
    if before:
      caplog.clear()
      damage(copy / name)
      assert finished.read_finished(copy) is None
      assert f"{copy / name} is damaged or gone: it is made anew" in caplog.text
      (copy / name).write_bytes(before)
  assert finished.read_finished(copy) is not None


def test_figures_may_go_and_files_may_be_added(copy, whole, capsys):
  for name in ("before_after.png", "curves.png", "mask.png"):
    (copy / name).unlink()
  for name in ("tensorboard", "checkpoints"):
    shutil.rmtree(copy / name)
  (copy / "notes.txt").write_text("mine")
  assert tiny_run.restore(copy) == json.loads(json.dumps(whole[1]))
  assert "is finished: nothing was run again" in capsys.readouterr().out and not (copy / "curves.png").exists()


def _same(folder, other):
  tiny_run.same_result(folder, other)
  for name in (*OUTPUTS, "before_after.png"):
    assert (folder / name).read_bytes() == (other / name).read_bytes(), name
  assert files.find_damage(folder) is None
  seconds = [json.loads((path / "summary.json").read_text()).pop("seconds") for path in (folder, other)]
  assert seconds[0].keys() == seconds[1].keys()


def test_damaged_outputs_are_made_anew_from_the_last_checkpoint(copy, whole, caplog, capsys):
  """One run for several kinds of damage; the slow test has each alone."""
  DAMAGE["deleted"](copy / "restored.png")
  DAMAGE["cut"](copy / "output.npy")
  DAMAGE["one byte changed"](copy / "restored.npy")
  DAMAGE["one byte changed"](copy / "summary.json")
  (copy / ".summary.json.0-1.tmp").touch()
  tiny_run.restore(copy)
  assert caplog.text.count("damaged or gone") == 1 and "resuming after step 30 of the weights stage" in capsys.readouterr().out
  _same(copy, whole[0])


@pytest.mark.slow
@pytest.mark.parametrize("damage, name, checkpoints", [
    *((damage, name, True) for damage in DAMAGE for name in (*OUTPUTS, "summary.json", "manifest.json", "mask/manifest.json")),
    ("deleted", "restored.png", False), ("cut", "metrics.jsonl", False)])
def test_each_damage_is_made_good(copy, whole, caplog, damage, name, checkpoints):
  DAMAGE[damage](copy / name)
  if not checkpoints:
    shutil.rmtree(copy / "checkpoints")
  tiny_run.restore(copy)
  if (name, damage) != ("manifest.json", "deleted"):
    assert f"{copy / name} is damaged or gone" in caplog.text
    assert ("with no checkpoint left from the start" in caplog.text) != checkpoints
  starts_over = checkpoints and name in ("metrics.jsonl", "mask/manifest.json")
  assert ("this run starts over" in caplog.text) == starts_over
  _same(copy, whole[0])


@pytest.mark.slow
@pytest.mark.parametrize("change", [
    {"stage": "none"}, {"step": 10 ** 30}, {"step": "1"}, {"seconds": []}, {"widths": "wide"}, {"failed": {"": 1}}, {"logs": {}},
    {"logs": None}])
def test_a_crafted_record_of_a_checkpoint_starts_over(copy, whole, caplog, change):
  (copy / "manifest.json").unlink()
  for step in (copy / "checkpoints").iterdir():
    path = step / "record" / "metadata"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    files.write_manifest(step)
  tiny_run.restore(copy)
  assert "this run starts over" in caplog.text
  _same(copy, whole[0])


def _craft(folder, **changes):
  """Change a summary with a manifest that fits."""
  summary = json.loads((folder / "summary.json").read_text())
  (folder / "summary.json").write_text(json.dumps({**summary, **changes}))
  files.write_manifest(folder, list(files.read_manifest(folder)))


@pytest.mark.parametrize("changes", [
    {"quality": {"average": {"psnr": 1.0}}}, {"quality": None}, {"guard": {}}, {"combined": {"share": "0.5"}}, {"output": 1},
    {"output": "../../etc/passwd"}, {"output": "config.json"}, {"quality": []}, {"quality": {"average": {}}},
    {"seconds": {"weights": {"total": "1"}}}, {"seconds": None}, {"peak_bytes": 3}, {"mask": {}}, {"sigma": "x"},
    {"mask": {"kept": 1, "acting": True, "size": 2, "collapse": []}}])
def test_a_crafted_summary_is_not_believed(copy, caplog, changes):
  _craft(copy, **changes)
  assert finished.read_finished(copy) is None and "summary.json is damaged or gone" in caplog.text
  with pytest.raises(ValueError, match="summary.json is no summary that this program wrote; delete"):
    finished.read_summary(copy)


@pytest.mark.parametrize("text", [b"", b"[]", b"\xff", b"[" * 100_000, b"9" * 5000])
def test_a_summary_that_is_none_is_not_believed(copy, text):
  (copy / "summary.json").write_bytes(text)
  files.write_manifest(copy, list(files.read_manifest(copy)))
  assert finished.read_finished(copy, warn=False) is None


def test_numbers_that_are_not_finite_are_numbers(copy):
  quality = json.loads((copy / "summary.json").read_text())["quality"]
  _craft(copy, quality={**quality, "measurement": {"psnr": float("inf"), "ssim": float("nan")}})
  assert finished.read_finished(copy)["quality"]["measurement"]["psnr"] == float("inf")


@pytest.mark.slow
def test_a_damaged_tile_is_restored_anew_alone_and_blended(tmp_path, caplog):
  def restore(folder):
    return tiny_run.restore(folder, data__crop=(100, 200, 48, 100), compute__tile=64, compute__tile_overlap=20,
                            mask__num_steps=4, weights__num_steps=6)
  restore(tmp_path / "whole")
  for damage in DAMAGE.values():
    folder = tmp_path / "run"
    shutil.copytree(tmp_path / "whole", folder)
    damage(folder / "tiles" / "001" / "restored.npy")
    damage(folder / "restored.png")
    first = (folder / "tiles" / "000" / "metrics.jsonl").stat().st_mtime_ns
    restore(folder)
    assert "001/restored.npy is damaged or gone" in caplog.text
    assert first == (folder / "tiles" / "000" / "metrics.jsonl").stat().st_mtime_ns
    for name in ("restored.png", "output.npy", "tiles/001/restored.npy", "tiles/001/metrics.jsonl"):
      assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    shutil.rmtree(folder)


@pytest.mark.slow
def test_tiles_of_an_array_with_its_channels_first_are_blended_alike(tmp_path):
  values = np.random.default_rng(0).uniform(size=(3, 48, 100)).astype(np.float32)
  np.save(tmp_path / "first.npy", values)
  np.save(tmp_path / "last.npy", np.moveaxis(values, 0, -1))
  for name, axis in (("first", 0), ("last", -1)):
    tiny_run.restore(tmp_path / name, data__source=str(tmp_path / f"{name}.npy"), data__channel_axis=axis, data__crop=None,
                     compute__tile=64, compute__tile_overlap=20, mask__source="random", weights__num_steps=3)
  read = lambda name: np.load(tmp_path / name / "output.npy")
  np.testing.assert_array_equal(read("first"), read("last"))
