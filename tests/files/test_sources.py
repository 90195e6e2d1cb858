"""Tests of images: sources that name many images, items of data sets, and the size limit."""

import io
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys

import numpy as np
from PIL import Image as PillowImage
import png
import pytest
import tifffile

from oes_jax.files import _images as images

ROOT = pathlib.Path(__file__).parents[2]


def random_values(dtype, *shape, seed=0):
  rng = np.random.default_rng(seed)
  if np.dtype(dtype) == bool:
    return rng.integers(0, 2, shape).astype(bool)
  info = np.iinfo(dtype)
  return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


def encoded(values, mode=None):
  buffer = io.BytesIO()
  picture = PillowImage.fromarray(values)
  (picture if mode is None else picture.convert(mode)).save(buffer, "JPEG" if mode else "PNG")
  buffer.seek(0)
  return buffer


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """An empty working folder."""
  monkeypatch.chdir(tmp_path)
  return tmp_path


def touch(folder, *names):
  for name in names:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).touch()


# Folders, patterns and lists.


@pytest.mark.parametrize("source, expected", [
    ("camera", False), ("astronaut_face", False), ("missing.png", False), ("missing", False),
    ("", False), ("a.png", False), ("b,c.png", False), ("d[1].png", False),
    ("photos", True), ("photos/", True), ("x,y", True), ("z*", True), (".", True),
    ("*.png", True), ("photo?/e.png", True), ("d[2].png", True), ("camera,coins", True),
    ("a.png,missing.png", True), (",".join(f"{i}.png" for i in range(200)), True),
    ("tfds:mnist", True), ("tfds:a/b:1.*.*#test[:3]", True), ("tfds:mnist@3", False),
    ("tfds:mnist#test[:3]@0", False), ("tfds:mnist#test[:3]@0,tfds:mnist@1", True)])
def test_what_is_a_collection(folder, source, expected):
  touch(folder, "a.png", "b,c.png", "d[1].png", "photos/e.png", "x,y/f.png", "z*/g.png",
        "camera/h.png")
  assert images.is_collection(source) is expected
  if not expected:
    assert images.list_sources(source) == [source]


@pytest.mark.parametrize("source", ["photos", "photos/"])
def test_folder_gives_its_image_files_by_name(folder, source):
  touch(folder, "photos/b.PNG", "photos/a.tif", "photos/[1],c.jpeg", "photos/.hidden.png",
        "photos/notes.txt", "photos/png", "photos/deeper/d.png", "photos/deeper.png/e.png")
  expected = ["photos/[1],c.jpeg", "photos/a.tif", "photos/b.PNG"]
  assert images.list_sources(source) == expected
  assert not any(images.is_collection(name) for name in expected)


def test_file_that_cannot_be_read_is_listed(folder):
  touch(folder, "photos/damaged.png", "photos/secret.npy")
  (folder / "photos/secret.npy").chmod(0)
  (folder / "photos/gone.jpg").symlink_to(folder / "nowhere.jpg")
  listed = images.list_sources("photos")
  assert listed == ["photos/damaged.png", "photos/gone.jpg", "photos/secret.npy"]
  for source in listed:
    with pytest.raises(ValueError, match="data.source="):
      images.read_picture(source)


def test_folder_whose_name_looks_like_a_pattern_or_a_list(folder):
  touch(folder, "z*/a.png", "zz/b.png", "x,y/c.png")
  assert images.list_sources("z*") == ["z*/a.png"]
  assert images.list_sources("x,y") == ["x,y/c.png"]


@pytest.mark.parametrize("source, expected", [
    ("*.png", ["a.png", "b.png"]), ("?.*", ["a.png", "b.png", "c.TIFF"]),
    ("[bc].*", ["b.png", "c.TIFF"]), ("*/*.npy", ["one/d.npy", "two/d.npy"]),
    ("**/*.[np][pn]*", ["a.png", "b.png", "one/d.npy", "one/two/e.png", "two/d.npy"])])
def test_pattern_gives_its_image_files_by_name(folder, source, expected):
  touch(folder, "b.png", "a.png", "c.TIFF", "b.txt", ".h.png", "two/d.npy", "one/d.npy",
        "one/two/e.png", "one/folder.png/f.txt")
  assert images.list_sources(source) == expected


