"""How good a restoration is expected to be while it goes on: a classical estimate, and what held-out values say against it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from oes_jax.fitting import _plug_and_play
from oes_jax.fitting import _simulated_error

_MOST = 6.0  # dB by which held-out values, which are few, may move what is expected

_plug_and_play_of = jax.jit(_plug_and_play.plug_and_play, static_argnums=1)
_simulate = jax.jit(_simulated_error.simulate)
_error_of_measured = jax.jit(_simulated_error.error_of_measured)


class Classical(NamedTuple):
  """A classical estimate.

  Attributes:
    image: [H, W, C] in the unit range, of `plug_and_play`.
    psnr: PSNR in dB that it is expected to have, as `expected_psnr` says.
  """
  image: Any
  psnr: float


def estimate_classically(problem, image_shape: tuple[int, int, int]):
  """Return `plug_and_play` of a Problem with a recorruption and a linear `forward`, without its held-out values, compiled."""
  return _plug_and_play_of(problem, image_shape)


def expect_of_classical(problem, image, key) -> Classical:
  """Return what is expected of a classical estimate, which takes two more of them.

  Args:
    problem: Problem with a recorruption and a linear `forward`.
    image: [H, W, C], of `estimate_classically`.
    key: PRNG key of the measurements that are simulated of it.
  """
  images, errors = [image], []
  for one in jax.random.split(key):
    measured = _simulate(problem, images[-1], one)
    images.append(_plug_and_play_of(problem.replace(measurement=measured), image.shape))
    errors.append(float(_error_of_measured(problem, images[-1], images[-2])))
  once, twice = ([error] for error in errors)
  return Classical(image, _simulated_error.expected_psnr(_simulated_error.SimulatedError(None, once, twice))[0])


@jax.jit
def _difference(problem, image, other):
  """Return how much more the squared error of an image is than that of another one, in the mean over held-out values."""
  held = _plug_and_play.of_values(problem.held_out.pixels, problem.measurement)
  errors = [jnp.abs(problem.forward(one) - problem.measurement) ** 2 for one in (image, other)]
  held = jnp.broadcast_to(held, errors[0].shape)
  return jnp.sum(held * (errors[0] - errors[1])) / jnp.sum(held) / problem.unit ** 2


def expected_so_far(problem, image, classical: Classical) -> float:
  """Return the PSNR in dB that an image is expected to have that has not seen the held-out values of a Problem.

  It is that of the classical estimate, which has not seen them either, and as much more or less as they fit better or worse: of two
  images the noise is the same, so that few values tell.

  Args:
    problem: Problem with held-out values.
    image: [H, W, C] in the unit range.
    classical: Classical of the problem.
  """
  expected = 10 ** (-classical.psnr / 10)
  error = expected + float(_difference(problem, image, classical.image))
  return float(-10 * np.log10(np.clip(error, expected * 10 ** (-_MOST / 10), 1)))
