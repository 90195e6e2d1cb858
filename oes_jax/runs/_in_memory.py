"""Jobs restored in memory: nothing is written, no signal is served, no setting of JAX is changed."""

import dataclasses
import sys
from typing import Any, Callable, NamedTuple, Sequence
import warnings

import jax
import numpy as np

from oes_jax import fitting
from oes_jax import tiles
from oes_jax.runs import _auto_in_memory
from oes_jax.runs import _budget
from oes_jax.runs import _candidates
from oes_jax.runs import _expected
from oes_jax.runs import _following
from oes_jax.runs import _job
from oes_jax.runs import _masks
from oes_jax.runs import _measure
from oes_jax.runs import _memory
from oes_jax.runs import _outputs
from oes_jax.runs import _range_ends
from oes_jax.runs import _restored
from oes_jax.runs import _run
from oes_jax.runs._job import Job
from oes_jax.runs._measure import Measurement


class _Ended(NamedTuple):
  """How one restoration ended: what it gave, in the unit range, or why it failed."""
  restored: fitting.Restoration | None = None
  failure: str | None = None


def _warn(text: str) -> None:
  """Warn of something at the line outside the package that called it."""
  frame, level = sys._getframe(), 1  # pylint: disable=protected-access
  while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("oes_jax"):
    frame, level = frame.f_back, level + 1
  warnings.warn(text, stacklevel=level)


def _member(job: Job, number: int) -> Job:
  """Return the job of a member of an ensemble: seeds of its own, the same measurement."""
  experiment, noise = job.settings.experiment, job.settings.noise
  if experiment.ensemble == 1:
    return job
  seed = (experiment.seed + number * _job.SEED_STRIDE) % 2 ** 31
  return dataclasses.replace(job, settings=job.settings._replace(
      experiment=dataclasses.replace(experiment, seed=seed),
      noise=dataclasses.replace(noise, seed=experiment.seed if noise.seed is None else noise.seed)))


def _plan(job: Job, mask: Any, follower: _following.Follower) -> fitting.Plan:
  """Return how jobs like one are restored; a mask that is given is taken over."""
  settings, given = job.settings, job.given_mask if mask is None else _masks.mask_like(mask, job)
  steps = tuple(_job.stage_steps(settings).values())[:-1] if settings.mask.source in ("imp", "imp_oracle") else ()
  source = "file" if given is not None and settings.mask.source != "shuffled" else settings.mask.source
  return fitting.Plan(
      source, settings.learn, settings.weights, given, steps, settings.compute.compaction, job.chunk_steps,
      not (job.conv == "lax" and jax.default_backend() == "cpu"), fitting.view_of(job.data.operator), follower)


