"""A batch of restorations in lock step: mask stage, masks, weight stage, outputs.

The images of a batch share programs and checkpoints, and nothing else: every one has its own
draws, mask, log and folder, and may fail alone.
"""

import contextlib
import dataclasses
import pathlib
from typing import Any, NamedTuple, Sequence

import jax
import numpy as np

from oes_jax import files
from oes_jax import fitting
from oes_jax import generators
from oes_jax import masks
from oes_jax import parallel
from oes_jax import random
from oes_jax.runs import _job
from oes_jax.runs import _masks
from oes_jax.runs import _measure
from oes_jax.runs import _outputs
from oes_jax.runs import _processes
from oes_jax.runs import _range_ends
from oes_jax.runs import _saying
from oes_jax.runs import _stage_loop


@dataclasses.dataclass
class Batch:
  """Jobs of one `group_key`, and what they share.

  Attributes:
    jobs: jobs of this process's rows; a row that only fills the batch up has any job of the group.
    filling: whether a row only fills the batch up, one bool a row; a mask that its job has stored widens the others' nets.
    generator: Generator of the frame.
    frame: (H, W, C) that every image fits in.
    framed: whether images are smaller than the frame.
    folder: folder of the checkpoints.
    mesh: mesh over which the rows are laid out.
    programs: compiled stages, and as "operator" the one that they know, kept from batch to batch of a group.
    signals: signals, served between chunks.
    label: text before the progress bars.
  """
  jobs: Sequence[_job.Job]
  filling: Sequence[bool]
  generator: generators.Generator
  frame: tuple[int, int, int]
  framed: bool
  folder: pathlib.Path
  mesh: Any
  programs: dict[Any, Any]
  signals: _processes.Signals
  label: str = ""


class Outcome(NamedTuple):
  """How the restoration of one row ended; both are None where the row only fills a batch up.

  Attributes:
    summary: summary of a finished restoration, as summary.json has it.
    failure: a line that says why there is none.
  """
  summary: dict[str, Any] | None = None
  failure: str | None = None


