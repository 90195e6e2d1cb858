"""Image quality against a known truth. Only ever used to score, never to stop or choose."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from skimage.metrics import structural_similarity


class Valid(NamedTuple):
  """Which values count: of a frame, those of the image inside it; of a measurement, those that were made.

  Attributes:
    pixels: [..., 1], 1 or 0; the last axis, channels, is alike.
    count: number of those that are 1.
  """
  pixels: Any
  count: Any


def mean(values, valid: Valid | None = None):
  """Return the mean of [..., C] over all values, or over the valid ones."""
  if valid is None:
    return jnp.mean(values)
  return jnp.sum(values * valid.pixels) / (valid.count * values.shape[-1])


def psnr(image, truth, valid: Valid | None = None):
  """Peak signal-to-noise ratio in dB, -10 log10(mean squared error), data range 1.

  Args:
    image: [H, W, C] in (0, 1).
    truth: [H, W, C] in [0, 1].
    valid: pixels to count; None is all.

  Example:
    >>> import jax.numpy as jnp
    >>> from oes_jax import metrics
    >>> truth = jnp.full((8, 8, 1), 0.5)
    >>> round(float(metrics.psnr(truth + 0.1, truth)), 3)
    20.0
  """
  if jnp.ndim(image) != jnp.ndim(truth):
    raise ValueError(f"image has shape {jnp.shape(image)}, truth {jnp.shape(truth)}; allowed: as many axes.")
  return -10 * jnp.log10(mean(jnp.square(image - truth), valid))


def ssim(image, truth) -> float:
  """Structural similarity, data range 1, scikit-image's 7 x 7 window, mean over channels."""
  return float(structural_similarity(np.asarray(truth), np.asarray(image),
                                     data_range=1.0, channel_axis=-1))
