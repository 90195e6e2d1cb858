"""Orbax storage of loop states, with a manifest that makes damage visible.

An interrupted or damaged Orbax step raises many kinds of errors, or none. So the last thing
written into a step is its manifest; a step without a valid one is not used.
"""

import logging
import os
import pathlib
import shutil
from typing import Any
import weakref

import jax

from oes_jax.files import _atomic
from oes_jax.files import _boundary
from oes_jax.files import _disk
from oes_jax.files._handlerless_orbax import ocp
from oes_jax.files._handlerless_orbax import preservation_policy
from oes_jax import parallel

_KEPT_STEPS = 2  # the newest may be damaged; the one before then serves


class UnreadableCheckpoint(ValueError):
  """A checkpoint whose files are what its manifest says cannot be read: it is another program's, or memory is short."""


class Checkpoints:
  """The steps of one run: newest valid one out, new ones in.

  Every process of a program opens it, saves and restores at the same time: Orbax writes each one's
  part of the arrays. Opening it deletes steps without a valid manifest (they cannot be restored),
  with a warning, so that the one before is used.

  Args:
    folder: the folder of the steps; it is made where it is missing.
  """

  def __init__(self, folder: pathlib.Path):
    self._folder = folder.absolute()
    if jax.process_index() == 0 and self._folder.exists():
      for step in self._folder.iterdir():
        if step.is_dir() and not _atomic.has_valid_manifest(step):
          logging.warning("checkpoint %s is incomplete or damaged: it is deleted", step)
          shutil.rmtree(step)
    parallel.gather(None)  # only then do the others look
    options = ocp.CheckpointManagerOptions(
        create=True, enable_async_checkpointing=False,
        preservation_policy=preservation_policy.LatestN(_KEPT_STEPS))
    with _disk.writing(f"{self._folder} cannot be used"):
      self._manager = ocp.CheckpointManager(self._folder, options=options)
    self._opened = os.open(self._folder, os.O_RDONLY)
    weakref.finalize(self, os.close, self._opened)

  def _check_it_is_there(self) -> None:
    """Raise an error where the folder was deleted or moved, also where another now has its name.

    Orbax would make it anew, and go on in a place of which nobody knows.
    """
    try:
      there = os.path.samestat(os.fstat(self._opened), os.stat(self._folder))
    except OSError:
      there = False
    if not there:
      raise _disk.gone(self._folder)

  def clear(self) -> None:
    """Delete every step."""
    for step in self._manager.all_steps():
      self._manager.delete(step)

  def _reading(self, step: int):
    return _boundary.reading(
        f"checkpoint {self._folder / str(step)} cannot be read; delete {self._folder} to start over", UnreadableCheckpoint)

  def latest(self) -> tuple[int, dict[str, Any]] | None:
    """Return (step, record) of the newest valid step, or None.

    Raises:
      UnreadableCheckpoint: its record cannot be read.
    """
    step = self._manager.latest_step()
    if step is None:
      return None
    args = ocp.args.Composite(record=ocp.args.JsonRestore())
    with self._reading(step):
      return step, self._manager.restore(step, args=args).record

  def restore(self, step: int, like):
    """Return the state of a step; `like` is a state of the same shapes, dtypes and sharding.

    Raises:
      UnreadableCheckpoint: it is a state of others.
    """
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), like)
    args = ocp.args.Composite(state=ocp.args.StandardRestore(abstract))
    with self._reading(step):
      return self._manager.restore(step, args=args).state

  def save(self, step: int, state, record: dict[str, Any]) -> None:
    """Save a state with a JSON record; return once both are safe on disk.

    Args:
      step: number of steps that are done; more than that of any step saved before.
      state: pytree of arrays.
      record: JSON values that `latest` gives back without the state.

    Raises:
      OSError: the disk is full, the folder has gone, or it cannot be written.
      RuntimeError: a later step has been saved already.
    """
    if step in self._manager.all_steps():
      return
    self._check_it_is_there()
    _disk.check_space(self._folder, sum(leaf.nbytes for leaf in jax.tree.leaves(state)) // jax.process_count())
    with _disk.writing(f"{self._folder / str(step)} cannot be saved"):
      saved = self._manager.save(step, args=ocp.args.Composite(
          state=ocp.args.StandardSave(state), record=ocp.args.JsonSave(record)))
      self._manager.wait_until_finished()
    if not saved:
      raise RuntimeError(f"Orbax refused to save step {step} after {self._manager.latest_step()}")
    if jax.process_index() == 0:
      _atomic.write_manifest(self._folder / str(step))
    parallel.gather(None)  # safe for all
