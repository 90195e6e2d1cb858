"""Tests of images: files keep their values, type and layout, and every bad file is a ValueError."""

import hashlib
import io
import pickle
import socket
import struct
import zlib

import numpy as np
from PIL import Image as PillowImage
import png
import pydicom
from pydicom import data as pydicom_data
import pytest
import skimage.data
import tifffile

from oes_jax.files import _dicom as dicom
from oes_jax.files import _images as images
from oes_jax import intensity

HEIGHT, WIDTH = 5, 7


def random_values(dtype, channels=None, seed=0):
  """Random [H, W] or [H, W, C] over the whole range of an integer type."""
  rng = np.random.default_rng(seed)
  shape = (HEIGHT, WIDTH) if channels is None else (HEIGHT, WIDTH, channels)
  dtype = np.dtype(dtype)
  if dtype.kind == "f":
    return rng.normal(100, 30, shape).astype(dtype)
  if dtype == bool:
    return rng.integers(0, 2, shape).astype(bool)
  info = np.iinfo(dtype)
  return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


# Files that other code than the one under test writes.


def file_bytes(save):
  buffer = io.BytesIO()
  save(buffer)
  return buffer.getvalue()


def png_8(values):
  return file_bytes(lambda buffer: PillowImage.fromarray(values).save(buffer, "PNG"))


def jpeg(values):
  return file_bytes(lambda buffer: PillowImage.fromarray(values).save(buffer, "JPEG"))


def png_16(values, mode):
  rows = values.reshape(values.shape[0], -1).tolist()
  return file_bytes(lambda buffer: png.from_array(rows, f"{mode};16").write(buffer))


def tiff(values, **options):
  return file_bytes(lambda buffer: tifffile.imwrite(buffer, values, **options))


def npy(values):
  return file_bytes(lambda buffer: np.save(buffer, values))


def palette_png(transparency=None):
  """A palette image, and the values [H, W, 3 or 4] that its indices stand for."""
  rng = np.random.default_rng(1)
  indices = rng.integers(0, 4, (HEIGHT, WIDTH), dtype=np.uint8)
  colours = rng.integers(0, 256, (4, 3), dtype=np.uint8)
  picture = PillowImage.frombytes("P", (WIDTH, HEIGHT), indices.tobytes())
  picture.putpalette(colours.tobytes())
  options = {} if transparency is None else {"transparency": bytes(transparency)}
  data = file_bytes(lambda buffer: picture.save(buffer, "PNG", **options))
  values = colours[indices]
  if transparency is not None:
    alpha = np.asarray(transparency, np.uint8)[indices]
    values = np.concatenate([values, alpha[..., None]], axis=-1)
  return data, values


