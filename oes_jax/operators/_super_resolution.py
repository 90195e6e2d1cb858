"""Super-resolution: the measurement is a coarser image."""

import functools
from typing import Sequence

import jax

from oes_jax.operators import _first_image
from oes_jax.operators import _operator

# Kernels of `downsampling`, and what jax.image calls them.
DOWNSAMPLING = {"box": None, "bicubic": "cubic", "lanczos": "lanczos3"}


@functools.lru_cache(maxsize=None)
def _shrink(coarse: tuple[int, int], factor: int, kernel: str):
  def apply(op_params, image):
    del op_params
    if kernel == "box":
      return image.reshape(coarse[0], factor, coarse[1], factor, -1).mean((1, 3))
    return jax.image.resize(image, (*coarse, image.shape[2]), DOWNSAMPLING[kernel])
  return apply


@functools.lru_cache(maxsize=None)
def _enlarge(height: int, width: int):
  def first_image(op_params, measurement, seen):
    del op_params
    return jax.image.resize(_first_image.fill(measurement, seen), (height, width, measurement.shape[2]), "cubic")
  return first_image


def downsampling(image_shape: Sequence[int], *, factor: int, kernel: str = "box") -> _operator.ForwardOperator:
  """Take a coarser image: [H, W, C] -> [H/f, W/f, C].

  Args:
    image_shape: (H, W, C).
    factor: f, pixels of the image along a side of a coarse one.
    kernel: what a coarse pixel is of the fine ones: "box", the mean of its f x f, as a coarser sensor gives;
      "bicubic" or "lanczos" (three lobes), stretched by f and normalised, as image programs scale down.

  Raises:
    ValueError: a side is no multiple of the factor.
  """
  height, width = image_shape[:2]
  if factor < 1 or height % factor or width % factor:
    raise ValueError(f"factor {factor} does not divide {height}x{width}; allowed: a divisor of both sides.")
  coarse = (height // factor, width // factor)
  enlarge = _enlarge(height, width)
  return _operator.ForwardOperator(
      lambda rng: (), _shrink(coarse, factor, kernel), _operator.all_seen,
      lambda op_params, measurement: enlarge(op_params, measurement, None), tuple(image_shape), measures_image=True,
      first_image=enlarge)
