"""Measured data that are no image."""

from typing import Any, NamedTuple

import numpy as np


class Scan(NamedTuple):
  """What a scanner measured.

  Attributes:
    values: k-space [coils, H, W, 2] or sinogram [detectors, angles, C], float32.
    image_shape: shape (H, W, C) of the image.
    given: arguments that the operator is made with: coils and sampling, or angles.
    remarks: lines that say what was not read, and what looks as if it was meant otherwise.
  """
  values: np.ndarray
  image_shape: tuple[int, int, int]
  given: dict[str, Any]
  remarks: tuple[str, ...] = ()
