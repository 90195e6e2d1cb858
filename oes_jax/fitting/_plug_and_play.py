"""A classical estimate of what was measured, and the mix of it with a generator's image."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from oes_jax import noise
from oes_jax import sliding_dct
from oes_jax.fitting import _recorruption

# The first noise level that is taken off, about that of DPIR.
_FIRST_LEVEL = 0.2
# Standard deviation of the shares, around 1/2, before anything is known of them.
_SPREAD = 0.25
# Noise, in the unit range, below which a mix has to fit all values, and by how much worse than the estimate, in variances.
_WEAK, _SLACK = 0.015, 0.1
# Noise levels, and steps of conjugate gradients at each.
_LEVELS, _GRADIENTS = 16, 8


class Combination(NamedTuple):
  """The mix of a generator's image and a classical estimate.

  Attributes:
    output: [H, W, C], share * the generator's image + (1 - share) * the estimate.
    estimate: [H, W, C], of `plug_and_play`.
    share: in [0, 1], of the generator's image.
    error: SimulatedError of the output, or None.
    unseen: [H, W, C], the same mix where both were made without the held-out values, which score it.
  """
  output: Any
  estimate: Any
  share: Any
  error: Any = None
  unseen: Any = None


def noise_level(problem):
  """Return the standard deviation of the noise of a measured value, in the unit range: of Poisson noise the mean one."""
  model, strength = problem.recorruption.noise.model, problem.recorruption.noise.strength
  mean = jnp.mean(jnp.abs(problem.measurement)) / problem.unit
  shot = mean / strength.peak if "peak" in noise.NOISE_MODELS[model].reads else 0
  read = strength.sigma if "sigma" in noise.NOISE_MODELS[model].reads else 0
  return jnp.sqrt(jnp.asarray(shot + read ** 2, mean.dtype))


def of_values(parts, measurement):
  """Return parts [..., 1] in a shape that goes with the measured values: complex values have none for their parts."""
  return parts[..., 0] if jnp.iscomplexobj(measurement) else parts


def fitted_weights(problem):
  """Return which measured values are used, in a shape that goes with them, or 1: all."""
  seen = _recorruption.seen_parts(problem)
  return 1 if seen is None else of_values(seen, problem.measurement)


def transposed(problem, image_shape: tuple[int, int, int]):
  """Return the adjoint of a linear problem's `forward`, of complex values as of pairs: values -> image."""
  transpose = jax.linear_transpose(problem.forward, jax.ShapeDtypeStruct(image_shape, jnp.result_type(float)))
  return lambda values: transpose(jnp.conj(values))[0]


def plug_and_play(problem, image_shape: tuple[int, int, int]):
  """Solve a linear problem with a denoiser in the place of a prior: half-quadratic splitting in turns.

  Plug-and-play priors (Venkatakrishnan et al. 2013, GlobalSIP) with the falling noise levels of DPIR (Zhang et al. 2021,
  arXiv 2008.13751), and `sliding_dct.denoise` in the place of its network. Nothing is trained. Traceable.

  Args:
    problem: Problem with a recorruption, which knows the noise, and a linear `forward`; only what is `fitted` is used.
    image_shape: (H, W, C) of the image.

  Returns:
    The image, [H, W, C] in [0, 1].
  """
  weights = fitted_weights(problem)
  like = jax.ShapeDtypeStruct(image_shape, jnp.result_type(float))
  back = transposed(problem, image_shape)
  level, (prior, last) = noise_level(problem), problem.plug_and_play
  fitted = back(weights * problem.measurement)
  image = jnp.full(image_shape, 0.5, like.dtype)
  if problem.first_image is not None:
    image = _recorruption.network_input(problem)[..., :image_shape[2]]

  def turn(image, taken_off):
    weight = prior * (level * problem.unit / taken_off) ** 2
    normal = lambda x: back(weights * problem.forward(x)) + weight * x
    nearest = jax.scipy.sparse.linalg.cg(normal, fitted + weight * image, x0=image, maxiter=_GRADIENTS)[0]
    return sliding_dct.denoise(nearest, taken_off), None

  levels = jnp.geomspace(jnp.maximum(_FIRST_LEVEL, last * level), last * level, _LEVELS)
  return jnp.clip(jax.lax.scan(turn, jnp.clip(image, 0, 1), levels)[0], 0, 1)


def _explained_share(problem, image, estimate):
  """Return the largest share, in [0, 1], with which the mix fits the values as well as the estimate, but for a tenth of the noise.

  Where noise is weak, values that are held out are missed by what is between pixels, not by noise: they hardly tell a network
  that has lost all detail from an estimate that was made without them.
  """
  problem = _recorruption.with_all_seen(problem)
  seen = _recorruption.seen_parts(problem)
  values = problem.forward(estimate)
  weights = jnp.broadcast_to(1.0 if seen is None else of_values(seen, problem.measurement), values.shape)
  left, change = weights * (problem.measurement - values), weights * (problem.forward(image) - values)
  slack = _SLACK * jnp.sum(weights) * (noise_level(problem) * problem.unit) ** 2
  along, length = jnp.vdot(left, change).real, jnp.vdot(change, change).real
  return ((along + jnp.sqrt(along ** 2 + slack * length)) / jnp.maximum(length, jnp.finfo(length.dtype).tiny)).clip(0, 1)


def combine(apply, params, problem, key, image) -> Combination:
  """Mix a generator's image with the plug-and-play estimate, as the values say that neither has seen.

  The share is the one whose mix fits the held-out values best, in the mean of squares (stacked regressions, Breiman 1996),
  drawn to 1/2 as far as they are few and noisy (ridge regression). For it both are made without these values; what is
  mixed was made with all.

  Args:
    apply: function (params, net_input) -> image of a generator.
    params: trained params.
    problem: Problem with held-out values, a recorruption and a linear `forward`.
    key: PRNG key of the draws.
    image: the generator's image of all values, [H, W, C].
  """
  held = of_values(problem.held_out.pixels, problem.measurement)
  without = _recorruption.restored_image(apply, params, problem, key), plug_and_play(problem, image.shape)
  network, classical = map(problem.forward, without)
  difference, error = held * (network - classical), held * (problem.measurement - classical)
  ridge = (noise_level(problem) * problem.unit / _SPREAD) ** 2
  share = ((jnp.vdot(difference, error).real + ridge / 2) / (jnp.vdot(difference, difference).real + ridge)).clip(0, 1)
  estimate = plug_and_play(_recorruption.with_all_seen(problem), image.shape)
  share = jnp.where(noise_level(problem) < _WEAK, jnp.minimum(share, _explained_share(problem, image, estimate)), share)
  mix = lambda image, estimate: share * image + (1 - share) * estimate
  return Combination(mix(image, estimate), estimate, share, unseen=mix(*without))