def test_list_keeps_its_order_and_its_unknown_names(folder):
  touch(folder, "photos/b.png", "photos/a.png")
  assert images.list_sources("coins , x/y.png,cameraman,astronaut_face") == [
      "coins", "x/y.png", "cameraman", "astronaut_face"]
  assert images.list_sources("coins,photos,cell") == [
      "coins", "photos/a.png", "photos/b.png", "cell"]
  with pytest.raises(ValueError, match="data.source='cameraman'"):
    images.read_picture("cameraman")


@pytest.mark.parametrize("source, reason", [
    ("camera,", "empty item"), (",camera", "empty item"), ("camera, ,coins", "empty item"),
    (",", "empty item"), ("camera,coins,camera", "'camera' twice"),
    ("a.png, a.png", "'a.png' twice"), ("photos,photos/c.png", "'photos/c.png' twice"),
    ("empty", "holds no image.*allowed.*png"), ("texts", "holds no image"),
    ("*.bmp", "holds no image"), ("texts/*", "holds no image"),
    ("camera,*.bmp", r"\*\.bmp' holds no image"), ("none*.png", "holds no image")])
def test_collection_without_a_clear_content_names_the_source(folder, source, reason):
  touch(folder, "photos/c.png", "texts/d.txt")
  (folder / "empty").mkdir()
  with pytest.raises(ValueError, match=f"data.source=.*{reason}"):
    images.list_sources(source)


def test_file_name_that_is_too_long_names_the_source():
  with pytest.raises(ValueError, match="data.source='aaa.*does not exist"):
    images.read_picture("a" * 300 + ".png")


# Data sets.

COUNTS = {"train": 3, "test": 2}


