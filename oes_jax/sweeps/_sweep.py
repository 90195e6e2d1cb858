"""Many restorations: plan, skip what is finished, restore in batches, record, average."""

import contextlib
import dataclasses
import logging
import pathlib
import time
from typing import Any, Sequence

import jax
import tqdm

from oes_jax import files
from oes_jax import parallel
from oes_jax import runs
from oes_jax.sweeps import _batch_folders
from oes_jax.sweeps import _cases
from oes_jax.sweeps import _ensemble
from oes_jax.sweeps import _plan
from oes_jax.sweeps import _results
from oes_jax.sweeps import _shared_range
from oes_jax.sweeps import _stacks
from oes_jax.sweeps import _superseded

# Keys that may change between starts in one folder: cases tell themselves apart.
_NOT_IDENTITY = ("seed", "data.source", "ensemble", "sweep", "compute.images_per_device")


@dataclasses.dataclass(frozen=True)
class _Sweep:
  """What the parts of one sweep share.

  Attributes:
    folder: the sweep's folder.
    cases: the planned cases of this share.
    cuts: their batches.
    signals: signals to serve between chunks.
    mesh: mesh of all devices.
  """
  folder: pathlib.Path
  cases: Sequence[_cases.Case]
  cuts: Sequence[_plan.Cut]
  signals: runs.Signals
  mesh: Any


def find_folder(config, workdir: str | None) -> tuple[pathlib.Path, dict[str, Any]]:
  """Return (folder, identity) of a sweep; nothing is written.

  Args:
    config: a config that asks for many restorations.
    workdir: the folder asked for; None: runs/<experiment>-<hash of the config>.

  Raises:
    ValueError: the folder holds something else.
  """
  if workdir is None:
    workdir = f"runs/{_cases.experiment_of(config)}-{runs.digest_of(runs.plain(config))}"
  identity = {"format": runs.FORMAT, "many": True,
              "config": runs.without(runs.plain(config), _NOT_IDENTITY)}
  return runs.find_workdir(workdir, _cases.experiment_of(config), identity)[0], identity


def _fill_up(sweep: _Sweep, cut: _plan.Cut, rows: Sequence[_batch_folders.Row | None]) -> list[runs.Job]:
  """Return the job of each of this process's rows; one that has no case to restore is filled up.

  It is by the case that had its place, so that a case that is restored anew, when the others of its batch have ended,
  gives what it gave beside them; else by any job of the batch.
  """
  any_job = next((row.job for row in rows if row), None) or _plan.read_case(cut.cases[0], sweep.folder / "cases")
  jobs, first = [], jax.process_index() * len(rows)
  for row, place in zip(rows, range(first, first + len(rows))):
    jobs.append(row.job if row else any_job)
    if row is None and place < len(cut.cases):
      with contextlib.suppress(ValueError, OSError):  # its files have gone since
        jobs[-1] = _plan.read_case(cut.cases[place], sweep.folder / "cases")
  return jobs


def _restore_batch(sweep: _Sweep, cut: _plan.Cut, programs: dict[Any, Any], label: str) -> None:
  """Restore the cases of one batch that are not finished, and put them on record.

  Raises:
    runs.Busy: another process has all of them.
  """
  batch = _batch_folders.find_folder(sweep.folder, cut, sweep.mesh.size)
  with contextlib.ExitStack() as locks:
    rows = _batch_folders.take(sweep.folder, cut, sweep.mesh.size, locks)
    if any(parallel.gather(any(rows))):
      jobs = _fill_up(sweep, cut, rows)
      outcomes = runs.restore_batch(runs.Batch(
          jobs=jobs, filling=[row is None for row in rows], frame=cut.frame, framed=cut.framed,
          generator=runs.frame_generator(jobs[0], cut.frame), folder=batch, mesh=sweep.mesh,
          programs=programs, signals=sweep.signals, label=label))
      for row, outcome in zip(rows, outcomes):
        if row is not None:
          _results.record_end(sweep.folder, row.case, row.job, outcome)
    parallel.gather(None)  # all is on record
    if jax.process_index() == 0:
      _batch_folders.remove(batch)


def _restore_alone(sweep: _Sweep, case: _cases.Case, label: str) -> None:
  """Restore a case that is in no batch, and put it on record; runs.Busy: another process has it."""
  if jax.process_count() > 1:
    if jax.process_index() == 0:
      _results.record_failure(sweep.folder, case, "it needs tiles or has candidates (method=auto), which one program over several "
                              "processes does not restore: use --shard")
    return
  job = _results.read_or_fail(sweep.folder, case)
  if job is None:
    return
  runs.claim(job)
  with runs.lock(job.workdir):
    if _plan.has_ended(job.workdir):
      return  # another process has just put it on record
    files.remove_temporaries(job.workdir)
    try:
      outcome = runs.Outcome(runs.restore_job(job, sweep.signals, label))
    except runs.Failed as error:
      outcome = runs.Outcome(failure=str(error))
    _results.record_end(sweep.folder, case, job, outcome)


def _restore_cut(sweep: _Sweep, cut: _plan.Cut, programs: dict[Any, Any], label: str) -> None:
  """Restore a batch or a case alone, unless another process has it or a signal came before."""
  if sweep.signals.received and jax.process_count() == 1:
    raise runs.Interrupted(sweep.signals.received)
  try:
    if cut.cases[0].alone:
      _restore_alone(sweep, cut.cases[0], label)
    else:
      _restore_batch(sweep, cut, programs, label)
  except runs.Busy as error:
    if jax.process_count() > 1:
      raise
    logging.warning("%s: left to it", error)
  except files.UnreadableCheckpoint as error:
    if jax.process_count() > 1:
      raise
    logging.warning("%s", error)


