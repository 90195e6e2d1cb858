"""PNG and JPEG files: what a restored PNG keeps of them beside the pixels."""

import io

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageCms
from PIL import ImageOps
from PIL import PngImagePlugin
import picture_files
import png
import pytest

from oes_jax import files
from oes_jax.files import _decoders as decoders
from oes_jax.files import _pictures as pictures

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _exif(orientation=None):
  exif = PillowImage.Exif()
  exif[271] = "Maker"
  if orientation is not None:
    exif[274] = orientation
  return exif.tobytes()


def _saved(kind, **options):
  values = picture_files.random_values(np.uint8, 3)
  return picture_files.file_bytes(lambda buffer: PillowImage.fromarray(values).save(buffer, kind, **options))


def _deepened(data):
  """Return a PNG file with the chunks of another, in 16 bits."""
  header, *rest = png.Reader(bytes=data).chunks()
  deep_header, *deep = png.Reader(bytes=picture_files.png_16(picture_files.random_values(np.uint16, 3), "RGB")).chunks()
  stream = io.BytesIO()
  png.write_chunks(stream, [deep_header, *(chunk for chunk in rest if bytes(chunk[0]) not in (b"IDAT", b"IEND")), *deep])
  return stream.getvalue()


def _written(folder, name, data, **read):
  path = folder / name
  path.write_bytes(data)
  picture = pictures.read_picture(str(path), **read)
  return picture, files.write_picture(folder / "restored", picture.values, picture)


FILES = {"png": ("a.png", "PNG", lambda data: data), "jpeg": ("a.jpg", "JPEG", lambda data: data),
         "16-bit png": ("a.png", "PNG", _deepened)}


@pytest.mark.parametrize("kind", FILES)
def test_profile_resolution_and_exif_are_kept(tmp_path, kind):
  name, saved_as, change = FILES[kind]
  _, path = _written(tmp_path, name, change(_saved(saved_as, icc_profile=PROFILE, dpi=(300, 150), exif=_exif())))
  with PillowImage.open(path) as image:
    image.load()
    assert image.info["icc_profile"] == PROFILE and image.getexif()[271] == "Maker"
    np.testing.assert_allclose(image.info["dpi"], (300, 150), rtol=1e-4)


def test_texts_and_gamma_of_a_png_are_kept(tmp_path):
  texts = PngImagePlugin.PngInfo()
  texts.add_text("Title", "Plate 7")
  texts.add_itxt("Author", "Ångström")
  texts.add(b"gAMA", (45455).to_bytes(4, "big"))
  _, path = _written(tmp_path, "a.png", _saved("PNG", pnginfo=texts))
  with PillowImage.open(path) as image:
    image.load()
    assert image.text == {"Title": "Plate 7", "Author": "Ångström"} and image.info["gamma"] == 0.45455


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_turned_picture_is_turned_once(tmp_path, kind, orientation):
  name, saved_as, change = FILES[kind]
  data = change(_saved(saved_as, dpi=(300, 150), exif=_exif(orientation)))
  plain = change(_saved(saved_as))
  picture, path = _written(tmp_path, name, data)
  stored = decoders.decode(plain, name[1:]).values
  expected = np.asarray(ImageOps.exif_transpose(PillowImage.open(io.BytesIO(data)))) if kind != "16-bit png" else None
  if expected is None:  # Pillow cuts 16-bit colour: turn its places instead
    places = PillowImage.fromarray(np.arange(stored[..., 0].size, dtype=np.int32).reshape(stored.shape[:2]))
    places.getexif()[274] = orientation
    expected = stored.reshape(-1, 3)[np.asarray(ImageOps.exif_transpose(places))]
  np.testing.assert_array_equal(picture.values, expected)
  assert f"orientation tag {orientation}" in picture.remarks[0]
  with PillowImage.open(path) as image:
    assert image.size == expected.shape[1::-1]
    assert image.getexif().get(274, 1) == 1 and image.getexif()[271] == "Maker"
    np.testing.assert_allclose(image.info["dpi"], (150, 300) if orientation > 4 else (300, 150), rtol=1e-4)


