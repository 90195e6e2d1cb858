"""Jobs restored in memory: nothing is written, no signal is served, no setting of JAX is changed."""

import dataclasses
import warnings
from typing import Any, Sequence

import jax
import numpy as np

from oes_jax import fitting
from oes_jax import intensity
from oes_jax import masks
from oes_jax import tiles
from oes_jax.runs import _job
from oes_jax.runs import _masks
from oes_jax.runs import _measure
from oes_jax.runs import _memory
from oes_jax.runs import _outputs
from oes_jax.runs import _run
from oes_jax.runs._job import Job

# Seeds of an ensemble's members lie this far apart, so that they meet no other seed of a sweep.
SEED_STRIDE = 1_000_003


def _member(job: Job, number: int) -> Job:
  """Return the job of a member of an ensemble: seeds of its own, the same measurement."""
  experiment, noise = job.settings.experiment, job.settings.noise
  if experiment.ensemble == 1:
    return job
  seed = (experiment.seed + number * SEED_STRIDE) % 2 ** 31
  return dataclasses.replace(job, settings=job.settings._replace(
      experiment=dataclasses.replace(experiment, seed=seed),
      noise=dataclasses.replace(noise, seed=experiment.seed if noise.seed is None else noise.seed)))


def _plan(job: Job, given: Any, progress: bool) -> fitting.Plan:
  settings = job.settings
  steps = list(_job.stage_steps(settings).values())[:-1] if settings.mask.source in ("imp", "imp_oracle") else ()
  if given is None:
    given = job.given_mask
  source = "file" if given is not None and settings.mask.source != "shuffled" else settings.mask.source
  return fitting.Plan(
      source, settings.learn, settings.weights, given, tuple(steps), settings.compute.compaction, job.chunk_steps,
      not (job.conv == "lax" and jax.default_backend() == "cpu"), fitting.view_of(job.data.operator), progress)


