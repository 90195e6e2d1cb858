"""Classical methods for the inverse problems that an operator poses, as scikit-image has them."""

from typing import Any, Callable

import numpy as np
from skimage import restoration
from skimage import transform


def _by_channel(function: Callable[[np.ndarray], np.ndarray], values: np.ndarray) -> np.ndarray:
  return np.stack([function(values[..., channel]) for channel in range(values.shape[-1])], -1)


def _biharmonic(values, op_params, settings, shape):
  del settings, shape
  return restoration.inpaint_biharmonic(values, op_params[..., 0] == 0, channel_axis=-1)


def _richardson_lucy(values, op_params, settings, shape):
  del settings, shape
  return _by_channel(lambda plane: restoration.richardson_lucy(plane, op_params, num_iter=10), values)


def _wiener(values, op_params, settings, shape):
  del settings, shape
  return _by_channel(lambda plane: restoration.unsupervised_wiener(plane, op_params, clip=False, rng=0)[0], values)


def _sart(values, op_params, settings, shape):
  """Two passes of the simultaneous algebraic reconstruction technique over all angles."""
  del op_params
  angles = np.linspace(0, 180, settings.angles, endpoint=False)
  def reconstruct(sinogram):
    image = transform.iradon_sart(sinogram, angles)
    image = transform.iradon_sart(sinogram, angles, image=image)
    side = image.shape[0]
    top, left = (side // 2 - length // 2 for length in shape[:2])
    return image[top:top + shape[0], left:left + shape[1]]
  return _by_channel(reconstruct, values)


def solve(name: str, peer: str, values: np.ndarray, op_params: Any, settings: Any, shape) -> np.ndarray:
  """Return the image [H, W, C] in [0, 1] that one of PEERS makes of a measurement.

  Args:
    name: of the operator.
    peer: a key of PEERS[name].
    values: the measurement, in the unit range.
    op_params: of the operator.
    settings: config.operator.
    shape: (H, W, C) of the image.
  """
  image = PEERS[name][peer](np.asarray(values, np.float64), op_params, settings, shape)
  return np.clip(image, 0, 1).astype(np.float32)


PEERS = {
    "identity": {},
    "inpainting": {"biharmonic inpainting": _biharmonic},
    "super_resolution": {},
    "mri": {},
    "deblurring": {"Richardson-Lucy, 10 iterations": _richardson_lucy, "unsupervised Wiener": _wiener},
    "tomography": {"SART, 2 passes": _sart},
    "fourier_rows": {},
    "gaussian_rows": {},
}