def make_files():
  """Return name -> (suffix, bytes, values, whether the last channel is alpha)."""
  files = {}
  for name, channels in [("L", None), ("LA", 2), ("RGB", 3), ("RGBA", 4)]:
    alpha = name.endswith("A")
    values = random_values(np.uint8, channels)
    files[f"png 8-bit {name}"] = (".png", png_8(values), values, alpha)
    values = random_values(np.uint16, channels)
    files[f"png 16-bit {name}"] = (".png", png_16(values, name), values, alpha)
  values = random_values(bool)
  files["png 1-bit"] = (".png", png_8(values), 255 * values.astype(np.uint8), False)
  files["png palette"] = (".png", *palette_png(), False)
  files["png palette with alpha"] = (".png", *palette_png([0, 255, 128, 7]), True)
  for dtype in (np.uint8, np.uint16, np.int16, np.float32):
    name = np.dtype(dtype).name
    values = random_values(dtype)
    files[f"tiff {name} grey"] = (".tif", tiff(values), values, False)
    values = random_values(dtype, 3)
    files[f"tiff {name} RGB"] = (".tiff", tiff(values, photometric="rgb"), values, False)
    values = random_values(dtype, 4)
    files[f"tiff {name} RGBA"] = (
        ".tif", tiff(values, photometric="rgb", extrasamples=["unassalpha"]), values, True)
    values = random_values(dtype, 6)
    files[f"tiff {name} 6 channels"] = (
        ".tif", tiff(values, photometric="minisblack", planarconfig="contig"), values, False)
  values = random_values(np.uint8, 2)
  data = tiff(values, photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"])
  files["tiff grey with alpha"] = (".tif", data, values, True)
  values = random_values(np.uint16, 4)
  data = tiff(values, photometric="minisblack", planarconfig="contig")
  files["tiff 4 channels without alpha"] = (".tif", data, values, False)
  data = tiff(np.moveaxis(values, -1, 0), photometric="minisblack", planarconfig="separate")
  files["tiff 4 planes"] = (".tif", data, values, False)
  data = tiff(values, photometric="minisblack", planarconfig="contig", compression="zlib")
  files["tiff deflated"] = (".tif", data, values, False)
  files["tiff big-endian"] = (".tif", tiff(values[..., 0], byteorder=">"), values[..., 0], False)
  for dtype in (bool, np.uint8, np.int32, np.float32, np.float64):
    name = np.dtype(dtype).name
    for channels in (None, 1, 3, 5):
      values = random_values(dtype, channels)
      files[f"npy {name} {values.ndim}-D {channels or ''}".strip()] = (
          ".npy", npy(values), values, False)
  return files


FILES = make_files()


def write(folder, suffix, data):
  path = folder / f"image{suffix}"
  path.write_bytes(data)
  return str(path)


def channels_last(values):
  return values[..., None] if values.ndim == 2 else values


def assert_same(actual, expected):
  assert actual.dtype == expected.dtype and actual.shape == expected.shape
  np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("name", FILES)
def test_reading_gives_the_stored_values(tmp_path, name):
  suffix, data, values, alpha = FILES[name]
  picture = images.read_picture(write(tmp_path, suffix, data))
  expected = channels_last(values)
  assert_same(picture.values, expected[..., :-1] if alpha else expected)
  if alpha:
    assert_same(picture.alpha, expected[..., -1])
  else:
    assert picture.alpha is None
  assert picture.squeezed == (values.ndim == 2) and picture.suffix == suffix
  assert picture.digest == hashlib.sha256(data).hexdigest() and not picture.bundled


@pytest.mark.parametrize("name", FILES)
def test_writing_then_reading_gives_the_same_picture(tmp_path, name):
  suffix, data, *_ = FILES[name]
  first = images.read_picture(write(tmp_path, suffix, data))
  path = images.write_picture(tmp_path / "restored.v1", first.values, first)
  assert path.name == f"restored.v1{suffix}"
  second = images.read_picture(str(path))
  assert_same(second.values, first.values)
  assert (second.alpha is None) == (first.alpha is None)
  if first.alpha is not None:
    assert_same(second.alpha, first.alpha)
  assert second.squeezed == first.squeezed


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_16_bit_png_stays_16_bit_on_disk(tmp_path, mode):
  picture = images.read_picture(write(tmp_path, ".png", FILES[f"png 16-bit {mode}"][1]))
  assert picture.values.dtype == np.uint16
  written = images.write_picture(tmp_path / "restored", picture.values, picture).read_bytes()
  depth, colour_type = written[24:26]
  assert depth == 16 and colour_type == {"L": 0, "LA": 4, "RGB": 2, "RGBA": 6}[mode]


@pytest.mark.parametrize("channels", [None, 3])
def test_jpeg_is_read_as_decoded_and_written_as_png(tmp_path, channels):
  data = jpeg(random_values(np.uint8, channels))
  picture = images.read_picture(write(tmp_path, ".jpg", data))
  decoded = np.asarray(PillowImage.open(io.BytesIO(data)))
  assert_same(picture.values, channels_last(decoded))
  path = images.write_picture(tmp_path / "restored", picture.values, picture)
  assert path.name == "restored.png"
  assert_same(images.read_picture(str(path)).values, picture.values)


def test_cmyk_jpeg_is_refused_or_keeps_four_channels(tmp_path):
  # Written as an RGBA file, its black plate would turn into transparency.
  picture = PillowImage.frombytes("CMYK", (WIDTH, HEIGHT), bytes(range(4 * WIDTH * HEIGHT)))
  source = write(tmp_path, ".jpg", file_bytes(lambda buffer: picture.save(buffer, "JPEG")))
  try:
    first = images.read_picture(source)
  except ValueError as error:
    assert "data.source=" in str(error)
    return
  path = images.write_picture(tmp_path / "restored", first.values, first)
  assert_same(images.read_picture(str(path)).values, first.values)


def lzw_tiff(values):
  return file_bytes(lambda buffer: PillowImage.fromarray(values).save(
      buffer, "TIFF", compression="tiff_lzw"))


def twelve_bit_tiff(values):
  """A 16-bit grey TIFF whose header says 12: tag 258, type 3 (short), one value."""
  data, tag = tiff(values), struct.pack("<HHI", 258, 3, 1)
  assert data.count(tag + struct.pack("<H", 16)) == 1
  return data.replace(tag + struct.pack("<H", 16), tag + struct.pack("<H", 12))


@pytest.mark.parametrize("data", [
    pytest.param(lzw_tiff(random_values(np.uint8, 3)), id="lzw"),
    pytest.param(twelve_bit_tiff(random_values(np.uint16)), id="12 bits")])
def test_tiff_that_may_need_another_package_is_read_or_refused(tmp_path, data):
  try:
    picture = images.read_picture(write(tmp_path, ".tif", data))
  except ValueError as error:
    assert "data.source=" in str(error)
  else:
    assert picture.values.shape[:2] == (HEIGHT, WIDTH)


@pytest.mark.parametrize("name", ["png 8-bit L", "png 8-bit RGB", "png 16-bit RGB"])
def test_values_that_png_cannot_hold_become_tiff(tmp_path, name):
  like = images.read_picture(write(tmp_path, ".png", FILES[name][1]))
  values = random_values(np.float32, like.values.shape[-1])
  path = images.write_picture(tmp_path / "restored", values, like)
  assert path.name == "restored.tiff"
  assert_same(images.read_picture(str(path)).values, values)


def test_upper_case_suffix_is_an_image_too(tmp_path):
  data, values = FILES["png 8-bit RGB"][1:3]
  assert_same(images.read_picture(write(tmp_path, ".PNG", data)).values, values)


def test_crop_hand_check(tmp_path):
  values = np.arange(20, dtype=np.uint8).reshape(4, 5)
  source = write(tmp_path, ".npy", npy(values))
  picture = images.read_picture(source, crop=(1, 2, 2, 3))
  np.testing.assert_array_equal(picture.values[..., 0], [[7, 8, 9], [12, 13, 14]])
  assert_same(images.read_picture(source, crop=(0, 0, 4, 5)).values[..., 0], values)


def test_crop_cuts_alpha_alike(tmp_path):
  _, data, values, _ = FILES["png 8-bit RGBA"]
  picture = images.read_picture(write(tmp_path, ".png", data), crop=(1, 2, 3, 4))
  assert_same(picture.values, values[1:4, 2:6, :3])
  assert_same(picture.alpha, values[1:4, 2:6, 3])


@pytest.mark.parametrize("name", images.BUNDLED_IMAGES)
def test_bundled_image_needs_no_network(monkeypatch, name):
  def refuse(*args, **kwargs):
    raise AssertionError("a bundled image asked for the network")
  monkeypatch.setattr(socket, "socket", refuse)
  picture = images.read_picture(name, crop=(0, 0, 16, 16))
  assert picture.bundled and picture.suffix == ".png" and picture.digest == name
  assert picture.values.dtype == np.uint8 and picture.values.shape[:2] == (16, 16)


def test_bundled_camera_is_the_photograph():
  picture = images.read_picture("camera")
  assert picture.squeezed and picture.alpha is None
  assert_same(picture.values[..., 0], skimage.data.camera())


# The map of values to the unit range.

EXACT_TYPES = [bool, np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.float32]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", EXACT_TYPES)
def test_from_unit_inverts_to_unit(dtype, channels):
  values = random_values(dtype, channels)
  limits = intensity.intensity_range(values)
  unit = intensity.to_unit(values, limits)
  assert unit.dtype == np.float64
  assert_same(intensity.from_unit(unit, limits, values.dtype), values)


@pytest.mark.parametrize("dtype", [np.float64, np.float16])
def test_from_unit_inverts_to_unit_of_other_floats(dtype):
  values = random_values(dtype, 3)
  limits = intensity.intensity_range(values)
  inverse = intensity.from_unit(intensity.to_unit(values, limits), limits, dtype)
  assert inverse.dtype == dtype
  np.testing.assert_allclose(inverse, values, rtol=1e-14)


@pytest.mark.parametrize("limits, values, unit", [
    ((0., 255.), [0, 51, 255], [0., 0.2, 1.]),
    ((-10., 10.), [-10, 0, 5], [0., 0.5, 0.75]),
    ((100., 200.), [50, 250], [-0.5, 1.5]),
])
def test_to_unit_hand_check(limits, values, unit):
  np.testing.assert_allclose(intensity.to_unit(np.asarray(values), limits), unit, rtol=1e-15)


@pytest.mark.parametrize("dtype, unit, expected", [
    (np.uint8, [-1., 0., 0.5 / 255 - 1e-9, 0.5 / 255 + 1e-9, 1., 2.], [0, 0, 0, 1, 255, 255]),
    (np.int8, [-1., 0.25, 2.], [-128, 64, 127]),
    (bool, [-1., 0.4, 0.6, 2.], [False, True, True, True]),
    (np.float32, [-1., 2.], [-255., 510.]),
])
def test_from_unit_rounds_and_clips_integers_only(dtype, unit, expected):
  actual = intensity.from_unit(np.asarray(unit), (0., 255.), dtype)
  assert_same(actual, np.asarray(expected, dtype))


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint64])
def test_from_unit_does_not_wrap_around_at_the_ends(dtype):
  low, high = intensity.from_unit(np.asarray([0., 1.]), (-1e30, 1e30), dtype)
  info = np.iinfo(dtype)
  assert low == info.min
  assert info.max - 2 ** 11 <= high <= info.max  # float64 has 53 bits


