"""Orbax storage of loop states and masks, with a manifest that makes damage visible.

An interrupted or damaged Orbax step raises many kinds of errors, or none. So the last thing
written into a step (or a mask folder) is `manifest.json`, with path, size and sha256 of every
file; what has no valid manifest is not used.
"""

import hashlib
import json
import logging
import os
import pathlib
import secrets
import shutil
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from oes_jax import parallel

TEMPORARY = ".*.tmp"  # a pattern
_MANIFEST = "manifest.json"
_KEPT_STEPS = 2  # the newest may be damaged; the one before then serves


def write_atomically(path: pathlib.Path, data: bytes) -> None:
  """Write a file so that a kill at any moment leaves the old content or the new.

  Several processes may write one file at once: the last one's content stands. What a kill leaves
  beside it is named `TEMPORARY`.
  """
  temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
  with open(temporary, "wb") as file:
    file.write(data)
    file.flush()
    os.fsync(file.fileno())
  os.replace(temporary, path)


def _describe(folder: pathlib.Path) -> list[dict[str, Any]]:
  files = sorted(f for f in folder.rglob("*") if f.is_file() and f.name != _MANIFEST)
  return [{"path": str(f.relative_to(folder)), "size": f.stat().st_size,
           "sha256": hashlib.sha256(f.read_bytes()).hexdigest()} for f in files]


def _write_manifest(folder: pathlib.Path) -> None:
  write_atomically(folder / _MANIFEST, json.dumps(_describe(folder), indent=1).encode())


def has_valid_manifest(folder: pathlib.Path) -> bool:
  """Whether every file of `folder` is as its manifest says."""
  try:
    written = json.loads((folder / _MANIFEST).read_bytes())
  except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError, UnicodeDecodeError):
    return False
  if not isinstance(written, list) or not written:
    return False
  found = {entry["path"]: entry for entry in _describe(folder)}
  return all(found.get(entry["path"]) == entry for entry in written)


class Checkpoints:
  """The steps of one run: newest valid one out, new ones in.

  Every process of a program opens it, saves and restores at the same time: Orbax writes each one's
  part of the arrays. Opening it deletes steps without a valid manifest (they cannot be restored),
  with a warning, so that the one before is used.
  """

  def __init__(self, folder: pathlib.Path):
    self._folder = folder.absolute()
    if jax.process_index() == 0 and self._folder.exists():
      for step in self._folder.iterdir():
        if step.is_dir() and not has_valid_manifest(step):
          logging.warning("checkpoint %s is incomplete or damaged: it is deleted", step)
          shutil.rmtree(step)
    parallel.gather(None)  # only then do the others look
    options = ocp.CheckpointManagerOptions(
        create=True, enable_async_checkpointing=False,
        preservation_policy=preservation_policy.LatestN(_KEPT_STEPS))
    self._manager = ocp.CheckpointManager(self._folder, options=options)

  def clear(self) -> None:
    """Delete every step."""
    for step in self._manager.all_steps():
      self._manager.delete(step)

  def latest(self) -> tuple[int, dict[str, Any]] | None:
    """Return (step, record) of the newest valid step, or None."""
    step = self._manager.latest_step()
    if step is None:
      return None
    args = ocp.args.Composite(record=ocp.args.JsonRestore())
    return step, self._manager.restore(step, args=args).record

  def restore(self, step: int, like):
    """Return the state of a step; `like` is a state of the same shapes, dtypes and sharding."""
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), like)
    args = ocp.args.Composite(state=ocp.args.StandardRestore(abstract))
    return self._manager.restore(step, args=args).state

  def save(self, step: int, state, record: dict[str, Any]) -> None:
    """Save a state with a JSON record; returns once it is safe on disk."""
    if step in self._manager.all_steps():
      return
    saved = self._manager.save(step, args=ocp.args.Composite(
        state=ocp.args.StandardSave(state), record=ocp.args.JsonSave(record)))
    if not saved:
      raise RuntimeError(f"Orbax refused to save step {step} after {self._manager.latest_step()}")
    self._manager.wait_until_finished()
    if jax.process_index() == 0:
      _write_manifest(self._folder / str(step))
    parallel.gather(None)  # safe for all


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
  """
  folder = folder.absolute()
  if folder.exists():
    shutil.rmtree(folder)
  booleans = jax.tree.map(lambda leaf: np.asarray(leaf) != 0, mask)
  with _own_checkpointer() as checkpointer:
    checkpointer.save(folder, args=ocp.args.Composite(
        mask=ocp.args.StandardSave(booleans), metadata=ocp.args.JsonSave(metadata)))
  _write_manifest(folder)


def load_mask(folder: pathlib.Path) -> tuple[Any, dict[str, Any]]:
  """Return (mask of boolean arrays, metadata) of a stored mask.

  Raises:
    ValueError: the folder holds no valid stored mask.
  """
  if not (has_valid_manifest(folder) and (folder / "metadata").is_dir()):
    raise ValueError(f"mask.path={str(folder)!r} holds no complete mask; allowed: the mask/ folder "
                     "of a finished mask stage, or a mask pickle (.pkl) of the authors of OES.")
  with _own_checkpointer() as checkpointer:
    stored = checkpointer.restore(folder.absolute(), args=ocp.args.Composite(
        mask=ocp.args.StandardRestore(), metadata=ocp.args.JsonRestore()))
  return jax.tree.map(np.asarray, stored.mask), stored.metadata
