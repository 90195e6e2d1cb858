"""Masks that the project learned and ships: the structure without the mask stage.

A mask transfers to other images, initial weights and network inputs [OES]. A file holds one bit
a weight, in the order of `jax.tree.leaves`, and how the mask was learned.
"""

import hashlib
import io
import json
import math
import pathlib
from typing import Any, BinaryIO

import jax
import numpy as np

from oes_jax import generators

FOLDER = pathlib.Path(__file__).parent / "bundled_masks"


def _described(tree) -> list[list[Any]]:
  return [["/".join(key.key for key in path), list(leaf.shape)]
          for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]


def pack_mask(mask, metadata: dict[str, Any]) -> bytes:
  """Return the file of a mask: bits, its arrays' names and shapes, and JSON metadata."""
  bits = np.concatenate([np.asarray(leaf).ravel() != 0 for leaf in jax.tree.leaves(mask)])
  file = io.BytesIO()
  np.savez_compressed(file, bits=np.packbits(bits),
                      metadata=np.array(json.dumps({**metadata, "arrays": _described(mask)})))
  return file.getvalue()


def read_packed_mask(path: pathlib.Path | BinaryIO) -> tuple[dict[str, Any], dict[str, Any]]:
  """Return (mask as a nested dict of booleans, metadata) of a file made by `encode`."""
  with np.load(path, allow_pickle=False) as file:
    packed, metadata = file["bits"], json.loads(str(file["metadata"]))
  sizes = [math.prod(shape) for _, shape in metadata["arrays"]]
  parts = np.split(np.unpackbits(packed, count=sum(sizes)).astype(bool), np.cumsum(sizes)[:-1])
  mask: dict[str, Any] = {}
  for (name, shape), part in zip(metadata.pop("arrays"), parts):
    *parents, last = name.split("/")
    node = mask
    for parent in parents:
      node = node.setdefault(parent, {})
    node[last] = part.reshape(shape)
  return mask, metadata


def find_bundled_mask(generator: generators.Generator) -> pathlib.Path:
  """Return the file of the mask for a generator, whatever its number of image channels.

  Raises:
    ValueError: none is shipped for it.
  """
  spec = {**generator.spec, "image_channels": None}
  known = []
  for path in sorted(FOLDER.glob("*.npz")):
    made_for = {**read_packed_mask(path)[1]["generator"], "image_channels": None}
    if made_for == spec:
      return path
    known.append(f"{made_for['name']} with generator.num_scales={made_for['num_scales']}")
  raise ValueError(
      f"mask.source='bundled' has no mask for {spec['name']} with generator.num_scales="
      f"{spec['num_scales']} and generator.channels={tuple(spec['channels'])}; allowed: "
      f"{', '.join(known)}, at the published widths (5 scales need 128 pixels, 6 need 256).")


def bundled_path(spec: dict[str, Any]) -> pathlib.Path:
  """Return where the mask of a generator's spec is shipped."""
  return FOLDER / f"{spec['name']}_{spec['num_scales']}.npz"


def bundled_masks_digest() -> str:
  """Return the sha256 of all shipped masks together."""
  data = [path.read_bytes() for path in sorted(FOLDER.glob("*.npz"))]
  return hashlib.sha256(b"".join(data)).hexdigest()


def fit_head(mask, image_channels: int):
  """Return the mask with a head of `image_channels` outputs.

  Where that is another number than the mask was learned with, every output keeps what any output
  of the stored head kept: which maps feed the image, not which colour they feed.
  """
  head = mask["head"]
  if head["kernel"].shape[-1] == image_channels:
    return mask
  return {**mask, "head": {
      name: np.repeat(array.any(-1, keepdims=True), image_channels, axis=-1)
      for name, array in head.items()}}
