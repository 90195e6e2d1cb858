"""The measurement of a job, from its file or simulated, and the row of a batch that it fills."""

import dataclasses
import logging
from typing import Any, Callable, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from oes_jax import files
from oes_jax import fitting
from oes_jax import generators
from oes_jax import intensity
from oes_jax import noise
from oes_jax import operators
from oes_jax import random
from oes_jax.runs import _inspected
from oes_jax.runs import _nearly_clean
from oes_jax.runs import _truth
from oes_jax.runs._job import Job
from oes_jax.runs._settings import Settings


class Measurement(NamedTuple):
  """What was measured, in the unit range.

  Attributes:
    values: array that the forward operator gave, with noise.
    truth: clean image [H, W, C], or None.
    op_params: parameters of the operator.
    estimate: first image [H, W, C] made of the values, for the eye and for comparison.
    noise_level: operators.NoiseLevel that was estimated of the values, where the fit needs it and none is named; or None.
    remarks: lines that say what the noise is that the noise model is not, and that values were cut off.
  """
  values: np.ndarray
  truth: np.ndarray | None
  op_params: Any
  estimate: np.ndarray
  noise_level: operators.NoiseLevel | None = None
  remarks: tuple[str, ...] = ()


def _unit_values(job: Job, warn: Callable[[str], None]):
  """Return (picture in the unit range, whether anything lay outside, which is clipped, and said)."""
  limits = job.data.limits
  values = jnp.asarray(intensity.to_unit(job.data.picture.values, limits), jnp.result_type(float))
  outside = float(jnp.mean((values < 0) | (values > 1)))
  if outside > 0:
    low, high = np.min(job.data.picture.values), np.max(job.data.picture.values)
    warn(f"{job.settings.data.source}: {100 * outside:.3g} % of the values lie outside {intensity.say_range(*limits)}, from "
         f"{intensity.say_range(low, high)}, and are clipped; set data.range to keep them")
  return jnp.clip(values, 0, 1), outside > 0


def op_params_of(settings: Settings, operator: operators.ForwardOperator):
  """Return the parameters of an operator, with what is random in them drawn."""
  return operator.init(np.random.default_rng(np.asarray(
      jax.random.key_data(random.stream_key(_seed(settings), "operator")))))


def _seed(settings: Settings) -> int:
  """Return the seed of what is drawn for a measurement."""
  return settings.experiment.seed if settings.noise.seed is None else settings.noise.seed


def measure(job: Job, warn: Callable[[str], None] = logging.warning) -> Measurement:
  """Return the measurement of a job: what was given, or a simulated one.

  Args:
    job: job of an image.
    warn: function that takes the text of a warning.
  """
  if job.measured is not None:
    return job.measured
  data, asked, operator = job.data, job.settings.noise, job.data.operator
  for text in data.remarks:
    warn(f"{job.settings.data.source}: {text}")
  truth = None if data.truth is None else fitting.to_image(operator, np.asarray(
      intensity.to_unit(data.truth, data.limits), jnp.result_type(float)))
  op_params = op_params_of(job.settings, operator)
  if data.scan:
    values, clipped = fitting.scan_to_unit(data.scan, operator, op_params, data.limits), False
  else:
    values, clipped = _unit_values(job, warn)
  if data.simulated:
    model, unit = noise.NOISE_MODELS[asked.model], operator.unit
    values = operator.apply(op_params, fitting.to_image(operator, np.asarray(values)))
    if all(getattr(data.strength, name) for name in model.reads):
      values = unit * model.add(random.stream_key(_seed(job.settings), "noise"), values / unit, data.strength)
    if operator.measures_image:
      values = jnp.clip(values, 0, 1)
  seen = operator.seen(op_params)
  values = np.asarray(values if seen is None else values * seen)
  level = _noise_level(job, op_params, values)
  remarks = () if level is None else tuple(_inspected.remark_noise(job, op_params, 0.0 if clipped else level.clipped))
  for text in (*_nearly_clean.remark_level(operator, level, clipped or data.simulated), *remarks):
    warn(f"{job.settings.data.source}: {text}")
  measurement = Measurement(values, truth, op_params, np.clip(operator.estimate(op_params, values), 0, 1), level, remarks)
  if truth is not None and not data.simulated:
    for text in _truth.doubt_truth(truth, measurement.estimate):
      warn(f"{job.settings.data.source}: {text}")
  return measurement


def _noise_level(job: Job, op_params, values) -> operators.NoiseLevel | None:
  """Estimate how strong the noise of a measurement is, where objective recorrupted needs to know it and is not told.

  Raises:
    ValueError: it cannot be told from what the operator measures.
  """
  settings = job.settings
  if not _needs_noise_level(settings):
    return None
  try:
    level = _nearly_clean.spare_texture(job.data.operator, operators.estimate_noise_level(job.data.operator, op_params, values))
  except ValueError as error:
    raise ValueError(f"{_called(job)}: fit.objective='recorrupted' with fit.sigma=None: {error}") from error
  if not 0 < level.sigma < np.inf:
    raise ValueError(f"{settings.data.source}: a noise level of {level.sigma:g} is found, and fit.objective='recorrupted' "
                     f"with fit.sigma=None needs noise that it can draw anew; allowed: fit.sigma, a number above 0, or "
                     "fit.objective='plain'.")
  return level


