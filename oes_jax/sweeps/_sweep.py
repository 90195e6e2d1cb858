"""Many restorations: plan, skip what is finished, restore in batches, record, summarise."""

import contextlib
import dataclasses
import itertools
import json
import logging
import os
import pathlib
import shutil
import time
from typing import Any, Iterator, Sequence

import jax
import tqdm

from oes_jax import files
from oes_jax import parallel
from oes_jax import runs
from oes_jax.sweeps import _cases
from oes_jax.sweeps import _ensembles
from oes_jax.sweeps import _plans
from oes_jax.sweeps import _results

# Keys that may change between starts in one folder: cases tell themselves apart.
_NOT_IDENTITY = ("seed", "data.source", "ensemble", "sweep", "compute.images_per_device")


@dataclasses.dataclass
class _Sweep:
  """What the parts of one sweep share.

  Attributes:
    folder: of all.
    cases: of this share.
    plan: of every case.
    images_per_device: asked for, or None.
    memory: bytes that were free when the folder was claimed: what batches are cut by, so that a
      restart cuts the same ones.
    signals: served between chunks.
    mesh: of all devices.
  """
  folder: pathlib.Path
  cases: Sequence[_cases.Case]
  plan: Sequence[_plans.Planned]
  images_per_device: int | None
  memory: int
  signals: runs.Signals
  mesh: Any

  def inspect(self, number: int) -> runs.Job:
    """Read a case's files again.

    Raises:
      ValueError, OSError: they are not as they were planned, or cannot be read.
    """
    planned, config = self.plan[number], self.cases[number].config
    job = runs.inspect(config, parent=self.folder / "cases", tile=planned.tile)
    if job.workdir.name != planned.name:
      raise ValueError(f"data.source={config.data.source!r} has changed since this start, or its truth "
                       "or mask has: start again.")
    return job

  def describe(self, number: int, sigma: float | None) -> dict[str, Any]:
    """Return what a line of results.jsonl says of a case beforehand."""
    return _results.describe_case(self.plan[number].name, self.cases[number].config, sigma)


def find_folder(config, workdir: str | None) -> tuple[pathlib.Path, dict[str, Any]]:
  """Return (folder, identity) of a sweep; nothing is written.

  Raises:
    ValueError: the folder holds something else.
  """
  if workdir is None:
    workdir = f"runs/{config.experiment}-{runs.digest_of(runs.plain(config))}"
  identity = {"format": runs.FORMAT, "many": True,
              "config": runs.plain_without(config, _NOT_IDENTITY)}
  return runs.find_workdir(workdir, config.experiment, identity)[0], identity


def _record(sweep: _Sweep, number: int, job: runs.Job, outcome: dict[str, Any] | str) -> None:
  """Put a case's end on record: a line, and the result beside those of the others."""
  described = sweep.describe(number, job.sigma)
  if isinstance(outcome, str):
    files.write_atomically(job.workdir / "failure.json",
                                 json.dumps({"failure": outcome}).encode())
    logging.warning("%s failed: %s", job.workdir.name, outcome)
    _results.append_result(sweep.folder, _results.failed(described, outcome))
    return
  line = _results.finished(described, outcome)
  if not line["failure"]:
    _collect(sweep.folder, job.workdir, outcome["output"])
  _results.append_result(sweep.folder, line)


def _collect(folder: pathlib.Path, source: pathlib.Path, output: str) -> None:
  """Copy a restored image to restored/, under the name of its case."""
  target = folder / "restored" / f"{source.name}{pathlib.Path(output).suffix}"
  target.parent.mkdir(exist_ok=True)
  shutil.copyfile(source / output, target)


def _reconcile(sweep: _Sweep) -> None:
  """Add the lines of cases that ended before a kill could put them on record, and of faulty files."""
  recorded = _results.read_results(sweep.folder)
  for number in range(jax.process_index(), len(sweep.plan), jax.process_count()):
    planned = sweep.plan[number]
    if planned.error is not None:
      line = _results.failed(sweep.describe(number, None), planned.error)
      logging.warning("%s failed: %s", planned.name, planned.error)
      if recorded.get(planned.name) != line:
        _results.append_result(sweep.folder, line)
      continue
    unread = _plans.unread_name(sweep.cases[number])
    if unread in recorded:  # the file has been mended since
      _results.append_result(sweep.folder, _results.withdrawn(unread))
    summary = sweep.folder / "cases" / planned.name / "summary.json"
    line = recorded.get(planned.name)
    if planned.done and (line is None or line["failure"] and summary.is_file()):
      if summary.is_file():
        outcome = json.loads(summary.read_text(encoding="utf-8"))
      else:
        failure = summary.with_name("failure.json")
        outcome = json.loads(failure.read_text(encoding="utf-8"))["failure"]
      _record(sweep, number, sweep.inspect(number), outcome)