class _Work(_stage_loop.Session):
  """A session with the batch that it works on."""

  def __init__(self, batch: Batch):
    rows, measured = [], {}
    operator = batch.programs.setdefault("operator", batch.jobs[0].data.operator)
    for job, filling in zip(batch.jobs, batch.filling, strict=True):
      rows.append(_measure.make_row(
          batch.generator, batch.frame, batch.framed, job, operator=operator, filling=filling,
          measurement=measured.get(id(job))))
      measured[id(job)] = rows[-1].measurement  # one that fills up has another's job
    super().__init__(batch.folder, rows, batch.signals, batch.label)
    self.batch = batch

  def lay_out(self, trees: Sequence[Any]):
    """Stack one tree a row of this process, and lay them over the mesh."""
    return parallel.put(self.batch.mesh, parallel.stack(trees))

  def compiled(self, stage: fitting.Stage, trainable, frozen, problems) -> tuple[fitting.Program, Any, tuple]:
    """Compile a stage, or take it from a batch before; return what `run_stage` needs.

    Args:
      stage: stage of one image.
      trainable: batch of trees to start from, laid out.
      frozen: batch of trees, laid out.
      problems: Problem of every row.
    """
    batch, job = self.batch, self.batch.jobs[0]
    kind = stage.name.partition("_")[0]  # all rounds share one program
    seeds = [row.job.settings.experiment.seed for row in self.rows]
    keys = np.stack([jax.random.key_data(random.stream_key(seed, kind)) for seed in seeds])
    truths = [row.truth for row in self.rows]
    args = (frozen, self.lay_out(problems), None if truths[0] is None else self.lay_out(truths),
            parallel.put(batch.mesh, keys))
    length = max(1, _job.steps_of_chunk(job.settings, batch.frame) // len(batch.jobs))
    shapes = (kind, length, *((x.shape, str(x.dtype)) for x in jax.tree.leaves((trainable, args))))
    if shapes not in batch.programs:
      score = fitting.psnr_of(fitting.view_of(job.data.operator))
      batch.programs[shapes] = fitting.compile_stage(
          stage, trainable, args, mesh=batch.mesh, length=length, score=score,
          use_scan=not (job.conv == "lax" and jax.default_backend() == "cpu"))
    program = batch.programs[shapes]
    return program, program.init(trainable), args


def _obtain_masks(work: _Work) -> None:
  """Run the stages that make the masks, from where they stand; set the mask of every image."""
  generator, rows = work.batch.generator, work.rows
  if not work.making:
    _masks.obtain_masks(generator, rows, [None] * len(rows), stands=True)
  begun = work.resume and max(0, work.place_of(work.resume[0]) - 1)
  for place, name in list(enumerate(work.making))[begun or 0:]:
    folders = [work.mask_folder(row.job, place) for row in rows if row.alive]
    stored = all(map(files.has_valid_manifest, folders))
    scores = None
    if not (work.is_past(name) and all(parallel.gather(stored))):
      scores = _learn_scores(work) if name == "mask" else _train_round(work, name)
    scores = [None if scores is None else jax.tree.map(lambda leaf, row=row: leaf[row], scores)
              for row in range(len(rows))]
    _masks.obtain_masks(generator, rows, scores, stands=work.is_past(name), share=work.share_of(place))
    if not work.any_alive():
      return


def _train_round(work: _Work, name: str):
  """Train what the round before has kept, from the initial weights; return the scores of `fitting.trained_scores`."""
  settings = work.settings
  fill = np.zeros_like if name != work.making[0] else np.ones_like
  kept = [jax.tree.map(fill, row.params) if row.mask is None else row.mask for row in work.rows]
  problems = [row.problem for row in work.rows]
  if settings.mask.source == "imp_oracle":
    problems = [row.problem.replace(measurement=row.clean) for row in work.rows]
  stage = fitting.weight_stage(
      work.batch.generator, fitting.round_settings(settings.weights, work.stages[name]), name=name)
  def compile_it():
    frozen = work.lay_out(kept)
    params = work.lay_out([row.params for row in work.rows])
    return work.compiled(stage, masks.apply_mask(params, frozen), frozen, problems)
  state = _stage_loop.run_stage(work, name, compile_it)
  return None if state is None else fitting.trained_scores(parallel.rows(state.trainable), parallel.stack(kept))


def _learn_scores(work: _Work):
  """Return this process's rows of the learned logits, or None if all have failed."""
  settings = work.settings
  stage = fitting.mask_stage(work.batch.generator, settings.learn)._replace(average_decay=settings.weights.average_decay)
  def compile_it():
    logits, frozen = zip(*(fitting.mask_start(row.params, row.job.settings.learn, row.job.density.keep_fraction)
                           for row in work.rows))
    return work.compiled(stage, work.lay_out(logits), work.lay_out(frozen), [row.problem for row in work.rows])
  state = _stage_loop.run_stage(work, "mask", compile_it)
  return None if state is None else parallel.rows(state.trainable)


def _compact(work: _Work, kept: Sequence[Any]) -> list[tuple[Any, Any, fitting.Problem]]:
  """Return (params, mask, problem) of every row without the channels that cannot act, of one width for all."""
  generator = work.batch.generator
  plans = [fitting.plan_compaction(generator, mask, work.rows[0].problem) for mask in kept]
  if work.widths is None:  # else the stored state has them, whichever rows have failed since
    beside = [fitting.plan_compaction(generator, mask, work.rows[0].problem) for mask in _masks.stored_beside(work.rows)]
    work.widths = [max(counts) for counts in zip(*parallel.gather(masks.widest([*plans, *beside])))]
  return [fitting.compact(generator, masks.widen(generator.graph, plan, work.widths), row.params, mask, row.problem)
          for row, mask, plan in zip(work.rows, kept, plans)]


def _train_weights(work: _Work):
  """Train the kept weights of every row; return the final state, or None if all have failed."""
  settings = work.settings
  stage = fitting.weight_stage(work.batch.generator, settings.weights,
                               recorrupted=work.rows[0].problem.recorruption is not None)
  def compile_it():
    # A row that is no longer restored has no weights, and widens no other.
    kept = [row.mask if row.alive else jax.tree.map(np.zeros_like, row.params) for row in work.rows]
    if settings.compute.compaction and not fitting.draws_by_shape(settings.weights):
      params, kept, problems = zip(*_compact(work, kept))
    else:
      params, problems = ([getattr(row, name) for row in work.rows] for name in ("params", "problem"))
    frozen = work.lay_out(kept)
    return work.compiled(stage, masks.apply_mask(work.lay_out(params), frozen), frozen, problems)
  return _stage_loop.run_stage(work, "weights", compile_it)


def _share_of_seconds(work: _Work) -> dict[str, dict[str, float]]:
  """Return seconds of each stage for one image: the batch's, divided by its images."""
  count, share = sum(parallel.gather(sum(not filling for filling in work.batch.filling))), {}
  for name, steps in work.stages.items():
    run, compilation = (work.seconds[name][part] / count for part in ("run", "compile"))
    share[name] = {"total": run + compilation, "run": run, "compile": compilation, "per_step": run / steps}
  return share


def _share_of_memory(work: _Work) -> dict[str, float]:
  """Return peak bytes of each stage for one image: the device's, divided by the images that it has at once."""
  at_once = len(work.batch.jobs) / work.batch.mesh.local_mesh.size
  return {name: work.seconds[name]["bytes"] / at_once for name in work.stages}


def _write(work: _Work, state) -> list[dict[str, Any] | None]:
  """Write the outputs of every image that has them; return their summaries."""
  work.preview.end()
  last, average = parallel.rows((state.output, state.average))
  guard = parallel.rows(state.guard._replace(memory=())) if state.guard else None
  combined = parallel.rows(state.combined) if state.combined else None
  seconds, memory, summaries = _share_of_seconds(work), _share_of_memory(work), [None] * len(work.rows)
  for number, row in enumerate(work.rows):
    if row.alive:
      inside = generators.centre(work.batch.frame, row.job.shape)
      choice = guard and fitting.Choice(guard.output[number][inside], int(guard.step[number]), bool(guard.stopped[number]))
      mixed = combined and jax.tree.map(lambda rows, number=number: rows[number], combined)  # never in a larger frame
      ended = fitting.Restoration(average[number][inside], last[number][inside], choice, mixed)
      row.failure = _range_ends.fault_of(row.job, _outputs.image_of(row.job, ended))
      if row.failure is None:
        summaries[number] = _outputs.write_outputs(row.job, row.measurement, row.mask, row.collapse, ended, seconds, memory)
  return summaries


def restore_batch(batch: Batch) -> list[Outcome]:
  """Restore a batch to its end, from the start or from its last checkpoint.

  Returns:
    The Outcome of each row of this process.

  Raises:
    Interrupted: a signal was received; the state is saved.
    OSError: a folder can no longer be written.
  """
  work = _Work(batch)
  if work.resume and jax.process_index() == 0:
    _saying.say(f"{batch.label}resuming after step {work.resume[1]} of the {work.resume[0]} stage")
  with contextlib.ExitStack() as logs, contextlib.closing(work):
    for row in work.rows:
      if row.alive:
        try:
          row.log = logs.enter_context(files.MetricsLog(row.job.workdir, work.mark_of(row)))
        except files.DamagedLog as error:
          row.failure = str(error)
    _obtain_masks(work)
    state = _train_weights(work) if work.any_alive() else None
  summaries = [None] * len(work.rows) if state is None else _write(work, state)
  return [Outcome() if row.filling else Outcome(None if row.failure else summary, row.failure)
          for row, summary in zip(work.rows, summaries)]
