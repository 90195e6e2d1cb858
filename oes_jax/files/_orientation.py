"""The orientation of a picture: how the stored rows and columns are turned to be seen."""

import numpy as np

TAG = 274  # Orientation, of TIFF 6.0 and of EXIF
SWAPPING = (5, 6, 7, 8)  # rows become columns


def upright(values: np.ndarray, orientation: int) -> np.ndarray:
  """Return an image [H, W, ...] as it is to be seen, without a copy.

  Args:
    values: the stored image.
    orientation: value of the tag, 1 to 8; any other leaves the image as it is, as viewers do.
  """
  if orientation in SWAPPING:
    values = np.swapaxes(values, 0, 1)
  return values[::-1 if orientation in (3, 4, 7, 8) else 1, ::-1 if orientation in (2, 3, 6, 7) else 1]


def remark(orientation: int) -> tuple[str, ...]:
  """Return the line that says that an image was turned; none where it was not."""
  return (f"it is turned as its orientation tag {orientation} says",) if orientation in range(2, 9) else ()
