"""Arrays of scans: values and digest of an NPZ file, and every bad file is a ValueError."""

import hashlib
import io
import struct
import zipfile

import numpy as np
import pytest

from oes_jax.files import _free_memory as memory
from oes_jax.files import _scans as scans


def test_arrays_come_back_by_name(tmp_path):
  given = {"sinogram": np.ones((3, 2), np.float32), "angles": np.array([0, 90]), "maps": np.ones(2, np.complex64)}
  np.savez(tmp_path / "scan.npz", **given)
  arrays, digest, remarks = scans.read_arrays(str(tmp_path / "scan.npz"), tuple(given))
  assert digest == hashlib.sha256((tmp_path / "scan.npz").read_bytes()).hexdigest() and arrays.keys() == given.keys()
  assert remarks == ()
  for name, array in given.items():
    np.testing.assert_array_equal(arrays[name], array)
    assert arrays[name].dtype == array.dtype


def _npz(path, **arrays):
  with open(path, "wb") as file:
    np.savez(file, **arrays)


def _zip(path, content, **options):
  with zipfile.ZipFile(path, "w", **options) as archive:
    archive.writestr("a.npy", content)


def _npy(array=np.ones((3, 4))):
  stream = io.BytesIO()
  np.save(stream, array)
  return stream.getvalue()


def _encrypted(path):
  """Set the flag of encryption in both headers of the only member."""
  _zip(path, _npy())
  data = bytearray(path.read_bytes())
  for start, flags in ((data.index(b"PK\x03\x04"), 6), (data.index(b"PK\x01\x02"), 8)):
    data[start + flags] |= 1
  path.write_bytes(data)


def _foreign(path):
  """Say that the only member is compressed by method 99, which zipfile does not know."""
  _zip(path, _npy())
  data = bytearray(path.read_bytes())
  for start, method in ((data.index(b"PK\x03\x04"), 8), (data.index(b"PK\x01\x02"), 10)):
    data[start + method:start + method + 2] = struct.pack("<H", 99)
  path.write_bytes(data)


@pytest.mark.parametrize("write, reason", [
    (_encrypted, "a.npy is encrypted; allowed"),
    (_foreign, "a.npy has compression 99; allowed: none, or deflate"),
    (lambda path: _zip(path, _npy(), compression=zipfile.ZIP_LZMA), "a.npy has compression 14"),
    (lambda path: _zip(path, _npy().replace(b"False,", b"False(")), "cannot be read as a scan"),
    (lambda path: _zip(path, _npy().replace(b"(3, 4), }" + b" " * 10, b"(30000000000, 4), }")),
     r"its header says shape \(30000000000, 4\) of float64, which are 960000000000 bytes; 96 follow"),
    (lambda path: _zip(path, _npy().replace(b"(3, 4)", b"(3, 3)")), "a.npy holds more than its header says"),
    (lambda path: _zip(path, _npy().replace(b"(3, 4), ", b"(-3, 4),")), "96 follow"),
    (lambda path: _zip(path, b"text"), "cannot be read as a scan"),
], ids=["encrypted", "foreign", "LZMA", "header", "huge", "cut short", "negative", "text"])
def test_a_hostile_archive_names_the_source(tmp_path, write, reason):
  write(tmp_path / "scan.npz")
  with pytest.raises(ValueError, match=f"data.source=.*scan.npz.*({reason})"):
    scans.read_arrays(str(tmp_path / "scan.npz"), "a")


def test_an_archive_larger_than_the_free_memory_is_not_decompressed(tmp_path, monkeypatch):
  np.savez_compressed(tmp_path / "scan.npz", a=np.zeros(10_000))
  monkeypatch.setattr(memory, "free_memory", lambda: 79_999)
  with pytest.raises(ValueError, match="scan.npz.*80128 bytes; allowed: at most the 79999 that are free"):
    scans.read_arrays(str(tmp_path / "scan.npz"), "a")


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
    scans.read_arrays(str(tmp_path / "scan.npz"), "a")
