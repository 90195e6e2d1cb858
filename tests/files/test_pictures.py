"""Pictures: files keep their values, type and layout; what is cut out, and the size limit."""

import io
import socket

import numpy as np
from PIL import Image as PillowImage
import picture_files
import png
import pytest
import skimage.data

from oes_jax import files
from oes_jax.files import _pictures as pictures
from oes_jax.files import _sources as sources

HEIGHT, WIDTH = picture_files.HEIGHT, picture_files.WIDTH


@pytest.mark.parametrize("name", picture_files.FILES)
def test_writing_then_reading_gives_the_same_picture(tmp_path, name):
  suffix, data, *_ = picture_files.FILES[name]
  first = pictures.read_picture(picture_files.write(tmp_path, suffix, data))
  path = files.write_picture(tmp_path / "restored.v1", first.values, first)
  assert path.name == f"restored.v1{suffix}"
  second = pictures.read_picture(str(path))
  picture_files.assert_same(second.values, first.values)
  assert (second.alpha is None) == (first.alpha is None)
  if first.alpha is not None:
    picture_files.assert_same(second.alpha, first.alpha)
  assert second.squeezed == first.squeezed


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_16_bit_png_stays_16_bit_on_disk(tmp_path, mode):
  picture = pictures.read_picture(picture_files.write(tmp_path, ".png", picture_files.FILES[f"png 16-bit {mode}"][1]))
  assert picture.values.dtype == np.uint16
  written = files.write_picture(tmp_path / "restored", picture.values, picture).read_bytes()
  depth, colour_type = written[24:26]
  assert depth == 16 and colour_type == {"L": 0, "LA": 4, "RGB": 2, "RGBA": 6}[mode]


@pytest.mark.parametrize("channels", [None, 3])
def test_jpeg_is_read_as_decoded_and_written_as_png(tmp_path, channels):
  data = picture_files.jpeg(picture_files.random_values(np.uint8, channels))
  picture = pictures.read_picture(picture_files.write(tmp_path, ".jpg", data))
  decoded = np.asarray(PillowImage.open(io.BytesIO(data)))
  picture_files.assert_same(picture.values, picture_files.channels_last(decoded))
  path = files.write_picture(tmp_path / "restored", picture.values, picture)
  assert path.name == "restored.png"
  picture_files.assert_same(pictures.read_picture(str(path)).values, picture.values)


@pytest.mark.parametrize("name", ["png 8-bit L", "png 8-bit RGB", "png 16-bit RGB"])
def test_values_that_png_cannot_hold_become_tiff(tmp_path, name):
  like = pictures.read_picture(picture_files.write(tmp_path, ".png", picture_files.FILES[name][1]))
  values = picture_files.random_values(np.float32, like.values.shape[-1])
  path = files.write_picture(tmp_path / "restored", values, like)
  assert path.name == "restored.tiff"
  picture_files.assert_same(pictures.read_picture(str(path)).values, values)


def test_upper_case_suffix_is_an_image_too(tmp_path):
  data, values = picture_files.FILES["png 8-bit RGB"][1:3]
  picture_files.assert_same(pictures.read_picture(picture_files.write(tmp_path, ".PNG", data)).values, values)


def test_crop_hand_check(tmp_path):
  values = np.arange(20, dtype=np.uint8).reshape(4, 5)
  source = picture_files.write(tmp_path, ".npy", picture_files.npy(values))
  picture = pictures.read_picture(source, crop=(1, 2, 2, 3))
  np.testing.assert_array_equal(picture.values[..., 0], [[7, 8, 9], [12, 13, 14]])
  picture_files.assert_same(pictures.read_picture(source, crop=(0, 0, 4, 5)).values[..., 0], values)


def test_crop_cuts_alpha_alike(tmp_path):
  _, data, values, _ = picture_files.FILES["png 8-bit RGBA"]
  picture = pictures.read_picture(picture_files.write(tmp_path, ".png", data), crop=(1, 2, 3, 4))
  picture_files.assert_same(picture.values, values[1:4, 2:6, :3])
  picture_files.assert_same(picture.alpha, values[1:4, 2:6, 3])


