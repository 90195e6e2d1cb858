"""Files that are whole: a write leaves nothing beside it, whoever else writes."""

import json
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
