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


def posed(given: Given) -> fitting.Problem:
  """Return the Problem of what a classical method knows."""
  return fitting.pose(given.operator, given.op_params, given.values, noise.Noise("gaussian"), None,
                      seen=given.operator.seen(given.op_params),
                      recorruption=fitting.Recorruption(noise.gaussian(given.sigma)))


def total_variation(given: Given, weight: float):
  """Restore by `fitting.total_variation`, from the first estimate; values may leave [0, 1]."""
  return fitting.total_variation(posed(given), given.operator.estimate(given.op_params, given.values), weight)


def plug_and_play(given: Given, iterations: int, prior: float, last: float):
  """Restore by `fitting.plugged_non_local_means`, from the first estimate."""
  return fitting.plugged_non_local_means(
      posed(given), given.operator.estimate(given.op_params, given.values), iterations, prior, last)


def _sliding_dct(given: Given):
  """Return the estimate that `weights.combine` mixes in."""
  return jax.jit(lambda problem: fitting.plug_and_play(problem, given.shape))(posed(given))


def _told(name: str):
  return {"total variation, told sigma": lambda given: total_variation(given, fitting.TV_WEIGHTS[name]),
          "plug-and-play, non-local means": lambda given: plug_and_play(given, *fitting.PLUGS[name]),
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