@pytest.mark.parametrize("name", sources.BUNDLED_IMAGES)
def test_bundled_image_needs_no_network(monkeypatch, name):
  def refuse(*args, **kwargs):
    raise AssertionError("a bundled image asked for the network")
  monkeypatch.setattr(socket, "socket", refuse)
  picture = pictures.read_picture(name, crop=(0, 0, 16, 16))
  assert picture.bundled and picture.suffix == ".png" and picture.digest == name
  assert picture.values.dtype == np.uint8 and picture.values.shape[:2] == (16, 16)


def test_bundled_camera_is_the_photograph():
  picture = pictures.read_picture("camera")
  assert picture.squeezed and picture.alpha is None
  picture_files.assert_same(picture.values[..., 0], skimage.data.camera())


@pytest.mark.parametrize("name", ["none.png", "none", "none/none.tif", "cameraman"])
def test_missing_file_names_the_source(tmp_path, name):
  with pytest.raises(ValueError, match=rf"data\.source=.*{name}"):
    pictures.read_picture(str(tmp_path / name))


def test_directory_names_the_source(tmp_path):
  (tmp_path / "folder.png").mkdir()
  with pytest.raises(ValueError, match=r"data\.source=.*folder\.png.*not a file"):
    pictures.read_picture(str(tmp_path / "folder.png"))


def test_unknown_name_lists_what_is_allowed():
  with pytest.raises(ValueError, match=r"data\.source='cameraman'.*\.npy.*astronaut.*camera"):
    pictures.read_picture("cameraman")


@pytest.mark.parametrize("crop", [
    (0, 0, HEIGHT + 1, 1), (0, 0, 1, WIDTH + 1), (1, 0, HEIGHT, 1), (0, 1, 1, WIDTH), (-1, 0, 2, 2),
    (0, -1, 2, 2), (0, 0, 0, 2), (0, 0, 2, 0), (0, 0, -2, 2), (2, 2, 2, -1)])
def test_crop_outside_the_image_names_its_key(tmp_path, crop):
  source = picture_files.write(tmp_path, ".png", picture_files.FILES["png 8-bit RGB"][1])
  with pytest.raises(ValueError, match=rf"data\.crop=.*{HEIGHT}x{WIDTH}.*allowed"):
    pictures.read_picture(source, crop=crop)


def test_file_name_that_is_too_long_names_the_source():
  with pytest.raises(ValueError, match="data.source='aaa.*does not exist"):
    pictures.read_picture("a" * 300 + ".png")


# The size limit.


def random_of_shape(dtype, *shape, seed=0):
  rng = np.random.default_rng(seed)
  if np.dtype(dtype) == bool:
    return rng.integers(0, 2, shape).astype(bool)
  info = np.iinfo(dtype)
  return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


def save_npy(folder, values, name="image"):
  path = folder / f"{name}.npy"
  np.save(path, values)
  return str(path)


@pytest.mark.parametrize("shape, max_side, expected", [
    ((30, 20), 15, (15, 10)), ((20, 30, 3), 15, (10, 15)), ((30, 20), 16, (16, 11)),
    ((7, 200), 10, (1, 10)), ((30, 20), 1, (1, 1)), ((31, 31, 5), 16, (16, 16))])
def test_larger_images_shrink_to_the_limit(tmp_path, shape, max_side, expected):
  picture = pictures.read_picture(save_npy(tmp_path, random_of_shape(np.uint8, *shape)), max_side=max_side)
  assert picture.values.shape == (*expected, shape[2] if len(shape) == 3 else 1)
  assert picture.squeezed == (len(shape) == 2) and picture.values.dtype == np.uint8