@pytest.mark.parametrize("dtype, expected", [
    (np.uint8, (0., 255.)), (np.int8, (-128., 127.)), (bool, (0., 1.))])
def test_range_of_8_bit_and_boolean_data_is_that_of_the_type(dtype, expected):
  values = np.zeros((8, 8, 1), dtype)
  values[2:4, 2:4] = 1
  assert intensity.intensity_range(values) == expected


def halves(dtype):
  """Left half 100, right half 300."""
  values = np.full((8, 8, 1), 100, dtype)
  values[:, 4:] = 300
  return values


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32, np.float64])
def test_range_of_other_data_is_widened_by_a_twentieth(dtype):
  assert intensity.intensity_range(halves(dtype)) == (90., 310.)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize("position", [(4, 2), (0, 0), (7, 7), (0, 4)])
def test_range_ignores_one_hot_and_one_dead_pixel(dtype, position):
  values = halves(dtype)
  values[position] = 60_000
  assert intensity.intensity_range(values) == (90., 310.)
  values[position] = 0
  assert intensity.intensity_range(values) == (90., 310.)


def test_range_does_not_mix_channels():
  # A median over channels too would not see the middle one.
  values = np.full((6, 6, 3), 500, np.uint16)
  values[..., 1] = 1000
  assert intensity.intensity_range(values) == (475., 1025.)


