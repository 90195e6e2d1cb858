"""Files that are whole: a write leaves nothing beside it, whoever else writes; manifests that find damage."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from oes_jax.files import _atomic as atomic


def test_atomic_write_leaves_no_other_file(tmp_path):
  atomic.write_atomically(tmp_path / "a.json", json.dumps([1]).encode())
  atomic.write_atomically(tmp_path / "a.json", json.dumps([2]).encode())
  assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
  assert json.loads((tmp_path / "a.json").read_text()) == [2]


def test_two_processes_may_write_one_file(tmp_path):
  """Shares of one sweep start and end together."""
  write = ("import pathlib, sys; from oes_jax.files import _atomic as atomic\n"
           "for _ in range(100): atomic.write_atomically(pathlib.Path(sys.argv[1]), b'x' * 1000)")
  both = [subprocess.Popen([sys.executable, "-c", write, str(tmp_path / "file")], stderr=subprocess.PIPE)
          for _ in range(2)]
  assert [process.communicate()[1][-300:] for process in both] == [b"", b""]
  assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_array_is_written_whole_and_pickles_nothing(tmp_path):
  array = np.arange(6, dtype=np.int16).reshape(2, 3)
  atomic.write_array(tmp_path / "a.npy", array)
  read = np.load(tmp_path / "a.npy", allow_pickle=False)
  np.testing.assert_array_equal(read, array)
  assert read.dtype == np.int16 and [path.name for path in tmp_path.iterdir()] == ["a.npy"]
  with pytest.raises(ValueError):
    atomic.write_array(tmp_path / "b.npy", np.asarray([{}], object))
  assert not (tmp_path / "b.npy").exists()


def _folder(tmp_path):
  """A folder of two files and one in a subfolder, with a manifest of all."""
  folder = tmp_path / "run"
  (folder / "mask").mkdir(parents=True)
  for name in ("a.npy", "b.json", "mask/c"):
    (folder / name).write_bytes(name.encode() * 9)
  atomic.write_manifest(folder, ["a.npy", "b.json", "mask"])
  return folder


DAMAGE = {
    "deleted": lambda path: path.unlink(), "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "one byte changed": lambda path: path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])}


@pytest.mark.parametrize("name", ["a.npy", "b.json", "mask/c", "manifest.json"])
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_to_a_file_of_a_manifest_is_found_by_name(tmp_path, name, damage):
  folder = _folder(tmp_path)
  assert atomic.find_damage(folder) is None
  damage(folder / name)
  assert atomic.find_damage(folder) == name and not atomic.has_valid_manifest(folder)


def test_what_a_user_adds_is_no_damage(tmp_path):
  folder = _folder(tmp_path)
  (folder / "notes.txt").write_text("mine")
  (folder / "mask" / ".DS_Store").write_text("x")
  assert atomic.find_damage(folder) is None


def test_everything_is_durable_before_the_manifest_is_there(tmp_path, monkeypatch):
  folder, synced = _folder(tmp_path), []
  (folder / "manifest.json").unlink()
  fsync = os.fsync
  def recording(descriptor):
    synced.append((os.path.realpath(f"/proc/self/fd/{descriptor}"), (folder / "manifest.json").exists()))
    fsync(descriptor)
  monkeypatch.setattr(os, "fsync", recording)
  atomic.write_manifest(folder, ["a.npy", "b.json", "mask"])
  before = {path for path, there in synced if not there}
  assert {str(folder / name) for name in ("a.npy", "b.json", "mask/c", "mask", "")} <= before
  assert (str(folder), True) in synced  # and its own name after it


@pytest.mark.parametrize("text", [
    b"", b"[]", b"{}", b"null", b"[1]", b'["a.npy"]', b"\xff\xfe", b"[" * 100_000, b"NaN", b"9" * 5000,
    b'[{"path": "a.npy"}]', b'[{"path": 1, "size": 1, "sha256": "x"}]', b'[{"path": "a.npy", "size": NaN, "sha256": ""}]',
    b'[{"path": "a.npy", "size": true, "sha256": ""}]', b'[{"path": "a\\u0000b", "size": 1, "sha256": ""}]',
    b'[{"path": "/etc/hostname", "size": 1, "sha256": ""}]', b'[{"path": "../run/a.npy", "size": 1, "sha256": ""}]'])
def test_a_crafted_manifest_is_none(tmp_path, text):
  folder = _folder(tmp_path)
  (folder / "manifest.json").write_bytes(text)
  assert atomic.read_manifest(folder) == {} and atomic.find_damage(folder) == "manifest.json"


@pytest.mark.parametrize("path", ["x" * 5000, "", "mask"])
def test_a_manifest_of_what_cannot_be_read_is_damage(tmp_path, path):
  folder = _folder(tmp_path)
  (folder / "manifest.json").write_text(json.dumps([{"path": path, "size": 10 ** 30, "sha256": "0"}]))
  assert atomic.find_damage(folder) == path


def test_a_write_that_fails_leaves_nothing(tmp_path):
  (tmp_path / "a").mkdir()
  with pytest.raises(OSError):
    atomic.write_atomically(tmp_path / "a", b"x")
  assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_temporaries_go_with_the_process_that_left_them(tmp_path):
  dead = subprocess.Popen([sys.executable, "-c", ""])
  dead.wait()
  names = {
      "dead": f".a.json.{atomic._host()}-{dead.pid}-01234567.tmp", "alive": f".a.json.{atomic._host()}-{os.getpid()}-01234567.tmp",
      "elsewhere": f".a.json.{'0' * 6}-{dead.pid}-01234567.tmp", "long ago": f".b.json.{'0' * 6}-{dead.pid}-01234567.tmp",
      "no process": ".c.tmp"}
  for name in names.values():
    (tmp_path / name).touch()
  os.utime(tmp_path / names["long ago"], (0, 0))
  (tmp_path / "mask.orbax-checkpoint-tmp").mkdir()
  (tmp_path / "a.json").touch()
  atomic.remove_temporaries(tmp_path, locked=False)
  assert {path.name for path in tmp_path.iterdir()} == {
      "a.json", "mask.orbax-checkpoint-tmp", names["alive"], names["elsewhere"], names["no process"]}
  atomic.remove_temporaries(tmp_path)
  assert not (tmp_path / "mask.orbax-checkpoint-tmp").exists()


def test_a_killed_write_leaves_what_the_next_start_removes(tmp_path):
  kill = ("import os, pathlib, sys; from oes_jax.files import _atomic as atomic\n"
          "os.replace = lambda *names: os.kill(os.getpid(), 9)\n"
          "atomic.write_atomically(pathlib.Path(sys.argv[1]), b'x')")
  subprocess.run([sys.executable, "-c", kill, str(tmp_path / "a.json")], check=False)
  left, = tmp_path.iterdir()
  assert left.match(atomic.TEMPORARY)
  atomic.remove_temporaries(tmp_path)
  assert not any(tmp_path.iterdir())
