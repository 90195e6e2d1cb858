"""Classical restorations of a linear problem, without a network: total variation, non-local means, BM3D."""

import importlib.util
from typing import Any, Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from skimage import restoration

from oes_jax.fitting import _plug_and_play
from oes_jax.fitting import _recorruption

# Weight of total variation, in units of the noise in the image that the adjoint gives: of 1/4, 1/2, 1, 2 and 4 the
# best on a crop of chelsea (mri, tomography: of camera), by operator.
TV_WEIGHTS = {"inpainting": 0.5, "super_resolution": 2.0, "deblurring": 1.0, "mri": 0.5, "tomography": 2.0}
_TV_ITERATIONS = 100
# Of plug-and-play with non-local means: (iterations, lambda, the last noise level in units of the measurement's), on such crops
# (chelsea from row 90, column 130, camera from 100, 200; 96 x 96) the best of 8 and 24; 0.015, 0.03, 0.06, 0.12, 0.23 and
# 0.46; 1/8, 1/4, 1/2, 1 and 2. As published for DPIR: 8 to 40; 0.23; 1.
PLUGS = {"inpainting": (24, 0.06, 0.5), "super_resolution": (8, 0.015, 1.0), "deblurring": (8, 0.06, 0.125),
         "mri": (24, 0.23, 0.125), "tomography": (8, 0.12, 0.125)}
_OWN_PLUG = (8, 0.23, 1.0)  # of an operator that is none of these: as published
# The first noise level, of DPIR, and steps of conjugate gradients in every iteration.
_FIRST_LEVEL, _GRADIENTS = 49 / 255, 30


def total_variation(problem, start, weight: float) -> np.ndarray:
  """Minimise |A x - y|^2 / 2 + weight' TV(x) by FISTA (Beck and Teboulle 2009, SIAM J. Imaging Sci. 2:183).

  weight' is the weight times the standard deviation of the noise that A's adjoint carries into a pixel.

  Args:
    problem: Problem with a recorruption, which knows the noise, and a linear `forward`, A; only what is `fitted` is used.
    start: first image, [H, W, C].
    weight: weight of TV, in units of that standard deviation.

  Returns:
    The image, [H, W, C]; values may leave [0, 1].
  """
  seen, shape = _plug_and_play.fitted_weights(problem), np.shape(start)
  forward = jax.jit(lambda image: seen * problem.forward(image))
  back = jax.jit(lambda values: _plug_and_play.transposed(problem, shape)(seen * values))
  measured = seen * problem.measurement
  vector = np.random.default_rng(0).choice([-1.0, 1.0], shape).astype(np.float32)
  column = float(np.sqrt(np.sum(np.abs(forward(vector)) ** 2) / vector.size))  # mean norm of A's columns
  for _ in range(30):  # the largest eigenvalue of A^T A
    vector = back(forward(vector))
    norm = float(np.linalg.norm(vector))
    vector = vector / norm
  tv = weight * float(_plug_and_play.noise_level(problem)) * problem.unit * column
  image = point = np.clip(start, 0, 1)
  momentum = 1.0
  for _ in range(_TV_ITERATIONS):
    gradient = np.asarray(back(forward(point) - measured), np.float64)
    new = restoration.denoise_tv_chambolle(
        np.asarray(point, np.float64) - gradient / norm, weight=tv / norm, max_num_iter=50, channel_axis=-1)
    following = (1 + np.sqrt(1 + 4 * momentum ** 2)) / 2
    point = np.float32(new + (momentum - 1) / following * (new - image))
    image, momentum = new, following
  return image


