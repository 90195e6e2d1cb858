"""One image of a batch: its measurement in the batch's frame, its initial draws and its mask."""

import base64
import dataclasses
import io
import itertools
import logging
import pathlib
from typing import Any, NamedTuple, Sequence

import jax
import jax.numpy as jnp
import numpy as np

import oes_jax
from oes_jax import files
from oes_jax import fitting
from oes_jax import generators
from oes_jax import intensity
from oes_jax import masks
from oes_jax import metrics
from oes_jax import noise
from oes_jax import parallel
from oes_jax.runs import _forward
from oes_jax.runs import _jobs


@dataclasses.dataclass
class Member:
  """One row of a batch.

  Attributes:
    job: None where the row only fills the batch up: it is never scored or written.
    problem: objectives.Problem in the batch's frame, NumPy arrays.
    truth: in the frame, or None.
    measured: as it is; None where the row fills up.
    params: at initialisation, full tree.
    mask: once there is one.
    collapse: what makes the mask useless, in words.
    log: of the job's folder.
    failure: why it goes on no longer, or None.
  """
  job: _jobs.Job | None
  problem: fitting.Problem
  truth: np.ndarray | None
  measured: "Measured | None"
  params: Any
  mask: Any = None
  collapse: list[str] = dataclasses.field(default_factory=list)
  log: files.MetricsLog | None = None
  failure: str | None = None

  @property
  def clean(self) -> np.ndarray:
    """What would be measured of the truth without noise: for oracles only."""
    if self.job is None or self.job.config.operator.name == "identity":
      return self.problem.measurement if self.job is None else self.truth
    return np.asarray(self.job.operator.apply(self.problem.op_params, self.truth))

  @property
  def alive(self) -> bool:
    """Whether it is still being restored."""
    return self.job is not None and self.failure is None


class Measured(NamedTuple):
  """A measurement, in the unit range.

  Attributes:
    values: what the forward operator gave, with noise.
    truth: [H, W, C], or None.
    op_params: of the operator.
    estimate: [H, W, C], a first image made of the values, for the eye and for comparison.
  """
  values: np.ndarray
  truth: np.ndarray | None
  op_params: Any
  estimate: np.ndarray


def _unit_values(job: _jobs.Job):
  """Return data.source in the unit range; what lies outside is clipped, and said."""
  values = jnp.asarray(intensity.to_unit(job.picture.values, job.limits), jnp.result_type(float))
  outside = float(jnp.mean((values < 0) | (values > 1)))
  if outside > 0:
    logging.warning("%s: %.3g %% of the values lie outside %g to %g and are clipped; set data.range "
                    "to keep them", job.config.data.source, 100 * outside, *job.limits)
  return jnp.clip(values, 0, 1)


def measure(job: _jobs.Job) -> Measured:
  """Return the measurement of a job: its file, or a simulated one."""
  config = job.config
  values = None if job.scan else _unit_values(job)
  truth = None if job.truth is None else _forward.to_image(config, np.asarray(
      intensity.to_unit(job.truth, job.limits), jnp.result_type(float)))
  seed = config.seed if config.noise.seed is None else config.noise.seed
  draws = np.asarray(jax.random.key_data(fitting.stream_key(seed, "operator")))
  op_params = job.operator.init(np.random.default_rng(draws))
  if job.simulated:
    model, unit = noise.NOISE_MODELS[config.noise.model], job.operator.unit
    values = job.operator.apply(op_params, _forward.to_image(config, np.asarray(values)))
    if all(getattr(job.strength, name) for name in model.reads):
      values = unit * model.add(fitting.stream_key(seed, "noise"), values / unit, job.strength)
    if config.operator.name in _forward.MEASURE_IMAGES:
      values = jnp.clip(values, 0, 1)
  if job.scan:
    values = _forward.scan_to_unit(config, job.scan, job.operator, op_params, job.limits, job.shape)
  seen = job.operator.seen(op_params)
  values = np.asarray(values if seen is None else values * seen)
  return Measured(values, truth, op_params, np.clip(job.operator.estimate(op_params, values), 0, 1))


def _place(array, frame):
  """Put [h, w, C] into the middle of a frame (H, W, C) of zeros; None is all zeros."""
  framed = np.zeros(frame, jnp.result_type(float))
  if array is not None:
    framed[generators.centre(frame, array.shape)] = array
  return framed


