"""The folders of batches: whose turn it is, which cases a batch restores, and what kills leave there.

batches/<hash of the cut>/ holds .lock, checkpoints/ and, once the batch has begun, batch.json with the
names of the cases that it restores. It is removed when they are on record.
"""

import contextlib
import itertools
import logging
import os
import pathlib
import shutil
from typing import Iterator, NamedTuple, Sequence

import jax

from oes_jax import files
from oes_jax import parallel
from oes_jax import runs
from oes_jax.sweeps import _cases
from oes_jax.sweeps import _plan
from oes_jax.sweeps import _results


class Row(NamedTuple):
  """A case that this process has claimed and locked, and its job."""
  case: _cases.Case
  job: runs.Job


def find_folder(folder: pathlib.Path, cut: _plan.Cut, devices: int) -> pathlib.Path:
  """Return where a batch keeps its checkpoints: another folder for every way to cut and lay it out.

  Args:
    folder: the sweep's folder.
    cut: the batch.
    devices: number of devices that restore it.
  """
  names = [case.name for case in cut.cases]
  return folder / "batches" / runs.digest_of([names, cut.width, devices, cut.frame, cut.framed])


def _is_name(text: str) -> bool:
  """Whether a text can be the name of a folder in cases/."""
  return 0 < len(text.encode(errors="replace")) < 256 and "\0" not in text and pathlib.PurePath(text).name == text != ".."


def _parse_names(path: pathlib.Path) -> list[str]:
  """Return the names that a batch.json holds.

  Raises:
    ValueError: it is gone, cut or changed.
  """
  record = files.read_sealed(path)
  if not runs.matches(record, {"cases": [str]}) or not all(map(_is_name, record["cases"])):
    raise ValueError(f"{path} holds no names of cases")
  return record["cases"]


def _read_names(batch: pathlib.Path) -> list[str] | None:
  """Return the names of the cases that a batch restores, or None if it has not begun, or is to start over."""
  path = batch / "batch.json"
  if not path.is_file():
    return None
  try:
    return _parse_names(path)
  except ValueError as error:
    if jax.process_index() == 0:
      logging.warning("%s: the batch starts over", error)
      shutil.rmtree(batch / "checkpoints", ignore_errors=True)  # nothing tells whose rows they hold
    return None


def _list_begun(folder: pathlib.Path) -> Iterator[tuple[pathlib.Path, list[str]]]:
  """Yield (folder, names of its cases) of every batch that has begun; no names where batch.json is damaged."""
  for path in (folder / "batches").glob("[!.]*/batch.json"):  # ".*": being removed
    try:
      yield path.parent, _parse_names(path)
    except ValueError:
      if path.is_file():  # else another process has just removed it
        yield path.parent, []


def remove(batch: pathlib.Path) -> None:
  """Remove a batch's folder, unless another process is just doing so."""
  gone = batch.with_name(f".{batch.name}-{os.getpid()}")
  with contextlib.suppress(FileNotFoundError):
    batch.rename(gone)
    shutil.rmtree(gone)


def clear(folder: pathlib.Path) -> None:
  """Remove checkpoints that nothing needs: a kill left them, or another number of devices went on.

  Args:
    folder: the sweep's folder.
  """
  for batch, names in _list_begun(folder):
    if all(_plan.has_ended(folder / "cases" / name) for name in names):
      with contextlib.suppress(runs.Busy, FileNotFoundError), runs.lock(batch):
        remove(batch)  # another process may be at it
  for gone in (folder / "batches").glob(".*"):  # what a kill left of that
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
      shutil.rmtree(gone)


def _lock_rows(rows: Sequence[Row | None], locks: contextlib.ExitStack) -> list[Row | None]:
  """Claim and lock this process's rows; one that another process works on, or has finished, becomes None.

  Raises:
    runs.Busy: no row is left, or the processes of one program cannot go on without it.
  """
  locked, busy = [], []
  for row in rows:
    locked.append(None)
    if row is not None:
      runs.claim(row.job)
      try:
        locks.enter_context(runs.lock(row.job.workdir))
      except runs.Busy as error:
        busy.append(str(error))
      else:
        locked[-1] = None if _plan.has_ended(row.job.workdir) else row
  busy = list(itertools.chain.from_iterable(parallel.gather(busy)))
  if busy and (jax.process_count() > 1 or not any(locked)):
    raise runs.Busy(busy[0])
  return locked


def _read_rows(folder: pathlib.Path, cases: Sequence[_cases.Case | None]) -> list[Row | None]:
  """Read the files of this process's cases; one that can no longer be read is on record as failed."""
  rows = []
  for case in cases:
    job = None if case is None else _results.read_or_fail(folder, case)
    rows.append(None if job is None else Row(case, job))
  return rows


def _note(folder: pathlib.Path, batch: pathlib.Path, names: Sequence[str], begins: bool) -> None:
  """Write batch.json; as a batch begins, the checkpoints go that an earlier start's batches have of its cases."""
  for other, others in _list_begun(folder) if begins else ():
    if not set(others).isdisjoint(names):
      with contextlib.suppress(runs.Busy, FileNotFoundError), runs.lock(other):
        remove(other)  # a process that is just starting on it finds the case locked
  files.write_sealed(batch / "batch.json", {"cases": list(names)})


def _lock_batch(batch: pathlib.Path, locks: contextlib.ExitStack) -> None:
  """Make a batch's folder and lock it.

  Raises:
    runs.Busy: another process has it, or has just ended it.
  """
  batch.mkdir(parents=True, exist_ok=True)
  try:
    locks.enter_context(runs.lock(batch))
  except FileNotFoundError as error:
    raise runs.Busy(f"another process has just removed {batch}") from error


def take(folder: pathlib.Path, cut: _plan.Cut, devices: int, locks: contextlib.ExitStack) -> list[Row | None]:
  """Lock a batch and its cases; return this process's rows, None where one has no case to restore.

  A row has none where the batch has more rows than cases, where the case has ended, where its files have
  gone or another process has it, and where the batch once began or went on without it: its row of the
  checkpoint is another's, so a later batch restores it.

  Args:
    folder: the sweep's folder.
    cut: the batch.
    devices: number of devices that restore it.
    locks: stack that holds the locks until the batch is on record.

  Raises:
    runs.Busy: another process has the batch, or all cases of it that have not ended.
  """
  batch = find_folder(folder, cut, devices)
  if jax.process_index() == 0:
    _lock_batch(batch, locks)
  parallel.gather(None)  # the folder is there
  names = _read_names(batch)
  cases = [case if names is None or case.name in names else None for case in cut.cases]
  cases += [None] * (cut.width * devices - len(cases))
  local = cut.width * jax.local_device_count()
  mine = cases[jax.process_index() * local:(jax.process_index() + 1) * local]
  rows = _lock_rows(_read_rows(folder, mine), locks)
  taken = parallel.gather([row.case.name for row in rows if row is not None])
  taken = list(itertools.chain.from_iterable(taken))
  if taken != names and jax.process_index() == 0:  # what the batch goes on without, it does not come back to
    _note(folder, batch, taken, begins=names is None)
  return rows
