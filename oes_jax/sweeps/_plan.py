"""The plan of many restorations: what all processes know of every case, and how batches are cut."""

import dataclasses
import logging
import pathlib
from typing import Any, Iterator, NamedTuple, Sequence

import jax

from oes_jax import backends
from oes_jax import files
from oes_jax import parallel
from oes_jax import runs
from oes_jax.sweeps import _cases

FAILURE = "failure.json"  # in the folder of a case that could not be restored
# What a process tells the others of a case that it has planned.
_TOLD = ("name", "error", "done", "group", "shape", "padded", "need", "tile", "alone")


class Cut(NamedTuple):
  """The cases that are restored together, and how.

  Attributes:
    cases: planned cases of one group; at most `width` times the number of devices.
    width: number of images that a device restores at once.
    frame: (H, W, C) that every image of the group fits in.
    framed: whether images of the group are smaller than the frame.
  """
  cases: Sequence[_cases.Case]
  width: int
  frame: tuple[int, int, int]
  framed: bool


def unread_name(case: _cases.Case) -> str:
  """Return the name of a case whose files cannot be read, so that their checksums are unknown."""
  return runs.case_name(case.asked["source"], case.asked["seed"], runs.plain(case.config))


def read_failure(workdir: pathlib.Path) -> dict[str, Any]:
  """Return why the case of a folder failed, and its sigma.

  Raises:
    ValueError: its failure.json is gone, cut or changed.
  """
  record = files.read_sealed(workdir / FAILURE)
  if not runs.matches(record, {"failure": str, "sigma": (int, float)}) or not record["failure"]:
    raise ValueError(f"{workdir / FAILURE} does not say why a case failed")
  return record


def has_ended(workdir: pathlib.Path, warn: bool = False) -> bool:
  """Whether a case's folder holds a result that is sound, or says why it failed.

  Args:
    workdir: folder of a case, which need not exist.
    warn: whether damage to what had ended is said.
  """
  if runs.read_finished(workdir, warn) is not None:
    return True
  if not (workdir / FAILURE).is_file():
    return False
  try:
    read_failure(workdir)
  except ValueError as error:
    if warn:
      logging.warning("%s: the case is restored anew", error)
    return False
  return True


def plan_case(case: _cases.Case, parent: pathlib.Path) -> _cases.Case:
  """Return a case with all that is known before it is run; a fault of its files becomes its error.

  Args:
    case: a case of `_cases.expand`.
    parent: the folder in which all cases have theirs.
  """
  try:
    job = runs.inspect(case.config, parent=parent)
  except (ValueError, OSError) as error:
    return dataclasses.replace(case, name=unread_name(case), error=str(error), done=False)
  return dataclasses.replace(
      case, name=job.workdir.name, done=has_ended(job.workdir, warn=True), group=runs.group_key(job), shape=job.shape,
      padded=job.generator.padded_shape, need=job.need, tile=job.tile or 0, alone=job.is_alone)


def make_plan(listed: Sequence[_cases.Case], parent: pathlib.Path) -> list[_cases.Case]:
  """Plan every case in one of the processes, and tell all.

  Args:
    listed: cases of `_cases.expand`, in every process the same.
    parent: the folder in which all cases have theirs.
  """
  first, step = jax.process_index(), jax.process_count()
  mine = [plan_case(case, parent) for case in listed[first::step]]
  parts: list[list[dict[str, Any]]] = parallel.gather([{key: getattr(case, key) for key in _TOLD} for case in mine])
  return [dataclasses.replace(case, **parts[number % step][number // step])
          for number, case in enumerate(listed)]


def read_case(case: _cases.Case, parent: pathlib.Path) -> runs.Job:
  """Read the files of a planned case again.

  Args:
    case: a planned case without an error.
    parent: the folder in which all cases have theirs.

  Raises:
    ValueError, OSError: the files are not as they were planned, or cannot be read.
  """
  job = runs.inspect(case.config, parent=parent, tile=case.tile)
  if job.workdir.name != case.name:
    raise ValueError(f"data.source={case.asked['source']!r} has changed since this start, or its truth "
                     "or mask has: start again.")
  return job


def images_at_once(cases: Sequence[_cases.Case], free: int) -> int:
  """Return how many images of a group a device restores at once, at least 1.

  Args:
    cases: planned cases of one group.
    free: bytes of memory that all devices of a CPU share, or that each GPU or TPU has.
  """
  once, per_image = (max(needs) for needs in zip(*(case.need for case in cases)))
  backend = jax.default_backend()
  sharing = jax.local_device_count() if backend == "cpu" else 1
  fitting = (free - once) // (per_image * sharing)
  return max(1, min(backends.choices_of(backend).images_at_once, fitting))


def cut_batches(plan: Sequence[_cases.Case], *, images_per_device: int | None, free: int,
                devices: int) -> Iterator[Cut]:
  """Yield every batch of a plan; cases that are restored alone are so in theirs.

  Batches follow from the plan, whatever is finished already, so that a restart finds the same ones.
  A group is cut into batches as equal as possible, since rows that fill up cost as much as others.

  Args:
    plan: all planned cases of this start.
    images_per_device: number of images that a device restores at once; None: as many as the memory holds.
    free: bytes of memory, as for `images_at_once`.
    devices: number of devices that restore a batch.
  """
  groups: dict[str, list[_cases.Case]] = {}
  for case in plan:
    if case.error is None:
      groups.setdefault(case.group, []).append(case)
  for cases in groups.values():
    most = images_per_device or images_at_once(cases, free)
    count = -(-len(cases) // (most * devices))
    width = -(-len(cases) // (count * devices))
    frame, framed = frame_of(cases)
    for start in range(0, len(cases), width * devices):
      yield Cut(cases[start:start + width * devices], width, frame, framed)


def frame_of(cases: Sequence[_cases.Case]) -> tuple[tuple[int, int, int], bool]:
  """Return the frame (H, W, C) that all images of a group fit in, and whether some are smaller.

  Args:
    cases: all planned cases of one group.
  """
  shapes = {tuple(case.shape) for case in cases}
  if len(shapes) == 1:
    return shapes.pop(), False
  return (*cases[0].padded, cases[0].shape[2]), True
