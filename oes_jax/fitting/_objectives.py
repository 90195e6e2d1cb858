"""What is minimised: a measurement to explain, how well an image explains it, and the two objectives of OES.

An objective is a function (trainable, frozen, problem, key) -> (loss, (image, metrics)) of one image.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from oes_jax import masks
from oes_jax import metrics
from oes_jax import noise
from oes_jax import random
from oes_jax.fitting import _recorruption


def _identity(image):
  return image


@functools.partial(
    jax.tree_util.register_dataclass, meta_fields=("unit", "plug_and_play"),
    data_fields=("measurement", "forward", "loss", "net_input", "valid", "fitted", "held_out", "first_image", "recorruption"))
@dataclasses.dataclass(frozen=True)
class Problem:
  """One measurement to explain. A pytree: stack problems, and vmap. Ground truth is kept apart: it is only ever scored.

  Attributes:
    measurement: array that was measured, real or complex, of any shape.
    forward: function image [H, W, C] -> what would be measured of it without noise; linear or not. What differs from
      image to image under vmap is bound by jax.tree_util.Partial(apply, op_params). Without one the image is measured.
    loss: noise.Noise, whose data fit is taken; or any function (predicted, measured) -> the loss of every value, or
      one number. Without one it is that of Gaussian noise, the squared error (of complex values: of both parts).
    net_input: network input of the generator; None is its `default_input`.
    valid: metrics.Valid of the pixels of the image, where it is smaller than a frame around it; None is all.
    fitted: metrics.Valid of the measured values that the objectives see, [..., 1] (complex values: [..., 1] of their
      pairs); None is all that are valid.
    held_out: metrics.Valid of those that a guard sees in their place, or None; see `hold_out`.
    unit: change of a measured value that weighs as one of 1 in the image; of a noise model's fit only.
    first_image: function (measurement, seen) -> network input, where the generator is fed with what was measured and not
      with `net_input`; of `seen`, [..., 1] of 1 and 0, only what is 1 may be used, None is all. Or None.
    recorruption: Recorruption, where the measurement is made anew in every step; None fits it as it is [OES]. The
      squared error is fitted then.
    plug_and_play: as of operators.ForwardOperator.

  Example:
    >>> import jax.numpy as jnp
    >>> import oes_jax
    >>> image = jnp.full((16, 16, 1), 0.5)
    >>> problem = oes_jax.Problem(jnp.abs(jnp.fft.fft2(image, axes=(0, 1))),
    ...                           lambda image: jnp.abs(jnp.fft.fft2(image, axes=(0, 1))))
    >>> problem.forward(image).shape
    (16, 16, 1)
  """
  measurement: Any
  forward: Any = _identity
  loss: Any = noise.Noise("gaussian")
  net_input: Any = None
  valid: metrics.Valid | None = None
  fitted: metrics.Valid | None = None
  held_out: metrics.Valid | None = None
  unit: float = 1.0
  first_image: Any = None
  recorruption: _recorruption.Recorruption | None = None
  plug_and_play: tuple[float, float] = (0.23, 1.0)

  def __post_init__(self):
    for name in ("forward", "loss", "first_image"):  # functions become pytrees without leaves
      function = getattr(self, name)
      if callable(function) and not isinstance(function, (jax.tree_util.Partial, noise.Noise)):
        object.__setattr__(self, name, jax.tree_util.Partial(function))

  def replace(self, **changes: Any) -> "Problem":
    """Return the problem with other attributes."""
    return dataclasses.replace(self, **changes)


def with_input(problem: Problem, generator) -> Problem:
  """Return the problem with the default network input of a generator, where it names none."""
  named = problem.net_input is not None or problem.first_image is not None
  return problem if named else problem.replace(net_input=generator.default_input())


def hold_out(problem: Problem, key, share: float = 0.05) -> Problem:
  """Keep a random share of the measured values from the objectives, for the guard "held_out".

  Args:
    problem: problem; what its `fitted` leaves out stays out of both.
    key: PRNG key of the draw.
    share: share of the values, in (0, 0.5]; all channels of a pixel (the last axis) go together.

  Raises:
    ValueError: the share is another one.
  """
  if not 0 < share <= 0.5:
    raise ValueError(f"share={share!r} is not allowed; allowed: a number in (0, 0.5].")
  if problem.measurement.ndim < 2:
    raise ValueError(f"the measurement has shape {problem.measurement.shape}, of which no entry of the last axis can be held "
                     "out alone; allowed: two axes or more, e.g. [values, 1].")
  shape = problem.measurement.shape
  shape = (*shape, 1) if jnp.iscomplexobj(problem.measurement) else (*shape[:-1], 1)
  kept = (jax.random.uniform(key, shape) >= share).astype(jnp.result_type(float))
  seen = jnp.ones_like(kept) if problem.fitted is None else problem.fitted.pixels
  fitted, held_out = (metrics.Valid(part, part.sum()) for part in (kept * seen, (1 - kept) * seen))
  return problem.replace(fitted=fitted, held_out=held_out)


def _as_real(values):
  """Return complex values as pairs [..., 2], real ones as they are."""
  return jnp.stack([values.real, values.imag], -1) if jnp.iscomplexobj(values) else values


def data_fit(image, problem: Problem, seen: metrics.Valid | None):
  """Return the mean loss of an image over the measured values `seen`; None is all.

  A noise model's is divided by `problem.unit`^2, so that it weighs as an error of the image; a loss of one's own is
  taken as it is.
  """
  average = lambda values: metrics.mean(values, seen)
  predicted = problem.forward(image)
  if jnp.shape(predicted) != jnp.shape(problem.measurement):
    raise ValueError(f"forward gives {jnp.shape(predicted)} of an image {image.shape}; allowed: {jnp.shape(problem.measurement)}, "
                     "the shape of the measurement.")
  if isinstance(problem.loss, noise.Noise):
    predicted, measured = _as_real(predicted), _as_real(problem.measurement)
    return average(problem.loss.loss(predicted, measured, average)) / problem.unit ** 2
  values = problem.loss(predicted, problem.measurement)
  if jnp.iscomplexobj(values):
    raise ValueError(f"loss gives {values.dtype} values; allowed: real ones.")
  if jnp.shape(values) not in ((), jnp.shape(problem.measurement)):
    raise ValueError(f"loss gives {jnp.shape(values)}; allowed: {jnp.shape(problem.measurement)}, a loss of every measured "
                     "value, or one number.")
  if values.ndim == 0 and seen is not None:
    raise ValueError("loss gives one number, of which no measured value can be left out; allowed with lost or held-out "
                     "values: the loss of every value.")
  if jnp.iscomplexobj(problem.measurement) and values.ndim:
    values = values[..., None]
  return values if values.ndim == 0 else average(values)


def _fit_step(apply, params, problem: Problem, key, input_noise: float = 0):
  """Return (data fit, image) of a generator for what a step fits: the measurement as it is, or one made anew."""
  net_input, problem = _recorruption.pose_step(problem, key)
  if input_noise:
    net_input = net_input + input_noise * random.normal(key, 0, net_input.shape, net_input.dtype)
  image = _recorruption.apply_turned(apply, params, net_input, problem, key)
  return data_fit(image, problem, problem.valid if problem.fitted is None else problem.fitted), image


def mask_objective(apply, *, temperature: float):
  """OES, stage 1: data fit under relaxed gates + kl_weight * KL(mask || prior).

  The fit is a MEAN over measured values, the KL a SUM over weights; `kl_weight` (1e-9 in
  the authors' code) has its meaning only with that pairing. The trainable tree is the mask
  logits, the frozen one (params at initialisation, prior probability that a weight is kept, kl_weight). Gates
  that are held open (`masks.initial_logits`) add a constant to the KL, and their logit to the mean.

  Args:
    apply: function (params, net_input) -> image of a generator.
    temperature: temperature of the relaxed gates, above 0.
  """
  def objective(mask_logits, frozen, problem, key):
    params, keep_fraction, kl_weight = frozen
    gates = masks.sample_relaxed_mask(key, mask_logits, temperature=temperature)
    mse, image = _fit_step(apply, masks.apply_mask(params, gates), problem, key)
    kl = masks.kl_to_prior(mask_logits, keep_fraction)
    measured = {"mse": mse, "kl": kl, "mean_logit": masks.mean_logit(mask_logits)}
    return mse + kl_weight * kl, (image, measured)
  return objective


def weight_objective(apply, *, input_noise: float = 0):
  """OES, stage 2: data fit of the masked generator.

  The trainable tree is the params, the frozen one the mask. With `input_noise` every step adds Gaussian noise of that
  standard deviation to the network input (Ulyanov et al. 2018); without it, and without a recorruption, nothing is random
  here.

  Args:
    apply: function (params, net_input) -> image of a generator.
    input_noise: standard deviation, at least 0; the network input lies in [0, 0.1).
  """
  def objective(params, mask, problem, key):
    mse, image = _fit_step(apply, masks.apply_mask(params, mask), problem, key, input_noise)
    return mse, (image, {"mse": mse})
  return objective
