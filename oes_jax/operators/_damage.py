"""Masks of damage that inpainting is shown on: thin lines, and text."""

from typing import Sequence

import numpy as np
from PIL import Image
from PIL import ImageDraw
from PIL import ImageFont

_TEXT = "A restored image is a guess at what lies under these letters. "


def _drawn(shape: Sequence[int], draw) -> np.ndarray:
  """Return [H, W] of 1, and 0 where `draw` has painted."""
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
