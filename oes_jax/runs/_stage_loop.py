"""One stage of a batch, chunk by chunk: what is logged, saved, interrupted and resumed."""

import logging
import pathlib
import time
from typing import Any, Callable, Sequence

import jax
import numpy as np

from oes_jax import files
from oes_jax import fitting
from oes_jax import parallel
from oes_jax.runs import _finished
from oes_jax.runs import _job
from oes_jax.runs import _masks
from oes_jax.runs import _preview
from oes_jax.runs import _processes
from oes_jax.runs import _saying
from oes_jax.runs._measure import Row


# What a checkpoint says beside the state, and its types: seconds and bytes of every stage, widths of the compacted layers,
# why images failed, and length and checksum of the logs of all others.
_RECORD = {
    "stage": str, "step": int, "seconds": {str: {"run": (int, float), "compile": (int, float), "bytes": (int, float)}},
    "widths": (None, [int]), "failed": {str: str}, "logs": {str: [(int, str)]}}


class Session:
  """What the stages of one process share while it works on a batch.

  Attributes:
    rows: rows of this process.
    store: checkpoints of the batch.
    signals: signals, served between chunks.
    label: text before the progress bars.
    settings: settings of the batch: those of any of its jobs.
    resume: the restored (stage, step), or None.
    stages: steps of every stage, in order.
    making: names of the stages that make the mask.
    seconds: seconds that each stage has taken so far, over all processes that worked on it one after
      another, and its peak bytes; the checkpoints' records hold them.
    widths: widths of the compacted layers, once they are planned; the checkpoints' records hold them too.
    preview: Preview of the rows.
  """

  def __init__(self, folder: pathlib.Path, rows: Sequence[Row], signals: _processes.Signals, label: str):
    self.rows, self.signals, self.label = rows, signals, label
    self.settings, self._folder = rows[0].job.settings, folder
    self.stages = _job.stage_steps(self.settings)
    self.making = list(self.stages)[:-1]
    self.store = files.Checkpoints(folder / "checkpoints")
    self.preview, self._bar = _preview.Preview(rows), None
    for row in rows:
      if row.alive:
        files.remove_temporaries(row.job.workdir)
    self.resume, self.seconds, self.widths, self._logs = None, {}, None, {}
    latest = self.store.latest()
    faults = [] if latest is None else self._take_up(*latest)
    faults = [fault for some in parallel.gather(faults) for fault in some]
    if faults:
      if jax.process_index() == 0:
        logging.warning("%s: this run starts over", faults[0])
      self.store.clear()
      self.resume, self.seconds, self.widths, self._logs = None, {}, None, {}
      for row in self.rows:
        row.failure = None
    for row in self.rows:
      if row.alive:  # no longer finished, if it was
        (row.job.workdir / files.MANIFEST).unlink(missing_ok=True)

  def _take_up(self, number: int, record: Any) -> list[str]:
    """Go on from a checkpoint's record; return why that cannot be, in words."""
    if not (_finished.matches(record, _RECORD) and record["stage"] in self.stages
            and number == self.steps_before(record["stage"]) + record["step"]
            and 0 < record["step"] <= self.stages[record["stage"]]):
      return [f"checkpoint {number} of {self.rows[0].job.workdir} has a record that is none of this run"]
    self.resume, self.seconds = (record["stage"], record["step"]), record["seconds"]
    self.widths, self._logs = record["widths"], record["logs"]
    for row in self.rows:
      row.failure = record["failed"].get(self._name_of(row))
    return [fault for row in self.rows if row.alive for fault in self._faults_of(row)]

  def _faults_of(self, row: Row) -> list[str]:
    """Return why a row's restoration cannot go on from what is on record."""
    folder = row.job.workdir
    if self._name_of(row) not in self._logs:
      return [f"the checkpoint does not hold {folder}"]
    if self.resume[0] not in self.making[:1]:
      mask = self.mask_folder(row.job, max(0, self.place_of(self.resume[0]) - 1))  # that it goes on with
      if not files.has_valid_manifest(mask):
        return [f"the mask in {folder} is damaged"]
    try:
      files.read_marked(folder, self.mark_of(row))
    except files.DamagedLog:
      if (folder / files.MANIFEST).is_file():  # it was finished once, and is asked for again
        return [f"{folder / _finished.LOG} is damaged or gone"]
    return []

  def _name_of(self, row: Row) -> str:
    """Return what checkpoints call a row: its case, or nothing where the run's folder, which may be renamed, is its own."""
    return "" if row.job.workdir == self._folder else row.job.workdir.name

  def mark_of(self, row: Row) -> files.Mark | None:
    """Return how far the log of a row is on record; None at the start."""
    return self.resume and files.Mark(*self.resume, *self._logs[self._name_of(row)])

  def place_of(self, name: str) -> int:
    """Return how many stages come before one."""
    return list(self.stages).index(name)

  def steps_before(self, name: str) -> int:
    """Return the steps of all stages before one."""
    return sum(list(self.stages.values())[:self.place_of(name)])

  def is_past(self, name: str) -> bool:
    """Whether the steps of a stage are on record."""
    return self.resume is not None and (
        self.resume == (name, self.stages[name]) or self.place_of(self.resume[0]) > self.place_of(name))

  def share_of(self, place: int) -> float:
    """Return the share of the pruning that is done after the stage of a number."""
    return (place + 1) / max(1, len(self.stages) - 1)

  def mask_folder(self, job: _job.Job, place: int) -> pathlib.Path:
    """Return where a stage of a number leaves the mask of a job."""
    return _masks.mask_folder(job, self.share_of(place))

  def bar_at(self, name: str, start: int):
    """Return the progress bar of all stages, at a step of one."""
    if self._bar is None:
      self._bar = _saying.progress_bar(sum(self.stages.values()), initial=self.steps_before(name) + start,
                                       disable=jax.process_index() > 0)
    self._bar.set_description(f"{self.label}{name} stage", refresh=False)
    return self._bar

  def close(self) -> None:
    """Leave the progress bar as it stands, if there is one."""
    if self._bar is not None:
      self._bar.close()

  def any_alive(self) -> bool:
    """Whether an image of any process is still being restored; every process calls it."""
    return any(parallel.gather(any(row.alive for row in self.rows)))

  def received(self) -> int | None:
    """Return the signal that one of the processes has received; every process calls it."""
    return next((number for number in parallel.gather(self.signals.received) if number), None)

  def save(self, state, stage: str, step: int) -> None:
    """Save the state of all rows; every process calls it. Checkpoints are numbered over all stages."""
    failed = {self._name_of(row): row.failure for row in self.rows if row.failure and not row.filling}
    logs = {self._name_of(row): row.log.sync() for row in self.rows if row.alive}
    for row in self.rows:
      if row.alive and not row.job.workdir.is_dir():
        raise files.gone(row.job.workdir)
    told = parallel.gather([failed, self.seconds, logs])
    self.store.save(self.steps_before(stage) + step, state, {
        "stage": stage, "step": step, "seconds": told[0][1], "widths": self.widths,
        "failed": {name: text for failures, _, _ in told for name, text in failures.items()},
        "logs": {name: list(mark) for _, _, marks in told for name, mark in marks.items()}})