def test_the_resolution_follows_the_pixels(tmp_path):
  values = np.zeros((40, 60), np.uint8)
  values[::2] = 200
  data = picture_files.file_bytes(lambda buffer: PillowImage.fromarray(values).save(buffer, "PNG", dpi=(300, 300)))
  _, path = _written(tmp_path, "a.png", data, max_side=30)
  with PillowImage.open(path) as image:
    np.testing.assert_allclose(image.info["dpi"], (150, 150), rtol=1e-4)


def test_a_huge_png_can_be_cropped_and_one_that_the_memory_cannot_hold_is_refused(tmp_path, monkeypatch):
  monkeypatch.setattr(PillowImage, "MAX_IMAGE_PIXELS", 10)  # in place of the pixels of a huge one
  values = picture_files.random_values(np.uint8)
  path = tmp_path / "a.png"
  path.write_bytes(picture_files.png_8(values))
  picture_files.assert_same(pictures.read_picture(str(path), crop=(1, 2, 3, 3)).values[..., 0], values[1:4, 2:5])
  assert PillowImage.MAX_IMAGE_PIXELS == 10
  monkeypatch.setattr("oes_jax.files._free_memory.free_memory", lambda: 10)
  with pytest.raises(ValueError, match=r"a.png' cannot be read as an image: it says that it holds 140 bytes; allowed: at most "):
    pictures.read_picture(str(path))


def _with_chunk(data, kind, body):
  header, *rest = png.Reader(bytes=data).chunks()
  stream = io.BytesIO()
  png.write_chunks(stream, [header, (kind, body), *rest])
  return stream.getvalue()


@pytest.mark.parametrize("mode, body", [("L", b"\x0c"), ("RGB", b"\x0c\x0c\x0c")])
def test_significant_bits_leave_the_stored_values_alone(tmp_path, mode, body):
  values = picture_files.random_values(np.uint16, None if mode == "L" else 3)
  picture, _ = _written(tmp_path, "a.png", _with_chunk(picture_files.png_16(values, mode), b"sBIT", body))
  picture_files.assert_same(picture.values, picture_files.channels_last(values))


@pytest.mark.parametrize("mode, dtype", [("1", bool), ("L", np.uint8)])
def test_greys_with_a_transparent_one_have_one_channel_and_alpha(tmp_path, mode, dtype):
  values = picture_files.random_values(dtype)
  data = _with_chunk(picture_files.png_8(values), b"tRNS", (0).to_bytes(2, "big"))
  assert PillowImage.open(io.BytesIO(data)).mode == mode
  picture, _ = _written(tmp_path, "a.png", data)
  grey = values.astype(np.uint8) * (255 if mode == "1" else 1)
  np.testing.assert_array_equal(picture.values[..., 0], grey)
  np.testing.assert_array_equal(picture.alpha, np.where(grey == 0, 0, 255))


def test_further_pictures_of_a_file_are_said_to_be_left_out(tmp_path):
  first, second = (PillowImage.fromarray(picture_files.random_values(np.uint8, seed=seed)) for seed in (0, 1))
  data = picture_files.file_bytes(lambda buffer: first.save(buffer, "PNG", save_all=True, append_images=[second]))
  picture, _ = _written(tmp_path, "a.png", data)
  np.testing.assert_array_equal(picture.values[..., 0], np.asarray(first))
  assert "it holds 2 pictures: the first is read" in picture.remarks


def test_a_file_of_another_kind_is_called_none(tmp_path):
  (tmp_path / "a.png").write_bytes(picture_files.tiff(picture_files.random_values(np.uint8)))
  with pytest.raises(ValueError, match="a.png' cannot be read as an image: it is no PNG or JPEG."):
    pictures.read_picture(str(tmp_path / "a.png"))


def test_a_header_that_says_more_pixels_than_the_file_can_hold_is_refused(tmp_path):
  (_, header), *rest = png.Reader(bytes=picture_files.png_8(picture_files.random_values(np.uint8))).chunks()
  stream = io.BytesIO()
  png.write_chunks(stream, [(b"IHDR", (60_000).to_bytes(4, "big") + (30_000).to_bytes(4, "big") + bytes(header[8:])), *rest])
  (tmp_path / "a.png").write_bytes(stream.getvalue())
  with pytest.raises(ValueError, match="its header says 30000x60000 pixels, which its [0-9]+ bytes cannot hold"):
    pictures.read_picture(str(tmp_path / "a.png"))
