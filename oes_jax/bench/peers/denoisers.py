"""Denoisers that are no deep image priors: scikit-image's, BM3D, our sliding DCT and ZS-N2N. What a prior has to beat.

All but ZS-N2N are told the standard deviation of the noise.
"""

import importlib.metadata
import importlib.util

import jax
import numpy as np
from skimage import restoration

import oes_jax
from oes_jax.bench.peers import zs_n2n
from oes_jax import fitting
from oes_jax import sliding_dct


def _total_variation(measurement, sigma):
  return restoration.denoise_tv_chambolle(measurement, weight=sigma, channel_axis=-1)


def _wavelets(measurement, sigma):
  return restoration.denoise_wavelet(
      measurement, sigma=sigma, method="BayesShrink", mode="soft", rescale_sigma=True,
      convert2ycbcr=measurement.shape[-1] == 3, channel_axis=-1)


def _sliding_dct(measurement, sigma):
  return np.asarray(jax.jit(sliding_dct.denoise)(np.float32(measurement), np.float32(sigma)))


def available() -> list[str]:
  """Return the names of the denoisers that can run here: BM3D only where it is installed."""
  return [name for name in DENOISERS if name != "BM3D, told sigma" or importlib.util.find_spec("bm3d")]


def version(name: str) -> str:
  """Return the version of the package that a denoiser comes from.

  Args:
    name: a name that `available` returns.
  """
  if name in ("ZS-N2N", "sliding DCT, told sigma"):
    return f"{oes_jax.__version__}, JAX {jax.__version__}"
  return importlib.metadata.version("bm3d" if name == "BM3D, told sigma" else "scikit-image")


def denoise(name: str, measurement: np.ndarray, sigma: float) -> np.ndarray:
  """Denoise an image with one denoiser.

  Args:
    name: a name that `available` returns.
    measurement: the noisy image, [H, W, C] in [0, 1].
    sigma: the standard deviation of its noise, in units of that range.

  Returns:
    The denoised image, [H, W, C] in [0, 1], float32.
  """
  image = DENOISERS[name](measurement.astype(np.float64), sigma)
  return np.clip(np.reshape(image, measurement.shape), 0, 1).astype(np.float32)


DENOISERS = {"non-local means, told sigma": fitting.non_local_means,
             "total variation, weight sigma": _total_variation,
             "wavelets (BayesShrink), told sigma": _wavelets,
             "BM3D, told sigma": fitting.bm3d,
             "sliding DCT, told sigma": _sliding_dct,
             "ZS-N2N": lambda measurement, sigma: zs_n2n.denoise(measurement)}
