"""Image quality against a known truth. Only ever used to score, never to stop or choose."""

import jax.numpy as jnp
import numpy as np
from skimage.metrics import structural_similarity


def psnr(image, truth):
  """Peak signal-to-noise ratio in dB, -10 log10(mean squared error), data range 1.

  Args:
    image: [H, W, C] in (0, 1).
    truth: [H, W, C] in [0, 1].
  """
  return -10 * jnp.log10(jnp.mean(jnp.square(image - truth)))


def ssim(image, truth) -> float:
  """Structural similarity, data range 1, scikit-image's 7 x 7 window, mean over channels."""
  return float(structural_similarity(np.asarray(truth), np.asarray(image),
                                     data_range=1.0, channel_axis=-1))
