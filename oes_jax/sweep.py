"""Many restorations: plan, skip what is finished, restore in batches, record, summarise."""

import contextlib
import dataclasses
import json
import logging
import pathlib
import shutil
import time
from typing import Any, Iterator, NamedTuple, Sequence

import jax
import tqdm

from oes_jax import batches
from oes_jax import cases
from oes_jax import checkpoints
from oes_jax import ensembles
from oes_jax import jobs
from oes_jax import memory
from oes_jax import parallel
from oes_jax import processes
from oes_jax import results
from oes_jax import run
from oes_jax import validation

# Images that a device restores at once, where the memory suffices. CPU: measured 2026-11-25 on 2 cores,
# a step of 1, 2 and 4 images at once costs alike per image from 64 to 160 pixels, and fewer
# programs have to be compiled. GPU and TPU: not measured.
_IMAGES_PER_DEVICE = {"cpu": 4, "gpu": 16, "tpu": 16}
# Keys that may change between starts in one folder: cases tell themselves apart.
_NOT_IDENTITY = ("seed", "data.source", "ensemble", "sweep", "compute.images_per_device")


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
    tiled: whether it is cut into tiles.
  """
  name: str
  error: str | None
  done: bool = False
  group: str | None = None
  shape: tuple[int, int, int] | None = None
  padded: tuple[int, int] | None = None
  need: tuple[int, int] | None = None
  tiled: bool = False


@dataclasses.dataclass
class _Sweep:
  """What the parts of one sweep share."""
  config: Any
  folder: pathlib.Path
  cases: Sequence[cases.Case]
  plan: Sequence[Planned]
  images_per_device: int
  signals: processes.Signals
  mesh: Any

  def inspect(self, number: int) -> jobs.Job:
    """Read a case's files again; its folder is where the plan found it."""
    return jobs.inspect(self.cases[number].config, parent=self.folder / "cases")

  def describe(self, number: int, sigma: float | None) -> dict[str, Any]:
    """Return what a line of results.jsonl says of a case beforehand."""
    return results.describe(self.plan[number].name, self.cases[number].config, sigma)


def find_folder(config, workdir: str | None) -> tuple[pathlib.Path, dict[str, Any], dict[str, Any]]:
  """Return (folder, identity, stored choices) of a sweep; nothing is written.

  Raises:
    ValueError: the folder holds something else.
  """
  if workdir is None:
    workdir = f"runs/{config.experiment}-{validation.digest_of(validation.plain(config))}"
  identity = {"format": jobs.FORMAT, "many": True,
              "config": validation.plain_without(config, _NOT_IDENTITY)}
  folder, choices = validation.find_workdir(workdir, config.experiment, identity)
  return folder, identity, choices


def _unread_name(case: cases.Case) -> str:
  """Return the name of a case whose files cannot be read, so that their checksums are unknown."""
  return jobs.case_name(case.config.data.source, case.config.seed, validation.plain(case.config))


def _has_ended(workdir: pathlib.Path) -> bool:
  return any((workdir / name).is_file() for name in ("summary.json", "failure.json"))


def _plan_one(case: cases.Case, parent: pathlib.Path) -> Planned:
  try:
    job = jobs.inspect(case.config, parent=parent)
  except (ValueError, OSError) as error:
    return Planned(_unread_name(case), str(error))
  return Planned(job.workdir.name, None, _has_ended(job.workdir), jobs.group_key(job), job.shape,
                 job.generator.padded_shape, job.need, job.tile is not None)


def _make_plan(listed: Sequence[cases.Case], parent: pathlib.Path) -> list[Planned]:
  """Inspect every case in one of the processes, and tell all."""
  mine = range(jax.process_index(), len(listed), jax.process_count())
  planned = {}
  for part in parallel.gather({number: _plan_one(listed[number], parent) for number in mine}):
    planned.update({int(number): Planned(*values) for number, values in part.items()})
  return [planned[number] for number in range(len(listed))]