def test_range_of_a_flat_image_with_one_other_pixel_is_that_of_its_values():
  values = np.full((6, 6, 1), 10, np.uint16)
  values[3, 3] = 30
  assert intensity.intensity_range(values) == (9., 31.)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_range_override_is_taken_as_it_is(dtype):
  values = random_values(dtype, 1)
  assert intensity.intensity_range(values, (-1, 2.5)) == (-1., 2.5)
  assert intensity.intensity_range(np.zeros((4, 4, 1), dtype), (0, 1)) == (0., 1.)


@pytest.mark.parametrize("override", [
    (1, 1), (2, 1), (np.nan, 1), (0, np.nan), (0, np.inf), (-np.inf, 0)])
def test_bad_range_override_names_its_key(override):
  with pytest.raises(ValueError, match=r"data\.range=.*allowed"):
    intensity.intensity_range(halves(np.float32), override)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, bool])
def test_image_of_a_single_value_names_the_range_key(dtype):
  with pytest.raises(ValueError, match=r"single value.*data\.range"):
    intensity.intensity_range(np.ones((4, 4, 3), dtype))


# Bad input.


class Hostile:
  """Makes a file when unpickled."""

  def __reduce__(self):
    return open, ("WITNESS", "w")


def png_with_size(width, height):
  """A PNG whose header claims a size that its data do not have."""
  def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
  header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
  return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9)))
          + chunk(b"IEND", b""))


def npy_with_header(header):
  header = header.encode() + b"\n"
  return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


NAN = random_values(np.float32)
NAN[2, 3] = np.nan
INFINITE = random_values(np.float64, 3)
INFINITE[0, 0, 0] = -np.inf

