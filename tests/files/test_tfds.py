"""Items of data sets are listed and read, without TensorFlow and without a network."""

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
import pytest

from oes_jax import files
from oes_jax.files import _pictures as pictures
from oes_jax.files import _sources as sources
from oes_jax.files import _tfds as tfds_items

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
  tfds_items._data_source.cache_clear()


@pytest.fixture
def data_dir(prepared, monkeypatch):
  """The folder of `prepared` as that of tfds, without a network."""
  def refuse(*args, **kwargs):
    raise AssertionError("a data set asked for the network")
  monkeypatch.setattr(socket, "socket", refuse)
  use(monkeypatch, prepared)
  yield prepared
  tfds_items._data_source.cache_clear()


@pytest.mark.parametrize("source, split, count", [
    ("tfds:small/rgb", "train", 3), ("tfds:small/rgb#test", "test", 2),
    ("tfds:small/rgb:1.0.0#train[1:]", "train[1:]", 2), ("tfds:small/rgb:1.*.*#all", "all", 5),
    ("tfds:Small/rgb#test+train[:1]", "test+train[:1]", 3)])
def test_data_set_lists_its_items(data_dir, source, split, count):
  name = source.split("#")[0]
  assert sources.list_sources(source) == [f"{name}#{split}@{i}" for i in range(count)]


@pytest.mark.parametrize("kind", ["rgb", "grey", "alpha"])
@pytest.mark.parametrize("source, split, index", [
    ("#train@0", "train", 0), ("#train@2", "train", 2), ("@1", "train", 1), ("#test@1", "test", 1),
    ("#train[1:]@0", "train", 1), ("#train[-1:]+test@2", "test", 1)])
def test_item_gives_the_stored_image(data_dir, tmp_path, kind, source, split, index):
  picture = pictures.read_picture(f"tfds:small/{kind}{source}")
  expected = stored_image(kind, split, index)
  np.testing.assert_array_equal(picture.values, expected[..., :3])
  assert picture.values.dtype == np.uint8 and not picture.bundled and picture.suffix == ".png"
  assert picture.squeezed == (kind == "grey") and (picture.alpha is None) == (kind != "alpha")
  path = files.write_picture(tmp_path / "restored", picture.values, picture)
  with PillowImage.open(path) as written:
    np.testing.assert_array_equal(np.asarray(written).reshape(expected.shape), expected)
    assert written.mode == {"rgb": "RGB", "grey": "L", "alpha": "RGBA"}[kind]


def test_digest_is_that_of_the_content(data_dir):
  digests = [pictures.read_picture(source).digest for source in (
      "tfds:small/rgb#train@1", "tfds:small/rgb:1.0.0#train[1:]@0", "tfds:small/rgb#train@2",
      "tfds:small/grey#train@1")]
  assert digests[0] == digests[1] and len(set(digests)) == 3 and len(digests[0]) == 64


def test_list_may_hold_items_and_data_sets(data_dir):
  assert sources.list_sources("camera, tfds:small/grey#train[:2]@1,tfds:small/rgb#test") == [
      "camera", "tfds:small/grey#train[:2]@1", "tfds:small/rgb#test@0", "tfds:small/rgb#test@1"]


def test_data_set_is_opened_once(data_dir, monkeypatch):
  from tensorflow_datasets.core import read_only_builder
  opened, original = [], read_only_builder.builder_from_directory
  monkeypatch.setattr(read_only_builder, "builder_from_directory",
                      lambda folder, **kwargs: opened.append(folder.name) or original(folder, **kwargs))
  for source in sources.list_sources("tfds:small/rgb"):
    pictures.read_picture(source)
  assert opened == ["1.0.0"]


