"""A batch of restorations in lock step: mask stage, masks, weight stage, outputs.

The images of a batch share programs and checkpoints, and nothing else: every one has its own
draws, mask, log and folder, and may fail alone.
"""

import contextlib
import dataclasses
import logging
import pathlib
import sys
import time
from typing import Any, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from oes_jax import files
from oes_jax import fitting
from oes_jax import generators
from oes_jax import masks
from oes_jax import parallel
from oes_jax.runs import _jobs
from oes_jax.runs import _members
from oes_jax.runs import _outputs
from oes_jax.runs import _processes


@dataclasses.dataclass
class Batch:
  """Jobs of one `jobs.group_key`, and what they share.

  Attributes:
    template: any job of the group.
    jobs: of this process's rows; None fills up.
    generator: of the frame.
    frame: (H, W, C) that every image fits in.
    framed: whether images are smaller than the frame.
    folder: where the checkpoints are.
    mesh: over which the rows are laid out.
    programs: compiled stages, kept from batch to batch of a group.
    signals: served between chunks.
    label: put before the progress bars.
  """
  template: _jobs.Job
  jobs: Sequence[_jobs.Job | None]
  generator: generators.Generator
  frame: tuple[int, int, int]
  framed: bool
  folder: pathlib.Path
  mesh: Any
  programs: dict[Any, fitting.Program]
  signals: _processes.Signals
  label: str = ""


class _Session:
  """What the stages of one process share while it works on a batch.

  Attributes:
    batch: see Batch.
    images: its rows.
    store: its checkpoints.
    resume: the restored (stage, step), or None.
    stages: steps of every stage, in order.
    making: names of those that make the mask.
    seconds: what each stage has taken so far, over all processes that worked on it one after
      another, and its memory; they travel in the checkpoints' records.
    widths: of the compacted layers, once they are planned; likewise.
  """

  def __init__(self, batch: Batch, rows: Sequence[_members.Member]):
    self.batch, self.images = batch, rows
    self.stages = _jobs.stage_steps(batch.template.config)
    self.making = list(self.stages)[:-1]
    self.store = files.Checkpoints(batch.folder / "checkpoints")
    self.resume, self.seconds, self.widths = None, {}, None
    latest = self.store.latest()
    if latest is not None:
      record = latest[1]
      self.resume, self.seconds = (record["stage"], record["step"]), record["seconds"]
      self.widths = record["widths"]
      for image in rows:
        if image.job is not None:
          image.failure = record["failed"].get(image.job.workdir.name)
    needed = None  # number of the stage whose mask the one that was stopped goes on with
    if self.resume is not None and self.resume[0] not in self.making[:1]:
      needed = max(0, self.place_of(self.resume[0]) - 1)
    damaged = [str(image.job.workdir) for image in rows if image.alive and needed is not None
               and not files.has_valid_manifest(self.mask_folder(image.job, needed))]
    damaged = [folder for folders in parallel.gather(damaged) for folder in folders]
    if damaged:
      logging.warning("the mask in %s is damaged: this run starts over", damaged[0])
      self.store.clear()
      self.resume, self.seconds, self.widths = None, {}, None
      for image in rows:
        image.failure = None

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

  def mask_folder(self, job: _jobs.Job, place: int):
    """Return where a stage of a number leaves the mask of a job."""
    return _members.mask_folder(job, self.share_of(place))

  def save(self, state, stage: str, offset: int, step: int) -> None:
    """Save the state of all rows; every process calls it."""
    failed = {image.job.workdir.name: image.failure
              for image in self.images if image.job is not None and image.failure}
    told = parallel.gather([failed, self.seconds])
    for image in self.images:
      if image.alive:
        image.log.sync()
    self.store.save(offset + step, state, {
        "stage": stage, "step": step, "seconds": told[0][1], "widths": self.widths,
        "failed": {name: text for failures, _ in told for name, text in failures.items()}})


