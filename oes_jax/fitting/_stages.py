"""The two stages of OES on one image, as pure functions: learn a mask, train the weights that it keeps."""

from typing import Any, Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from oes_jax import masks
from oes_jax.fitting import _early_stopping
from oes_jax.fitting import _engine
from oes_jax.fitting import _langevin
from oes_jax.fitting import _objectives
from oes_jax.fitting import _plug_and_play
from oes_jax.fitting import _recorruption
from oes_jax.fitting import _restoration
from oes_jax.fitting import _settings
from oes_jax.fitting import _simulated_error


def mask_stage(generator, settings: _settings.LearnMask = _settings.LearnMask()) -> _engine.Stage:
  """Return the stage that learns mask logits; its frozen tree is (params, keep_fraction, kl_weight).

  Args:
    generator: Generator of the image.
    settings: numbers of the stage.
  """
  optimizer = settings.optimizer or _engine.make_optimizer(
      learning_rate=settings.learning_rate, schedule=settings.schedule, num_steps=settings.num_steps)
  return _engine.Stage("mask", _objectives.mask_objective(generator.apply, temperature=settings.temperature), optimizer,
                       settings.num_steps, generator.image_shape)


def weight_stage(generator, settings: _settings.TrainWeights = _settings.TrainWeights(), *,
                 name: str = "weights", recorrupted: bool = False) -> _engine.Stage:
  """Return the stage that trains params; its frozen tree is the mask.

  Args:
    generator: Generator of the image.
    settings: numbers of the stage.
    name: name of the stage; "round_1" and so on train the rounds of iterative magnitude pruning.
    recorrupted: whether the problems have a recorruption: then the images it ends with are those of averaged params.
  """
  optimizer = settings.optimizer or _engine.make_optimizer(
      learning_rate=settings.learning_rate, schedule=settings.schedule, num_steps=settings.num_steps)
  if settings.sgld_noise:
    rate = _engine.SCHEDULES[settings.schedule](settings.learning_rate, settings.num_steps)
    optimizer = optax.chain(optimizer, _langevin.langevin_noise(settings.sgld_noise, rate))
  guard = None if settings.guard is None else _early_stopping.GUARDS[settings.guard](
      num_steps=settings.num_steps, window=settings.guard_window, patience=settings.guard_patience)
  def evaluate(params, mask, problem, key):
    problem = _recorruption.with_all_seen(problem)
    return _recorruption.restored_image(generator.apply, masks.apply_mask(params, mask), problem, key)
  def combine(params, mask, problem, key, image):
    mixed = _plug_and_play.combine(generator.apply, masks.apply_mask(params, mask), problem, key, image)
    return mixed._replace(error=_simulated_error.simulate_error(problem, mixed, key)) if settings.simulate_error else mixed
  return _engine.Stage(
      name, _objectives.weight_objective(generator.apply, input_noise=settings.input_noise), optimizer, settings.num_steps,
      generator.image_shape, settings.average_decay, settings.average_from, guard, evaluate if recorrupted else None,
      combine if recorrupted and settings.combine else None)


def mask_start(params, settings: _settings.LearnMask, keep_fraction) -> tuple[Any, tuple]:
  """Return what the mask stage of one image starts from: (mask logits, frozen tree).

  Args:
    params: params at initialisation.
    settings: numbers of the stage.
    keep_fraction: prior probability that a weight is kept.
  """
  number = jnp.result_type(float)
  return (masks.initial_logits(params, masks.pruned_by("learn", settings.prune)),
          (params, number.type(keep_fraction), number.type(settings.kl_weight)))


def round_settings(settings: _settings.TrainWeights, num_steps: int) -> _settings.TrainWeights:
  """Return the settings of a round of iterative magnitude pruning: those of the weight stage without what is random."""
  return _settings.TrainWeights(num_steps=num_steps, learning_rate=settings.learning_rate, schedule=settings.schedule,
                                average_decay=settings.average_decay)


def draws_by_shape(settings: _settings.TrainWeights) -> bool:
  """Whether what is drawn in the steps follows from the shapes of the weights: then nothing may be compacted."""
  return bool(settings.sgld_noise or settings.input_noise or settings.optimizer)


def _prior_fraction(settings: _settings.LearnMask, problem, params, image_shape):
  """Return the prior probability of the KL: as asked for, or by the number of measured values."""
  if settings.keep_fraction is not None:
    return settings.keep_fraction
  return masks.automatic_keep_fraction(count_values(problem, image_shape), masks.count_weights(params))


def count_values(problem, image_shape) -> int:
  """Return how many real values a problem measures, lost ones not counted; at most as many as the image has.

  Where the lost ones are known only while a function is traced, all values count.
  """
  measurement = problem.measurement
  count = measurement.size * (2 if jnp.iscomplexobj(measurement) else 1)
  if problem.fitted is not None and not isinstance(problem.fitted.count, jax.core.Tracer):
    channels = 2 if jnp.iscomplexobj(measurement) else measurement.shape[-1]
    held = 0 if problem.held_out is None else problem.held_out.count
    count = int(problem.fitted.count + held) * channels
  size = 1
  for length in image_shape:
    size *= length
  return min(count, size)