@pytest.mark.slow
def test_data_set_needs_no_tensorflow(prepared):
  code = ("import sys\nfrom oes_jax import files\n"
          "assert 'tensorflow_datasets' not in sys.modules\n"
          "sources = files.list_sources('tfds:small/rgb#test')\n"
          "print(len(sources), files.read_picture(sources[1]).values.shape)\n"
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
    sources.list_sources(source)
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
    pictures.read_picture(source, key="data.truth")


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
    "more items than bytes": ("dataset_info.json", lambda path: edit_json(
        path, lambda content: content["splits"][0].update(shardLengths=["1000000000000"])), ValueError),
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
    pictures.read_picture("tfds:small/grey#train@0")
  assert isinstance(caught.value.__cause__, error)


EVIL = "evil_features.payload.Evil"
SPEC = {"pythonClassName": EVIL, "featuresDict": {"features": {}}}
OLD_SPEC = {"type": EVIL, "content": {}}
FEATURES_DICT = "tensorflow_datasets.core.features.features_dict.FeaturesDict"
PROTO = {"type": FEATURES_DICT, "proto_cls": "tensorflow_datasets.FeaturesDict"}
HOSTILE_FEATURES = {  # name: (file, what it becomes)
    "top": ("features.json", lambda content: SPEC),
    "nested": ("features.json", lambda content: content["featuresDict"]["features"].update(x=SPEC)),
    "key of the proto": ("features.json", lambda content: {"python_class_name": EVIL, "featuresDict": {"features": {}}}),
    "legacy": ("features.json", lambda content: OLD_SPEC),
    "nested legacy": ("features.json", lambda content: {"type": FEATURES_DICT, "content": {"x": OLD_SPEC}}),
    "legacy string": ("features.json", lambda content: {
        **PROTO, "content": json.dumps({"features": {"x": SPEC}})}),
    "string of JSON": ("features.json", lambda content: {
        "pythonClassName": FEATURES_DICT, "jsonFeature": {"json": json.dumps({"x": OLD_SPEC})}}),
    "dataset_info": ("dataset_info.json", lambda content: content.update(features=SPEC)),
}


@pytest.mark.parametrize("name", HOSTILE_FEATURES)
def test_a_class_of_another_package_is_refused_before_it_is_imported(prepared, tmp_path, monkeypatch, name):
  file, change = HOSTILE_FEATURES[name]
  shutil.copytree(prepared / "small/grey/1.0.0", tmp_path / "small/grey/1.0.0")
  path = tmp_path / "small/grey/1.0.0" / file
  content = json.loads(path.read_text())
  path.write_text(json.dumps(change(content) or content))
  (tmp_path / "evil_features").mkdir()
  (tmp_path / "evil_features/payload.py").write_text(f"open({str(tmp_path / 'WITNESS')!r}, 'w').close()")
  monkeypatch.syspath_prepend(tmp_path)
  use(monkeypatch, tmp_path)
  with pytest.raises(ValueError, match=f"data.source='tfds:small/grey'.*Python class '{EVIL}'.*allowed: classes of"):
    sources.list_sources("tfds:small/grey")
  assert "evil_features" not in sys.modules and not (tmp_path / "WITNESS").exists()


@pytest.mark.parametrize("name", HOSTILE_FEATURES)
def test_the_witness_of_a_hostile_data_set_appears_without_the_check(prepared, tmp_path, monkeypatch, name):
  monkeypatch.setattr(tfds_items, "_check_classes", lambda folder: None)
  with pytest.raises(BaseException):  # the check alone is what the test above sees
    test_a_class_of_another_package_is_refused_before_it_is_imported(prepared, tmp_path, monkeypatch, name)
  sys.modules.pop("evil_features", None)
  sys.modules.pop("evil_features.payload", None)
  assert (tmp_path / "WITNESS").exists()


def test_a_folder_that_metadata_sends_tfds_to_is_checked_too(prepared, tmp_path, monkeypatch):
  shutil.copytree(prepared / "small/grey/1.0.0", tmp_path / "elsewhere/1.0.0")
  edit_json(tmp_path / "elsewhere/1.0.0/features.json", lambda content: content.update(pythonClassName=EVIL))
  (tmp_path / "small").mkdir()
  (tmp_path / "small/.config").mkdir()
  (tmp_path / "small/.config/metadata.json").write_text('{"default_config_name": "../elsewhere"}')
  use(monkeypatch, tmp_path)
  with pytest.raises(ValueError, match=f"data.source='tfds:small'.*Python class '{EVIL}'"):
    sources.list_sources("tfds:small")


def test_missing_package_names_the_source(monkeypatch):
  tfds_items._data_source.cache_clear()
  monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
  with pytest.raises(ValueError, match="data.source='tfds:small'.*tensorflow_datasets"):
    sources.list_sources("tfds:small")


def test_item_of_a_data_set_shrinks(data_dir):
  assert pictures.read_picture("tfds:small/alpha@0", max_side=3).values.shape == (2, 3, 3)
