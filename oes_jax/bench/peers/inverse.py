"""Classical methods for the inverse problems that operators pose; of the truth they are told the noise level alone."""

from typing import Any, Callable, NamedTuple

import jax
import numpy as np
from skimage import restoration
from skimage import transform

from oes_jax.bench.peers import denoisers
from oes_jax import fitting
from oes_jax import noise
from oes_jax import operators

# Weight of total variation, in units of the noise in the image that the adjoint gives: of 1/4, 1/2, 1, 2 and 4 the
# best on a crop of chelsea (mri, tomography: of camera), which are not among the problems' images.
_TV_WEIGHTS = {"inpainting": 0.5, "super_resolution": 2.0, "deblurring": 1.0, "mri": 0.5, "tomography": 2.0}
_TV_ITERATIONS = 100
# Of plug-and-play: (iterations, lambda, the last noise level in units of the measurement's), on such crops (chelsea from
# row 90, column 130, camera from 100, 200; 96 x 96) the best of 8 and 24; 0.015, 0.03, 0.06, 0.12, 0.23 and 0.46; 1/8, 1/4,
# 1/2, 1 and 2. As published for DPIR: 8 to 40; 0.23; 1.
_PLUGS = {"inpainting": (24, 0.06, 0.5), "super_resolution": (8, 0.015, 1.0), "deblurring": (8, 0.06, 0.125),
          "mri": (24, 0.23, 0.125), "tomography": (8, 0.12, 0.125)}
# The first noise level, of DPIR, and steps of conjugate gradients in every iteration.
_FIRST_LEVEL, _GRADIENTS = 49 / 255, 30


class Given(NamedTuple):
  """What a classical method knows.

  Attributes:
    operator: the operator that made the measurement.
    op_params: the operator's parameters, a tree as its `init` returns it.
    values: the measurement, in the unit range.
    shape: the image's shape, (H, W, C).
    angles: the angles of a tomography, [N], in degrees; other operators ignore them.
    sigma: the standard deviation of the measurement's noise, in units of the unit range.
  """
  operator: operators.ForwardOperator
  op_params: Any
  values: np.ndarray
  shape: tuple[int, int, int]
  angles: np.ndarray
  sigma: float


def _biharmonic(given: Given):
  return restoration.inpaint_biharmonic(given.values, given.op_params[..., 0] == 0, channel_axis=-1)


def _deconvolved(function: Callable[[np.ndarray, np.ndarray], np.ndarray]):
  """Apply a deconvolution of [h, w] to every channel, reflected at its edges as the operator has it."""
  def solve(given: Given):
    kernel = np.asarray(given.op_params, np.float64)
    reach = [(2 * side, 2 * side) for side in kernel.shape]
    planes = []
    for channel in range(given.shape[2]):
      padded = np.pad(given.values[..., channel], reach, mode="reflect")
      planes.append(function(padded, kernel)[reach[0][0]:-reach[0][1], reach[1][0]:-reach[1][1]])
    return np.stack(planes, -1)
  return solve


