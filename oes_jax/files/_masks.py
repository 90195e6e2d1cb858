"""Stored masks: those that runs make, those that the project ships, and the authors'.

A mask transfers to other images, initial weights and network inputs [OES]: a stored one gives the
structure without the mask stage. A run stores its mask with Orbax, which is not used without a valid
manifest. A shipped file holds one bit a weight, in the order of `jax.tree.leaves`, and how the
mask was learned. A file of the authors is a pickle.
"""

import hashlib
import io
import json
import math
import pathlib
import shutil
from typing import Any, BinaryIO

import jax
import numpy as np

from oes_jax.files import _atomic
from oes_jax.files import _authors_masks
from oes_jax.files import _boundary
from oes_jax.files import _disk
from oes_jax.files import _free_memory
from oes_jax.files._handlerless_orbax import ocp
from oes_jax import generators

FOLDER = pathlib.Path(__file__).parent / "bundled_masks"


def _own_checkpointer() -> ocp.Checkpointer:
  """A checkpointer of this process alone, whatever the others of the program do meanwhile."""
  me = jax.process_index()
  options = ocp.options.MultiprocessingOptions(
      primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"mask{me}")
  handler = ocp.CompositeCheckpointHandler(
      composite_options=ocp.CompositeOptions(multiprocessing_options=options))
  return ocp.Checkpointer(handler, multiprocessing_options=options)


def save_mask(folder: pathlib.Path, mask, metadata: dict[str, Any]) -> None:
  """Store a mask alone, as booleans, with JSON metadata (generator spec, seed, density, names).

  Only the first process of a program may call it: Orbax writes NumPy arrays in no other.

  Args:
    folder: the mask's folder; what it holds already is deleted.
    mask: pytree of arrays; what is not 0 is kept.
    metadata: JSON values; under "generator" the spec of the generator that the mask is for.

  Raises:
    OSError: the disk is full, or the folder that holds the mask's folder has gone or cannot be written.
  """
  folder = folder.absolute()
  if folder.exists():
    shutil.rmtree(folder)
  booleans = jax.tree.map(lambda leaf: np.asarray(leaf) != 0, mask)
  # Orbax would make the folder above anew; this fails where it has gone.
  _disk.check_space(folder.parent, sum(leaf.nbytes for leaf in jax.tree.leaves(booleans)))
  with _disk.writing(f"{folder} cannot be saved"), _own_checkpointer() as checkpointer:
    checkpointer.save(folder, args=ocp.args.Composite(
        mask=ocp.args.StandardSave(booleans), metadata=ocp.args.JsonSave(metadata)))
  _atomic.write_manifest(folder)


def load_mask(folder: pathlib.Path) -> tuple[Any, dict[str, Any]]:
  """Return (mask of boolean arrays, metadata) of a mask that `save_mask` stored.

  Raises:
    ValueError: the folder holds no valid stored mask.
  """
  fault = f"mask.path={str(folder)!r} cannot be read as a mask"
  with _boundary.reading(fault):
    complete = _atomic.has_valid_manifest(folder) and (folder / "metadata").is_dir()
  if not complete:
    raise ValueError(f"mask.path={str(folder)!r} holds no complete mask; allowed: the mask/ folder "
                     "of a finished mask stage, or a mask pickle (.pkl) of the authors of OES.")
  with _boundary.reading(fault), _own_checkpointer() as checkpointer:
    declared = jax.tree.leaves(ocp.StandardCheckpointHandler().metadata(folder.absolute() / "mask"))
    kinds = {str(np.dtype(leaf.dtype)) for leaf in declared}
    if kinds != {"bool"}:
      raise ValueError(f"it holds {', '.join(sorted(kinds)) or 'no'} arrays; allowed: booleans")
    _free_memory.check_size(sum(math.prod(leaf.shape) for leaf in declared))
    stored = checkpointer.restore(folder.absolute(), args=ocp.args.Composite(
        mask=ocp.args.StandardRestore(), metadata=ocp.args.JsonRestore()))
    if not isinstance(stored.metadata, dict):
      raise ValueError(f"its metadata are a {type(stored.metadata).__name__}; allowed: a dictionary")
    return jax.tree.map(np.asarray, stored.mask), stored.metadata


