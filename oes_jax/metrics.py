"""Image quality against a known truth. Only ever used to score, never to stop or choose."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from skimage.metrics import structural_similarity


class Valid(NamedTuple):
  """Which values count: of a frame, those of the image inside it; of a measurement, those that were made.

  Attributes:
    pixels: [..., 1], 1 or 0; the last axis, channels, is alike.
    count: how many are 1.
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
  """
  return -10 * jnp.log10(mean(jnp.square(image - truth), valid))


def ssim(image, truth) -> float:
  """Structural similarity, data range 1, scikit-image's 7 x 7 window, mean over channels."""
  return float(structural_similarity(np.asarray(truth), np.asarray(image),
                                     data_range=1.0, channel_axis=-1))


def radial_power_spectrum(image) -> tuple[np.ndarray, np.ndarray]:
  """Return (frequency, share of power) of an [H, W, C] image, over rings of spatial frequency.

  The mean is taken off and the channels' powers are added. Frequencies are the rings' middles, in
  cycles per pixel up to 0.5 (beyond it are only corners of the spectrum), the shares add up to 1; both
  [min(H, W) // 2]. A constant image has shares of 0.
  """
  image = np.asarray(image, np.float64)
  power = (np.abs(np.fft.fft2(image - image.mean((0, 1)), axes=(0, 1))) ** 2).sum(-1)
  radius = np.hypot(np.fft.fftfreq(image.shape[0])[:, None], np.fft.fftfreq(image.shape[1]))
  count = min(image.shape[:2]) // 2
  edges = (np.arange(count + 1) + 0.5) / (2 * count)
  shares = np.histogram(radius, edges, weights=power)[0]
  return np.arange(1, count + 1) / (2 * count), shares / max(shares.sum(), np.finfo(float).tiny)