def stored_image(kind, split, index):
  channels = {"grey": 1, "alpha": 4}.get(kind, 3)
  return random_values(np.uint8, 5, 6, channels, seed=10 * (split == "test") + index)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
  """A folder of data sets: small/rgb, small/grey, small/alpha, small/cmyk and small/labels."""
  import tensorflow_datasets as tfds

  class Small(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Images are given as PNG or JPEG bytes: arrays would be encoded by TensorFlow."""
    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name)
                       for name in ("rgb", "grey", "alpha", "cmyk", "labels")]

    def _info(self):
      kind = self.builder_config.name
      features = {"label": np.int64}
      if kind != "labels":
        features["image"] = tfds.features.Image(
            shape=(None, None, stored_image(kind, "train", 0).shape[-1]))
      if kind == "rgb":
        # Neither counts: a map of classes, and an image that comes later by name. Pillow would not
        # decode their 16 bits.
        features["a_map"] = tfds.features.LabeledImage(
            labels=3, shape=(None, None, 1), dtype=np.uint16)
        features["z_depth"] = tfds.features.Image(shape=(None, None, 1), dtype=np.uint16)
      return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features),
                                   disable_shuffling=True)

    def _split_generators(self, dl_manager):
      return {split: self._generate_examples(split) for split in COUNTS}

    def _generate_examples(self, split):
      kind = self.builder_config.name
      for index in range(COUNTS[split]):
        values = stored_image(kind, split, index)
        picture = encoded(values[..., 0] if kind == "grey" else values,
                          "CMYK" if kind == "cmyk" else None)
        example = {"label": index, "image": picture, "a_map": encoded(values[..., 0]),
                   "z_depth": encoded(values[..., 0])}
        keep = {"rgb": example, "labels": ["label"]}.get(kind, ["label", "image"])
        yield index, {name: example[name] for name in keep}

  folder = tmp_path_factory.mktemp("data")
  for config in Small.BUILDER_CONFIGS:
    Small(config=config.name, data_dir=folder, file_format="array_record").download_and_prepare()
  return folder


def use(monkeypatch, data_dir):
  from tensorflow_datasets.core import constants
  monkeypatch.setattr(constants, "DATA_DIR", str(data_dir))  # read from TFDS_DATA_DIR on import
  images._data_source.cache_clear()


@pytest.fixture
def data_dir(prepared, monkeypatch):
  """The folder of `prepared` as that of tfds, without a network."""
  def refuse(*args, **kwargs):
    raise AssertionError("a data set asked for the network")
  monkeypatch.setattr(socket, "socket", refuse)
  use(monkeypatch, prepared)
  yield prepared
  images._data_source.cache_clear()


@pytest.mark.parametrize("source, split, count", [
    ("tfds:small/rgb", "train", 3), ("tfds:small/rgb#test", "test", 2),
    ("tfds:small/rgb:1.0.0#train[1:]", "train[1:]", 2), ("tfds:small/rgb:1.*.*#all", "all", 5),
    ("tfds:Small/rgb#test+train[:1]", "test+train[:1]", 3)])
def test_data_set_lists_its_items(data_dir, source, split, count):
  name = source.split("#")[0]
  assert images.list_sources(source) == [f"{name}#{split}@{i}" for i in range(count)]


@pytest.mark.parametrize("kind", ["rgb", "grey", "alpha"])
@pytest.mark.parametrize("source, split, index", [
    ("#train@0", "train", 0), ("#train@2", "train", 2), ("@1", "train", 1), ("#test@1", "test", 1),
    ("#train[1:]@0", "train", 1), ("#train[-1:]+test@2", "test", 1)])
def test_item_gives_the_stored_image(data_dir, tmp_path, kind, source, split, index):
  picture = images.read_picture(f"tfds:small/{kind}{source}")
  expected = stored_image(kind, split, index)
  np.testing.assert_array_equal(picture.values, expected[..., :3])
  assert picture.values.dtype == np.uint8 and not picture.bundled and picture.suffix == ".png"
  assert picture.squeezed == (kind == "grey") and (picture.alpha is None) == (kind != "alpha")
  path = images.write_picture(tmp_path / "restored", picture.values, picture)
  with PillowImage.open(path) as written:
    np.testing.assert_array_equal(np.asarray(written).reshape(expected.shape), expected)
    assert written.mode == {"rgb": "RGB", "grey": "L", "alpha": "RGBA"}[kind]


def test_digest_is_that_of_the_content(data_dir):
  digests = [images.read_picture(source).digest for source in (
      "tfds:small/rgb#train@1", "tfds:small/rgb:1.0.0#train[1:]@0", "tfds:small/rgb#train@2",
      "tfds:small/grey#train@1")]
  assert digests[0] == digests[1] and len(set(digests)) == 3 and len(digests[0]) == 64


def test_list_may_hold_items_and_data_sets(data_dir):
  assert images.list_sources("camera, tfds:small/grey#train[:2]@1,tfds:small/rgb#test") == [
      "camera", "tfds:small/grey#train[:2]@1", "tfds:small/rgb#test@0", "tfds:small/rgb#test@1"]


def test_data_set_is_opened_once(data_dir, monkeypatch):
  from tensorflow_datasets.core import read_only_builder
  opened, original = [], read_only_builder.builder_from_files
  monkeypatch.setattr(read_only_builder, "builder_from_files",
                      lambda *args, **kwargs: opened.append(args) or original(*args, **kwargs))
  for source in images.list_sources("tfds:small/rgb"):
    images.read_picture(source)
  assert opened == [("small/rgb",)]


def test_data_set_needs_no_tensorflow(prepared):
  code = ("import sys\nfrom oes_jax.files import _images as images\n"
          "assert 'tensorflow_datasets' not in sys.modules\n"
          "sources = images.list_sources('tfds:small/rgb#test')\n"
          "print(len(sources), images.read_picture(sources[1]).values.shape)\n"
          "assert 'tensorflow_datasets' in sys.modules and 'tensorflow' not in sys.modules\n")
  result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
                          check=False, env={**os.environ, "TFDS_DATA_DIR": str(prepared)})
  assert result.stdout == "2 (5, 6, 3)\n", result.stderr


@pytest.mark.parametrize("source, reason", [
    ("tfds:nosuch", "nosuch.*array_record in the folder TFDS_DATA_DIR"),
    ("tfds:small/nosuch", "small/nosuch"), ("tfds:small/rgb:9.0.0", "9.0.0"),
    ("tfds:mnist", "mnist"), ("tfds:huggingface:mnist", "mnist"), ("tfds:bad name!", "bad name!"),
    ("tfds:small/rgb#nosuch", "nosuch.*train"), ("tfds:small/rgb#train[", "train"),
    ("tfds:small/rgb#train[5:9]", "3 examples"), ("tfds:small/rgb#train[1:1]", "0 length"),
    ("tfds:small/rgb#all[:1]", "all"),  # NotImplementedError
    ("tfds:small/labels", "no image.*features: label"), ("tfds:", "allowed: tfds:NAME"),
    ("tfds:#train", "allowed: tfds:NAME"), ("tfds:small/rgb#a#b", "allowed: tfds:NAME")])
def test_data_set_that_cannot_be_listed_names_the_source(data_dir, source, reason):
  with pytest.raises(ValueError, match=r"data\.source='tfds:") as caught:
    images.list_sources(source)
  message = str(caught.value)
  assert "\n" not in message and message.startswith(f"data.source={source!r}")
  caught.match(reason)


@pytest.mark.parametrize("source, reason", [
    ("tfds:small/rgb#train@3", "below 3"), ("tfds:small/rgb#test@2", "below 2"),
    ("tfds:small/rgb@-1", "allowed: tfds:NAME"), ("tfds:small/rgb@x", "allowed: tfds:NAME"),
    ("tfds:small/rgb@", "allowed: tfds:NAME"), ("tfds:small/rgb", "names no item"),
    ("tfds:nosuch@0", "nosuch"), ("tfds:small/cmyk@0", "4 channels where the data set has 3")])
def test_item_that_cannot_be_read_names_its_key(data_dir, source, reason):
  with pytest.raises(ValueError, match=f"data.truth=.*{reason}"):
    images.read_picture(source, key="data.truth")


def edit_json(path, change):
  content = json.loads(path.read_text())
  change(content)
  path.write_text(json.dumps(content))


def of_image(content):
  return content["featuresDict"]["features"]["image"]


SHARD = "small-train.array_record-00000-of-00001"
DAMAGES = {  # name: (file, how, exception of tfds)
    "prepared as tfrecord": ("dataset_info.json", lambda path: edit_json(
        path, lambda content: content.update(fileFormat="tfrecord")), ValueError),
    "no splits": ("dataset_info.json", lambda path: edit_json(
        path, lambda content: content.pop("splits")), KeyError),
    "no dataset_info": ("dataset_info.json", pathlib.Path.unlink, OSError),
    "cut dataset_info": (
        "dataset_info.json", lambda path: path.write_text('{"name": '), ValueError),
    "no features": ("features.json", pathlib.Path.unlink, ValueError),
    "cut features": ("features.json", lambda path: path.write_text('{"name": '), ValueError),
    "empty feature": ("features.json", lambda path: edit_json(
        path, lambda content: of_image(content).pop("image")), TypeError),
    "no shard": (SHARD, pathlib.Path.unlink, RuntimeError),
    "short shard": (SHARD, lambda path: path.write_bytes(b"short"), RuntimeError),
    "changed record": (SHARD, lambda path: path.write_bytes(
        path.read_bytes().replace(b"\x89PNG", b"\x89PNX")), RuntimeError),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_data_set_names_the_source(prepared, tmp_path, monkeypatch, name):
  file, damage, error = DAMAGES[name]
  copy = tmp_path / "small/grey/1.0.0"
  shutil.copytree(prepared / "small/grey/1.0.0", copy)
  damage(copy / file)
  use(monkeypatch, tmp_path)
  with pytest.raises(ValueError, match="data.source='tfds:small/grey#train@0'") as caught:
    images.read_picture("tfds:small/grey#train@0")
  assert isinstance(caught.value.__cause__, error)


def test_missing_package_names_the_source(monkeypatch):
  images._data_source.cache_clear()
  monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
  with pytest.raises(ValueError, match="data.source='tfds:small'.*tensorflow_datasets"):
    images.list_sources("tfds:small")


# The size limit.


def npy(folder, values, name="image"):
  path = folder / f"{name}.npy"
  np.save(path, values)
  return str(path)


@pytest.mark.parametrize("shape, max_side, expected", [
    ((30, 20), 15, (15, 10)), ((20, 30, 3), 15, (10, 15)), ((30, 20), 16, (16, 11)),
    ((7, 200), 10, (1, 10)), ((30, 20), 1, (1, 1)), ((31, 31, 5), 16, (16, 16))])
def test_larger_images_shrink_to_the_limit(tmp_path, shape, max_side, expected):
  picture = images.read_picture(npy(tmp_path, random_values(np.uint8, *shape)), max_side=max_side)
  assert picture.values.shape == (*expected, shape[2] if len(shape) == 3 else 1)
  assert picture.squeezed == (len(shape) == 2) and picture.values.dtype == np.uint8


@pytest.mark.parametrize("max_side", [30, 31, 1000])
def test_images_within_the_limit_stay_as_they_are(tmp_path, max_side):
  values = random_values(np.uint8, 30, 20, 3)
  np.testing.assert_array_equal(
      images.read_picture(npy(tmp_path, values), max_side=max_side).values, values)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.int16])
def test_shrunk_values_are_the_rounded_means_of_their_type(tmp_path, dtype):
  values = random_values(dtype, 40, 30, 3)
  real = images.read_picture(npy(tmp_path, values.astype(np.float64)), max_side=16).values
  actual = images.read_picture(npy(tmp_path, values), max_side=16).values
  assert real.dtype == np.float64 and actual.dtype == dtype and actual.shape == (16, 12, 3)
  expected = real > 0.5 if dtype == bool else np.rint(real)
  np.testing.assert_array_equal(actual, expected)
  assert actual.min() != actual.max()


@pytest.mark.parametrize("value", [
    np.uint8(255), np.uint16(65535), np.int16(-32768), np.bool_(True), np.float32(0.1)])
def test_flat_image_stays_flat(tmp_path, value):
  picture = images.read_picture(npy(tmp_path, np.full((40, 30), value)), max_side=16)
  assert picture.values.dtype == value.dtype
  np.testing.assert_allclose(picture.values, value, rtol=1e-6)


def test_shrinking_does_not_alias(tmp_path):
  # A third of the size takes every third pixel, 0 or 200 in turn, unless it smooths before.
  values = 200. * (np.indices((48, 48)).sum(axis=0) % 2)
  small = images.read_picture(npy(tmp_path, values), max_side=16).values
  np.testing.assert_allclose(small[2:-2, 2:-2], 100, atol=5)


def test_shrinking_keeps_places(tmp_path):
  # Half the size: new pixel k covers the old ones 2k and 2k + 1. A slope is left as it is.
  slope = np.add.outer(100. * np.arange(20), np.arange(40))
  small = images.read_picture(npy(tmp_path, slope), max_side=20).values[..., 0]
  expected = np.add.outer(100 * (2. * np.arange(10) + 0.5), 2. * np.arange(20) + 0.5)
  np.testing.assert_allclose(small[2:-2, 2:-2], expected[2:-2, 2:-2], atol=0.1)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_alpha_shrinks_like_the_colours(tmp_path, depth):
  values = random_values(depth, 40, 30, 4)
  path = tmp_path / "image.png"
  png.from_array(values.reshape(40, -1).tolist(), f"RGBA;{8 * depth().itemsize}").save(path)
  picture = images.read_picture(str(path), max_side=16)
  expected = images.read_picture(npy(tmp_path, values), max_side=16).values
  np.testing.assert_array_equal(picture.values, expected[..., :3])
  np.testing.assert_array_equal(picture.alpha, expected[..., 3])
  assert picture.alpha.dtype == depth
  path = images.write_picture(tmp_path / "small", picture.values, picture)
  np.testing.assert_array_equal(images.read_picture(str(path)).alpha, picture.alpha)


def test_crop_is_cut_before_shrinking(tmp_path):
  values = random_values(np.uint8, 60, 60)
  actual = images.read_picture(npy(tmp_path, values), crop=(10, 20, 40, 30), max_side=20).values
  expected = images.read_picture(npy(tmp_path, values[10:50, 20:50]), max_side=20).values
  assert actual.shape == (20, 15, 1)
  np.testing.assert_array_equal(actual, expected)
  assert images.read_picture("camera", crop=(0, 0, 24, 16), max_side=24).values.shape == (24, 16, 1)


def test_item_of_a_data_set_shrinks(data_dir):
  assert images.read_picture("tfds:small/alpha@0", max_side=3).values.shape == (2, 3, 3)


@pytest.mark.parametrize("max_side", [0, -3])
def test_limit_below_one_names_its_key(max_side):
  with pytest.raises(ValueError, match=rf"data\.max_side={max_side} .*allowed"):
    images.read_picture("camera", max_side=max_side)


def test_the_pages_of_a_tiff_file_are_images_of_their_own(tmp_path):
  pages = np.random.default_rng(0).integers(0, 2 ** 16, (3, 6, 5)).astype(np.uint16)
  path = str(tmp_path / "stack.tif")
  tifffile.imwrite(path, pages, photometric="minisblack")
  tifffile.imwrite(tmp_path / "single.tif", pages[0])
  assert images.is_collection(path) and images.list_sources(path) == [f"{path}@{i}" for i in range(3)]
  assert not images.is_collection(f"{path}@1")
  assert len(images.list_sources(str(tmp_path))) == 4
  for number, source in enumerate(images.list_sources(path)):
    np.testing.assert_array_equal(images.read_picture(source).values[..., 0], pages[number])
  for source in (f"{path}@3", path):
    with pytest.raises(ValueError, match="holds 3 pages; allowed: one of them, as NAME@0"):
      images.read_picture(source)