def _log_chunk(image: _members.Member, row: int, stage: str, first: int, record, sound: bool) -> None:
  """Write an image's steps of a chunk; one that is not sound fails, with what came before."""
  columns = {name: values[row] for name, values in record.items()}
  if sound:
    image.log.write(stage, first, columns)
    return
  finite = np.isfinite(columns["loss"])
  good = int(np.argmin(finite)) if not finite.all() else len(finite)
  image.log.write(stage, first, {name: values[:good] for name, values in columns.items()})
  image.failure = (f"the loss is not finite at step {first + good} of the {stage} stage; the state of "
                   f"step {first - 1} was kept. Lower {stage}.learning_rate.")


def _signal(batch: Batch) -> int | None:
  """Return the signal that one of the processes has received; every process calls it."""
  return next((number for number in parallel.gather(batch.signals.received) if number), None)


def _run_stage(session: _Session, make_stage):
  """Compile and run a stage from where it stands; return its final state, or None if all failed.

  Checkpoints are numbered over all stages.
  """
  batch, seconds = session.batch, session.seconds
  began = time.perf_counter()
  stage = make_stage()
  compiled = time.perf_counter()
  received = _signal(batch)
  if received:  # what came before is saved
    raise _processes.Interrupted(received)
  start = session.resume[1] if session.resume and session.resume[0] == stage.name else 0
  offset = session.steps_before(stage.name)
  state = session.store.restore(offset + start, stage.state) if start else stage.state
  spent = seconds.get(stage.name, {"run": 0.0, "compile": 0.0})
  done, every = start, batch.template.config.checkpoint.every_steps
  bar = tqdm.tqdm(total=stage.num_steps, initial=start, desc=f"{batch.label}{stage.name} stage",
                  unit="step", mininterval=1 if sys.stderr.isatty() else 15, dynamic_ncols=True,
                  disable=jax.process_index() > 0)
  with bar:
    for step, state, record, sound in stage.iterate(state, start):
      for row, image in enumerate(session.images):
        if image.alive:
          _log_chunk(image, row, stage.name, done + 1, record, bool(sound[row]))
      received = _signal(batch)
      previous, done = done, step
      seconds[stage.name] = {"run": spent["run"] + time.perf_counter() - compiled,
                             "compile": spent["compile"] + compiled - began,
                             "bytes": stage.program.cost.peak_bytes}
      if not any(parallel.gather(any(image.alive for image in session.images))):
        if previous > 0:  # the state before the first step needs no saving
          session.save(state, stage.name, offset, previous)
        return None
      going = [row for row, image in enumerate(session.images) if image.alive]
      bar.set_postfix({name: f"{record[name][going, -1].mean():.4g}" for name in ("loss", "psnr_average")
                       if name in record and going}, refresh=False)
      bar.update(done - previous)
      if done == stage.num_steps or done // every > previous // every or received:
        session.save(state, stage.name, offset, done)
      if received:
        raise _processes.Interrupted(received)
  return state


def _use_scan(job: _jobs.Job) -> bool:
  return not (job.conv == "lax" and jax.default_backend() == "cpu")


def _lay_out(batch: Batch, trees: Sequence[Any]):
  """Stack one tree a row of this process, and lay them over the mesh."""
  return parallel.put(batch.mesh, parallel.stack(trees))


