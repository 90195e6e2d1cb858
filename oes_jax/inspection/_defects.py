"""Defects of an image that noise models do not describe: dead and hot pixels, impulses, stripes, the grid of JPEG."""

from typing import NamedTuple

import numpy as np
from scipy import fft
from scipy import ndimage
from skimage import restoration

# A pixel is an outlier where it lies so many times the spread of the 24 pixels around it beyond them, and this share of the
# range; the spread is from the third lowest to the third highest of the 25, 2.7 standard deviations of white noise, so that
# an outlier is beyond 6 of them. Share of the pixels, and number, below which they may be details: glints, or the noise's
# own.
_BEYOND, _LEAST_DISTANCE, _FEW, _FEWEST = 2.0, 0.04, 6e-4, 4
# Impulses: share of the range between a pixel that holds one of its ends and the median of 5 x 5 around it; share of the
# pixels from which they are not single defects; and most other pixels as far off, to them: strong noise has more.
_FAR, _IMPULSES, _OTHERS = 0.25, 0.005, 0.8
# Strips across the image in which stripes have to be alike, in correlation; their deviation to that of the noise; and fewest
# rows and columns to look for them in.
_STRIPS, _ALIKE, _VISIBLE, _LEAST_SIDE = 4, 0.25, 0.1, 24
# Side of JPEG's blocks, of what is looked at, the share of coefficients that count as small, and by how many times more of
# them are so on the grid.
_BLOCK, _SIDE, _SMALL, _MORE = 8, 320, 0.1, 1.7
_LUMINANCE = (0.299, 0.587, 0.114)


class Defects(NamedTuple):
  """Defects of an image, in pixels or in the unit range.

  Attributes:
    hot: pixels that lie alone above all around them; 0 where there are few, which may be details.
    dead: pixels that lie alone below all around them; 0 where there are few.
    impulses: share of the values that are the lowest or the highest, alone, as those of salt and pepper; 0: few are.
    rows: standard deviation of an offset that each row has as a whole, unit range; 0 where there is none.
    columns: the same of columns.
    jpeg: (row, column) at which a grid of 8 x 8 blocks of JPEG begins; or None.
  """
  hot: int
  dead: int
  impulses: float
  rows: float
  columns: float
  jpeg: tuple[int, int] | None


def find_impulses(image: np.ndarray, seen: np.ndarray) -> np.ndarray:
  """Return which pixels [H, W] are lowest or highest, each alone; none unless there are many, of both kinds.

  Args:
    image: [H, W], in the unit range, its lowest value and its highest those of impulses if there are any.
    seen: [H, W], which pixels hold data.
  """
  ends = [image == image[seen].min(), image == image[seen].max()]
  far = (np.abs(image - ndimage.median_filter(image, 5, mode="nearest")) > _FAR * np.ptp(image[seen])) & seen
  counts, others = [np.sum(far & end) for end in ends], np.sum(far & ~ends[0] & ~ends[1])
  alone = min(counts) > _IMPULSES / 2 * seen.sum() and others < _OTHERS * sum(counts)
  return far & (ends[0] | ends[1]) & alone


def unless_few(places: np.ndarray) -> np.ndarray:
  """Return places [H, W] where they are enough for defects; else none."""
  return places & (places.sum() >= max(_FEWEST, _FEW * places.size))


