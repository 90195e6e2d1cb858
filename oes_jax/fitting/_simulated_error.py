"""How good a restoration is, without the truth: by restorations of measurements that are simulated of it."""

from typing import Any, Mapping, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from oes_jax.fitting import _plug_and_play
from oes_jax.fitting import _recorruption

_DRAWS = 2
_AROUND = 2.0  # pixels, the standard deviation of what "around" means
_FOLDED = 1_000_000  # into the key: no draw of `restored_image`
# How much better than it is a restoration seems by simulation, dB: what there is always, and for each dB by which the next one
# seems better still; and the standard deviation of what is left. By least absolute deviations, of the estimate alone, on 13
# crops of bundled images, noise of 0.01 to 0.2, six operators (2026-11-28).
_OPTIMISM, _PER_DECIBEL, _SPREAD = 0.3, 1.9, 1.1


class SimulatedError(NamedTuple):
  """Squared errors of restorations of simulated measurements, in the mean over draws of the noise, in the unit range.

  The two rows of `measured` and `again` are of what is simulated of the combined image and of the classical estimate.

  Attributes:
    local: [H, W, 1], of the combined image's, in the mean over its channels.
    measured: [2], of what is measured of an image without noise, in the mean over the values that are fitted.
    again: [2], the same of a restoration of that restoration.
  """
  local: Any
  measured: Any
  again: Any


def simulate(problem, image, key):
  """Return a measurement of an image, with noise as strong as that of a Problem with a recorruption."""
  measured = problem.unit * problem.recorruption.noise.add(key, problem.forward(image) / problem.unit)
  if jnp.iscomplexobj(measured):
    return measured
  return jnp.clip(measured, jnp.min(problem.measurement), jnp.max(problem.measurement))  # what was measured may have been clipped


def error_of_measured(problem, image, truth):
  """Return the mean square of what is measured of an image less what is of the truth, over the values that are fitted."""
  clean, seen = problem.forward(truth) / problem.unit, _recorruption.seen_parts(problem)
  parts = jnp.ones(()) if seen is None else _plug_and_play.of_values(seen, clean)
  parts = jnp.broadcast_to(parts, clean.shape)
  return jnp.sum(parts * jnp.abs(problem.forward(image) / problem.unit - clean) ** 2) / jnp.sum(parts)


def simulate_error(problem, combined: _plug_and_play.Combination, key) -> SimulatedError:
  """Restore measurements that are simulated of a restoration, which stands for the truth: a parametric bootstrap (Efron 1979).

  It is measured, with noise as strong, and `plug_and_play` restores it; then the same is done with what came of it. Each time some
  detail is lost, and each time there is less to lose: how much less tells of what the restoration itself has lost.

  Args:
    problem: Problem with a recorruption and a linear `forward`.
    combined: restoration of it.
    key: PRNG key of the simulated noise.
  """
  problem = _recorruption.with_all_seen(problem)

  def restore(image, key):
    found = _plug_and_play.plug_and_play(problem.replace(measurement=simulate(problem, image, key)), image.shape)
    return found, error_of_measured(problem, found, image)

  def once(image, number):
    first, second = jax.random.split(jax.random.fold_in(key, _FOLDED + number))
    found, measured = restore(image, first)
    return jnp.mean((found - image) ** 2, -1, keepdims=True), measured, restore(found, second)[1]

  images = jnp.repeat(jnp.stack([combined.output, combined.estimate]), _DRAWS, 0)
  local, *values = jax.lax.map(lambda pair: once(*pair), (images, jnp.arange(2 * _DRAWS)))
  return SimulatedError(jnp.mean(local[:_DRAWS], 0), *(jnp.mean(value.reshape(2, _DRAWS), 1) for value in values))


def expected_psnr(simulated: SimulatedError) -> tuple[float, float]:
  """Return (PSNR in dB that a restoration is expected to have, standard deviation), of what the operator measures of it.

  It is the PSNR, at data range 1, of what is measured of the restoration without noise against what is of the truth: in denoising of
  the image itself. What an operator does not measure it cannot see. Of the two rows the lower one is taken.

  Args:
    simulated: SimulatedError of the restoration.
  """
  once, twice = (-10 * np.log10(np.maximum(np.asarray(error, np.float64), 1e-12)) for error in (simulated.measured, simulated.again))
  return float(np.min(once - _OPTIMISM - _PER_DECIBEL * np.maximum(twice - once, 0))), _SPREAD


def say_of(of: str) -> str:
  """Return " of ..." to stand after an expected PSNR: what of is not mistaken for the image."""
  return f" of the {of}" if of == "image" else f" of the {of}, not of the image"


def say_expected_psnr(expected: Mapping[str, Any]) -> str:
  """Return what summary.json says of the expected PSNR in words: its value, its spread, and of what it is."""
  return f"{expected['psnr']:.1f} \N{PLUS-MINUS SIGN} {expected['spread']:.1f} dB{say_of(expected['of'])}"


def expected_error(simulated: SimulatedError, expected: float):
  """Return the error that every pixel is expected to have, the root of the mean square around it, [H, W] in the unit range.

  Args:
    simulated: SimulatedError of the restoration.
    expected: PSNR in dB that the whole image is expected to have.
  """
  local = ndimage.gaussian_filter(np.asarray(simulated.local, np.float64)[..., 0], _AROUND)
  return np.sqrt(local * 10 ** (-expected / 10) / max(local.mean(), 1e-12)).astype(np.float32)
