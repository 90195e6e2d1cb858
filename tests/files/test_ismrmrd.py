"""Raw data in the ISMRMRD format: lines become the k-space of slices; other kinds and hostile ones are refused."""

import pathlib

import h5py
import numpy as np
import pytest
import scan_files

from oes_jax.files import _scans as scans
from oes_jax.files import _sources as sources

KSPACE = scan_files.kspace()


def read(source):
  path, part = sources.split_page(source)
  return scans.read_arrays(path, ("kspace", "coil_maps", "sampling", "mask"), part and part[0])


def _lines(space, rows, **fields):
  return [(space[:, row], {"kspace_encode_step_1": row, **fields}) for row in rows]


def test_lines_of_ismrmrd_are_sorted_into_slices(tmp_path):
  rows = [0, 3, 8, 9, 15]
  lines = [*_lines(KSPACE[0], rows), *_lines(KSPACE[1], reversed(rows), slice=1), *_lines(9 * KSPACE[0], rows, average=1),
           *_lines(9 * KSPACE[0], [0], flags=1 << 18)]
  path = scan_files.ismrmrd(tmp_path / "raw.h5", lines)
  assert sources.list_sources(path) == [f"{path}@0", f"{path}@1"]
  for number in range(2):
    arrays, _, remarks = read(f"{path}@{number}")
    expected = np.zeros_like(KSPACE[0])
    expected[:, rows] = KSPACE[number][:, rows]
    np.testing.assert_array_equal(arrays["kspace"], expected)
    np.testing.assert_array_equal(arrays["sampling"], np.any(expected != 0, 0))
    assert remarks[0].startswith("10 of its 16 acquisitions are lines of the image")


def test_the_oversampling_of_a_readout_is_removed(tmp_path):
  image = np.random.default_rng(0).standard_normal((3, 16, 20)).astype(np.complex64)
  def transform(values):
    return np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(values, (-2, -1)), norm="ortho"), (-2, -1))
  wide = transform(np.pad(image, ((0, 0), (0, 0), (10, 10))))
  path = scan_files.ismrmrd(tmp_path / "raw.h5", _lines(wide, range(16)), width=40)
  arrays, _, remarks = read(path)
  np.testing.assert_allclose(arrays["kspace"], transform(image), atol=1e-5)
  assert arrays["sampling"].all() and remarks[0] == (
      "the oversampling of its readout is removed: 20 of 40 samples, as its header says")


@pytest.mark.parametrize("fields, options, said", [
    ({}, {"trajectory": "spiral"}, "the trajectory of its first encoding is spiral; allowed: cartesian"),
    ({"flags": 1 << 21}, {}, "its lines are read backwards in part"),
    ({"kspace_encode_step_1": 40}, {}, "its lines do not fit a matrix of 16x20 samples"),
    ({"flags": 1 << 18}, {}, "it holds no line of an image")])
def test_raw_data_of_another_kind_are_refused_in_a_line(tmp_path, fields, options, said):
  path = scan_files.ismrmrd(tmp_path / "raw.h5", [(KSPACE[0][:, 0], fields)], **options)
  with pytest.raises(ValueError, match=f"raw.h5' cannot be read as a scan: {said}"):
    read(path)


def test_a_chunk_that_is_said_to_be_short_is_not_read(tmp_path):
  path = pathlib.Path(scan_files.ismrmrd(tmp_path / "raw.h5", _lines(KSPACE[0], range(3))))
  with h5py.File(path) as file:
    size = file["dataset/data"].id.get_chunk_info(1).size
  data, key = path.read_bytes(), lambda row: size.to_bytes(4, "little") + bytes(4) + row.to_bytes(8, "little")  # in the B-tree
  assert data.count(key(1)) == 1
  path.write_bytes(data.replace(key(1), (size - 10).to_bytes(4, "little") + key(1)[4:]))
  with pytest.raises(ValueError, match="raw.h5' cannot be read as a scan: a chunk of it is cut"):
    read(str(path))


def test_a_header_that_is_no_text_is_not_read(tmp_path):
  path = scan_files.ismrmrd(tmp_path / "raw.h5", _lines(KSPACE[0], range(3)))
  with h5py.File(path, "a") as file:
    del file["dataset/xml"]
    file["dataset"].create_dataset("xml", (1,), h5py.vlen_dtype(np.dtype("u1")))[0] = np.frombuffer(b"<x/>", np.uint8)
  with pytest.raises(ValueError, match="its XML header is no text"):
    read(path)


def test_a_line_that_is_said_to_be_longer_than_its_file_is_notread(tmp_path):
  path = pathlib.Path(scan_files.ismrmrd(tmp_path / "raw.h5", _lines(KSPACE[0], range(3))))
  with h5py.File(path) as file:
    table = file["dataset/data"]
    place = table.id.get_chunk_info(1).byte_offset + table.id.get_type().get_member_offset(2)
  data = bytearray(path.read_bytes())
  data[place:place + 4] = (2 ** 32 - 1).to_bytes(4, "little")
  path.write_bytes(data)
  with pytest.raises(ValueError, match="dataset/data holds values that are said to be longer than the file"):
    read(str(path))