def _as_valid(pixels) -> metrics.Valid:
  return metrics.Valid(np.asarray(pixels), np.asarray(pixels).sum())


def _hold_out(config, seed: int, shape, seen) -> tuple[metrics.Valid | None, metrics.Valid | None]:
  """Return which values the objectives see, and which only a guard; None: all, and none.

  Args:
    config: of the batch.
    seed: of the image.
    shape: of the measurement.
    seen: which values were measured, [..., 1] of 0 and 1, or None: all.
  """
  if config.weights.guard != "held_out":
    return None if seen is None else _as_valid(seen), None
  draw = np.asarray(jax.random.uniform(fitting.stream_key(seed, "held_out"), (*shape[:-1], 1)))
  fitted = (draw >= config.weights.held_out).astype(jnp.result_type(float))
  all_of_them = np.ones_like(fitted) if seen is None else seen
  return _as_valid(fitted * all_of_them), _as_valid((1 - fitted) * all_of_them)


def make_member(generator: generators.Generator, frame: tuple[int, int, int], framed: bool,
         template: _jobs.Job, job: _jobs.Job | None) -> Member:
  """Measure a job's image and draw its initial params and network input.

  Args:
    generator: of the frame.
    frame: (H, W, C).
    framed: whether images of the batch are smaller than the frame.
    template: any job of the batch.
    job: None fills up: all zeros, seed 0.
  """
  seed = 0 if job is None else job.config.seed
  measured = measure(template if job is None else job)
  operator, valid = template.operator, None
  if framed:
    inside = np.zeros((*frame[:2], 1), jnp.result_type(float))
    inside[generators.centre(frame, frame if job is None else job.shape)] = 1
    valid = metrics.Valid(inside, inside.sum())
  values, seen = measured.values, operator.seen(measured.op_params)
  if template.config.operator.name == "identity":
    values, seen = _place(None if job is None else values, frame), None if valid is None else valid.pixels
  fitted, held_out = _hold_out(template.config, seed, values.shape, seen)
  fits_with = noise.NOISE_MODELS[template.config.noise.model].fits_with
  strength = noise.Strength(*(np.asarray(value or 0, jnp.result_type(float)) for value in (
      template if job is None else job).strength)) if fits_with else ()
  params, _ = generator.init(fitting.stream_key(seed, "params"))
  net_input = generators.sample_net_input(
      fitting.stream_key(seed, "net_input"), generator.net_input_shape)
  return Member(
      job, fitting.Problem(np.asarray(net_input), values, valid, fitted, held_out,
                              measured.op_params, strength),
      None if template.truth is None else _place(None if job is None else measured.truth, frame),
      None if job is None else measured, jax.device_get(params))


def _choose_mask(job: _jobs.Job, generator, scores, params, problem, share: float, before=None):
  """Threshold scores; where the density is automatic, find it, and raise it while the mask collapses.

  Args:
    job: of the image.
    generator: of its frame.
    scores: of every weight.
    params: at initialisation.
    problem: of the image.
    share: of the pruning that is to be done by now, in (0, 1]; see pruning.count_after.
    before: mask of the round before, beyond which nothing is revived, or None.

  Returns:
    (mask, findings): findings is empty unless the mask has collapsed.
  """
  fraction, automatic = job.keep_fraction, job.config.mask.keep_fraction is None
  if share < 1:
    size = masks.count_weights(params)
    spared = masks.count_spared(scores, masks.spared_arrays(scores))
    count = masks.count_after(share, masks.keep_count(fraction, size), spared, size)
    fraction = (count + 0.5) / size  # int() of its product is `count`
  if automatic:
    target = fitting.acting_target(job.num_measured)
    found = fitting.fraction_that_acts(generator, scores, target, scope=job.config.mask.scope)
    fraction = found if share == 1 else max(fraction, found)  # no round prunes what the last one needs
    print(f"{100 * fraction:.2f} % of the weights are kept, so that {target:,} or more can act")
  while True:
    mask = fitting.threshold_scores(scores, fraction, scope=job.config.mask.scope)
    if before is not None:
      mask = jax.tree.map(np.multiply, jax.device_get(mask), jax.device_get(before))
    image = fitting.masked_output(generator, params, mask, problem.net_input)
    findings = fitting.find_collapse(generator, mask, image)
    if not findings or not automatic or fraction >= fitting.LARGEST_AUTO_FRACTION:
      return mask, findings
    larger = min(1.5 * fraction, fitting.LARGEST_AUTO_FRACTION)
    logging.warning("a mask that keeps %.2f %% collapses (%s): trying %.2f %%", 100 * fraction,
                    findings[0], 100 * larger)
    fraction = larger