def _at_once(job: Job, count: int) -> int:
  """Return how many images are restored together: equal shares of all, as the memory allows."""
  sharing = jax.local_device_count() if jax.default_backend() == "cpu" else 1
  fitting_in = max(1, (_memory.available_memory() - job.need.once) // (job.need.per_image * sharing))
  return -(-count // -(-count // min(count, int(fitting_in))))


def _restore_rows(jobs: Sequence[Job], measurements, plan: fitting.Plan, net_input) -> list[fitting.Restoration]:
  """Restore jobs of one shape, in batches of one size; the last one is filled up."""
  width, restored = _at_once(jobs[0], len(jobs)), []
  operator, generator = jobs[0].data.operator, jobs[0].generator
  for start in range(0, len(jobs), width):
    rows = [_measure.make_row(generator, job.shape, False, job, operator=operator, measurement=measurement)
            for job, measurement in zip(jobs[start:start + width], measurements[start:start + width])]
    count, rows = len(rows), rows + [rows[0]] * (width - len(rows))
    problems = [row.problem for row in rows]
    if net_input is not None:
      problems = [problem.replace(net_input=np.asarray(net_input)) for problem in problems]
    if plan.source == "imp_oracle":
      raise ValueError("source='imp_oracle' needs a workdir; allowed here: every other source of a mask.")
    truths = None if rows[0].truth is None else [row.truth for row in rows]
    seeds, densities = zip(*((row.job.settings.experiment.seed, row.job.density) for row in rows))
    restored += fitting.restore_problems(generator, problems, seeds, densities, plan, truths)[:count]
  return restored


def _restore_tiles(job: Job, measurement, plan: fitting.Plan) -> fitting.Restoration:
  """Restore the tiles of an image one after another, and blend them."""
  overlap = job.settings.compute.tile_overlap
  places = tiles.cut(measurement.values.shape, job.tile, overlap)
  parts = []
  for number, place in enumerate(places):
    truth = None if measurement.truth is None else measurement.truth[place]
    part = _run.tile_job(job, number, measurement.values[place], truth)
    parts += _restore_rows([part], [_measure.measure(part)], plan, None)
  blend = lambda images: tiles.blend([np.asarray(image) for image in images], places, measurement.values.shape, overlap)
  guarded = parts[0].guarded and fitting.Choice(
      blend([part.guarded.output for part in parts]), parts[0].guarded.step,
      all(part.guarded.stopped for part in parts))
  return parts[0]._replace(image=blend([part.image for part in parts]), last=blend([part.last for part in parts]),
                           guarded=guarded)


def restore_in_memory(jobs: Sequence[Job], *, mask: Any = None, net_input: Any = None,
                      progress: bool = True) -> list[fitting.Restoration]:
  """Restore jobs of `job_of_arrays` that share settings; those of one shape are one compiled batch.

  Args:
    jobs: jobs; an ensemble of each is restored where the settings ask for one.
    mask: tree of 0/1 that is taken over, or None.
    net_input: network input of all, or None: drawn from the seed.
    progress: whether progress bars are drawn.

  Returns:
    One Restoration a job, in the layout, type and range of its measurement.

  Raises:
    ValueError: the mask or the network input does not go with the generator.
    Diverged: the loss of an image became NaN or infinite.
  """
  groups: dict[Any, list[int]] = {}
  for number, job in enumerate(jobs):
    shape = np.shape(job.data.scan.values) if job.data.scan else None
    groups.setdefault((job.shape, job.tile, shape, job.generator.net_input_shape), []).append(number)
  found: dict[int, fitting.Restoration] = {}
  for numbers in groups.values():
    plan = _plan(jobs[numbers[0]], mask, progress)
    measurements = [_measure.measure(jobs[number]) for number in numbers]
    members = jobs[numbers[0]].settings.experiment.ensemble
    if jobs[numbers[0]].tile is not None:
      restored = [_restore_tiles(_member(jobs[number], member), measurement, plan)
                  for number, measurement in zip(numbers, measurements) for member in range(members)]
    else:
      restored = _restore_rows(
          [_member(jobs[number], member) for number in numbers for member in range(members)],
          [measurement for measurement in measurements for _ in range(members)], plan, net_input)
    for place, number in enumerate(numbers):
      found[number] = _as_given(jobs[number], measurements[place], restored[place * members:(place + 1) * members])
  return [found[number] for number in range(len(jobs))]


def _chosen(job: Job, restored: fitting.Restoration) -> np.ndarray:
  """Return the image that the settings ask for, in the unit range."""
  image = job.settings.output.image
  return {"average": restored.image, "last": restored.last}[image] if image != "guarded" else restored.guarded.output


def _as_given(job: Job, measurement, members: Sequence[fitting.Restoration]) -> fitting.Restoration:
  """Return the mean of an ensemble's members, or the one there is, as the measurement was given."""
  data, first = job.data, members[0]
  view, (low, high) = fitting.view_of(data.operator), data.limits
  for finding in first.summary["collapse"]:
    warnings.warn(f"the mask has COLLAPSED: {finding}. The weight stage will not restore the image; set a larger "
                  "keep_fraction.", stacklevel=4)
  outputs = np.stack([np.asarray(_chosen(job, member)) for member in members])
  mean = outputs[0] if len(members) == 1 else outputs.astype(np.float64).mean(0)
  def stored(image):
    values = intensity.from_unit(view(image), data.limits, data.picture.values.dtype)
    return values[..., 0] if data.picture.squeezed else values
  spread = None
  if len(members) > 1:
    shown = np.stack([view(output) for output in outputs.astype(np.float64)])
    spread = ((high - low) * shown.std(0, ddof=1)).astype(np.float32)
    spread = spread[..., 0] if data.picture.squeezed else spread
  guarded = first.guarded and first.guarded._replace(output=stored(first.guarded.output))
  return first._replace(image=stored(mean), last=stored(first.last), guarded=guarded, spread=spread,
                        summary=_summary(job, measurement, members, mean))


def _summary(job: Job, measurement, members: Sequence[fitting.Restoration], mean) -> dict[str, Any]:
  """Return what summary.json would say of the restoration; of an ensemble's members the first's."""
  first, view, quality = members[0], fitting.view_of(job.data.operator), None
  if measurement.truth is not None:
    truth = view(measurement.truth)
    images = {"measurement": measurement.estimate, "average": first.image, "last": first.last}
    if first.guarded is not None:
      images["guarded"] = first.guarded.output
    if len(members) > 1:
      images[job.settings.output.image] = mean
    quality = {name: _outputs.quality_of(view(image), truth) for name, image in images.items()}
  report = _masks.density_report(job, first.mask)
  return {
      **first.summary, "quality": quality, "members": len(members), "output_image": job.settings.output.image,
      "limits": job.data.limits, "noise": job.data.strength._asdict(), "generator": job.generator.spec,
      "tile": job.tile,
      "guard": first.guarded and {"step": first.guarded.step, "stopped": first.guarded.stopped},
      "mask": {"kept": sum(r.kept for r in report), "acting": sum(r.acting for r in report),
               "size": sum(r.size for r in report), "density": masks.density(first.mask),
               "collapse": first.summary["collapse"], "prior": job.density.keep_fraction}}