def learn_mask(generator, params, problem: _objectives.Problem, key,
               settings: _settings.LearnMask = _settings.LearnMask(), *,
               score: Callable[[Any], dict[str, Any]] | None = None):
  """Learn a mask at the initial params from the measurement alone: OES, stage 1 (Ghosh et al. 2024, arXiv 2406.05288).

  Pure: jit it, vmap it over problems, params and keys.

  Args:
    generator: Generator of the image.
    params: params at initialisation; `generator.init(key)[0]`.
    problem: Problem to explain.
    key: PRNG key of the gates' draws.
    settings: numbers of the stage.
    score: function image [H, W, C] -> {name: value}, recorded in every step and nothing else; e.g. the PSNR.

  Returns:
    (mask_logits, trace): logits like `params`, to be thresholded by `masks.threshold`; and {metric: [num_steps]}.

  Example:
    >>> import jax
    >>> import oes_jax
    >>> from oes_jax import generators, masks
    >>> generator = generators.hourglass((16, 16, 1), num_scales=1, channels=(8,))
    >>> params, _ = generator.init(jax.random.key(0))
    >>> noisy = jax.random.uniform(jax.random.key(1), (16, 16, 1))
    >>> logits, trace = oes_jax.learn_mask(generator, params, oes_jax.Problem(noisy), jax.random.key(2),
    ...                                    oes_jax.LearnMask(num_steps=3))
    >>> mask = masks.threshold(logits, 0.05)
    >>> trace["loss"].shape
    (3,)
  """
  problem = _objectives.with_input(problem, generator)
  logits, frozen = mask_start(params, settings, _prior_fraction(settings, problem, params, generator.image_shape))
  state, trace = _engine.run_stage(mask_stage(generator, settings), logits, frozen, problem, key, score)
  return state.trainable, trace


def _check_mask(mask, params):
  """Return a mask that is a tree like the params, of 1 and 0 where the values are known."""
  if jax.tree.structure(mask) != jax.tree.structure(params):
    raise ValueError(f"mask is a tree {jax.tree.structure(mask)}; allowed: one like the params, {jax.tree.structure(params)}.")
  for leaf, weights in zip(jax.tree.leaves(mask), jax.tree.leaves(params)):
    if jnp.shape(leaf) != jnp.shape(weights):
      raise ValueError(f"mask has an array of shape {jnp.shape(leaf)}; allowed: {jnp.shape(weights)}, that of the weights.")
    if not isinstance(leaf, jax.core.Tracer) and not np.isin(np.asarray(leaf), (0, 1)).all():
      raise ValueError("mask holds values other than 1 and 0; allowed: masks.threshold(scores, keep_fraction) of scores or "
                       "logits.")
  return mask


def _check_problem(problem, settings: _settings.TrainWeights) -> None:
  if settings.guard == "held_out" and problem.held_out is None:
    raise ValueError("guard='held_out' needs a problem with held-out values; allowed: fitting.hold_out(problem, key).")
  if settings.combine and problem.recorruption is None:
    raise ValueError("combine=True needs a problem whose noise is known; allowed: one with a Recorruption, or combine=False.")


def train_weights(generator, params, mask, problem: _objectives.Problem, key,
                  settings: _settings.TrainWeights = _settings.TrainWeights(), *,
                  score: Callable[[Any], dict[str, Any]] | None = None) -> _restoration.Restoration:
  """Train the weights that a mask keeps on the measurement alone: OES, stage 2.

  Pure: jit it, vmap it over problems, params, masks and keys. Nothing is compacted, see `masks.plan_compaction`.

  Args:
    generator: Generator of the image.
    params: params at initialisation.
    mask: tree of 1 and 0 like `params`; None keeps everything (a dense deep image prior).
    problem: Problem to explain.
    key: PRNG key of what is drawn in the steps.
    settings: numbers of the stage.
    score: function image [H, W, C] -> {name: value}, recorded in every step and nothing else; e.g. the PSNR.

  Returns:
    A Restoration in the unit range.

  Raises:
    ValueError: guard "held_out" without held-out values (`fitting.hold_out`), `combine` without a recorruption, or the mask is no
      tree of 1 and 0 like the params.

  Example:
    >>> import jax
    >>> import oes_jax
    >>> from oes_jax import generators
    >>> generator = generators.hourglass((16, 16, 1), num_scales=1, channels=(8,))
    >>> params, _ = generator.init(jax.random.key(0))
    >>> noisy = jax.random.uniform(jax.random.key(1), (16, 16, 1))
    >>> restoration = oes_jax.train_weights(generator, params, None, oes_jax.Problem(noisy), jax.random.key(2),
    ...                                     oes_jax.TrainWeights(num_steps=3))
    >>> restoration.image.shape
    (16, 16, 1)
  """
  _check_problem(problem, settings)
  problem = _objectives.with_input(problem, generator)
  mask = masks.dense_mask(params) if mask is None else _check_mask(mask, params)
  stage = weight_stage(generator, settings, recorrupted=problem.recorruption is not None)
  state, trace = _engine.run_stage(stage, masks.apply_mask(params, mask), mask, problem, key, score)
  guarded = None if stage.guard is None else _early_stopping.Choice(state.guard.output, state.guard.step, state.guard.stopped)
  return _restoration.Restoration(state.average, state.output, guarded, state.combined or None, masks.apply_mask(state.trainable, mask),
                     mask, {"weights": trace})