def _common(session: _Session, problems) -> dict[str, Any]:
  """Arguments that all stages take alike."""
  batch, config = session.batch, session.batch.template.config
  truths = [image.truth for image in session.images]
  return {"problem": _lay_out(batch, problems),
          "truth": None if truths[0] is None else _lay_out(batch, truths), "mesh": batch.mesh,
          "seeds": [0 if job is None else job.config.seed for job in batch.jobs],
          "average_decay": config.weights.average_decay, "programs": batch.programs,
          "length": max(1, _jobs.steps_of_chunk(config, batch.frame) // len(batch.jobs)),
          "use_scan": _use_scan(batch.template), "fit": _jobs.make_fit(batch.template)}


def _obtain_masks(session: _Session) -> None:
  """Run the stages that make the masks, from where they stand; set the mask of every image."""
  generator, images = session.batch.generator, session.images
  if not session.making:
    _members.obtain_masks(generator, images, [None] * len(images), stands=True)
  begun = session.resume and max(0, session.place_of(session.resume[0]) - 1)
  for place, name in list(enumerate(session.making))[begun or 0:]:
    folders = [session.mask_folder(image.job, place) for image in images if image.alive]
    stored = all(map(files.has_valid_manifest, folders))
    scores = None
    if not (session.is_past(name) and all(parallel.gather(stored))):
      scores = _run_mask_stage(session) if name == "mask" else _run_round(session, name)
    scores = [None if scores is None else jax.tree.map(lambda leaf, row=row: leaf[row], scores)
              for row in range(len(images))]
    _members.obtain_masks(
        generator, images, scores, stands=session.is_past(name), share=session.share_of(place))
    if not any(parallel.gather(any(image.alive for image in images))):
      return


def _run_round(session: _Session, name: str):
  """Train what the round before has kept, from the initial weights; return |w|, -1 where it is pruned.

  Iterative magnitude pruning with rewinding (Frankle and Carbin 2019, arXiv 1803.03635).
  """
  batch, config = session.batch, session.batch.template.config
  fill = np.zeros_like if name != session.making[0] else np.ones_like
  kept = [jax.tree.map(fill, image.params) if image.mask is None else image.mask for image in session.images]
  problems = [image.problem for image in session.images]
  if config.mask.source == "imp_oracle":
    problems = [image.problem._replace(measurement=image.clean) for image in session.images]
  state = _run_stage(session, lambda: fitting.make_weight_stage(
      batch.generator, _lay_out(batch, [image.params for image in session.images]),
      _lay_out(batch, kept), num_steps=session.stages[name],
      learning_rate=config.weights.learning_rate, schedule=config.weights.schedule, name=name,
      **_common(session, problems)))
  if state is None:
    return None
  trained = parallel.rows(state.trainable)
  return jax.tree.map(lambda w, m: np.where(m > 0, np.abs(w), -1).astype(w.dtype), trained,
                      parallel.stack(kept))


def _run_mask_stage(session: _Session):
  """Return this process's rows of the learned scores."""
  batch, config = session.batch, session.batch.template.config.mask
  number = jnp.result_type(float)
  def make_stage():
    priors = [fitting.Prior(
        image.params, number.type((image.job or batch.template).keep_fraction),
        number.type((image.job or batch.template).config.mask.kl_weight)) for image in session.images]
    logits = [masks.initial_logits(config, image.params) for image in session.images]
    return fitting.make_mask_stage(
        batch.generator, _lay_out(batch, logits), _lay_out(batch, priors),
        num_steps=config.num_steps, temperature=config.temperature,
        learning_rate=config.learning_rate, schedule=config.schedule,
        **_common(session, [image.problem for image in session.images]))
  state = _run_stage(session, make_stage)
  return None if state is None else parallel.rows(state.trainable)


def _make_guard(weights, fit) -> fitting.Guard | None:
  if weights.guard is None:
    return None
  return fitting.GUARDS[weights.guard](
      window=weights.guard_window, patience=weights.guard_patience, fit=fit)


def _run_weight_stage(session: _Session):
  """Train the kept weights of every row; return the final state, or None if all have failed."""
  batch, config = session.batch, session.batch.template.config
  def make_stage():
    # A row that is no longer restored has no weights, and widens no other.
    kept = [image.mask if image.alive else jax.tree.map(np.zeros_like, image.params)
            for image in session.images]
    params, problems = ([getattr(image, name) for image in session.images]
                        for name in ("params", "problem"))
    # The draws of noise follow from the shapes, which the batch's widths must not change.
    if config.compute.compaction and not (config.weights.sgld_noise or config.weights.input_noise):
      plans = [fitting.plan_compaction(batch.generator, mask) for mask in kept]
      if session.widths is None:  # else the stored state has them, whichever rows have failed since
        session.widths = masks.widest(plans)
        session.widths = [max(counts) for counts in zip(*parallel.gather(session.widths))]
      plans = [masks.widen(plan, session.widths) for plan in plans]
      compact = [fitting.compact_problem(batch.generator, *row)
                 for row in zip(params, kept, problems, plans)]
      params, kept, problems = ([getattr(row, name) for row in compact]
                                for name in ("params", "mask", "problem"))
    return fitting.make_weight_stage(
        batch.generator, _lay_out(batch, params), _lay_out(batch, kept),
        num_steps=config.weights.num_steps, learning_rate=config.weights.learning_rate,
        schedule=config.weights.schedule, guard=_make_guard(config.weights, _jobs.make_fit(batch.template)),
        average_from=config.weights.average_from, sgld_noise=config.weights.sgld_noise,
        input_noise=config.weights.input_noise,
        **_common(session, problems))
  return _run_stage(session, make_stage)


def _share_of_seconds(session: _Session) -> dict[str, dict[str, float]]:
  """Seconds of each stage for one image: the batch's, divided by its images."""
  count = sum(parallel.gather(sum(job is not None for job in session.batch.jobs)))
  share = {}
  for name, steps in session.stages.items():
    run, compilation = (session.seconds[name][part] / count for part in ("run", "compile"))
    share[name] = {"total": run + compilation, "run": run, "compile": compilation, "per_step": run / steps}
  return share


def _share_of_memory(session: _Session) -> dict[str, float]:
  """Peak bytes of each stage for one image: the device's, divided by the images that it has at once."""
  at_once = len(session.batch.jobs) / session.batch.mesh.local_mesh.size
  return {name: session.seconds[name]["bytes"] / at_once for name in session.stages}


def _write(session: _Session, state) -> list[dict[str, Any] | None]:
  """Write the outputs of every image that has them; return their summaries."""
  last, average = parallel.rows((state.output, state.average))
  guard = parallel.rows(state.guard._replace(memory=())) if state.guard else None
  seconds, memory = _share_of_seconds(session), _share_of_memory(session)
  summaries = []
  for row, image in enumerate(session.images):
    summaries.append(None)
    if image.alive:
      inside = generators.centre(session.batch.frame, image.job.shape)
      summaries[-1] = _outputs.write_outputs(
          image.job, image.measured, None if image.truth is None else image.truth[inside],
          image.mask, image.collapse, last[row][inside], average[row][inside], seconds, memory,
          guard and fitting.Choice(guard.output[row][inside], int(guard.step[row]), bool(guard.stopped[row])))
  return summaries


def restore_batch(batch: Batch) -> list[dict[str, Any] | str | None]:
  """Restore a batch to its end, from the start or from its last checkpoint.

  Returns:
    For each row of this process: the summary; or why it failed; or None where it fills up.

  Raises:
    processes.Interrupted: after SIGTERM or SIGINT, with the state saved.
    OSError: a folder can no longer be written.
  """
  session = _Session(batch, [
      _members.make_member(batch.generator, batch.frame, batch.framed, batch.template, job)
      for job in batch.jobs])
  if session.resume:
    print(f"{batch.label}resuming after step {session.resume[1]} of the {session.resume[0]} stage")
  with contextlib.ExitStack() as logs:
    for image in session.images:
      if image.alive:
        try:
          image.log = logs.enter_context(files.MetricsLog(image.job.workdir, session.resume))
        except files.DamagedLog as error:
          image.failure = str(error)
    _obtain_masks(session)
    state = None
    if any(parallel.gather(any(image.alive for image in session.images))):
      state = _run_weight_stage(session)
  summaries = [None] * len(session.images) if state is None else _write(session, state)
  return [image.failure or summary for image, summary in zip(session.images, summaries)]
