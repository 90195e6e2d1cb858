"""Scans in HDF5, MAT and NPZ files: one slice is read, in one layout, and what is hostile is refused."""

import hashlib
import os
import pathlib
import sys
import zlib

import h5py
import numpy as np
import pytest
import scan_files

from oes_jax.files import _free_memory as memory
from oes_jax.files import _scans as scans
from oes_jax.files import _sources as sources

NAMES = ("kspace", "coil_maps", "sampling", "mask")
KSPACE = scan_files.kspace()


def _read(source, wanted=NAMES):
  path, part = sources.split_page(source)
  return scans.read_arrays(path, wanted, part and part[0])


@pytest.mark.parametrize("write, one_coil, remark", [
    (scan_files.fastmri, False, "kspace (2, 3, 16, 20) is read as 2 slices of 3 coils, 16x20 samples"),
    (lambda path: scan_files.fastmri(path, True), True, "kspace (2, 16, 20) is read as 2 slices of one coil, 16x20 samples")])
def test_a_file_of_fastmri_lists_its_slices_and_gives_one(tmp_path, write, one_coil, remark):
  path = write(tmp_path / "file1000.h5")
  assert sources.is_collection(path) and sources.list_sources(path) == [f"{path}@0", f"{path}@1"]
  assert sources.list_sources(str(tmp_path / "*.h5")) == [f"{path}@0", f"{path}@1"] and not sources.is_collection(f"{path}@1")
  arrays, digest, remarks = _read(f"{path}@1")
  np.testing.assert_array_equal(arrays["kspace"], KSPACE[1, 0] if one_coil else KSPACE[1])
  np.testing.assert_array_equal(arrays["mask"], np.arange(20) % 2 == 0)
  assert remarks == (remark,) and digest == hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
  assert [name for name, array in arrays.items() if array is None] == [
      "ismrmrd_header", "reconstruction_esc" if one_coil else "reconstruction_rss"]  # a truth is not read
  for source, said in [(path, "it holds 2 slices; allowed: one of them, as NAME@0"), (f"{path}@2", "it holds 2 slices")]:
    with pytest.raises(ValueError, match=said):
      _read(source)


def test_the_digest_follows_the_file(tmp_path):
  path = scan_files.hdf5(tmp_path / "scan.h5", kspace=KSPACE[0])
  first = _read(path)[1]
  scan_files.hdf5(path, kspace=KSPACE[1])
  os.utime(path, (0, 0))
  assert _read(path)[1] != first


@pytest.mark.parametrize("write", [scan_files.mat_5, scan_files.mat_7_3])
def test_matlab_arrays_keep_matlabs_axes(tmp_path, write):
  lines = np.arange(scan_files.WIDTH) % 2
  path = write(tmp_path / "scan.mat", kspace=KSPACE, coil_maps=KSPACE[0], mask=lines[None])
  assert sources.list_sources(path) == [f"{path}@0", f"{path}@1"]
  arrays, _, remarks = _read(f"{path}@1")
  np.testing.assert_array_equal(arrays["kspace"], KSPACE[1])
  np.testing.assert_array_equal(arrays["coil_maps"], KSPACE[0])
  np.testing.assert_array_equal(arrays["mask"], lines)
  assert ("its axes are in MATLAB's order, the reverse of that in the file" in remarks) == (write is scan_files.mat_7_3)
  sinogram = {"sinogram": np.ones((9, 4)), "angles": np.arange(4.0)[:, None], "shape": np.array([[6, 6]])}
  arrays = _read(write(tmp_path / "ct.mat", **sinogram), tuple(sinogram))[0]
  assert {name: array.shape for name, array in arrays.items()} == {"sinogram": (9, 4), "angles": (4,), "shape": (2,)}


@pytest.mark.parametrize("write", [scan_files.hdf5, scan_files.mat_5, scan_files.mat_7_3,
                                   lambda path, **arrays: np.savez(path.with_suffix(".npz"), **arrays)])
