"""Arrays of scans: values and digest of an NPZ file, and every bad file is a ValueError."""

import hashlib

import numpy as np
import pytest

from oes_jax.files import _scans as scans


def test_arrays_come_back_by_name(tmp_path):
  given = {"sinogram": np.ones((3, 2), np.float32), "angles": np.array([0, 90]), "maps": np.ones(2, np.complex64)}
  np.savez(tmp_path / "scan.npz", **given)
  arrays, digest = scans.read_arrays(str(tmp_path / "scan.npz"))
  assert digest == hashlib.sha256((tmp_path / "scan.npz").read_bytes()).hexdigest() and arrays.keys() == given.keys()
  for name, array in given.items():
    np.testing.assert_array_equal(arrays[name], array)
    assert arrays[name].dtype == array.dtype


def _npz(path, **arrays):
  with open(path, "wb") as file:
    np.savez(file, **arrays)


@pytest.mark.parametrize("write, reason", [
    (lambda path: None, "does not exist or is not a file"),
    (lambda path: path.mkdir(), "does not exist or is not a file"),
    (lambda path: path.write_bytes(b""), "cannot be read as a scan"),
    (lambda path: path.write_text("text"), "cannot be read as a scan"),
    (lambda path: np.save(path.open("wb"), np.ones(3)), "cannot be read as a scan"),
    (lambda path: (_npz(path, a=np.ones(99)), path.write_bytes(path.read_bytes()[:-40])), "cannot be read as a scan"),
    (lambda path: path.write_bytes(b"PK\x03\x04" + bytes(40)), "cannot be read as a scan"),
    (lambda path: _npz(path, a=np.array([{}], object)), "cannot be read as a scan"),
], ids=["none", "folder", "empty", "text", "npy", "cut", "damaged", "pickle"])
def test_a_bad_file_names_the_source(tmp_path, write, reason):
  write(tmp_path / "scan.npz")
  with pytest.raises(ValueError, match=f"data.source=.*scan.npz.*{reason}"):
    scans.read_arrays(str(tmp_path / "scan.npz"))