def _warn_of_collapse(job: _jobs.Job, findings: list[str]) -> None:
  if findings:
    logging.warning("the mask of %s (%s, seed %d) has COLLAPSED: %s. The weight stage will not restore the "
                    "image; set a larger mask.keep_fraction or a narrower generator.channels.",
                    job.config.data.source, job.workdir.name, job.config.seed, "; ".join(findings))


def mask_folder(job: _jobs.Job, share: float = 1) -> pathlib.Path:
  """Return where the mask of a job is stored, or that of a round after which `share` is pruned."""
  return job.workdir / ("mask" if share == 1 else f"mask_{share:.4f}")


def _load_mask(image: Member, folder: pathlib.Path) -> None:
  mask, metadata = files.load_mask(folder)
  image.mask, image.collapse = files.masks_like(mask, image.params), metadata["collapse"]


def _make_mask(generator: generators.Generator, image: Member, scores, share: float) -> dict[str, Any]:
  """Threshold, load, draw or fill the mask of one image; set it, and return its metadata."""
  job, config = image.job, image.job.config.mask
  findings = []
  if config.source == "random":
    scores = fitting.random_scores(
        fitting.stream_key(job.config.seed, "random_mask"), image.params)
  elif config.source in masks.PRUNING_CRITERIA:
    dense, objective = fitting.dense_mask(image.params), fitting.make_weight_objective(
        generator.apply, fit=_jobs.make_fit(job))
    scores = masks.PRUNING_CRITERIA[config.source](
        generator.graph, image.params, lambda params: objective(params, dense, image.problem, None)[0],
        job.keep_fraction, masks.is_spared(config, image.params))
  if scores is not None:
    scores = masks.spare(config, jax.device_get(scores))
    mask, findings = _choose_mask(job, generator, scores, image.params, image.problem, share, image.mask)
  elif config.source in ("file", "bundled", "shuffled"):
    mask = job.given_mask
    if config.source == "shuffled":
      mask = masks.shuffle_within_arrays(
          fitting.stream_key(job.config.seed, "shuffled_mask"), mask)
    output = fitting.masked_output(generator, image.params, mask, image.problem.net_input)
    findings = fitting.find_collapse(generator, mask, output)
  else:
    mask = fitting.dense_mask(image.params)
  image.mask, image.collapse = mask, findings
  return {"generator": job.generator.spec, "seed": job.config.seed, "source": config.source,
          "density": masks.density(mask), "collapse": findings, "version": oes_jax.__version__,
          "names": [row.name for row in _jobs.density_report(job, mask)]}


def obtain_masks(generator: generators.Generator, rows: Sequence[Member], scores: Sequence[Any],
                 stands: bool, share: float = 1) -> None:
  """Set the mask of every image that is being restored, and store those that are new.

  Every process calls it with its rows; the first one stores the masks of all.

  Args:
    generator: of the batch's frame.
    rows: of this process.
    scores: that the stage before has found, one tree a row; None where it did not run.
    stands: whether a stored mask counts: the steps that made it are on record.
    share: of the pruning that is done by now; less than 1 after all rounds but the last.
  """
  made = []
  for image, learned in zip(rows, scores):
    if not image.alive:
      continue
    folder = mask_folder(image.job, share)
    if stands and files.has_valid_manifest(folder):
      _load_mask(image, folder)
    else:
      metadata = _make_mask(generator, image, learned, share)
      packed = base64.b85encode(files.pack_mask(image.mask, metadata)).decode()
      made.append([str(folder.absolute()), packed])
    if share == 1:
      _warn_of_collapse(image.job, image.collapse)
  for folder, packed in itertools.chain.from_iterable(parallel.gather(made)):
    if jax.process_index() == 0:
      mask, metadata = files.read_packed_mask(io.BytesIO(base64.b85decode(packed)))
      files.save_mask(pathlib.Path(folder), mask, metadata)
  parallel.gather(None)  # all are stored
