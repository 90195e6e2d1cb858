"""What a step feeds the generator with, and what it fits: the measurement as it is, or one made anew of it."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from oes_jax import metrics
from oes_jax import noise
from oes_jax import recorruption

# Measurements made anew whose mean image is the result.
_DRAWS = 32
_SQUARED_ERROR = noise.Noise("gaussian")


@functools.partial(jax.tree_util.register_dataclass, data_fields=("noise", "alpha", "split"), meta_fields=("axes", "flips"))
@dataclasses.dataclass(frozen=True)
class Recorruption:
  """How a measurement is made anew in every step, for a Problem: fitting it fits the clean image, not the noise.

  A pytree, whose leaves are the strength of the noise, alpha and the split.

  Attributes:
    noise: noise.Noise of the measurement, with its strength in the unit range; a model of recorruption.RECORRUPT.
    alpha: share of the noise that is added to what the generator is fed with; as published, 0.5 of a standard deviation
      for Gaussian noise, and the share of the counts that the target takes for Poisson noise.
    split: share of the measured values that the generator is fed with in a step, in (0, 1]; it is fitted to all.
    axes: axes of the measurement along which parts are left out, each across all other axes; (): none are.
    flips: whether the generator is fed, in a step, with a mirror image of the Problem's first image, upside down or not,
      turned or not, at random; its image is turned back.

  Example:
    >>> import jax
    >>> import oes_jax
    >>> from oes_jax import fitting, generators, noise
    >>> noisy = 0.5 + 0.1 * jax.random.normal(jax.random.key(0), (16, 16, 1))
    >>> problem = oes_jax.Problem(noisy, first_image=lambda measurement, seen: measurement,
    ...                           recorruption=fitting.Recorruption(noise.gaussian(0.1), flips=True))
    >>> generator = generators.hourglass((16, 16, 1), num_scales=1, channels=(4,), input_channels=1)
    >>> params, _ = generator.init(jax.random.key(1))
    >>> restored = oes_jax.train_weights(generator, params, None, problem, jax.random.key(2), oes_jax.TrainWeights(num_steps=3))
    >>> restored.image.shape
    (16, 16, 1)
  """
  noise: noise.Noise
  alpha: Any = 0.5
  split: Any = 1.0
  axes: tuple[int, ...] = ()
  flips: bool = False

  def __post_init__(self):
    if self.noise.model not in recorruption.RECORRUPT:
      raise ValueError(f"noise model {self.noise.model!r} cannot be drawn anew; allowed with recorruption: "
                       f"{', '.join(recorruption.RECORRUPT)}.")
    if not isinstance(self.noise.strength, noise.Strength):
      raise ValueError(f"noise of model {self.noise.model!r} has no strength; allowed with recorruption: e.g. "
                       "noise.gaussian(0.1).")


def seen_parts(problem):
  """Return which values may be fed, [..., 1] of 1 and 0, or None: all."""
  fitted = problem.fitted if problem.fitted is not None else problem.valid
  return None if fitted is None else fitted.pixels


def with_all_seen(problem):
  """Return the problem with what a guard alone sees shown to the generator too: for the images that a stage ends with."""
  if problem.held_out is None:
    return problem
  return problem.replace(fitted=metrics.Valid(*map(jnp.add, problem.fitted, problem.held_out)), held_out=None)


def network_input(problem):
  """Return the network input of a measurement as it is: the one that the Problem names, or the operator's first image."""
  if problem.first_image is None:
    return problem.net_input
  return problem.first_image(problem.measurement, seen_parts(problem))


def _kept_parts(key, given: Recorruption, shape, is_complex: bool):
  """Draw which measured values are fed, [..., 1] of 1 and 0: a share of the parts along the axes of the split."""
  sides = [length if axis in given.axes else 1 for axis, length in enumerate(shape)]
  sides = (*sides, 1) if is_complex else (*sides[:-1], 1)
  return (jax.random.uniform(key, sides) < given.split).astype(jnp.result_type(float))


def pose_step(problem, key):
  """Return (network input, Problem to fit) of a step: of the measurement as it is, or of one made anew.

  Args:
    problem: Problem with its network input.
    key: PRNG key of the step; nothing is drawn without a recorruption.
  """
  if problem.recorruption is None:
    return network_input(problem), problem
  net_input, posed = recorrupt(problem, key)
  return net_input, posed.replace(loss=_SQUARED_ERROR)


def apply_turned(apply, params, net_input, problem, key):
  """Return the image of a generator, fed as it is or, where the recorruption asks for it, turned at random and back."""
  if problem.recorruption is None or problem.first_image is None or not problem.recorruption.flips:
    return apply(params, net_input)
  turned, turn_back = turn(key, net_input)
  return turn_back(apply(params, turned))


def restored_image(apply, params, problem, key):
  """Return the mean image of a generator over measurements made anew, fed with all that is fitted.

  Args:
    apply: function (params, net_input) -> image of a generator.
    params: trained params.
    problem: Problem with a recorruption.
    key: PRNG key of the draws.
  """
  def add(total, number):
    drawn = jax.random.fold_in(key, number)
    net_input, _ = recorrupt(problem, drawn)
    return total + apply_turned(apply, params, net_input, problem, drawn), None
  image = jax.eval_shape(apply, params, jax.eval_shape(lambda: recorrupt(problem, key)[0]))
  total, _ = jax.lax.scan(add, jnp.zeros(image.shape, image.dtype), jnp.arange(_DRAWS))
  return total / _DRAWS


def recorrupt(problem, key):
  """Make a measurement anew: return (network input, Problem whose measurement is the target).

  Where a value is not fed its target is the measured value itself, whose noise the input knows nothing of.

  Args:
    problem: Problem with a recorruption.
    key: PRNG key of the step.
  """
  given, measured = problem.recorruption, problem.measurement
  drawn, split = jax.random.split(jax.random.fold_in(key, 2))
  fed, target = recorruption.RECORRUPT[given.noise.model](
      drawn, measured / problem.unit, given.noise.strength, given.alpha)
  fed, target = (values.astype(measured.dtype) * problem.unit for values in (fed, target))
  seen = seen_parts(problem)
  if given.axes:
    is_complex = jnp.iscomplexobj(measured)
    kept = _kept_parts(split, given, measured.shape, is_complex)
    target = jnp.where(kept[..., 0] if is_complex else kept, target, measured)
    kept = jnp.broadcast_to(kept, (*measured.shape, 1) if is_complex else (*measured.shape[:-1], 1))
    seen = kept if seen is None else kept * seen
  net_input = problem.net_input if problem.first_image is None else problem.first_image(fed, seen)
  return net_input, problem.replace(measurement=target)


def turn(key, image):
  """Mirror an image [H, W, C] along either axis, and swap both where they are alike, at random.

  Returns:
    (turned image, function that turns an image of its size back).
  """
  upside, sideways, swapped = jax.random.bernoulli(jax.random.fold_in(key, 3), shape=(3,))
  square = image.shape[0] == image.shape[1]
  def swap(values):
    return jnp.where(swapped, values.swapaxes(0, 1), values) if square else values
  def mirror(values):
    values = jnp.where(upside, values[::-1], values)
    return jnp.where(sideways, values[:, ::-1], values)
  return swap(mirror(image)), lambda values: mirror(swap(values))