BAD_FILES = {
    "truncated png": (".png", FILES["png 8-bit RGB"][1][:60]),
    "truncated 16-bit png": (".png", FILES["png 16-bit RGB"][1][:-30]),
    "png of three bytes": (".png", FILES["png 8-bit RGB"][1][:3]),
    "damaged 16-bit png": (".png", FILES["png 16-bit RGB"][1].replace(b"IDAT", b"IDAX")),
    "png of a billion pixels": (".png", png_with_size(60_000, 60_000)),
    "png with too little data": (".png", png_with_size(50, 50)),
    "text named .png": (".png", b"this is not an image, but a line of text\n"),
    "empty png": (".png", b""),
    "text named .jpg": (".jpg", b"this is not an image, but a line of text\n"),
    "truncated jpeg": (".jpg", jpeg(random_values(np.uint8, 3))[:-10]),
    "jpeg of three bytes": (".jpg", b"\xff\xd8\xff"),
    "empty jpeg": (".jpeg", b""),
    "truncated tiff": (".tif", FILES["tiff uint8 RGB"][1][:-20]),
    "truncated deflated tiff": (".tif", FILES["tiff deflated"][1][:-20]),
    "tiff of six bytes": (".tif", FILES["tiff uint8 RGB"][1][:6]),
    "text named .tif": (".tif", b"this is not an image, but a line of text\n"),
    "multi-page tiff": (".tif", tiff(np.zeros((3, HEIGHT, WIDTH), np.uint8),
                                     photometric="minisblack")),
    "empty tiff": (".tiff", b""),
    "pickled objects": (".npy", npy(np.asarray([[Hostile()]], object))),
    "a pickle": (".npy", pickle.dumps(Hostile())),
    "complex npy": (".npy", npy(random_values(np.float32).astype(np.complex64))),
    "text npy": (".npy", npy(np.asarray([["a", "b"]]))),
    "dates npy": (".npy", npy(np.zeros((4, 4), "M8[D]"))),
    "structured npy": (".npy", npy(np.zeros((4, 4), [("x", "f4")]))),
    "NaN": (".npy", npy(NAN)),
    "NaN in tiff": (".tif", tiff(NAN)),
    "infinite": (".npy", npy(INFINITE)),
    "no rows": (".npy", npy(np.zeros((0, 4), np.uint8))),
    "no channels": (".npy", npy(np.zeros((4, 4, 0), np.uint8))),
    "one number": (".npy", npy(np.zeros(()))),
    "one dimension": (".npy", npy(np.zeros(9))),
    "four dimensions": (".npy", npy(np.zeros((2, 4, 4, 3)))),
    "truncated npy": (".npy", npy(random_values(np.float64))[:-3]),
    "npy with a damaged header": (".npy", npy_with_header("{'descr': '<f8', 'shape': (3, ")),
    "npy larger than any memory": (".npy", npy_with_header(
        "{'descr': '<f8', 'fortran_order': False, 'shape': (16777216, 4194304), }")),
    "text named .npy": (".npy", b"this is not an image, but a line of text\n"),
    "empty npy": (".npy", b""),
    "text named .dcm": (".dcm", b"this is not an image, but a line of text\n"),
    "empty dicom": (".dcm", b""),
    "truncated dicom": (".dcm", dicom.read_slice("mr_slice")[:3000]),
    "dicom cut in its header": (".dcm", dicom.read_slice("mr_slice")[:200]),
    "another format": (".bmp", b"BM"),
    "no suffix": ("", b""),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_file_raises_value_error_that_names_the_source(tmp_path, monkeypatch, name):
  monkeypatch.chdir(tmp_path)
  path = write(tmp_path, *BAD_FILES[name])
  with pytest.raises(ValueError, match=r"data\.source="):
    images.read_picture(path)
  assert not (tmp_path / "WITNESS").exists()


@pytest.mark.parametrize("name", ["none.png", "none", "none/none.tif", "cameraman"])
def test_missing_file_names_the_source(tmp_path, name):
  with pytest.raises(ValueError, match=rf"data\.source=.*{name}"):
    images.read_picture(str(tmp_path / name))


def test_directory_names_the_source(tmp_path):
  (tmp_path / "folder.png").mkdir()
  with pytest.raises(ValueError, match=r"data\.source=.*folder\.png.*not a file"):
    images.read_picture(str(tmp_path / "folder.png"))


def test_unknown_name_lists_what_is_allowed():
  with pytest.raises(ValueError, match=r"data\.source='cameraman'.*\.npy.*astronaut.*camera"):
    images.read_picture("cameraman")


@pytest.mark.parametrize("name", [
    "png 8-bit RGB", "png 16-bit RGB", "png palette", "tiff float32 RGB", "tiff deflated",
    "npy float32 2-D"])
def test_truncated_file_is_refused_or_gives_all_pixels(tmp_path, name):
  suffix, data, values, _ = FILES[name]
  for stop in [*range(16), *range(16, len(data), 7)]:
    try:
      picture = images.read_picture(write(tmp_path, suffix, data[:stop]))
    except ValueError as error:
      assert "data.source=" in str(error)
    else:
      assert_same(picture.values, channels_last(values))


@pytest.mark.parametrize("crop", [
    (0, 0, HEIGHT + 1, 1), (0, 0, 1, WIDTH + 1), (1, 0, HEIGHT, 1), (0, 1, 1, WIDTH), (-1, 0, 2, 2),
    (0, -1, 2, 2), (0, 0, 0, 2), (0, 0, 2, 0), (0, 0, -2, 2), (2, 2, 2, -1)])
def test_crop_outside_the_image_names_its_key(tmp_path, crop):
  source = write(tmp_path, ".png", FILES["png 8-bit RGB"][1])
  with pytest.raises(ValueError, match=rf"data\.crop=.*{HEIGHT}x{WIDTH}.*allowed"):
    images.read_picture(source, crop=crop)


@pytest.mark.parametrize("name", dicom.DICOM_SLICES)
def test_a_dicom_file_keeps_its_header_and_values(tmp_path, name):
  (tmp_path / "slice.dcm").write_bytes(dicom.read_slice(name))
  picture = images.read_picture(str(tmp_path / "slice.dcm"))
  again = images.read_picture(name)
  np.testing.assert_array_equal(picture.values, again.values)
  assert picture.values.dtype == np.int16 and again.bundled and not picture.bundled
  changed = picture.values + np.int16(3)
  written = pydicom.dcmread(images.write_picture(tmp_path / "out", changed, picture))
  before = pydicom.dcmread(tmp_path / "slice.dcm")
  np.testing.assert_array_equal(written.pixel_array, changed[..., 0])
  for tag in ("RescaleSlope", "RescaleIntercept", "WindowCenter", "PatientID", "PixelSpacing"):
    assert written.get(tag) == before.get(tag)


def test_dicom_says_how_large_the_pixels_are_that_are_written(tmp_path):
  (tmp_path / "slice.dcm").write_bytes(dicom.read_slice("ct_slice"))
  source, before = str(tmp_path / "slice.dcm"), pydicom.dcmread(tmp_path / "slice.dcm").PixelSpacing
  for picture, finer, expected in (
      (images.read_picture(source, (0, 0, 64, 64)), 1, 1),  # a crop changes nothing
      (images.read_picture(source, max_side=32), 1, 4),
      (images.read_picture(source), 2, 0.5)):  # super-resolution
    values = np.kron(picture.values, np.ones((finer, finer, 1), np.int16))
    written = pydicom.dcmread(images.write_picture(tmp_path / "out", values, picture))
    assert written.Rows == values.shape[0]
    np.testing.assert_allclose(written.PixelSpacing, expected * np.array(before, float), rtol=1e-6)


@pytest.mark.parametrize("spacing, expected", [(None, None), ([2.0, 3.0], (4.0, 9.0))])
def test_an_emptied_dicom_spacing_stays_empty_and_both_sides_have_their_own(tmp_path, spacing, expected):
  dataset = pydicom.dcmread(io.BytesIO(dicom.read_slice("ct_slice")))
  dataset.PixelSpacing = spacing
  dataset.save_as(tmp_path / "slice.dcm")
  values = dicom.read_dicom((tmp_path / "slice.dcm").read_bytes())
  dicom.write_dicom(tmp_path / "out.dcm", values, (tmp_path / "slice.dcm").read_bytes(), (2, 3))
  written = pydicom.dcmread(tmp_path / "out.dcm").PixelSpacing
  assert (written and tuple(map(float, written))) == expected


def test_dicom_values_are_clipped_to_their_bits_and_colours_are_rgb(tmp_path):
  data = dicom.read_slice("ct_slice")
  dataset = pydicom.dcmread(io.BytesIO(data))
  bits = dataset.BitsStored
  values = np.full((4, 5), np.iinfo(np.int16).max, np.int16)
  dicom.write_dicom(tmp_path / "out.dcm", values, data)
  assert pydicom.dcmread(tmp_path / "out.dcm").pixel_array.max() == 2 ** (bits - 1) - 1
  colour = pydicom_data.get_testdata_file("SC_ybr_full_uncompressed.dcm", download=False)
  if colour is not None:
    picture = images.read_picture(colour)
    again = images.read_picture(str(images.write_picture(tmp_path / "colour", picture.values, picture)))
    np.testing.assert_array_equal(again.values, picture.values)