def _at_once(job: Job, count: int) -> int:
  """Return how many images are restored together: equal shares of all, as asked for or as the memory allows."""
  asked = job.settings.compute.images_per_device
  if asked is not None:
    most = asked * jax.local_device_count()
  else:
    sharing = jax.local_device_count() if jax.default_backend() == "cpu" else 1
    most = max(1, (_memory.available_memory() - job.need.once) // (job.need.per_image * sharing))
  return -(-count // -(-count // min(count, int(most))))


def _share(job: Job, seconds: dict[str, dict[str, float]], count: int) -> dict[str, dict[str, float]]:
  """Return the seconds of each stage for one image: the batch's, divided by its images."""
  steps, share = _job.stage_steps(job.settings), {}
  for name, parts in seconds.items():
    run, compilation = parts["run"] / count, parts["compile"] / count
    share[name] = {"total": run + compilation, "run": run, "compile": compilation, "per_step": run / steps[name]}
  return share


def _described(row: _measure.Row, restored: fitting.Restoration, count: int) -> fitting.Restoration:
  """Return a restoration of a batch of `count` images with the summary of its own."""
  job, told = row.job, restored.summary
  results = _outputs.describe(job, row.measurement, restored.mask, told["collapse"], restored,
                              restored.traces["weights"].get("psnr"))
  results |= {"seconds": _share(job, told["seconds"], count), "peak_bytes": told["peak_bytes"], "notes": told["notes"]}
  return restored._replace(summary=_outputs.summary_of(job, results))


def _restore_batch(rows: Sequence[_measure.Row], plan: fitting.Plan, count: int) -> list[_Ended]:
  """Restore rows of one shape together, of which all after the first `count` only fill up."""
  problems, pruned_on = [row.problem for row in rows], None
  plan.report.watch(rows[:count])
  if plan.source == "imp_oracle":
    pruned_on = [row.problem.replace(measurement=row.clean) for row in rows]
  try:
    restored, failures = fitting.restore_problems(
        rows[0].job.generator, problems, [row.job.settings.experiment.seed for row in rows],
        [row.job.density for row in rows], plan, None if rows[0].truth is None else [row.truth for row in rows],
        pruned_on=pruned_on), [None] * len(rows)
  except fitting.Diverged as error:
    restored, failures = error.restorations, error.failures
  failures = [failure or one and _range_ends.fault_of(row.job, _outputs.image_of(row.job, one)) for row, one, failure in zip(rows, restored, failures)]
  return [_Ended(one and _described(row, one, count), failure)
          for row, one, failure in zip(rows[:count], restored, failures)]


def _restore_rows(jobs: Sequence[Job], measurements: Sequence[Measurement], plan: fitting.Plan) -> list[_Ended]:
  """Restore jobs of one shape, in batches of one size; the last one is filled up."""
  width, ended = _at_once(jobs[0], len(jobs)), []
  for start in range(0, len(jobs), width):
    rows = [_measure.make_row(job.generator, job.shape, False, job, operator=jobs[0].data.operator, measurement=measurement)
            for job, measurement in zip(jobs[start:start + width], measurements[start:start + width])]
    ended += _restore_batch(rows + [rows[0]] * (width - len(rows)), plan, len(rows))
  return ended


def _restore_alone(job: Job, measurement: Measurement, plan: fitting.Plan) -> _Ended:
  """Restore a job that shares no batch: by the candidates of method auto, or in tiles."""
  if job.tile is not None:
    return _restore_tiles(job, measurement, plan)
  def restore(candidate: Job, budget: _budget.Budget):
    ended, = _restore_rows([candidate], [measurement], _plan(candidate, None, _budget.Follower(plan.report, budget)))
    return ended.restored, ended.failure
  mixed = _auto_in_memory.restore_auto(job, measurement, restore, _warn)
  return _Ended(mixed, _range_ends.fault_of(job, mixed.image))


def _restore_tiles(job: Job, measurement: Measurement, plan: fitting.Plan) -> _Ended:
  """Restore the tiles of an image one after another, and blend them; every tile has a mask of its own."""
  overlap, parts, maps = job.settings.compute.tile_overlap, [], []
  places = tiles.cut(measurement.values.shape, job.tile, overlap)
  for number, place in enumerate(places):
    part = _run.tile_job(job, number, measurement, place)
    values = _measure.measure(part, _warn)
    ended = _restore_alone(part, values, plan) if part.is_alone else _restore_rows([part], [values], plan)[0]
    if ended.failure:
      return _Ended(failure=f"tile {number + 1} of {len(places)}: {ended.failure}")
    parts.append(ended.restored)
    maps.append(_expected.error_map_of(part, ended.restored, ended.restored.summary["expected_psnr"]))
  blend = lambda images: tiles.blend([np.asarray(image) for image in images], places, measurement.values.shape, overlap)
  guarded = parts[0].guarded and fitting.Choice(
      blend([part.guarded.output for part in parts]), max(part.guarded.step for part in parts),
      all(part.guarded.stopped for part in parts))
  combined = parts[0].combined and fitting.Combination(
      blend([part.combined.output for part in parts]), blend([part.combined.estimate for part in parts]),
      float(np.mean([part.combined.share for part in parts])))
  blended = fitting.Restoration(
      blend([part.image for part in parts]), blend([part.last for part in parts]), guarded, combined, traces={})
  results = _outputs.describe_tiled(job, measurement, _outputs.image_of(job, blended), [part.summary for part in parts])
  return _Ended(blended._replace(error=_expected.blend_maps(job, maps, blend, measurement.noise_level), summary=_outputs.summary_of(job, results)))


def _alike(job: Job):
  """Return what jobs have in common that are restored together."""
  data = job.data
  return (job.shape, job.tile, data.scan and data.scan.values.shape, data.operator.apply, data.operator.unit,
          data.truth is None, job.generator.apply, job.generator.net_input_shape)


def _count_steps(jobs: Sequence[Job]) -> int:
  """Return the steps of all stages of all batches of jobs of one shape, with the members of their ensembles."""
  first, images = jobs[0], len(jobs) * jobs[0].settings.experiment.ensemble
  steps = sum(sum(_job.stage_steps(one).values()) for one in _candidates.settings_of_networks(first.settings))
  if first.tile is not None:
    images *= len(tiles.cut(first.data.picture.values.shape, first.tile, first.settings.compute.tile_overlap))
  if first.is_alone:
    return steps * images
  return steps * -(-images // _at_once(first, images))


def restore_in_memory(jobs: Sequence[Job], *, mask: Any = None, progress: bool = True,
                      callback: Callable[[_following.Update], Any] | None = None) -> list[fitting.Restoration]:
  """Restore jobs of `job_of_arrays` that share settings; those of one shape are one compiled batch.

  Args:
    jobs: jobs; an ensemble of each is restored where the settings ask for one.
    mask: tree of 0/1 that is taken over, or None.
    progress: whether a progress bar is drawn, and in a notebook a picture.
    callback: function that takes an Update after every second or two, or None.

  Returns:
    One Restored a job, in the layout, type and range of its measurement. What is doubtful of it, and a generator without a graph,
    is warned of.

  Raises:
    ValueError: the mask does not go with the generator.
    fitting.Diverged: the loss of an image became NaN or infinite; the exception carries what the other jobs gave.
  """
  if jobs[0].generator.graph is None and (mask is not None or jobs[0].settings.mask.source != "dense"):
    _warn("the generator has no graph of its channels: nothing is compacted, so that a step takes as long as a dense one; every "
          "weight that is kept counts as one that can act; and a mask that has collapsed is found by its image alone")
  groups: dict[Any, list[int]] = {}
  for number, job in enumerate(jobs):
    groups.setdefault(_alike(job), []).append(number)
  num_steps = sum(_count_steps([jobs[number] for number in numbers]) for numbers in groups.values())
  with _following.Follower(num_steps, progress, callback) as follower:
    return _restore_groups(jobs, groups, {key: _plan(jobs[numbers[0]], mask, follower) for key, numbers in groups.items()})


def _restore_groups(jobs: Sequence[Job], groups: dict[Any, list[int]], plans: dict[Any, fitting.Plan]) -> list[fitting.Restoration]:
  """Restore jobs whose numbers are given by what they have in common, as are their plans."""
  members = range(jobs[0].settings.experiment.ensemble)
  restored: list[fitting.Restoration | None] = [None] * len(jobs)
  failures: list[str | None] = [None] * len(jobs)
  for key, numbers in groups.items():
    measurements = [_measure.measure(jobs[number], _warn) for number in numbers]
    asked = [(_member(jobs[number], member), measurement) for number, measurement in zip(numbers, measurements)
             for member in members]
    if jobs[numbers[0]].is_alone:
      ended = [_restore_alone(*one, plans[key]) for one in asked]
    else:
      ended = _restore_rows(*zip(*asked), plans[key])
    for place, number in enumerate(numbers):
      mine = ended[place * len(members):(place + 1) * len(members)]
      failures[number] = next((one.failure for one in mine if one.failure), None)
      if failures[number] is None:
        restored[number] = _restored.as_given(jobs[number], measurements[place], [one.restored for one in mine], _warn)
  if any(failures):
    said = [f"{job.settings.data.source}: {text}" for job, text in zip(jobs, failures) if text]
    error = fitting.Diverged(f"{'; '.join(said)}.")
    error.restorations, error.failures = restored, failures
    raise error
  return restored