def _log_chunk(image: Row, row: int, stage: str, first: int, record, sound: bool) -> None:
  """Write an image's steps of a chunk; one that is not sound fails, with what came before."""
  columns = {name: values[row] for name, values in record.items()}
  if sound:
    image.log.write(stage, first, columns)
    return
  finite = np.isfinite(columns["loss"])
  good = int(np.argmin(finite)) if not finite.all() else len(finite)
  image.log.write(stage, first, {name: values[:good] for name, values in columns.items()})
  told = fitting.advice(first + good == 1, f"{'mask' if stage == 'mask' else 'weights'}.learning_rate")
  image.failure = (f"the loss is not finite at step {first + good} of the {stage} stage; the state of "
                   f"step {first - 1} was kept. {told}.")


def run_stage(session: Session, name: str, compile_it: Callable[[], tuple[fitting.Program, Any, tuple]]) -> Any:
  """Compile and run a stage from where it stands; return its final state, or None if all failed.

  `compile_it` is a function () -> (Program, state before the first step, arguments of its chunks).

  Raises:
    Interrupted: a signal was received; the state is saved.
  """
  seconds, num_steps = session.seconds, session.stages[name]
  session.preview.begin()
  began = time.perf_counter()
  program, first, args = compile_it()
  compiled = time.perf_counter()
  received = session.received()
  if received:  # what came before is saved
    raise _processes.Interrupted(received)
  start = session.resume[1] if session.resume and session.resume[0] == name else 0
  state = session.store.restore(session.steps_before(name) + start, first) if start else first
  spent = seconds.get(name, {"run": 0.0, "compile": 0.0})
  done, every = start, session.settings.checkpoint.every_steps
  bar = session.bar_at(name, start)
  for step, state, record, sound in program.iterate(state, args, start):
    for row, image in enumerate(session.rows):
      if image.alive:
        _log_chunk(image, row, name, done + 1, record, bool(sound[row]))
    received = session.received()
    previous, done = done, step
    seconds[name] = {"run": spent["run"] + time.perf_counter() - compiled,
                     "compile": spent["compile"] + compiled - began, "bytes": program.cost.peak_bytes}
    if not session.any_alive():
      if previous > 0:  # the state before the first step needs no saving
        session.save(state, name, previous)
      return None
    going = [row for row, image in enumerate(session.rows) if image.alive]
    if name == "weights":
      session.preview.update(state.average)
    expected = {"expected_psnr": session.preview.expected} if session.preview.expected else {}
    bar.set_postfix(expected | {key: f"{record[key][going, -1].mean():.4g}" for key in ("loss", "psnr_average")
                                if key in record and going}, refresh=False)
    bar.update(done - previous)
    if done == num_steps or done // every > previous // every or received:
      session.save(state, name, done)
    if received:
      raise _processes.Interrupted(received)
  return _finish(program, state, args, seconds[name])


def _finish(program: fitting.Program, state, args, seconds: dict[str, float]):
  """Return the last state with the images that the stage ends with; add the seconds that they took."""
  began = time.perf_counter()
  state = jax.block_until_ready(program.finish(state, *args))
  seconds["run"] += time.perf_counter() - began
  return state