def _described(tree) -> list[list[Any]]:
  return [["/".join(key.key for key in path), list(leaf.shape)]
          for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]


def pack_mask(mask, metadata: dict[str, Any]) -> bytes:
  """Return the NPZ file of a mask: bits, its arrays' names and shapes, and JSON metadata."""
  bits = np.concatenate([np.asarray(leaf).ravel() != 0 for leaf in jax.tree.leaves(mask)])
  file = io.BytesIO()
  np.savez_compressed(file, bits=np.packbits(bits),
                      metadata=np.array(json.dumps({**metadata, "arrays": _described(mask)})))
  return file.getvalue()


def read_packed_mask(path: pathlib.Path | BinaryIO) -> tuple[dict[str, Any], dict[str, Any]]:
  """Return (mask as a nested dict of booleans, metadata) of a file made by `pack_mask`."""
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


def bundled_path(spec: dict[str, Any]) -> pathlib.Path:
  """Return where the mask for a generator's spec is shipped."""
  return FOLDER / f"{spec['name']}_{spec['num_scales']}.npz"


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


def _fit_head(mask, image_channels: int):
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


def masks_like(mask, params):
  """Cast a stored mask of booleans to 0/1 arrays of the dtypes of `params`.

  Raises:
    ValueError: it has another structure or other shapes.
  """
  shapes = [(jax.tree.structure(tree), [np.shape(leaf) for leaf in jax.tree.leaves(tree)]) for tree in (mask, params)]
  if shapes[0] != shapes[1]:
    raise ValueError("its arrays have other names or shapes than the weights of the generator")
  return jax.tree.map(lambda m, p: m.astype(p.dtype), mask, params)


def read_bundled_mask(generator: generators.Generator, params):
  """Return the shipped mask of a generator, and the name of the image that it was learned on.

  Args:
    generator: a generator of the published widths.
    params: the generator's params, arrays or shapes; the mask is a tree of 0/1 arrays like them.

  Raises:
    ValueError: none is shipped for this generator.
  """
  stored, metadata = read_packed_mask(find_bundled_mask(generator))
  mask = _fit_head(stored, generator.spec["image_channels"])
  return masks_like(mask, params), metadata["source"]


def read_mask(path: str, generator: generators.Generator, params):
  """Return the mask of a run or of the authors as a tree of 0/1 arrays like `params`.

  Args:
    path: the mask/ folder of a run, or a mask pickle of the authors.
    generator: the generator that the mask must have been made for.
    params: the generator's params, arrays or shapes.

  Raises:
    ValueError: it is damaged, unsafe, or was made for another generator.
    OSError: it cannot be read.
  """
  source = pathlib.Path(path)
  if not source.exists():
    raise ValueError(f"mask.path={path!r} does not exist.")
  if source.is_file():
    return _authors_masks.place_flat_mask(_authors_masks.read_flat_mask(path), generator.graph, params)
  mask, metadata = load_mask(source)
  if metadata.get("generator") != generator.spec:
    raise ValueError(f"mask.path={path!r} was made for the generator "
                     f"{str(metadata.get('generator'))[:300]}, this run uses {generator.spec}; allowed: the same "
                     "generator.name, num_scales, channels, skip_channels and number of image channels.")
  with _boundary.reading(f"mask.path={path!r} is no mask of this generator"):
    return masks_like(mask, params)


def mask_file_digest(source: str, path: str | None) -> str | None:
  """Return the sha256 that identifies the file of a mask; None where the run makes the mask itself.

  Args:
    source: source of the mask, a value of mask.source.
    path: the folder or file that `read_mask` takes; None where the source reads none.

  Raises:
    ValueError: there is no such mask.
  """
  if source == "bundled":
    data = [file.read_bytes() for file in sorted(FOLDER.glob("*.npz"))]
    return hashlib.sha256(b"".join(data)).hexdigest()
  if path is None:
    return None
  file = pathlib.Path(path)
  file = file / _atomic.MANIFEST if file.is_dir() else file
  if not file.is_file():
    raise ValueError(f"mask.path={path!r} holds no mask; allowed: the mask/ folder of a finished mask "
                     "stage, or a mask pickle (.pkl) of the authors of OES.")
  return hashlib.sha256(file.read_bytes()).hexdigest()
