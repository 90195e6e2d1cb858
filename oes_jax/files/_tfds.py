"""Images of TensorFlow Datasets data sets, without TensorFlow."""

import functools
import hashlib
import json
import re
from typing import Any, Iterator

import numpy as np

from oes_jax.files import _boundary
from oes_jax.files import _extras

_SOURCE = re.compile(r"tfds:(?P<name>[^#@,]+)(#(?P<split>[^#@,]+))?(@(?P<index>\d+))?")
# Keys of a class name in a description of features, older ones included, and of a description inside a string.
_CLASS_KEYS = ("pythonClassName", "python_class_name", "type")
_JSON_KEYS = ("json", "content")
_ALLOWED_CLASS = re.compile(r"tensorflow_datasets(\.\w+)+")


def _class_names(features: Any) -> Iterator[str]:
  """Yield every name of a class in a description of features, at any depth."""
  waiting = [features]
  while waiting:
    node = waiting.pop()
    if isinstance(node, list):
      waiting += node
    elif isinstance(node, dict):
      for name, value in node.items():
        if isinstance(value, str) and name in _CLASS_KEYS:
          yield value
        elif isinstance(value, str) and name in _JSON_KEYS:
          waiting.append(json.loads(value))
        else:
          waiting.append(value)


def _check_classes(folder) -> None:
  """Refuse a prepared data set that names a class of another package.

  tfds imports the module of any class that it does not know, from the current folder too: such a data set is a program.

  Args:
    folder: the folder that tfds would read, its version included, as a path of tfds.

  Raises:
    ValueError: features.json, or the features in dataset_info.json, name a class that is not of tensorflow_datasets.
    OSError: a file is missing.
  """
  features = json.loads((folder / "features.json").read_text())
  info = json.loads((folder / "dataset_info.json").read_text())
  for name in _class_names([features, info.get("features")]):
    if not _ALLOWED_CLASS.fullmatch(name):
      raise ValueError(f"its features name the Python class {name!r}, which would be imported and run; allowed: classes "
                       "of tensorflow_datasets")


def _find_folder(name: str):
  """Return the folder that tfds reads for a name, its version included; nothing in it has been read yet.

  Raises:
    DatasetNotFoundError: there is none.
  """
  # pylint: disable=import-outside-toplevel
  from tensorflow_datasets.core import read_only_builder
  from tensorflow_datasets.core.utils import error_utils
  with error_utils.record_error_context():
    # Private, but no public name says which of several folders and versions is read, and only that one counts: a file
    # below the data set's folder may send tfds to another place.
    folder = read_only_builder._find_builder_dir(name)  # pylint: disable=protected-access
  if folder is None:
    read_only_builder.builder_from_files(name)  # raises, with the folders in which it looked
  return folder


@functools.lru_cache(maxsize=None)
def _data_source(name: str, split: str):
  """Open a split of a prepared data set; return (its items, name of the image, its channels).

  The builder is made of the prepared files: it downloads nothing, and is not the one of the data
  set's own code, which may need TensorFlow.
  """
  # pylint: disable=import-outside-toplevel
  with _extras.needed("a data set", "tfds"):
    import tensorflow_datasets as tfds  # half a second
    from tensorflow_datasets.core import read_only_builder
  folder = _find_folder(name)
  _check_classes(folder)
  builder = read_only_builder.builder_from_directory(folder, file_format="array_record")
  features = builder.info.features
  stored = sorted(k for k, v in features.items() if isinstance(v, tfds.features.Image))
  pictures = [k for k in stored if not isinstance(features[k], tfds.features.LabeledImage)]
  if not pictures:  # a labelled image is a map of classes
    raise ValueError(f"it has no image; its features: {', '.join(sorted(features))}")
  picture = pictures[0]  # by name, as tfds restores features in any order
  skipped = {k: tfds.decode.SkipDecoding() for k in stored if k != picture}
  items = builder.as_data_source(split, decoders=skipped or None)
  size = sum(path.stat().length for path in folder.iterdir())
  if len(items) > size:  # the number alone would be listed, as that many names
    raise ValueError(f"its dataset_info.json says {len(items)} items; its files have {size} bytes")
  return items, picture, features[picture].shape[-1]


def _open(source: str, key: str):
  """Return (name, split, index or None, what `_data_source` returns); any fault is a ValueError."""
  match = _SOURCE.fullmatch(source)
  if match is None:
    raise ValueError(f"{key}={source!r} is not allowed; allowed: tfds:NAME or tfds:NAME#SPLIT, and "
                     "@INDEX after it for one item.")
  name, split, index = match["name"], match["split"] or "train", match["index"]
  with _boundary.reading(f"{key}={source!r} cannot be read (allowed: a data set prepared as array_record in the folder "
                         "TFDS_DATA_DIR, and one of its splits)"):
    opened = _data_source(name, split)
  return name, split, None if index is None else int(index), opened


def list_items(source: str, key: str) -> list[str]:
  """Return the items of a data set's split as sources, in their stored order.

  Args:
    source: tfds:NAME or tfds:NAME#SPLIT; without a split it is "train".
    key: config key of the source, for error messages.

  Raises:
    ValueError: the data set is not prepared, or has no such split or no image.
  """
  name, split, _, (items, *_) = _open(source, key)
  return [f"tfds:{name}#{split}@{index}" for index in range(len(items))]


def read_item(source: str, key: str) -> tuple[np.ndarray, bool, str]:
  """Return (values, whether the last channel is alpha, sha256 of the values) of an item of a data set.

  Args:
    source: tfds:NAME@INDEX or tfds:NAME#SPLIT@INDEX.
    key: config key of the source, for error messages.

  Raises:
    ValueError: there is no such item, or it cannot be read as an image.
  """
  *_, index, (items, picture, channels) = _open(source, key)
  if index is None or index >= len(items):
    raise ValueError(f"{key}={source!r} names no item; allowed: an @INDEX below {len(items)}.")
  with _boundary.reading(f"{key}={source!r} cannot be read as an image"):
    values = items[index][picture]
    if channels and values.shape[-1] != channels:  # such as a CMYK JPEG
      raise ValueError(f"it has {values.shape[-1]} channels where the data set has {channels}")
  digest = hashlib.sha256(f"{values.shape} {values.dtype.str}".encode() + values.tobytes())
  squeezed = values.ndim == 3 and values.shape[-1] == 1
  return values[..., 0] if squeezed else values, channels in (2, 4), digest.hexdigest()