def find_outliers(image: np.ndarray, seen: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
  """Return (hot pixels, dead pixels), [H, W] of booleans: those that lie alone beyond all around them; few are none.

  Args:
    image: [H, W], in the unit range, lost pixels filled.
    seen: [H, W], which pixels hold data.
    sigma: standard deviation of the noise.
  """
  low, high = (ndimage.rank_filter(image, rank, size=5, mode="mirror") for rank in (2, -3))
  spread = np.maximum(_BEYOND * np.maximum(high - low, 2 * sigma), _LEAST_DISTANCE)
  return unless_few((image > high + spread) & seen), unless_few((image < low - spread) & seen)


def _stripes(image: np.ndarray) -> float:
  """Return the standard deviation of an offset of whole rows, from its covariance between strips of columns.

  The median along a strip of what a row has over the mean of the rows beside it is that offset, the strip's noise and what
  the image has there; the last two differ from strip to strip.
  """
  if min(image.shape) < _LEAST_SIDE:
    return 0.0
  over = image[1:-1] - (image[:-2] + image[2:]) / 2
  offsets = np.stack([np.median(strip, 1) for strip in np.array_split(over, _STRIPS, 1)])
  offsets -= np.median(offsets, 1, keepdims=True)
  spread = 1.4826 * np.median(np.abs(offsets), 1, keepdims=True)
  offsets = np.clip(offsets, -3 * spread, 3 * spread)
  if not spread.all():
    return 0.0
  pairs = np.triu_indices(_STRIPS, 1)
  covariance, correlation = np.cov(offsets)[pairs], np.corrcoef(offsets)[pairs]
  surely = max(_ALIKE, 3 / np.sqrt(offsets.shape[1]))
  alike = np.median(correlation) > surely and correlation.min() > surely / 2
  return float(np.sqrt(np.median(covariance) / 1.5)) if alike else 0.0


def find_stripes(image: np.ndarray, sigma: float) -> tuple[float, float]:
  """Return the standard deviations of the offsets of whole rows and of whole columns; 0 where the noise hides them.

  Args:
    image: [H, W], in the unit range.
    sigma: standard deviation of the noise.
  """
  return tuple(found if found > _VISIBLE * sigma else 0.0 for found in (_stripes(image), _stripes(image.T)))


def find_jpeg_grid(image: np.ndarray) -> tuple[int, int] | None:
  """Return (row, column), each 0 to 7, at which 8 x 8 blocks of JPEG begin; None where no grid is seen.

  JPEG rounds the cosine coefficients of its blocks to multiples, most small ones to 0: on its own grid alone many are near 0.

  Args:
    image: [H, W], the luminance.
  """
  top, left = (max(0, (length - _SIDE) // 2 // _BLOCK * _BLOCK) for length in image.shape)
  image = image[top:top + _SIDE, left:left + _SIDE]
  if min(image.shape) < 4 * _BLOCK:
    return None
  high = np.add.outer(np.arange(_BLOCK), np.arange(_BLOCK)) >= _BLOCK // 2
  rough = []
  for row in range(_BLOCK):
    for column in range(_BLOCK):
      part = image[row:, column:]
      part = part[:part.shape[0] // _BLOCK * _BLOCK, :part.shape[1] // _BLOCK * _BLOCK]
      blocks = part.reshape(part.shape[0] // _BLOCK, _BLOCK, -1, _BLOCK).swapaxes(1, 2).reshape(-1, _BLOCK, _BLOCK)
      blocks = blocks[np.ptp(blocks, (1, 2)) > 0]
      rough.append(np.abs(fft.dctn(blocks, axes=(1, 2), norm="ortho")[:, high]).ravel())
  if min(part.size for part in rough) < 1000:
    return None
  small = np.quantile(np.concatenate(rough), _SMALL)
  shares = np.array([np.mean(part < small) for part in rough])
  best = int(np.argmax(shares))
  return divmod(best, _BLOCK) if shares[best] > _MORE * np.max(np.delete(shares, best)) else None


def describe_defects(unit: np.ndarray, seen: np.ndarray) -> tuple[Defects, np.ndarray, np.ndarray, np.ndarray]:
  """Return (the defects of an image; which pixels [H, W] are hot, dead, impulses).

  Args:
    unit: [H, W, C], in the unit range, lost pixels filled.
    seen: [H, W], which pixels hold data.
  """
  channels = np.moveaxis(unit, -1, 0)
  impulses = np.stack([find_impulses(channel, seen) for channel in channels])
  small = min(seen.shape) < _LEAST_SIDE
  sigma = 0.0 if small else float(max(restoration.estimate_sigma(channel) for channel in channels))
  hot, dead = np.zeros((2, *seen.shape), bool)
  if not impulses.any():
    hot, dead = (np.any(places, 0) for places in zip(*(find_outliers(channel, seen, sigma) for channel in channels)))
  grey = unit @ (np.array(_LUMINANCE) if len(channels) == 3 else np.full(len(channels), 1 / len(channels)))
  rows, columns = find_stripes(grey, sigma / np.sqrt(len(channels)))
  found = Defects(int(hot.sum()), int(dead.sum()), float(impulses.mean(where=seen)), rows, columns,
                  find_jpeg_grid(grey) if seen.all() else None)
  return found, hot, dead, impulses.any(0)