@pytest.mark.parametrize("max_side", [30, 31, 1000])
def test_images_within_the_limit_stay_as_they_are(tmp_path, max_side):
  values = random_of_shape(np.uint8, 30, 20, 3)
  np.testing.assert_array_equal(
      pictures.read_picture(save_npy(tmp_path, values), max_side=max_side).values, values)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.int16])
def test_shrunk_values_are_the_rounded_means_of_their_type(tmp_path, dtype):
  values = random_of_shape(dtype, 40, 30, 3)
  real = pictures.read_picture(save_npy(tmp_path, values.astype(np.float64)), max_side=16).values
  actual = pictures.read_picture(save_npy(tmp_path, values), max_side=16).values
  assert real.dtype == np.float64 and actual.dtype == dtype and actual.shape == (16, 12, 3)
  expected = real > 0.5 if dtype == bool else np.rint(real)
  np.testing.assert_array_equal(actual, expected)
  assert actual.min() != actual.max()


@pytest.mark.parametrize("value", [
    np.uint8(255), np.uint16(65535), np.int16(-32768), np.bool_(True), np.float32(0.1)])
def test_flat_image_stays_flat(tmp_path, value):
  picture = pictures.read_picture(save_npy(tmp_path, np.full((40, 30), value)), max_side=16)
  assert picture.values.dtype == value.dtype
  np.testing.assert_allclose(picture.values, value, rtol=1e-6)


def test_shrinking_does_not_alias(tmp_path):
  # A third of the size takes every third pixel, 0 or 200 in turn, unless it smooths before.
  values = 200. * (np.indices((48, 48)).sum(axis=0) % 2)
  small = pictures.read_picture(save_npy(tmp_path, values), max_side=16).values
  np.testing.assert_allclose(small[2:-2, 2:-2], 100, atol=5)


def test_shrinking_keeps_places(tmp_path):
  # Half the size: new pixel k covers the old ones 2k and 2k + 1. A slope is left as it is.
  slope = np.add.outer(100. * np.arange(20), np.arange(40))
  small = pictures.read_picture(save_npy(tmp_path, slope), max_side=20).values[..., 0]
  expected = np.add.outer(100 * (2. * np.arange(10) + 0.5), 2. * np.arange(20) + 0.5)
  np.testing.assert_allclose(small[2:-2, 2:-2], expected[2:-2, 2:-2], atol=0.1)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_alpha_shrinks_like_the_colours(tmp_path, depth):
  values = random_of_shape(depth, 40, 30, 4)
  path = tmp_path / "image.png"
  png.from_array(values.reshape(40, -1).tolist(), f"RGBA;{8 * depth().itemsize}").save(path)
  picture = pictures.read_picture(str(path), max_side=16)
  expected = pictures.read_picture(save_npy(tmp_path, values), max_side=16).values
  np.testing.assert_array_equal(picture.values, expected[..., :3])
  np.testing.assert_array_equal(picture.alpha, expected[..., 3])
  assert picture.alpha.dtype == depth
  path = files.write_picture(tmp_path / "small", picture.values, picture)
  np.testing.assert_array_equal(pictures.read_picture(str(path)).alpha, picture.alpha)


def test_crop_is_cut_before_shrinking(tmp_path):
  values = random_of_shape(np.uint8, 60, 60)
  actual = pictures.read_picture(save_npy(tmp_path, values), crop=(10, 20, 40, 30), max_side=20).values
  expected = pictures.read_picture(save_npy(tmp_path, values[10:50, 20:50]), max_side=20).values
  assert actual.shape == (20, 15, 1)
  np.testing.assert_array_equal(actual, expected)
  assert pictures.read_picture("camera", crop=(0, 0, 24, 16), max_side=24).values.shape == (24, 16, 1)


@pytest.mark.parametrize("max_side", [0, -3])
def test_limit_below_one_names_its_key(max_side):
  with pytest.raises(ValueError, match=rf"data\.max_side={max_side} .*allowed"):
    pictures.read_picture("camera", max_side=max_side)
