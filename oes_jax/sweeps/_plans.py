"""The plan of many restorations: what all processes know of every case, and how batches are cut."""

import pathlib
from typing import Iterator, NamedTuple, Sequence

import jax

from oes_jax import parallel
from oes_jax import runs
from oes_jax.sweeps import _cases

# Images that a device restores at once, where the memory suffices. CPU: measured 2026-11-25 on 2 cores,
# a step of 1, 2 and 4 images at once costs alike per image from 64 to 160 pixels, and fewer
# programs have to be compiled. GPU and TPU: not measured.
_IMAGES_PER_DEVICE = {"cpu": 4, "gpu": 16, "tpu": 16}


class Planned(NamedTuple):
  """What all processes know of a case before any is run.

  Attributes:
    name: of the case's folder.
    error: why it cannot be run, or None.
    done: whether its folder holds a result, or says why it failed.
    group: of `jobs.group_key`; None with an error.
    shape: (H, W, C) of what is restored at once.
    padded: (H, W) at which its net runs.
    need: memory.Need.
    tile: side of the tiles that it is cut into, 0 for none.
  """
  name: str
  error: str | None
  done: bool = False
  group: str | None = None
  shape: tuple[int, int, int] | None = None
  padded: tuple[int, int] | None = None
  need: tuple[int, int] | None = None
  tile: int = 0


def unread_name(case: _cases.Case) -> str:
  """Return the name of a case whose files cannot be read, so that their checksums are unknown."""
  return runs.case_name(case.config.data.source, case.config.seed, runs.plain(case.config))


def has_ended(workdir: pathlib.Path) -> bool:
  """Whether a case's folder holds a result, or says why it failed."""
  return any((workdir / name).is_file() for name in ("summary.json", "failure.json"))


def _plan_one(case: _cases.Case, parent: pathlib.Path) -> Planned:
  try:
    job = runs.inspect(case.config, parent=parent)
  except (ValueError, OSError) as error:
    return Planned(unread_name(case), str(error))
  return Planned(job.workdir.name, None, has_ended(job.workdir), runs.group_key(job), job.shape,
                 job.generator.padded_shape, job.need, job.tile or 0)


def make_plan(listed: Sequence[_cases.Case], parent: pathlib.Path) -> list[Planned]:
  """Inspect every case in one of the processes, and tell all."""
  mine = range(jax.process_index(), len(listed), jax.process_count())
  planned = {}
  for part in parallel.gather({number: _plan_one(listed[number], parent) for number in mine}):
    planned.update({int(number): Planned(*values) for number, values in part.items()})
  return [planned[number] for number in range(len(listed))]


def images_at_once(plan: Sequence[Planned], numbers: Sequence[int], free: int) -> int:
  """Return how many images of a group a device restores at once, with `free` bytes of memory."""
  once, per_image = (max(needs) for needs in zip(*(plan[number].need for number in numbers)))
  backend = jax.default_backend()
  sharing = jax.local_device_count() if backend == "cpu" else 1
  fitting = (free - once) // (per_image * sharing)
  return max(1, min(_IMAGES_PER_DEVICE.get(backend, 1), fitting))


def cut_batches(plan: Sequence[Planned], *, images_per_device: int | None, free: int,
        devices: int) -> Iterator[tuple[list[int], int]]:
  """Yield (numbers of cases, images per device) of every batch, tiled cases alone.

  Batches follow from the plan, whatever is finished already, so that a restart finds the same ones.
  A group is cut into batches as equal as possible, since rows that fill up cost as much as others.

  Args:
    plan: of every case.
    images_per_device: asked for; None goes by the memory.
    free: bytes of memory.
    devices: that restore a batch.
  """
  groups: dict[str, list[int]] = {}
  for number, planned in enumerate(plan):
    if planned.error is None:
      groups.setdefault(planned.group, []).append(number)
  for numbers in groups.values():
    most = images_per_device or images_at_once(plan, numbers, free)
    count = -(-len(numbers) // (most * devices))
    width = -(-len(numbers) // (count * devices))
    for start in range(0, len(numbers), width * devices):
      yield numbers[start:start + width * devices], width


def frame_of(plan: Sequence[Planned], group: str) -> tuple[tuple[int, int, int], bool]:
  """Return (frame, whether images are smaller) of a group."""
  mine = [planned for planned in plan if planned.group == group]
  shapes = {tuple(planned.shape) for planned in mine}
  if len(shapes) == 1:
    return shapes.pop(), False
  return (*mine[0].padded, mine[0].shape[2]), True
