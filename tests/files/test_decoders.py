"""Decoders: files give their stored values, and every bad file is a ValueError."""

import hashlib
import io
import pickle
import struct
import zlib

import numpy as np
from PIL import Image as PillowImage
import picture_files
import pytest
import tifffile

from oes_jax import files
from oes_jax.files import _dicom as dicom
from oes_jax.files import _pictures as pictures

HEIGHT, WIDTH = picture_files.HEIGHT, picture_files.WIDTH


@pytest.mark.parametrize("name", picture_files.FILES)
def test_reading_gives_the_stored_values(tmp_path, name):
  suffix, data, values, alpha = picture_files.FILES[name]
  picture = pictures.read_picture(picture_files.write(tmp_path, suffix, data))
  expected = picture_files.channels_last(values)
  picture_files.assert_same(picture.values, expected[..., :-1] if alpha else expected)
  if alpha:
    picture_files.assert_same(picture.alpha, expected[..., -1])
  else:
    assert picture.alpha is None
  assert picture.squeezed == (values.ndim == 2) and picture.suffix == suffix
  assert picture.digest == hashlib.sha256(data).hexdigest() and not picture.bundled


def test_cmyk_jpeg_is_refused_or_keeps_four_channels(tmp_path):
  # Written as an RGBA file, its black plate would turn into transparency.
  picture = PillowImage.frombytes("CMYK", (WIDTH, HEIGHT), bytes(range(4 * WIDTH * HEIGHT)))
  source = picture_files.write(tmp_path, ".jpg", picture_files.file_bytes(lambda buffer: picture.save(buffer, "JPEG")))
  try:
    first = pictures.read_picture(source)
  except ValueError as error:
    assert "data.source=" in str(error)
    return
  path = files.write_picture(tmp_path / "restored", first.values, first)
  picture_files.assert_same(pictures.read_picture(str(path)).values, first.values)


def lzw_tiff(values):
  return picture_files.file_bytes(lambda buffer: PillowImage.fromarray(values).save(
      buffer, "TIFF", compression="tiff_lzw"))


def twelve_bit_tiff(values):
  """A 16-bit grey TIFF whose header says 12: tag 258, type 3 (short), one value."""
  data, tag = picture_files.tiff(values), struct.pack("<HHI", 258, 3, 1)
  assert data.count(tag + struct.pack("<H", 16)) == 1
  return data.replace(tag + struct.pack("<H", 16), tag + struct.pack("<H", 12))


@pytest.mark.parametrize("data", [
    pytest.param(lzw_tiff(picture_files.random_values(np.uint8, 3)), id="lzw"),
    pytest.param(twelve_bit_tiff(picture_files.random_values(np.uint16)), id="12 bits")])
def test_tiff_that_may_need_another_package_is_read_or_refused(tmp_path, data):
  try:
    picture = pictures.read_picture(picture_files.write(tmp_path, ".tif", data))
  except ValueError as error:
    assert "data.source=" in str(error)
  else:
    assert picture.values.shape[:2] == (HEIGHT, WIDTH)


class Hostile:
  """Makes a file when unpickled."""

  def __reduce__(self):
    return open, ("WITNESS", "w")


def png_with_size(width, height, depth=8, num_bytes=9):
  """A PNG whose header claims a size that its data do not have."""
  def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
  header = struct.pack(">2I5B", width, height, depth, 2, 0, 0, 0)
  return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(num_bytes)))
          + chunk(b"IEND", b""))


def tiff_that_inflates(num_bytes):
  """A TIFF whose only strip is compressed and holds more bytes than its pixels."""
  data, strip = picture_files.tiff(np.zeros((64, 64), np.uint8), compression="zlib"), zlib.compress(bytes(num_bytes))
  with tifffile.TiffFile(io.BytesIO(data)) as file:
    (start,), (length,) = file.pages[0].dataoffsets, file.pages[0].databytecounts
  for tag, before, now in ((273, start, len(data)), (279, length, len(strip))):
    assert data.count(entry := struct.pack("<HHII", tag, 4, 1, before)) == 1
    data = data.replace(entry, struct.pack("<HHII", tag, 4, 1, now))
  return data + strip


def npy_with_header(header):
  header = header.encode() + b"\n"
  return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


NAN = picture_files.random_values(np.float32)
NAN[2, 3] = np.nan
INFINITE = picture_files.random_values(np.float64, 3)
INFINITE[0, 0, 0] = -np.inf