def _lock_rows(rows, stack: contextlib.ExitStack):
  """Claim and lock this process's rows; one that another process works on, or has finished, becomes None.

  Raises:
    processes.Busy: no row is left, or the processes of one program cannot go on without it.
  """
  busy = []
  for place, job in enumerate(rows):
    if job is not None:
      runs.claim(job)
      try:
        stack.enter_context(runs.lock(job.workdir))
      except runs.Busy as error:
        busy.append(str(error))
        rows[place] = None
      else:
        rows[place] = None if _plans.has_ended(job.workdir) else job
  busy = [text for texts in parallel.gather(busy) for text in texts]
  if busy and (jax.process_count() > 1 or not any(rows)):
    raise runs.Busy(busy[0])
  return rows


def _remove(folder: pathlib.Path) -> None:
  """Remove a batch's folder, unless another process is just doing so."""
  gone = folder.with_name(f".{folder.name}-{os.getpid()}")
  with contextlib.suppress(FileNotFoundError):
    folder.rename(gone)
    shutil.rmtree(gone)


def _begun(sweep: _Sweep) -> Iterator[tuple[pathlib.Path, list[str]]]:
  """Yield (folder, names of its cases) of every batch that has begun."""
  for path in (sweep.folder / "batches").glob("*/batch.json"):
    with contextlib.suppress(FileNotFoundError):
      yield path.parent, json.loads(path.read_text(encoding="utf-8"))


def _inspect_rows(sweep: _Sweep, numbers: Sequence[int | None]) -> list[runs.Job | None]:
  """Read the files of a batch; a case whose files have gone since it was planned fails alone."""
  rows = []
  for number in numbers:
    rows.append(None)
    if number is not None:
      try:
        rows[-1] = sweep.inspect(number)
      except (ValueError, OSError) as error:
        logging.warning("%s failed: %s", sweep.plan[number].name, error)
        _results.append_result(sweep.folder, _results.failed(sweep.describe(number, None), str(error)))
  return rows


def _take_rows(sweep: _Sweep, numbers: Sequence[int], width: int, folder, locks):
  """Lock a batch; return (number, job) of each of this process's rows, (None, None) where it fills up.

  Once a batch has begun, batch.json names the cases that it restores.
  """
  if jax.process_index() == 0:
    folder.mkdir(parents=True, exist_ok=True)
    locks.enter_context(runs.lock(folder))
  parallel.gather(None)  # the folder is there
  begun = folder / "batch.json"
  names = json.loads(begun.read_text(encoding="utf-8")) if begun.is_file() else None
  slots = [number if names is None or sweep.plan[number].name in names else None
           for number in numbers]
  slots += [None] * (width * sweep.mesh.size - len(slots))
  local = width * jax.local_device_count()
  mine = slots[jax.process_index() * local:(jax.process_index() + 1) * local]
  rows = _lock_rows(_inspect_rows(sweep, mine), locks)
  taken = parallel.gather([job.workdir.name for job in rows if job is not None])
  taken = list(itertools.chain.from_iterable(taken))
  if names is None and jax.process_index() == 0:
    for other, members in _begun(sweep):  # an earlier start may have cut other batches
      if not set(members).isdisjoint(taken):
        _remove(other)
    files.write_atomically(begun, json.dumps(taken).encode())
  return [(None if job is None else number, job) for number, job in zip(mine, rows)]


def _restore_batch(sweep: _Sweep, numbers: Sequence[int], width: int, programs, label: str) -> None:
  """Restore the cases of one batch that are not finished, and put them on record.

  Raises:
    processes.Busy: another process has all of them.
  """
  frame, framed = _plans.frame_of(sweep.plan, sweep.plan[numbers[0]].group)
  names = [sweep.plan[number].name for number in numbers]
  folder = sweep.folder / "batches" / runs.digest_of(
      [names, width, sweep.mesh.size, frame, framed])
  with contextlib.ExitStack() as locks:
    rows = _take_rows(sweep, numbers, width, folder, locks)
    if any(parallel.gather(any(job is not None for _, job in rows))):
      template = next((job for _, job in rows if job is not None), None) or sweep.inspect(numbers[0])
      outcomes = runs.restore_batch(runs.Batch(
          template=template, jobs=[job for _, job in rows], frame=frame, framed=framed,
          generator=runs.frame_generator(template, frame), folder=folder, mesh=sweep.mesh,
          programs=programs, signals=sweep.signals, label=label))
      for (number, job), outcome in zip(rows, outcomes):
        if job is not None:
          _record(sweep, number, job, outcome)
    parallel.gather(None)  # all is on record
    if jax.process_index() == 0:
      _remove(folder)


def _restore_tiled(sweep: _Sweep, number: int, label: str) -> None:
  if jax.process_count() > 1:
    if jax.process_index() == 0:
      failure = "it needs tiles, which one program over several processes does not restore: use --shard"
      logging.warning("%s failed: %s", sweep.plan[number].name, failure)
      _results.append_result(sweep.folder, _results.failed(sweep.describe(number, None), failure))
    return
  job, = _inspect_rows(sweep, [number])
  if job is None:
    return
  runs.claim(job)
  with runs.lock(job.workdir):
    try:
      outcome = runs.restore_job(job, sweep.signals, label)
    except runs.Failed as error:
      outcome = str(error)
    _record(sweep, number, job, outcome)