def _say(text: str) -> None:
  """Print from one of the processes."""
  if jax.process_index() == 0:
    runs.say(text)


def _restore_all(sweep: _Sweep) -> None:
  """Restore all batches that hold an unfinished case, in the order of the plan."""
  left = [cut for cut in sweep.cuts if not all(case.done for case in cut.cases)]
  todo = sum(not case.done for cut in left for case in cut.cases)
  _say(f"{len(sweep.cases)} cases: {sum(case.done for case in sweep.cases)} finished earlier, {todo} to "
       f"restore in {len(left)} batches of up to {max((cut.width for cut in left), default=0)} "
       f"images on each of {sweep.mesh.size} devices")
  began, done, programs, group = time.perf_counter(), 0, {}, None
  for place, cut in enumerate(left):
    if cut.cases[0].group != group:
      programs, group = {}, cut.cases[0].group
    _restore_cut(sweep, cut, programs, f"batch {place + 1}/{len(left)}: ")
    done += sum(not case.done for case in cut.cases)
    seconds = (time.perf_counter() - began) / done * (todo - done)
    _say(f"cases done: {done} of {todo}, about {tqdm.tqdm.format_interval(seconds)} left")


def run_all(config, workdir: str | None = None, shard: tuple[int, int] = (0, 1),
            signals: runs.Signals | None = None) -> tuple[pathlib.Path, bool]:
  """Restore every case of a config, or of one share of it.

  Args:
    config: a config that asks for many restorations, as `is_many` tells.
    workdir: the sweep's folder, which several shares may use at once; None: runs/<experiment>-<hash>.
    shard: (i, n): of the measurements, those whose number is i modulo n are restored.
    signals: signals to serve between chunks; None serves none, and Ctrl-C is a plain KeyboardInterrupt.

  Returns:
    (folder, whether all cases of this call ended with a result).

  Raises:
    ValueError: the config or the folder is faulty; nothing was written.
    runs.Interrupted: a signal was received; the state is saved.
    runs.Busy: another process has a batch that the processes of one program need.
    OSError: the folder can no longer be written.
  """
  settings = runs.check_config(config)
  listed = [case for case in _shared_range.share_ranges(_cases.expand(config)) if case.ensemble % shard[1] == shard[0]]
  folder, identity = find_folder(config, workdir)
  sources = {case.asked["source"] for case in listed}
  if settings.data.truth is not None and len(sources) > 1:
    logging.warning("data.truth=%r scores all %d pages or slices of data.source=%r: they are to be repeats of one image",
                    settings.data.truth, len(sources), settings.data.source)
  names = run_cases(listed, folder, identity, images_per_device=settings.compute.images_per_device,
                    average=settings.experiment.ensemble > 1, signals=signals)
  recorded = _results.read_results(folder)
  return folder, not any((recorded.get(name) or {"failure": "busy"})["failure"] for name in names)


def _claim_folder(folder: pathlib.Path, identity: dict[str, Any]) -> int:
  """Make the sweep's folder; return the bytes of memory that were free when it was made.

  Batches are cut by that, so that a restart cuts the same ones.
  """
  if jax.process_index() == 0:
    runs.claim_workdir(folder, identity, {"memory": runs.available_memory()})
    for place in (folder, folder / "restored"):
      files.remove_temporaries(place, locked=False)
  _say(f"workdir: {folder}")
  parallel.gather(None)  # the folder is there; another share may have been the first
  return runs.find_workdir(str(folder), "", identity)[1]["memory"]


def run_cases(listed: Sequence[_cases.Case], folder: pathlib.Path, identity: dict[str, Any], *,
              images_per_device: int | None = None, average: bool = False,
              signals: runs.Signals | None = None) -> list[str]:
  """Restore a list of cases in a folder; return the name of each, in cases/ and on record.

  Args:
    listed: cases that are not planned yet, which tell themselves apart by their configs.
    folder: the sweep's folder, as `runs.find_workdir` returned it; several shares may use it at once.
    identity: JSON values that tell the sweep from every other, as they were given to `runs.find_workdir`.
    images_per_device: number of images that a device restores at once; None: as many as the memory holds.
    average: whether ensembles are averaged.
    signals: signals to serve between chunks; None serves none.

  Raises:
    ValueError, runs.Interrupted, runs.Busy, OSError: as `run_all` does.
  """
  cases = _plan.make_plan(listed, folder / "cases")
  memory, mesh = _claim_folder(folder, identity), parallel.image_mesh()
  cuts = list(_plan.cut_batches(cases, images_per_device=images_per_device, free=memory, devices=mesh.size))
  with files.writing_into(folder):
    with parallel.together():
      _results.reconcile(folder, cases)
      if jax.process_index() == 0:
        _superseded.withdraw(folder, cases)
      _restore_all(_Sweep(folder, cases, cuts, signals or runs.Signals(), mesh))
    if jax.process_index() == 0:
      _batch_folders.clear(folder)
      if average:
        _ensemble.average_members(folder, cases)
      for stack in _stacks.join_pages(folder):
        _say(f"stack: {stack}")
  parallel.gather(None)  # the others wait here: JAX ends them where its goodbye takes long
  return [case.name for case in cases]