def plugged_non_local_means(problem, start, iterations: int, prior: float, last: float) -> np.ndarray:
  """Minimise |A x - y|^2 / 2 with non-local means in the place of a prior: half-quadratic splitting in turns.

  Plug-and-play priors (Venkatakrishnan et al. 2013, GlobalSIP) with the falling noise levels of DPIR (Zhang et al. 2021,
  arXiv 2008.13751), and non-local means, which takes all channels of a pixel together, for their network.

  Args:
    problem: as of `total_variation`.
    start: first image, [H, W, C].
    iterations: number of noise levels.
    prior: DPIR's lambda, the weight of the denoised image.
    last: noise level that is taken off last, in units of the measurement's.

  Returns:
    The image, [H, W, C] in [0, 1].
  """
  seen, back = _plug_and_play.fitted_weights(problem), _plug_and_play.transposed(problem, np.shape(start))
  sigma = float(_plug_and_play.noise_level(problem))
  @jax.jit
  def fit(image, weight):  # the minimum of |A x - y|^2 + weight |x - image|^2
    return jax.scipy.sparse.linalg.cg(lambda x: back(seen * problem.forward(x)) + weight * x,
                                      back(seen * problem.measurement) + weight * image, x0=image, maxiter=_GRADIENTS)[0]
  image = np.clip(start, 0, 1)
  for level in np.geomspace(_FIRST_LEVEL, last * sigma, iterations):
    image = fit(jnp.asarray(image), np.float32(prior * (sigma * problem.unit / level) ** 2))
    image = _clipped(non_local_means)(np.asarray(image), level)
  return image


def non_local_means(image, sigma: float):
  """Denoise by non-local means (Buades et al. 2005), fast form of scikit-image.

  Args:
    image: noisy image, [H, W, C] in [0, 1].
    sigma: standard deviation of its noise.
  """
  return restoration.denoise_nl_means(
      image, h=0.8 * sigma, sigma=sigma, patch_size=5, patch_distance=6, fast_mode=True, channel_axis=-1)


def bm3d(image, sigma: float):
  """Denoise by BM3D (Dabov et al. 2007) of the package bm3d, an extra: its licence is not ours.

  Args:
    image: noisy image, [H, W, C] in [0, 1].
    sigma: standard deviation of its noise.
  """
  import bm3d as package  # pylint: disable=import-outside-toplevel
  return (package.bm3d_rgb if image.shape[-1] == 3 else package.bm3d)(image, sigma)


def _clipped(denoise: Callable[[Any, float], Any]) -> Callable[[Any, float], np.ndarray]:
  """Return a denoiser of double precision whose image is in [0, 1], of the shape of what it is given, in single precision."""
  return lambda image, sigma: np.clip(
      np.reshape(denoise(np.asarray(image, np.float64), sigma), image.shape), 0, 1).astype(np.float32)


def classical_restorations(operator: str, image_shape: tuple[int, int, int]) -> Iterator[tuple[str, Callable[[Any], np.ndarray]]]:
  """Yield (name, function Problem -> image [H, W, C] in [0, 1]) of every classical method that is there, the quickest first.

  Only what is `fitted` is used: of denoisers, what is held out is replaced by what the plug-and-play estimate has there.

  Args:
    operator: name of the operator that made the measurement.
    image_shape: (H, W, C) of the image.
  """
  estimate = jax.jit(lambda problem: _plug_and_play.plug_and_play(problem, image_shape))
  yield "plug-and-play", lambda problem: np.asarray(estimate(problem))

  def denoised(denoise):
    def restore(problem):
      filled, seen = np.asarray(problem.measurement), _recorruption.seen_parts(problem)
      filled = filled if seen is None else np.where(np.asarray(seen) > 0, filled, estimate(problem))
      return _clipped(denoise)(filled, float(_plug_and_play.noise_level(problem)))
    return restore

  if operator == "identity":
    yield "non-local means", denoised(non_local_means)
  else:
    plugs = PLUGS.get(operator, _OWN_PLUG)
    yield "non-local means", lambda problem: plugged_non_local_means(problem, estimate(problem), *plugs)
  weight = TV_WEIGHTS.get(operator, 1.0)
  yield "total variation", lambda problem: np.clip(
      total_variation(problem, np.asarray(estimate(problem)), weight), 0, 1).astype(np.float32)
  if operator == "identity" and importlib.util.find_spec("bm3d"):
    yield "BM3D", denoised(bm3d)
