"""Inpainting: some pixels are lost, at random, on scratches or under text."""

from typing import Sequence

import jax.numpy as jnp
import numpy as np
from PIL import Image
from PIL import ImageDraw
from PIL import ImageFont

from oes_jax.operators import _first_image
from oes_jax.operators import _operator

_TEXT = "A restored image is a guess at what lies under these letters. "


def _drawn(shape: Sequence[int], draw) -> np.ndarray:
  """Return [H, W] of 1, and 0 where the function `draw` has painted."""
  height, width = shape[:2]
  picture = Image.new("L", (width, height), 1)
  draw(ImageDraw.Draw(picture))
  return np.asarray(picture)


def scratches(shape: Sequence[int]) -> np.ndarray:
  """Return a mask [H, W], 0 on scratches: straight lines 1 to 3 pixels wide, one for every 16 pixels of a side."""
  height, width = shape[:2]
  rng = np.random.default_rng(0)
  def draw(canvas):
    for _ in range(max(2, (height + width) // 32)):
      ends = rng.random(4) * (width, height, width, height)
      canvas.line([float(place) for place in ends], fill=0, width=int(rng.integers(1, 4)))
  return _drawn(shape, draw)


def text_damage(shape: Sequence[int]) -> np.ndarray:
  """Return a mask [H, W], 0 on lines of text from edge to edge, in letters of a twelfth of the shorter side."""
  height, width = shape[:2]
  size = max(8, min(height, width) // 12)
  font = ImageFont.load_default(size)
  def draw(canvas):
    canvas.fontmode = "1"  # no grey edges
    for number, top in enumerate(range(size // 2, height, 2 * size)):
      first = 11 * number % len(_TEXT)  # every line starts elsewhere in the sentence
      canvas.text((0, top), (_TEXT[first:] + _TEXT * (width // size + 1))[:4 * width // size], fill=0, font=font)
  return _drawn(shape, draw)


DAMAGE = {"lines": scratches, "text": text_damage}


def _lose(op_params, image):
  return image * op_params


def inpainting(image_shape: Sequence[int], *, kept: float = 0.5, mask: np.ndarray | None = None) -> _operator.ForwardOperator:
  """Lose pixels: image * mask, the mask [H, W, 1] of 0 and 1.

  Args:
    image_shape: (H, W, C).
    kept: share of the pixels that are measured, drawn at random, where no mask is given.
    mask: [H, W]; where it is not 0 a pixel is measured.

  Raises:
    ValueError: the mask has another shape than the image, or measures nothing.
  """
  shape = tuple(image_shape[:2])
  if mask is not None and mask.shape != shape:
    raise ValueError(f"the mask is {mask.shape}, the image {shape}; allowed: a mask of the image's shape.")
  if mask is not None and not np.any(mask):
    raise ValueError("the mask measures no pixel; allowed: one that is not 0 everywhere.")
  def init(rng):
    if mask is not None:
      return np.float32(mask != 0)[..., None]
    count = max(1, round(kept * shape[0] * shape[1]))
    seen = np.zeros(shape[0] * shape[1], np.float32)
    seen[rng.choice(seen.size, count, replace=False)] = 1
    return seen.reshape(*shape, 1)
  def estimate(op_params, measurement):  # what is lost becomes the mean of what is measured
    mean = jnp.sum(measurement * op_params, (0, 1)) / jnp.sum(op_params)
    return measurement * op_params + (1 - op_params) * mean[None, None]
  return _operator.ForwardOperator(init, _lose, lambda op_params: op_params, estimate, tuple(image_shape),
                                   measures_image=True, first_image=_first_image.filled_and_known, split_axes=(0, 1),
                                   split_share=0.8, plug_and_play=(0.1, 0.6))