BAD_FILES = {
    "truncated png": (".png", picture_files.FILES["png 8-bit RGB"][1][:60]),
    "truncated 16-bit png": (".png", picture_files.FILES["png 16-bit RGB"][1][:-30]),
    "png of three bytes": (".png", picture_files.FILES["png 8-bit RGB"][1][:3]),
    "damaged 16-bit png": (".png", picture_files.FILES["png 16-bit RGB"][1].replace(b"IDAT", b"IDAX")),
    "png of a billion pixels": (".png", png_with_size(60_000, 60_000)),
    "png with too little data": (".png", png_with_size(50, 50)),
    "text named .png": (".png", b"this is not an image, but a line of text\n"),
    "empty png": (".png", b""),
    "text named .jpg": (".jpg", b"this is not an image, but a line of text\n"),
    "truncated jpeg": (".jpg", picture_files.jpeg(picture_files.random_values(np.uint8, 3))[:-10]),
    "jpeg of three bytes": (".jpg", b"\xff\xd8\xff"),
    "empty jpeg": (".jpeg", b""),
    "truncated tiff": (".tif", picture_files.FILES["tiff uint8 RGB"][1][:-20]),
    "truncated deflated tiff": (".tif", picture_files.FILES["tiff deflated"][1][:-20]),
    "tiff of six bytes": (".tif", picture_files.FILES["tiff uint8 RGB"][1][:6]),
    "tiff without pages": (".tif", b"II*\x00" + b"\xff" * 20),
    "tiff of a trillion pixels": (".tif", picture_files.tiff(np.zeros((5, 7), np.uint8)).replace(
        struct.pack("<HHII", 256, 4, 1, 7), struct.pack("<HHII", 256, 4, 1, 2 ** 31)).replace(
            struct.pack("<HHII", 257, 4, 1, 5), struct.pack("<HHII", 257, 4, 1, 2 ** 31))),
    "16-bit png of a billion rows": (".png", png_with_size(60_000, 60_000, depth=16)),
    "16-bit png that inflates to 2 MB": (".png", png_with_size(50, 50, depth=16, num_bytes=2_000_000)),
    "tiff that inflates to 2 MB": (".tif", tiff_that_inflates(2_000_000)),
    "text named .tif": (".tif", b"this is not an image, but a line of text\n"),
    "multi-page tiff": (".tif", picture_files.tiff(np.zeros((3, HEIGHT, WIDTH), np.uint8), photometric="minisblack")),
    "empty tiff": (".tiff", b""),
    "pickled objects": (".npy", picture_files.npy(np.asarray([[Hostile()]], object))),
    "a pickle": (".npy", pickle.dumps(Hostile())),
    "complex npy": (".npy", picture_files.npy(picture_files.random_values(np.float32).astype(np.complex64))),
    "text npy": (".npy", picture_files.npy(np.asarray([["a", "b"]]))),
    "dates npy": (".npy", picture_files.npy(np.zeros((4, 4), "M8[D]"))),
    "structured npy": (".npy", picture_files.npy(np.zeros((4, 4), [("x", "f4")]))),
    "NaN": (".npy", picture_files.npy(NAN)),
    "NaN in tiff": (".tif", picture_files.tiff(NAN)),
    "infinite": (".npy", picture_files.npy(INFINITE)),
    "no rows": (".npy", picture_files.npy(np.zeros((0, 4), np.uint8))),
    "no channels": (".npy", picture_files.npy(np.zeros((4, 4, 0), np.uint8))),
    "one number": (".npy", picture_files.npy(np.zeros(()))),
    "one dimension": (".npy", picture_files.npy(np.zeros(9))),
    "four dimensions": (".npy", picture_files.npy(np.zeros((2, 4, 4, 3)))),
    "truncated npy": (".npy", picture_files.npy(picture_files.random_values(np.float64))[:-3]),
    "npy with a damaged header": (".npy", npy_with_header("{'descr': '<f8', 'shape': (3, ")),
    "npy larger than any memory": (".npy", npy_with_header(
        "{'descr': '<f8', 'fortran_order': False, 'shape': (16777216, 4194304), }")),
    "npz named .npy": (".npy", picture_files.file_bytes(lambda buffer: np.savez(buffer, a=np.zeros((4, 4))))),
    "npy of version 3": (".npy", b"\x93NUMPY\x03\x00" + bytes(200)),
    "npy larger than the file": (".npy", picture_files.npy(np.zeros((4, 5))).replace(b"(4, 5)", b"(9, 9)")),
    "text named .npy": (".npy", b"this is not an image, but a line of text\n"),
    "empty npy": (".npy", b""),
    "text named .dcm": (".dcm", b"this is not an image, but a line of text\n"),
    "empty dicom": (".dcm", b""),
    "truncated dicom": (".dcm", dicom.read_slice("mr_slice")[:3000]),
    "dicom with a flipped length": (".dcm", dicom.read_slice("mr_slice").replace(b"UL\x04\x00", b"UL\x05\x00", 1)),
    "dicom of many rows": (".dcm", dicom.read_slice("mr_slice").replace(
        b"\x28\x00\x10\x00US\x02\x00", b"\x28\x00\x10\x00US\x00\x00", 1)),
    "dicom cut in its header": (".dcm", dicom.read_slice("mr_slice")[:200]),
    "another format": (".bmp", b"BM"),
    "no suffix": ("", b""),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_file_raises_value_error_that_names_the_source(tmp_path, monkeypatch, name):
  monkeypatch.chdir(tmp_path)
  path = picture_files.write(tmp_path, *BAD_FILES[name])
  with pytest.raises(ValueError, match=r"data\.source="):
    pictures.read_picture(path)
  assert not (tmp_path / "WITNESS").exists()


@pytest.mark.parametrize("name", [
    "png 8-bit RGB", "png 16-bit RGB", "png palette", "tiff float32 RGB", "tiff deflated",
    "npy float32 2-D"])
def test_truncated_file_is_refused_or_gives_all_pixels(tmp_path, name):
  suffix, data, values, _ = picture_files.FILES[name]
  for stop in [*range(16), *range(16, len(data), 7)]:
    try:
      picture = pictures.read_picture(picture_files.write(tmp_path, suffix, data[:stop]))
    except ValueError as error:
      assert "data.source=" in str(error)
    else:
      picture_files.assert_same(picture.values, picture_files.channels_last(values))
