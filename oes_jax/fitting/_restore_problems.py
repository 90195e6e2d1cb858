"""Both stages of many images in memory, in lock step: learn the masks, threshold them, train what they keep."""

import collections
import time
from typing import Any, Callable, NamedTuple, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from oes_jax import masks
from oes_jax import parallel
from oes_jax import random
from oes_jax.fitting import _early_stopping
from oes_jax.fitting import _engine
from oes_jax.fitting import _mask_sources
from oes_jax.fitting import _objectives
from oes_jax.fitting import _posing
from oes_jax.fitting import _program
from oes_jax.fitting import _restoration
from oes_jax.fitting import _settings
from oes_jax.fitting import _stages

# Compiled stages of the last calls: a loop over images of one shape compiles once. By what they depend on.
_PROGRAMS: collections.OrderedDict = collections.OrderedDict()
_MOST_PROGRAMS = 8


class Diverged(ArithmeticError):
  """The loss of an image became NaN or infinite.

  Attributes:
    restorations: Restoration of every image, None of those that failed.
    failures: what happened to every image, in words, None of those that were restored.
  """
  restorations: list[_restoration.Restoration | None] = []
  failures: list[str | None] = []


class Progress(NamedTuple):
  """How far a batch of images has come.

  Attributes:
    stage: name of the stage.
    step: steps of it that are done.
    averages: averages of its images so far, [images, H, W, C]; None before the first step.
  """
  stage: str
  step: int
  averages: Any


class Plan(NamedTuple):
  """How images are restored together.

  Attributes:
    source: source of the masks, as `make_mask` takes it.
    learn: settings of the mask stage, with scope and prune of any mask.
    weights: settings of the weight stage.
    given: mask that is taken over, or None.
    rounds: steps of every round of iterative magnitude pruning; () for other sources.
    compaction: whether channels that cannot act are removed, where the generator has a graph.
    chunk_steps: steps of a chunk of one image.
    use_scan: whether the steps of a chunk are one compiled loop.
    view: function image -> what is scored of it.
    report: function of the Progress, at the start of every stage and after each of its chunks, or None.
  """
  source: str
  learn: _settings.LearnMask
  weights: _settings.TrainWeights
  given: Any = None
  rounds: tuple[int, ...] = ()
  compaction: bool = True
  chunk_steps: int = 100
  use_scan: bool = True
  view: Callable[[Any], Any] = lambda image: image
  report: Callable[[Progress], None] | None = None


