"""A full disk and a folder that has gone: one error that says so, and a store that still serves what it had."""

import errno
import logging
import os
import shutil
import sys

import jax.numpy as jnp
import pytest

from oes_jax.files import _checkpoints as checkpoints
from oes_jax.files import _disk as disk
from oes_jax.files import _masks as masks

_STATE, _RECORD = {"a": jnp.arange(6.0)}, {"stage": "mask"}


def _fill(monkeypatch, free, total=10 ** 9):
  monkeypatch.setattr(disk.shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(total, total - free, free))


@pytest.mark.parametrize("error", [
    OSError(errno.ENOSPC, "?"), OSError(errno.EDQUOT, "?"), OSError("RESOURCE_EXHAUSTED: No space left on device")])
def test_a_full_disk_is_named_with_its_folder(tmp_path, error):
  with pytest.raises(disk.Unwritable, match="is full .*: free some space") as caught, disk.writing_into(tmp_path):
    raise error
  assert str(tmp_path) in str(caught.value) and str(caught.value).count("\n") == 0


def test_another_error_passes_and_one_that_says_it_already_is_left_alone(tmp_path):
  error = PermissionError(errno.EACCES, "no")
  with pytest.raises(PermissionError) as caught, disk.writing_into(tmp_path):
    raise error
  assert caught.value is error
  said = disk.gone(tmp_path / "x")
  with pytest.raises(disk.Unwritable) as caught, disk.writing_into(tmp_path):
    with disk.writing_into(tmp_path):
      raise said
  assert caught.value is said


def test_only_a_folder_that_was_there_can_have_gone(tmp_path):
  (tmp_path / "there").mkdir()
  with pytest.raises(disk.Unwritable, match="there was deleted or moved"), disk.writing_into(tmp_path / "there"):
    (tmp_path / "there").rmdir()
    open(tmp_path / "there" / "x", "wb")
  with pytest.raises(FileNotFoundError), disk.writing_into(tmp_path / "never"):
    open(tmp_path / "never" / "x", "wb")


def test_space_is_looked_for_before_orbax_begins(tmp_path, monkeypatch):
  store = checkpoints.Checkpoints(tmp_path)
  store.save(3, _STATE, _RECORD)
  _fill(monkeypatch, free=2000)
  with pytest.raises(OSError) as caught:
    store.save(6, _STATE, _RECORD)
  assert caught.value.errno == errno.ENOSPC and [path.name for path in tmp_path.iterdir()] == ["3"]
  with pytest.raises(OSError):
    masks.save_mask(tmp_path / "mask", _STATE, {})
  _fill(monkeypatch, free=0, total=0)  # a file system that does not tell
  store.save(6, _STATE, _RECORD)
  assert checkpoints.Checkpoints(tmp_path).latest()[0] == 6


def test_what_orbax_says_of_its_failure_is_one_line(tmp_path, monkeypatch, capsys, caplog):
  store = checkpoints.Checkpoints(tmp_path)
  store.save(3, _STATE, _RECORD)
  def failing(*args, **options):
    (tmp_path / "6").mkdir()
    print("Traceback", file=sys.stderr)
    record = logging.LogRecord("absl", logging.ERROR, "site-packages/orbax/future.py", 1, "raised an exception", (), None)
    logging.getLogger("absl").handle(record)
    raise ValueError("RESOURCE_EXHAUSTED: [OS error 28: ENOSPC No space left on device]\nmore")
  with monkeypatch.context() as patched:
    patched.setattr(store._manager, "save", failing)
    with pytest.raises(disk.Unwritable, match="is full .No space left on device."), disk.writing_into(tmp_path):
      store.save(6, _STATE, _RECORD)
  assert capsys.readouterr().err == "" and not caplog.records
  assert checkpoints.Checkpoints(tmp_path).latest() == (3, _RECORD)  # half a step never serves


@pytest.mark.parametrize("lose", [
    shutil.rmtree, lambda folder: folder.rename(folder.with_name("moved")),
    lambda folder: (folder.rename(folder.with_name("moved")), folder.mkdir())], ids=["deleted", "moved", "replaced"])
def test_a_store_whose_folder_has_gone_says_so_and_makes_none(tmp_path, lose):
  folder = tmp_path / "checkpoints"
  store = checkpoints.Checkpoints(folder)
  store.save(3, _STATE, _RECORD)
  lose(folder)
  before = sorted(tmp_path.rglob("*"))
  with pytest.raises(disk.Unwritable, match="checkpoints was deleted or moved while it was worked in"):
    store.save(6, _STATE, _RECORD)
  assert sorted(tmp_path.rglob("*")) == before


def test_a_mask_does_not_make_the_folder_of_its_run_anew(tmp_path):
  with pytest.raises(FileNotFoundError):
    masks.save_mask(tmp_path / "run" / "mask", _STATE, {})
  assert not os.listdir(tmp_path)
