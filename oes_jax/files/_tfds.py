"""Images of TensorFlow Datasets data sets, without TensorFlow."""

import functools
import hashlib
import re

import numpy as np

from oes_jax.files import _decoders

_SOURCE = re.compile(r"tfds:(?P<name>[^#@,]+)(#(?P<split>[^#@,]+))?(@(?P<index>\d+))?")


@functools.lru_cache(maxsize=None)
def _data_source(name: str, split: str):
  """Open a split of a prepared data set; return (its items, name of the image, its channels).

  The builder is made of the prepared files: it downloads nothing, and is not the one of the data
  set's own code, which may need TensorFlow.
  """
  # pylint: disable=import-outside-toplevel
  from google.protobuf import json_format
  import tensorflow_datasets as tfds  # half a second
  from tensorflow_datasets.core import read_only_builder
  try:
    builder = read_only_builder.builder_from_files(name, file_format="array_record")
  except json_format.ParseError as error:
    raise ValueError(f"its dataset_info.json is damaged: {error}") from error
  features = builder.info.features
  stored = sorted(k for k, v in features.items() if isinstance(v, tfds.features.Image))
  pictures = [k for k in stored if not isinstance(features[k], tfds.features.LabeledImage)]
  if not pictures:  # a labelled image is a map of classes
    raise ValueError(f"it has no image; its features: {', '.join(sorted(features))}")
  picture = pictures[0]  # by name, as tfds restores features in any order
  skipped = {k: tfds.decode.SkipDecoding() for k in stored if k != picture}
  items = builder.as_data_source(split, decoders=skipped or None)
  return items, picture, features[picture].shape[-1]


def _open(source: str, key: str):
  """Return (name, split, index or None, what `_data_source` returns); any fault is a ValueError."""
  match = _SOURCE.fullmatch(source)
  if match is None:
    raise ValueError(f"{key}={source!r} is not allowed; allowed: tfds:NAME or tfds:NAME#SPLIT, and "
                     "@INDEX after it for one item.")
  name, split, index = match["name"], match["split"] or "train", match["index"]
  try:
    opened = _data_source(name, split)
  except (ValueError, LookupError, TypeError, RuntimeError, OSError, ImportError) as error:
    reason = str(error).partition("\n")[0].rstrip(".")
    raise ValueError(f"{key}={source!r} cannot be read: {reason}. Allowed: a data set prepared as "
                     "array_record in the folder TFDS_DATA_DIR, and one of its splits.") from error
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
  try:
    values = items[index][picture]
    if channels and values.shape[-1] != channels:  # such as a CMYK JPEG
      raise ValueError(f"it has {values.shape[-1]} channels where the data set has {channels}")
  except _decoders.DECODER_ERRORS as error:
    reason = str(error).rstrip(".")
    raise ValueError(f"{key}={source!r} cannot be read as an image: {reason}.") from error
  digest = hashlib.sha256(f"{values.shape} {values.dtype.str}".encode() + values.tobytes())
  squeezed = values.ndim == 3 and values.shape[-1] == 1
  return values[..., 0] if squeezed else values, channels in (2, 4), digest.hexdigest()
