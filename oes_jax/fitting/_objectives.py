"""The two objectives of OES: (trainable, frozen, problem, key) -> (loss, (image, metrics))."""

from typing import Any, Callable, NamedTuple

from oes_jax import masks
from oes_jax import metrics
from oes_jax import noise
from oes_jax import random


class Problem(NamedTuple):
  """One measurement to explain. Ground truth is kept apart: it is only ever scored.

  Attributes:
    net_input: [h, w, c], fixed random input of the generator.
    measurement: what the forward operator gives of the image, in the unit range.
    valid: pixels of the image, where it is smaller than its batch's frame; else None.
    fitted: values of the measurement that the objectives see; None: all that are valid.
    held_out: those that a guard sees in their place, or None.
    op_params: of the forward operator.
    strength: noise.Strength; () where the fit needs none.
  """
  net_input: Any
  measurement: Any
  valid: metrics.Valid | None = None
  fitted: metrics.Valid | None = None
  held_out: metrics.Valid | None = None
  op_params: Any = ()
  strength: Any = ()


class Prior(NamedTuple):
  """What the mask stage starts from and does not train; scalars are arrays, as images may differ.

  Attributes:
    params: at initialisation.
    keep_fraction: prior probability of the KL that a weight is kept, in (0, 1).
    kl_weight: of the KL term.
  """
  params: Any
  keep_fraction: Any
  kl_weight: Any


class Fit(NamedTuple):
  """How well an image explains a measurement.

  Attributes:
    forward: (op_params, image) -> what would be measured without noise.
    loss: of noise.NOISE_MODELS.
    unit: residual of a measured value that weighs as one of 1 in the image.
    view: what is scored of an image and of its truth.
  """
  forward: Callable[[Any, Any], Any] = lambda op_params, image: image
  loss: Callable[..., Any] = noise.NOISE_MODELS["gaussian"].loss
  unit: float = 1.0
  view: Callable[[Any], Any] = lambda image: image

  def __call__(self, image, problem: Problem, seen: metrics.Valid | None):
    """Return the mean loss over the measured values `seen`; None is all."""
    average = lambda values: metrics.mean(values, seen)
    predicted = self.forward(problem.op_params, image)
    return average(self.loss(predicted, problem.measurement, problem.strength, average)) / self.unit ** 2


def _data_fit(fit: Fit, image, problem):
  return fit(image, problem, problem.valid if problem.fitted is None else problem.fitted)


def make_mask_objective(apply, *, temperature: float, fit: Fit = Fit()):
  """OES, stage 1: data fit under relaxed gates + kl_weight * KL(mask || prior).

  The fit is a MEAN over measured values, the KL a SUM over weights; `kl_weight` (1e-9 in
  the authors' code) has its meaning only with that pairing. The trainable tree is the mask
  logits, the frozen one a Prior. Gates that are held open (`pruning.initial_logits`) add a constant to the
  KL, and their logit to the mean.
  """
  def objective(mask_logits, prior, problem, key):
    gates = masks.sample_relaxed_mask(key, mask_logits, temperature=temperature)
    image = apply(masks.apply_mask(prior.params, gates), problem.net_input)
    mse = _data_fit(fit, image, problem)
    kl = masks.kl_to_prior(mask_logits, prior.keep_fraction)
    measured = {"mse": mse, "kl": kl, "mean_logit": masks.mean_logit(mask_logits)}
    return mse + prior.kl_weight * kl, (image, measured)
  return objective


def make_weight_objective(apply, *, fit: Fit = Fit(), input_noise: float = 0):
  """OES, stage 2: data fit of the masked generator.

  The trainable tree is the params, the frozen one the mask. No weight decay: it would move
  weights that the mask has removed. With `input_noise` every step adds Gaussian noise of that standard
  deviation to the network input (Ulyanov et al. 2018); else nothing is random here.
  """
  def objective(params, mask, problem, key):
    net_input = problem.net_input
    if input_noise:
      net_input = net_input + input_noise * random.normal(key, 0, net_input.shape, net_input.dtype)
    image = apply(masks.apply_mask(params, mask), net_input)
    mse = _data_fit(fit, image, problem)
    return mse, (image, {"mse": mse})
  return objective