class _Batch:
  """Images that are restored together: their problems, initial params, masks and traces."""

  def __init__(self, generator, problems, seeds, truths, plan: Plan, pruned_on=None):
    self.generator, self.problems, self.seeds, self.truths, self.plan = generator, problems, seeds, truths, plan
    self.pruned_on = problems if pruned_on is None else pruned_on
    devices = jax.local_devices()
    self.mesh = parallel.image_mesh(devices if len(problems) % len(devices) == 0 else devices[:1])
    self.params = [jax.device_get(generator.init(random.stream_key(seed, "params"))[0]) for seed in seeds]
    self.traces, self.seconds, self.peak_bytes = [{} for _ in problems], {}, {}
    self.failures = [None] * len(problems)

  def lay_out(self, trees):
    return parallel.put(self.mesh, parallel.stack(trees))

  def run(self, stage: _engine.Stage, identity: tuple, trainable, frozen, problems):
    """Compile a stage, or take it from a call before, and run it; return its last state."""
    report, began = self.plan.report or (lambda progress: None), time.perf_counter()
    report(Progress(stage.name, 0, None))
    kind = stage.name.partition("_")[0]  # all rounds share one program
    keys = np.stack([jax.random.key_data(random.stream_key(seed, kind)) for seed in self.seeds])
    scored = None if self.truths is None else self.lay_out(self.truths)
    args = (frozen, self.lay_out(problems), scored, parallel.put(self.mesh, keys))
    program = self._compile(stage, (kind, *identity), trainable, args)
    compiled, traces = time.perf_counter(), [[] for _ in self.seeds]
    for step, state, record, sound in program.iterate(program.init(trainable), args):
      for row, trace in enumerate(traces):
        trace.append({name: values[row] for name, values in record.items()})
        if not sound[row] and self.failures[row] is None:
          self.failures[row] = (f"the loss is not finite before step {step + 1} of the {stage.name} stage. "
                                + _program.advice(not np.isfinite(trace[0]["loss"][0]), "the learning_rate of that stage"))
      report(Progress(stage.name, step, parallel.rows(state.average)))
      if all(self.failures):
        return None
    state = jax.block_until_ready(program.finish(state, *args))
    for whole, trace in zip(self.traces, traces):
      whole[stage.name] = {name: np.concatenate([chunk[name] for chunk in trace]) for name in trace[0]}
    self.seconds[stage.name] = {"compile": compiled - began, "run": time.perf_counter() - compiled}
    self.peak_bytes[stage.name] = program.cost.peak_bytes / (len(self.seeds) // self.mesh.size)
    return state

  def _compile(self, stage, identity, trainable, args) -> _program.Program:
    plan = self.plan
    leaves, treedef = jax.tree.flatten((trainable, args))
    length = max(1, plan.chunk_steps // (len(self.seeds) // self.mesh.size))
    key = (identity, self.generator.apply, plan.view, plan.use_scan, length, self.mesh, treedef,
           tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves), jnp.result_type(float))
    if key not in _PROGRAMS:
      _PROGRAMS[key] = _program.compile_stage(
          stage, trainable, args, mesh=self.mesh, length=length, score=_posing.psnr_of(plan.view), use_scan=plan.use_scan)
      while len(_PROGRAMS) > _MOST_PROGRAMS:
        _PROGRAMS.popitem(last=False)
    _PROGRAMS.move_to_end(key)
    return _PROGRAMS[key]


def _learn(batch: _Batch, densities) -> Any:
  """Return the learned logits of every image, a batch; or None if all have failed."""
  learn = batch.plan.learn
  stage = _stages.mask_stage(batch.generator, learn)._replace(average_decay=batch.plan.weights.average_decay)
  logits, frozen = zip(*(_stages.mask_start(params, learn, density.keep_fraction)
                         for params, density in zip(batch.params, densities)))
  state = batch.run(stage, (learn, batch.plan.weights.average_decay), batch.lay_out(logits), batch.lay_out(frozen),
                    batch.problems)
  return None if state is None else parallel.rows(state.trainable)


def _train_round(batch: _Batch, number: int, steps: int, kept) -> Any:
  """Train what the round before has kept, from the initial weights; return its scores, or None if all have failed."""
  settings = _stages.round_settings(batch.plan.weights, steps)
  frozen = batch.lay_out(kept)
  state = batch.run(_stages.weight_stage(batch.generator, settings, name=f"round_{number + 1}"), (settings,),
                    masks.apply_mask(batch.lay_out(batch.params), frozen), frozen, batch.pruned_on)
  return None if state is None else _mask_sources.trained_scores(parallel.rows(state.trainable), parallel.stack(kept))


def _make_masks(batch: _Batch, densities, scores, share: float = 1) -> list[masks.Chosen]:
  """Return the mask of every image, of the scores that a stage has found, or of a source that needs none."""
  plan = batch.plan
  return [_mask_sources.make_mask(
      batch.generator, params, problem, source=plan.source, settings=plan.learn, density=density, seed=seed,
      scores=None if scores is None else jax.tree.map(lambda leaf, row=row: leaf[row], scores), given=plan.given,
      share=share)
          for row, (params, problem, density, seed) in enumerate(
              zip(batch.params, batch.problems, densities, batch.seeds))]


def _find_masks(batch: _Batch, densities) -> list[masks.Chosen] | None:
  """Run the stages that make the masks; return those, or None if all images have failed."""
  plan, chosen = batch.plan, None
  if plan.source == "learn":
    scores = _learn(batch, densities)
    return None if scores is None else _make_masks(batch, densities, scores)
  if not plan.rounds:
    return _make_masks(batch, densities, None)
  kept = [jax.tree.map(np.ones_like, params) for params in batch.params]
  for number, steps in enumerate(plan.rounds):
    scores = _train_round(batch, number, steps, kept)
    if scores is None:
      return None
    chosen = _make_masks(batch, densities, scores, (number + 1) / len(plan.rounds))
    kept = [one.mask for one in chosen]
  return chosen


def _train(batch: _Batch, chosen: Sequence[masks.Chosen]):
  """Train the kept weights of every image; return (last state or None if all have failed, plans of compaction or None)."""
  plan, weights = batch.plan, batch.plan.weights
  kept, params, problems, plans = [one.mask for one in chosen], batch.params, batch.problems, None
  if plan.compaction and batch.generator.graph is not None and not _stages.draws_by_shape(weights):
    plans = [_mask_sources.plan_compaction(batch.generator, mask, problems[0]) for mask in kept]
    plans = [masks.widen(batch.generator.graph, one, masks.widest(plans)) for one in plans]
    params, kept, problems = zip(*(_mask_sources.compact(batch.generator, *row)
                                   for row in zip(plans, params, kept, problems)))
  frozen = batch.lay_out(kept)
  recorrupted = problems[0].recorruption is not None
  state = batch.run(_stages.weight_stage(batch.generator, weights, recorrupted=recorrupted), (weights, recorrupted),
                    masks.apply_mask(batch.lay_out(params), frozen), frozen, problems)
  return state, plans


def restore_problems(generator, problems: Sequence[_objectives.Problem], seeds: Sequence[int],
                     densities: Sequence[_mask_sources.Density], plan: Plan,
                     truths: Sequence[np.ndarray] | None = None, *,
                     pruned_on: Sequence[_objectives.Problem] | None = None) -> list[_restoration.Restoration]:
  """Restore images of one shape together: both stages in one compiled batch, in memory.

  Args:
    generator: Generator of the images.
    problems: one Problem an image, of one shape and forward function, with network inputs.
    seeds: seed of every image's draws.
    densities: Density of every mask.
    plan: Plan of how they are restored.
    truths: clean images [H, W, C], only ever scored; or None.
    pruned_on: problems that the rounds of magnitude pruning are trained on, in place of `problems`; or None.

  Returns:
    One Restoration an image, in the unit range; its summary holds the seconds of every stage of all images, the peak
    bytes of every stage for one, findings about the mask and notes.

  Raises:
    Diverged: the loss of an image became NaN or infinite; the exception carries what the others gave.
  """
  batch = _Batch(generator, problems, seeds, truths, plan, pruned_on)
  chosen = _find_masks(batch, densities)
  state, plans = (None, None) if chosen is None else _train(batch, chosen)
  restored = [None] * len(problems)
  if state is not None:
    state = parallel.rows(state._replace(guard=state.guard and state.guard._replace(memory=())))
    for row, one in enumerate(chosen):
      if batch.failures[row] is None:
        restored[row] = _row_of(batch, row, one, jax.tree.map(lambda leaf, row=row: leaf[row], state),
                                     plans and plans[row])
  if any(batch.failures):
    error = Diverged("; ".join(f"image {row}: {text}" for row, text in enumerate(batch.failures) if text) + ".")
    error.restorations, error.failures = restored, batch.failures
    raise error
  return restored


def _row_of(batch: _Batch, row: int, chosen: masks.Chosen, state, plan: masks.Compaction | None) -> _restoration.Restoration:
  """Return the restoration of one image; what was removed comes back as zeros."""
  mask, params = jax.device_get(chosen.mask), state.trainable
  if plan is not None:
    zeros = jax.tree.map(np.zeros_like, batch.params[row])
    params = masks.expand(batch.generator.graph, plan, params, zeros)
  guarded = state.guard and _early_stopping.Choice(state.guard.output, int(state.guard.step), bool(state.guard.stopped)) or None
  return _restoration.Restoration(
      state.average, state.output, guarded, state.combined or None, jax.tree.map(np.multiply, params, mask),
      jax.tree.map(lambda m: m != 0, mask), batch.traces[row], None, {"seconds": batch.seconds, "peak_bytes": batch.peak_bytes, "collapse": chosen.findings,
                                "notes": chosen.notes})