def _needs_noise_level(settings: Settings) -> bool:
  return settings.fit.objective == "recorrupted" and settings.noise.model == "gaussian" and settings.fit.sigma is None


def _called(job: Job) -> str:
  """Return what the operator of a job is called in messages: one of the caller's has no name."""
  name = job.settings.operator.name
  if operators.FAMILIES[name].measures_image != job.data.operator.measures_image:
    return "operator"
  return f"operator.name={name!r}"


def check_fit(job: Job) -> None:
  """Raise a ValueError where what a job fits does not go with what was measured; nothing is warned of."""
  fit, operator = job.settings.fit, job.data.operator
  if fit.objective == "recorrupted" and fit.split is not None and fit.split < 1 and not operator.split_axes:
    raise ValueError(f"fit.split={fit.split} leaves out parts of a measurement, of which {_called(job)} has none; allowed: "
                     "1, or None for automatic.")
  if _needs_noise_level(job.settings):
    measure(job, lambda text: None)


def recorruption_of(job: Job, measurement: Measurement) -> fitting.Recorruption | None:
  """Return how the measurement of a job is made anew in every step, or None: it is fitted as it is."""
  fit, operator = job.settings.fit, job.data.operator
  if fit.objective != "recorrupted":
    return None
  sigma = job.data.strength.sigma
  if job.settings.noise.model == "gaussian":
    sigma = fit.sigma if measurement.noise_level is None else measurement.noise_level.sigma
  number = jnp.result_type(float).type
  strength = noise.Strength(*(number(value or 0) for value in job.data.strength._replace(sigma=sigma)))
  split = operator.split_share if fit.split is None else fit.split
  return fitting.Recorruption(noise.Noise(job.settings.noise.model, strength), number(fit.alpha), number(split),
                              operator.split_axes if split < 1 else (), fit.flips)


@dataclasses.dataclass
class Row:
  """One image of a batch while it is restored.

  Attributes:
    job: job of the image.
    filling: whether the row only fills the batch up: it is computed as all others, never logged or written.
    measurement: Measurement in the image's own size.
    problem: Problem in the batch's frame, NumPy arrays.
    truth: clean image in the frame, or None.
    params: params at initialisation, full tree.
    mask: mask once there is one, full tree.
    collapse: findings that make the mask useless, in words.
    log: log of the job's folder.
    failure: line that says why the image is no longer restored, or None.
  """
  job: Job
  filling: bool
  measurement: Measurement
  problem: fitting.Problem
  truth: np.ndarray | None
  params: Any
  mask: Any = None
  collapse: list[str] = dataclasses.field(default_factory=list)
  log: files.MetricsLog | None = None
  failure: str | None = None

  @property
  def alive(self) -> bool:
    """Whether it is still being restored."""
    return not self.filling and self.failure is None

  @property
  def clean(self) -> np.ndarray:
    """What would be measured of the truth without noise: for oracles only."""
    return np.asarray(self.job.data.operator.apply(self.measurement.op_params, self.truth))


def _place(array, frame):
  """Put [h, w, C] into the middle of a frame (H, W, C) of zeros."""
  framed = np.zeros(frame, jnp.result_type(float))
  framed[generators.centre(frame, array.shape)] = array
  return framed


def make_row(generator: generators.Generator, frame: tuple[int, int, int], framed: bool, job: Job, *,
             operator, filling: bool = False, measurement: Measurement | None = None) -> Row:
  """Measure a job's image and draw its initial params and network input.

  Args:
    generator: Generator of the frame.
    frame: (H, W, C) of the batch.
    framed: whether images of the batch are smaller than the frame.
    job: job of the image.
    operator: forward operator of the batch, of the same kind and shape as the job's.
    filling: whether the row only fills the batch up.
    measurement: the job's measurement, where it is known already.
  """
  seed, weights = job.settings.experiment.seed, job.settings.weights
  measurement, valid = measurement or measure(job), None
  values, seen = measurement.values, operator.seen(measurement.op_params)
  if framed:
    inside = np.zeros((*frame[:2], 1), jnp.result_type(float))
    inside[generators.centre(frame, job.shape)] = 1
    valid = fitting.as_valid(inside)
    values, seen = _place(values, frame), valid.pixels
  elif operator.tileable:
    values = _place(values, frame)
  held_out = None
  if weights.guard == "held_out":
    held_out = (random.stream_key(seed, "held_out"), weights.held_out)
  net_input = None
  if job.settings.generator.input == "noise":
    net_input = np.asarray(generator.sample_input(random.stream_key(seed, "net_input")))
  problem = fitting.pose(operator, measurement.op_params, values, job.loss(), net_input, valid=valid, seen=seen,
                         held_out=held_out, recorruption=recorruption_of(job, measurement))
  params, _ = generator.init(random.stream_key(seed, "params"))
  truth = None if measurement.truth is None else _place(measurement.truth, frame)
  return Row(job, filling, measurement, problem, truth, jax.device_get(params))