def _restore_all(sweep: _Sweep) -> None:
  cut = _plans.cut_batches(sweep.plan, images_per_device=sweep.images_per_device, free=sweep.memory,
                  devices=sweep.mesh.size)
  left = [(numbers, width) for numbers, width in cut
          if not all(sweep.plan[number].done for number in numbers)]
  todo = sum(not sweep.plan[number].done for numbers, _ in left for number in numbers)
  if jax.process_index() == 0:
    print(f"{len(sweep.plan)} cases: {sum(p.done for p in sweep.plan)} finished earlier, {todo} to "
          f"restore in {len(left)} batches of up to {max((width for _, width in left), default=0)} "
          f"images on each of {sweep.mesh.size} devices", flush=True)
  began, done, programs, group = time.perf_counter(), 0, {}, None
  for place, (numbers, width) in enumerate(left):
    if sweep.signals.received and jax.process_count() == 1:
      raise runs.Interrupted(sweep.signals.received)
    if sweep.plan[numbers[0]].group != group:
      programs, group = {}, sweep.plan[numbers[0]].group
    label = f"batch {place + 1}/{len(left)}: "
    try:
      if sweep.plan[numbers[0]].tile:
        _restore_tiled(sweep, numbers[0], label)
      else:
        _restore_batch(sweep, numbers, width, programs, label)
    except runs.Busy as error:
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
  for folder, names in _begun(sweep):
    if all(_plans.has_ended(sweep.folder / "cases" / name) for name in names):
      with contextlib.suppress(runs.Busy, FileNotFoundError), runs.lock(folder):
        _remove(folder)  # another process may be at it
  for gone in (sweep.folder / "batches").glob(".*"):  # what a kill left of that
    with contextlib.suppress(FileNotFoundError):
      shutil.rmtree(gone)


def _average_members(sweep: _Sweep) -> None:
  """Write every ensemble whose members have all ended, two of them at least with a result."""
  parts: dict[int, list[int]] = {}
  for number, case in enumerate(sweep.cases):
    parts.setdefault(case.ensemble, []).append(number)
  recorded = _results.read_results(sweep.folder)
  for numbers in parts.values():
    lines = [recorded.get(sweep.plan[number].name) for number in numbers]
    good = [number for number, line in zip(numbers, lines) if line and not line["failure"]]
    if None in lines or len(good) < 2:
      continue
    job = sweep.inspect(good[0])
    name = f"ensemble-{sweep.plan[good[0]].name}"
    parts = [sweep.folder / "cases" / sweep.plan[number].name for number in good]
    folder = sweep.folder / "ensembles" / name
    if not _ensembles.is_made_of(folder, parts):
      _ensembles.write_ensemble(folder, job, parts)
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    _collect(sweep.folder, folder, summary["output"])
    line = _ensembles.describe_ensemble(name, job, summary)
    if recorded.get(name) != line:
      _results.append_result(sweep.folder, line)


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
  runs.check_config(config)
  listed = [case for case in _cases.expand(config) if case.ensemble % shard[1] == shard[0]]
  folder, identity = find_folder(config, workdir)
  names = run_cases(listed, folder, identity, config.compute, average=config.ensemble > 1)
  recorded = _results.read_results(folder)
  return folder, not any((recorded.get(name) or {"failure": "busy"})["failure"] for name in names)


def run_cases(listed: Sequence[_cases.Case], folder: pathlib.Path, identity: dict[str, Any], compute, *,
              average: bool = False) -> list[str]:
  """Restore a list of cases in a folder of `find_workdir`; return the name of each, in cases/ and on record.

  Args:
    listed: cases, which tell themselves apart by their configs.
    folder: where they go; several shares may use it at once.
    identity: of the folder.
    compute: section of a config: the compilation cache, images_per_device.
    average: whether ensembles are averaged.

  Raises:
    As `run_all`.
  """
  with runs.Signals() as signals:
    runs.use_compilation_cache(compute)
    plan = _plans.make_plan(listed, folder / "cases")
    if jax.process_index() == 0:
      runs.claim_workdir(folder, identity, {"memory": runs.available_memory()})
      print(f"workdir: {folder}", flush=True)
    parallel.gather(None)  # the folder is there; another share may have been the first
    choices = runs.find_workdir(str(folder), "", identity)[1]
    sweep = _Sweep(folder, listed, plan, compute.images_per_device, choices["memory"], signals,
                   parallel.image_mesh())
    with parallel.together():
      _reconcile(sweep)
      _restore_all(sweep)
  if jax.process_index() == 0:
    _clear_batches(sweep)
    if average:
      _average_members(sweep)
  parallel.gather(None)  # the others wait here: JAX ends them where its goodbye takes long
  return [planned.name for planned in plan]
