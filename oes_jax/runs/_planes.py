"""Masks of lost pixels and kernels, [H, W]: what an image or array of them means, and what looks as if meant otherwise."""

import numpy as np

_MOST_LOST = 0.9  # share of the pixels; data-quality masks, 0 where pixels are good, lose more


def plane_of(values: np.ndarray, name: str, alpha: np.ndarray | None = None) -> np.ndarray:
  """Return a mask or kernel [H, W] as it is given, or the mean of the channels of one.

  Args:
    values: [H, W] or [H, W, C].
    name: what it is called in messages.
    alpha: [H, W], how opaque its pixels are, or None; not read, so that it must be the same everywhere.

  Raises:
    ValueError: it has transparent pixels, or a channel that may be alpha.
  """
  if alpha is not None and np.any(alpha != alpha.flat[0]):
    raise ValueError(f"{name} has transparent pixels, {100 * np.mean(alpha != alpha.max()):.3g} % of them, and transparency is "
                     "not read of it; allowed: an image without, of a mask one that is 0 where pixels are lost.")
  if values.ndim == 3 and values.shape[2] in (2, 4):
    raise ValueError(f"{name} has {values.shape[2]} channels, of which the last may be alpha; allowed: [H, W], or 1 or 3 "
                     "channels.")
  values = values.astype(np.float64)
  return values if values.ndim == 2 else values.mean(-1)


def remark_mask(mask: np.ndarray) -> tuple[str, ...]:
  """Return lines that say what in a mask of lost pixels, [H, W], looks as if it was meant otherwise."""
  lost, values = np.mean(mask == 0), np.unique(mask)
  if not lost:
    return (f"operator.mask loses no pixel, as none of its values, {values[0]:g} to {values[-1]:g}, is 0; make it 0 where "
            "pixels are lost",)
  remarks = ()
  if lost > _MOST_LOST:
    remarks += (f"operator.mask loses {100 * lost:.3g} % of the pixels, and may be inverted: 0 is where pixels are lost",)
  if values.size > 2:
    low = (mask != 0) & (mask < mask.max() / 2)
    remarks += (f"operator.mask holds {values.size} values, of which all but 0 count as measured, those of {low.sum()} pixels "
                "below half of the largest too; where it was compressed or smoothed, make it 0 and 1 first",)
  return remarks