def test_the_only_complex_array_is_kspace_in_every_format_and_that_is_said(tmp_path, write):
  path = write(tmp_path / "scan.mat", raw=KSPACE[0], age=np.array([[7.0]])) or str(tmp_path / "scan.npz")
  arrays, _, remarks = _read(path)
  np.testing.assert_array_equal(arrays["kspace"], KSPACE[0])
  assert "raw is read as kspace, as it is the only complex array of two to four axes" in remarks
  assert sources.list_sources(path) == [path] and arrays["age"] is None
  path = write(tmp_path / "two.mat", raw=KSPACE[0], other=KSPACE[1]) or str(tmp_path / "two.npz")
  assert "kspace" not in _read(path)[0]  # which of them is asked of the reader


def test_three_axes_are_coils_unless_a_slice_is_asked_for(tmp_path):
  path = scan_files.hdf5(tmp_path / "scan.h5", kspace=KSPACE[0])
  assert _read(path)[0]["kspace"].shape == (3, 16, 20)
  np.testing.assert_array_equal(_read(f"{path}@2")[0]["kspace"], KSPACE[0, 2])
  path = scan_files.hdf5(tmp_path / "maps.h5", kspace=KSPACE[0], coil_maps=KSPACE[1])
  with pytest.raises(ValueError, match="it holds no slices; allowed: its name without @"):
    _read(f"{path}@0")


def test_arrays_with_a_part_for_every_slice_are_cut_with_it(tmp_path):
  sampling = np.arange(2 * 16 * 20).reshape(2, 16, 20)
  path = scan_files.hdf5(tmp_path / "scan.h5", kspace=KSPACE, coil_maps=2 * KSPACE, sampling=sampling)
  arrays = _read(f"{path}@1")[0]
  np.testing.assert_array_equal(arrays["coil_maps"], 2 * KSPACE[1])
  np.testing.assert_array_equal(arrays["sampling"], sampling[1])


@pytest.mark.parametrize("value, said", [
    ("text", "kspace is a MATLAB char; allowed"), (np.array([{"a": 1}], object), "kspace is a MATLAB (cell|struct)"),
    ({"a": 1}, "kspace is a MATLAB struct")])
def test_matlab_variables_that_are_no_numbers_are_named_where_they_are_asked_for(tmp_path, value, said):
  with pytest.raises(ValueError, match=f"data.source=.*scan.mat' cannot be read as a scan: {said}"):
    _read(scan_files.mat_5(tmp_path / "scan.mat", kspace=value))
  assert _read(scan_files.mat_5(tmp_path / "scan.mat", kspace=KSPACE[0], notes=value))[0]["notes"] is None


def _external_link(file, tmp_path):
  scan_files.hdf5(tmp_path / "secret.h5", kspace=KSPACE[0])
  file["kspace"] = h5py.ExternalLink("secret.h5", "/kspace")


def _soft_link(file, tmp_path):
  del tmp_path
  file["there"] = KSPACE[0]
  file["kspace"] = h5py.SoftLink("/there")


def _external_storage(file, tmp_path):
  (tmp_path / "secret.bin").write_bytes(bytes(4 * 16 * 20))
  file.create_dataset("kspace", (16, 20), "f4", external=[(str(tmp_path / "secret.bin"), 0, 4 * 16 * 20)])


def _virtual(file, tmp_path):
  scan_files.hdf5(tmp_path / "secret.h5", kspace=KSPACE[0])
  layout = h5py.VirtualLayout(KSPACE[0].shape, KSPACE.dtype)
  layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "kspace", KSPACE[0].shape)
  file.create_virtual_dataset("kspace", layout)


def _nbit(file, tmp_path):
  del tmp_path
  file.create_dataset("kspace", data=np.ones((16, 20), np.int32), scaleoffset=4)


def _text(file, tmp_path):
  del tmp_path
  file["kspace"] = np.array([b"a", b"b"], object)


def _odd_floats(file, tmp_path):
  """Floats of another exponent, of which h5py makes types that overlap: HDF5 wrote beyond their memory."""
  del tmp_path
  odd, pair = h5py.h5t.IEEE_F32LE.copy(), h5py.h5t.create(h5py.h5t.COMPOUND, 8)
  odd.set_ebias(128)
  pair.insert(b"real", 0, odd)
  pair.insert(b"imag", 4, h5py.h5t.IEEE_F32LE)
  h5py.h5d.create(file.id, b"kspace", pair, h5py.h5s.create_simple((16, 20)))