def _choose_images_per_device(plan: Sequence[Planned]) -> int:
  needs = [planned.need for planned in plan if planned.need and not planned.tiled]
  backend = jax.default_backend()
  sharing = jax.local_device_count() if backend == "cpu" else 1
  per_image = max((need[1] for need in needs), default=1)
  room = memory.available() - max((need[0] for need in needs), default=0)
  return max(1, min(_IMAGES_PER_DEVICE.get(backend, 1), room // (per_image * sharing)))


def _cut(sweep: _Sweep) -> Iterator[tuple[list[int], int]]:
  """Yield (numbers of cases, images per device) of every batch, tiled cases alone.

  Batches follow from the plan, whatever is finished already, so that a restart finds the same ones.
  A group is cut into batches as equal as possible, since rows that fill up cost as much as others.
  """
  groups: dict[str, list[int]] = {}
  for number, planned in enumerate(sweep.plan):
    if planned.error is None:
      groups.setdefault(planned.group, []).append(number)
  devices = sweep.mesh.size
  for numbers in groups.values():
    count = -(-len(numbers) // (sweep.images_per_device * devices))
    width = -(-len(numbers) // (count * devices))
    for start in range(0, len(numbers), width * devices):
      yield numbers[start:start + width * devices], width


def _frame(sweep: _Sweep, group: str) -> tuple[tuple[int, int, int], bool]:
  """Return (frame, whether images are smaller) of a group."""
  mine = [planned for planned in sweep.plan if planned.group == group]
  shapes = {tuple(planned.shape) for planned in mine}
  if len(shapes) == 1:
    return shapes.pop(), False
  return (*mine[0].padded, mine[0].shape[2]), True


def _record(sweep: _Sweep, number: int, job: jobs.Job, outcome: dict[str, Any] | str) -> None:
  """Put a case's end on record: a line, and the result beside those of the others."""
  described = sweep.describe(number, job.sigma)
  if isinstance(outcome, str):
    checkpoints.write_atomically(job.workdir / "failure.json",
                                 json.dumps({"failure": outcome}).encode())
    logging.warning("%s failed: %s", job.workdir.name, outcome)
    results.append(sweep.folder, results.failed(described, outcome))
    return
  _collect(sweep.folder, job.workdir, outcome["output"])
  results.append(sweep.folder, results.finished(described, outcome))


def _collect(folder: pathlib.Path, source: pathlib.Path, output: str) -> None:
  """Copy a restored image to restored/, under the name of its case."""
  target = folder / "restored" / f"{source.name}{pathlib.Path(output).suffix}"
  target.parent.mkdir(exist_ok=True)
  shutil.copyfile(source / output, target)


def _reconcile(sweep: _Sweep) -> None:
  """Add the lines of cases that ended before a kill could put them on record, and of faulty files."""
  recorded = results.read(sweep.folder)
  for number in range(jax.process_index(), len(sweep.plan), jax.process_count()):
    planned = sweep.plan[number]
    if planned.error is not None:
      line = results.failed(sweep.describe(number, None), planned.error)
      logging.warning("%s failed: %s", planned.name, planned.error)
      if recorded.get(planned.name) != line:
        results.append(sweep.folder, line)
      continue
    unread = _unread_name(sweep.cases[number])
    if unread in recorded:  # the file has been mended since
      results.append(sweep.folder, results.withdrawn(unread))
    if planned.done and planned.name not in recorded:
      job = sweep.inspect(number)
      if (job.workdir / "summary.json").is_file():
        outcome = json.loads((job.workdir / "summary.json").read_text(encoding="utf-8"))
      else:
        outcome = json.loads((job.workdir / "failure.json").read_text(encoding="utf-8"))["failure"]
      _record(sweep, number, job, outcome)


def _lock_rows(rows, stack: contextlib.ExitStack):
  """Claim and lock this process's rows; one that another process works on, or has finished, becomes None.

  Raises:
    processes.Busy: no row is left, or the processes of one program cannot go on without it.
  """
  busy = []
  for place, job in enumerate(rows):
    if job is not None:
      jobs.claim(job)
      try:
        stack.enter_context(processes.lock(job.workdir))
      except processes.Busy as error:
        busy.append(str(error))
        rows[place] = None
      else:
        rows[place] = None if _has_ended(job.workdir) else job
  busy = [text for texts in parallel.gather(busy) for text in texts]
  if busy and (jax.process_count() > 1 or not any(rows)):
    raise processes.Busy(busy[0])
  return rows


def _batch_folder(sweep: _Sweep, numbers: Sequence[int], width: int) -> pathlib.Path:
  """Return the folder of a batch, which follows from its cases and their layout."""
  names = [sweep.plan[number].name for number in numbers]
  return sweep.folder / "batches" / validation.digest_of([names, width, sweep.mesh.size])


def _take_rows(sweep: _Sweep, numbers: Sequence[int], width: int, folder, locks):
  """Lock a batch; return (number, job) of each of this process's rows, (None, None) where it fills up.

  Once a batch has begun, batch.json names the cases that it restores.
  """
  if jax.process_index() == 0:
    folder.mkdir(parents=True, exist_ok=True)
    locks.enter_context(processes.lock(folder))
  parallel.gather(None)  # the folder is there
  begun = folder / "batch.json"
  names = json.loads(begun.read_text(encoding="utf-8")) if begun.is_file() else None
  slots = [number if names is None or sweep.plan[number].name in names else None
           for number in numbers]
  slots += [None] * (width * sweep.mesh.size - len(slots))
  local = width * jax.local_device_count()
  mine = slots[jax.process_index() * local:(jax.process_index() + 1) * local]
  rows = _lock_rows([None if number is None else sweep.inspect(number) for number in mine], locks)
  taken = parallel.gather([job.workdir.name for job in rows if job is not None])
  if names is None and jax.process_index() == 0:
    checkpoints.write_atomically(begun, json.dumps(sum(taken, [])).encode())
  return [(None if job is None else number, job) for number, job in zip(mine, rows)]


def _restore_batch(sweep: _Sweep, numbers: Sequence[int], width: int, programs, label: str) -> None:
  """Restore the cases of one batch that are not finished, and put them on record.

  Raises:
    processes.Busy: another process has all of them.
  """
  folder = _batch_folder(sweep, numbers, width)
  template = sweep.inspect(numbers[0])
  frame, framed = _frame(sweep, sweep.plan[numbers[0]].group)
  with contextlib.ExitStack() as locks:
    rows = _take_rows(sweep, numbers, width, folder, locks)
    if any(parallel.gather(any(job is not None for _, job in rows))):
      outcomes = batches.restore(batches.Batch(
          template=template, jobs=[job for _, job in rows], frame=frame, framed=framed,
          generator=jobs.frame_generator(template, frame), folder=folder, mesh=sweep.mesh,
          programs=programs, signals=sweep.signals, label=label))
      for (number, job), outcome in zip(rows, outcomes):
        if job is not None:
          _record(sweep, number, job, outcome)
    parallel.gather(None)  # all is on record
    if jax.process_index() == 0:
      shutil.rmtree(folder)


def _restore_tiled(sweep: _Sweep, number: int, label: str) -> None:
  job = sweep.inspect(number)
  if jax.process_count() > 1:
    if jax.process_index() == 0:
      jobs.claim(job)
      _record(sweep, number, job, "it needs tiles, which one program over several processes does not "
                                  "restore: use --shard, or a larger compute.tile")
    return
  jobs.claim(job)
  with processes.lock(job.workdir):
    try:
      outcome = run.restore(job, sweep.signals, label)
    except run.Failed as error:
      outcome = str(error)
    _record(sweep, number, job, outcome)


def _restore_all(sweep: _Sweep) -> None:
  left = [(numbers, width) for numbers, width in _cut(sweep)
          if not all(sweep.plan[number].done for number in numbers)]
  todo = sum(not sweep.plan[number].done for numbers, _ in left for number in numbers)
  if jax.process_index() == 0:
    print(f"{len(sweep.plan)} cases: {sum(p.done for p in sweep.plan)} finished earlier, {todo} to "
          f"restore in {len(left)} batches of up to {sweep.images_per_device} images on each of "
          f"{sweep.mesh.size} devices", flush=True)
  began, done, programs, group = time.perf_counter(), 0, {}, None
  for place, (numbers, width) in enumerate(left):
    if sweep.signals.received and jax.process_count() == 1:
      raise processes.Interrupted(sweep.signals.received)
    if sweep.plan[numbers[0]].group != group:
      programs, group = {}, sweep.plan[numbers[0]].group
    label = f"batch {place + 1}/{len(left)}: "
    try:
      if sweep.plan[numbers[0]].tiled:
        _restore_tiled(sweep, numbers[0], label)
      else:
        _restore_batch(sweep, numbers, width, programs, label)
    except processes.Busy as error:
      if jax.process_count() > 1:
        raise
      logging.warning("%s: left to it", error)
    done += sum(not sweep.plan[number].done for number in numbers)
    seconds = (time.perf_counter() - began) / done * (todo - done)
    if jax.process_index() == 0:
      print(f"cases done: {done} of {todo}, about {tqdm.tqdm.format_interval(seconds)} left",
            flush=True)


def _clear_batches(sweep: _Sweep) -> None:
  """Remove checkpoints that nothing needs: a kill left them, or another number of devices went on."""
  for begun in (sweep.folder / "batches").glob("*/batch.json"):
    names = json.loads(begun.read_text(encoding="utf-8"))
    if all(_has_ended(sweep.folder / "cases" / name) for name in names):
      with contextlib.suppress(processes.Busy, FileNotFoundError), processes.lock(begun.parent):
        shutil.rmtree(begun.parent)  # another process may be at it


def _average_members(sweep: _Sweep) -> None:
  """Write every ensemble whose members have all ended, two of them at least with a result."""
  parts: dict[int, list[int]] = {}
  for number, case in enumerate(sweep.cases):
    parts.setdefault(case.ensemble, []).append(number)
  recorded = results.read(sweep.folder)
  for numbers in parts.values():
    lines = [recorded.get(sweep.plan[number].name) for number in numbers]
    good = [number for number, line in zip(numbers, lines) if line and not line["failure"]]
    if None in lines or len(good) < 2:
      continue
    job = sweep.inspect(good[0])
    name = f"ensemble-{sweep.plan[good[0]].name}"
    folders = [sweep.folder / "cases" / sweep.plan[number].name for number in good]
    summary = ensembles.write(sweep.folder / "ensembles" / name, job, folders)
    _collect(sweep.folder, sweep.folder / "ensembles" / name, summary["output"])
    line = ensembles.describe(name, job, summary)
    if recorded.get(name) != line:
      results.append(sweep.folder, line)


def run_all(config, workdir: str | None = None, shard: tuple[int, int] = (0, 1)) -> tuple[pathlib.Path, bool]:
  """Restore every case of a config, or of one share of it.

  Args:
    config: that asks for many restorations; see `cases.is_many`.
    workdir: folder, which several shares may use at once; None: runs/<experiment>-<hash>.
    shard: (i, n): of the measurements, those whose number is i modulo n.

  Returns:
    (folder, whether all cases of this call ended with a result).

  Raises:
    ValueError: the config or the folder is faulty; nothing was written.
    processes.Interrupted: after SIGTERM or SIGINT, with the state saved.
    OSError: the folder can no longer be written.
  """
  validation.check_config(config)
  listed = [case for case in cases.expand(config) if case.ensemble % shard[1] == shard[0]]
  folder, identity, choices = find_folder(config, workdir)
  with processes.Signals() as signals:
    run.use_compilation_cache(config.compute)
    plan = _make_plan(listed, folder / "cases")
    width = choices.get("images_per_device") or _choose_images_per_device(plan)
    if jax.process_index() == 0:
      validation.claim_workdir(folder, identity, {"images_per_device": width})
      print(f"workdir: {folder}", flush=True)
    parallel.gather(None)  # the folder is there; another share may have been the first
    width = config.compute.images_per_device or find_folder(config, workdir)[2]["images_per_device"]
    sweep = _Sweep(config, folder, listed, plan, width, signals, parallel.image_mesh())
    _reconcile(sweep)
    _restore_all(sweep)
  if jax.process_index() == 0:
    _clear_batches(sweep)
    if config.ensemble > 1:
      _average_members(sweep)
  recorded = results.read(folder)
  return folder, not any((recorded.get(p.name) or {"failure": "busy"})["failure"] for p in plan)