def _sart(given: Given):
  """Two passes of the simultaneous algebraic reconstruction technique over all angles."""
  planes = []
  for channel in range(given.shape[2]):
    sinogram, image = np.array(given.values[..., channel], np.float64, order="C"), None
    for _ in range(2):
      image = transform.iradon_sart(sinogram, given.angles, image=image)
    top, left = (image.shape[0] // 2 - length // 2 for length in given.shape[:2])
    planes.append(image[top:top + given.shape[0], left:left + given.shape[1]])
  return np.stack(planes, -1)


def total_variation(given: Given, weight: float):
  """Minimise |A x - y|^2 / 2 + weight' TV(x) by FISTA (Beck and Teboulle 2009, SIAM J. Imaging Sci. 2:183).

  weight' is the weight times the standard deviation of the noise that A's adjoint carries into a pixel.

  Args:
    given: what is known of the measurement.
    weight: the weight of TV, in units of that standard deviation.

  Returns:
    The image, [H, W, C]; values may leave [0, 1].
  """
  forward = jax.jit(lambda image: given.operator.apply(given.op_params, image))
  back = jax.jit(lambda values: operators.adjoint(given.operator.apply, given.op_params, values, given.shape))
  vector = np.random.default_rng(0).choice([-1.0, 1.0], given.shape).astype(np.float32)
  column = float(np.sqrt(np.sum(np.square(forward(vector))) / vector.size))  # mean norm of A's columns
  for _ in range(30):  # the largest eigenvalue of A^T A
    vector = back(forward(vector))
    norm = float(np.linalg.norm(vector))
    vector = vector / norm
  tv = weight * given.sigma * given.operator.unit * column
  image = point = np.clip(given.operator.estimate(given.op_params, given.values), 0, 1)
  momentum = 1.0
  for _ in range(_TV_ITERATIONS):
    gradient = np.asarray(back(forward(point) - given.values), np.float64)
    new = restoration.denoise_tv_chambolle(
        np.asarray(point, np.float64) - gradient / norm, weight=tv / norm, max_num_iter=50, channel_axis=-1)
    following = (1 + np.sqrt(1 + 4 * momentum ** 2)) / 2
    point = np.float32(new + (momentum - 1) / following * (new - image))
    image, momentum = new, following
  return image


def plug_and_play(given: Given, iterations: int, prior: float, last: float):
  """Minimise |A x - y|^2 / 2 with a denoiser in the place of a prior: half-quadratic splitting in turns.

  Plug-and-play priors (Venkatakrishnan et al. 2013, GlobalSIP) with the falling noise levels of DPIR (Zhang et al. 2021,
  arXiv 2008.13751), and non-local means, which takes all channels of a pixel together, for their network.

  Args:
    given: what is known of the measurement.
    iterations: the number of noise levels.
    prior: DPIR's lambda, the weight of the denoised image.
    last: the noise level that is taken off last, in units of the measurement's.

  Returns:
    The image, [H, W, C] in [0, 1].
  """
  forward = lambda image: given.operator.apply(given.op_params, image)
  back = lambda values: operators.adjoint(given.operator.apply, given.op_params, values, given.shape)
  @jax.jit
  def fit(image, weight):  # the minimum of |A x - y|^2 + weight |x - image|^2
    return jax.scipy.sparse.linalg.cg(lambda x: back(forward(x)) + weight * x, back(given.values) + weight * image,
                                      x0=image, maxiter=_GRADIENTS)[0]
  image = np.clip(given.operator.estimate(given.op_params, given.values), 0, 1)
  for level in np.geomspace(_FIRST_LEVEL, last * given.sigma, iterations):
    image = fit(image, np.float32(prior * (given.sigma * given.operator.unit / level) ** 2))
    image = denoisers.denoise("non-local means, told sigma", np.asarray(image), level)
  return image


def _sliding_dct(given: Given):
  """Return the estimate that `weights.combine` mixes in."""
  problem = fitting.pose(given.operator, given.op_params, given.values, noise.Noise("gaussian"), None,
                         seen=given.operator.seen(given.op_params),
                         recorruption=fitting.Recorruption(noise.gaussian(given.sigma)))
  return jax.jit(lambda problem: fitting.plug_and_play(problem, given.shape))(problem)


def _told(name: str):
  return {"total variation, told sigma": lambda given: total_variation(given, _TV_WEIGHTS[name]),
          "plug-and-play, non-local means": lambda given: plug_and_play(given, *_PLUGS[name]),
          "plug-and-play, sliding DCT": _sliding_dct}


def _denoised(name: str):
  return lambda given: denoisers.denoise(name, given.values, given.sigma)


def solve(name: str, peer: str, given: Given) -> np.ndarray:
  """Solve an inverse problem with a classical method.

  Args:
    name: the operator's name, a key of PEERS.
    peer: the method's name, a key of PEERS[name].
    given: what is known of the measurement.

  Returns:
    The image, [H, W, C] in [0, 1], float32.
  """
  return np.clip(PEERS[name][peer](given), 0, 1).astype(np.float32)


PEERS = {
    "identity": {name: _denoised(name) for name in denoisers.available() if name.endswith("sigma")},
    "inpainting": {"biharmonic inpainting": _biharmonic, **_told("inpainting")},
    "super_resolution": _told("super_resolution"),
    "mri": _told("mri"),
    "deblurring": {
        "Richardson-Lucy, 10 iterations": _deconvolved(
            lambda plane, kernel: restoration.richardson_lucy(plane, kernel, num_iter=10)),
        "Richardson-Lucy, 30 iterations": _deconvolved(
            lambda plane, kernel: restoration.richardson_lucy(plane, kernel, num_iter=30)),
        "unsupervised Wiener": _deconvolved(
            lambda plane, kernel: restoration.unsupervised_wiener(plane, kernel, clip=False, rng=0)[0]),
        **_told("deblurring")},
    "tomography": {"SART, 2 passes": _sart, **_told("tomography")},
}