def _huge(file, tmp_path):
  del tmp_path
  file.create_dataset("kspace", (10 ** 6, 10 ** 6), "c8", chunks=(1000, 1000))


def _scattered(file, tmp_path):
  del tmp_path
  file.create_dataset("kspace", (1000, 1000), "c8", chunks=(1, 1))


@pytest.mark.parametrize("write, said", [
    (_external_link, "kspace is a link to another place; allowed: values in the file itself"),
    (_soft_link, "kspace is a link to another place"), (_external_storage, "kspace lies in another file"),
    (_virtual, "kspace lies in another file"), (_nbit, r"kspace is stored with the filters \[6\]; allowed: deflate once"),
    (_text, "kspace holds no numbers"), (_odd_floats, "kspace holds numbers of a type that NumPy has not"), (_huge, "it says that it holds 24000000000000 bytes; allowed: at most"),
    (_scattered, "an array of it is said to lie in [0-9]+ chunks, of which it holds 0")],
                         ids=lambda value: getattr(value, "__name__", ""))
def test_a_hostile_hdf5_file_is_refused_before_anything_is_read(tmp_path, write, said):
  with h5py.File(tmp_path / "scan.h5", "w") as file:
    write(file, tmp_path)
  with pytest.raises(ValueError, match=f"data.source=.*scan.h5' cannot be read as a scan: {said}"):
    _read(str(tmp_path / "scan.h5"))


def test_chunks_and_variables_that_inflate_to_more_than_they_say_are_refused(tmp_path, monkeypatch):
  with h5py.File(tmp_path / "scan.h5", "w") as file:
    dataset = file.create_dataset("kspace", (16, 20), "f4", chunks=(16, 20), compression="gzip")
    dataset.id.write_direct_chunk((0, 0), zlib.compress(bytes(10 ** 6)))
  monkeypatch.setattr(memory, "free_memory", lambda: 100_000)
  with pytest.raises(ValueError, match="a part of it inflates to more than its header says"):
    _read(str(tmp_path / "scan.h5"))
  path = pathlib.Path(scan_files.mat_5(tmp_path / "scan.mat", kspace=np.zeros(10 ** 5)))
  with pytest.raises(ValueError, match="it says that it holds 3200000 bytes; allowed: at most the 100000 that are free"):
    _read(str(path))
  data = pathlib.Path(scan_files.mat_5(path, kspace=np.zeros(10))).read_bytes()
  body = zlib.compress(zlib.decompress(data[136:]) + bytes(10 ** 6))
  path.write_bytes(data[:132] + len(body).to_bytes(4, "little") + body)
  with pytest.raises(ValueError, match="a variable of it is cut, or holds more than it says"):
    _read(str(path))


@pytest.mark.parametrize("suffix, write", [(".h5", scan_files.fastmri), (".mat", lambda path: scan_files.mat_5(path, kspace=KSPACE)),
                                           (".mat", lambda path: scan_files.mat_7_3(path, kspace=KSPACE))])
def test_a_damaged_file_is_read_or_names_the_source(tmp_path, suffix, write):
  data = pathlib.Path(write(tmp_path / f"whole{suffix}")).read_bytes()
  rng, path = np.random.default_rng(0), tmp_path / f"cut{suffix}"
  for number in range(60):
    place = int(rng.integers(min(len(data), 4096)))
    path.write_bytes(data[:place] if number % 3 == 0 else data[:place] + rng.bytes(2) + data[place + number % 3:])
    for source in sources.list_sources(str(path)):
      try:
        _read(source)
      except ValueError as error:
        assert str(error).startswith(f"data.source={str(path)!r} cannot be read as a scan: ") and "\n" not in str(error)


def test_other_files_and_a_missing_library_are_said_in_a_line(tmp_path, monkeypatch):
  (tmp_path / "old.mat").write_bytes(bytes(200))
  with pytest.raises(ValueError, match="it is no MAT file of version 5 or 7.3; allowed: what MATLAB's save writes"):
    _read(str(tmp_path / "old.mat"))
  path = scan_files.fastmri(tmp_path / "scan.h5")
  monkeypatch.setitem(sys.modules, "h5py", None)
  with pytest.raises(ValueError, match=r'as a scan: HDF5 needs h5py; allowed: pip install "oes_jax\[hdf5\]"\.'):
    _read(path)
