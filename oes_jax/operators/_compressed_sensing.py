"""Compressed sensing: random rows of a Gaussian or a Fourier matrix."""

from typing import Sequence

import jax.numpy as jnp
import numpy as np

from oes_jax.operators import _mri
from oes_jax.operators import _operator


def _multiply(op_params, image):
  return op_params @ image.reshape(op_params.shape[1], -1)


def gaussian_rows(image_shape: Sequence[int], *, share: float) -> _operator.ForwardOperator:
  """Compressed sensing: every channel times a random Gaussian matrix; [H, W, C] -> [rows, C].

  op_params is the matrix [rows, H W], entries N(0, 1 / rows).

  Args:
    image_shape: shape (H, W, C) of the image.
    share: number of rows as a share of the pixels, in (0, 1].
  """
  pixels = image_shape[0] * image_shape[1]
  count = max(1, round(share * pixels))
  def init(rng):
    return rng.standard_normal((count, pixels), np.float32) / np.float32(np.sqrt(count))
  return _operator.ForwardOperator(
      init, _multiply, _operator.all_seen, _operator.adjoint_of(_multiply, tuple(image_shape)),
      tuple(image_shape), (pixels / count) ** 0.5, 3 * 4 * count * pixels, split_axes=(0,))


def _transform(op_params, image):
  spectrum = _mri.centred_fft(jnp.moveaxis(image, -1, 0).astype(jnp.result_type(image.dtype, jnp.complex64)))
  return _mri.to_pair(spectrum) * op_params


def fourier_rows(image_shape: Sequence[int], *, share: float) -> _operator.ForwardOperator:
  """Compressed sensing: a random share of each channel's Fourier coefficients; [H, W, C] -> [C, H, W, 2].

  op_params is the sampling [1, H, W, 1] of 0 and 1; the zero frequency is always measured.

  Args:
    image_shape: shape (H, W, C) of the image.
    share: share of the coefficients, in (0, 1].
  """
  height, width = image_shape[:2]
  count = max(1, round(share * height * width))
  def init(rng):
    seen = np.zeros((height, width), np.float32)
    seen[height // 2, width // 2] = 1
    others = np.flatnonzero(seen == 0)
    seen.ravel()[rng.choice(others, count - 1, replace=False)] = 1
    return seen[None, ..., None]
  return _operator.ForwardOperator(
      init, _transform, lambda op_params: np.broadcast_to(op_params, (image_shape[2], height, width, 1)),
      _operator.adjoint_of(_transform, tuple(image_shape)), tuple(image_shape), 0.5 ** 0.5, split_axes=(1, 2), noise_level=_mri.outermost_noise)
