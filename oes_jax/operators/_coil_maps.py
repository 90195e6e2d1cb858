"""Sensitivities of coils, told from the middle of their own k-space."""

import numpy as np

LEAST_SIDE, _MOST = 2, 16  # samples on either side of the zero frequency


def calibration_side(seen: np.ndarray) -> int:
  """Return the most samples on either side of the zero frequency, along rows and columns, that are all measured."""
  row, column = (side // 2 for side in seen.shape)
  most = min(_MOST, (min(seen.shape) - 1) // 2)
  sides = [side for side in range(most + 1) if seen[row - side:row + side + 1, column - side:column + side + 1].all()]
  return max(sides, default=0)


def low_images(space: np.ndarray, side: int) -> np.ndarray:
  """Return the images [coils, H, W] of the samples up to `side` around the zero frequency, tapered by a Hann window."""
  taper = np.hanning(2 * side + 3)[1:-1]
  rows, columns = (slice(length // 2 - side, length // 2 + side + 1) for length in space.shape[1:])
  low = np.zeros(space.shape, np.complex128)
  low[:, rows, columns] = space[:, rows, columns] * taper[:, None] * taper
  return np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(low, (-2, -1))), (-2, -1))


def explained_share(images: np.ndarray, maps: np.ndarray) -> float:
  """Return the share of the energy of the coils' images [coils, H, W] that one image times the maps can explain.

  sum |sum_c conj(m_c) i_c|^2 / sum_c |m_c|^2 over sum_c |i_c|^2, both over the pixels where the maps are not 0.
  """
  energy = np.sum(np.abs(maps) ** 2, 0)
  inside = energy > 1e-3 * energy.max()
  whole = np.sum(np.abs(images[:, inside]) ** 2)
  found = np.sum(np.abs(np.sum(maps.conj() * images, 0)[inside]) ** 2 / energy[inside])
  return float(found / whole) if whole else 1.0


def estimate_coil_maps(space: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, int]:
  """Return (sensitivities [coils, H, W] of unit sum of squares, number of samples along a side that they are told from).

  The images of the smallest frequencies, tapered by a Hann window, over their root sum of squares (McKenzie et al. 2002,
  Magnetic Resonance in Medicine 47:529). They hold the phase of the smooth image, which the image then lacks.

  Args:
    space: complex k-space [coils, H, W], the zero frequency in the middle.
    seen: [H, W], whether a sample is measured.

  Raises:
    ValueError: too few samples around the zero frequency are measured.
  """
  if len(space) == 1:
    return np.ones(space.shape, np.complex64), 0
  side = calibration_side(seen)
  if side < LEAST_SIDE:
    raise ValueError(f"it has no coil_maps, and fewer than {2 * LEAST_SIDE + 1}x{2 * LEAST_SIDE + 1} samples are measured around the "
                     "middle of kspace, of which they could be told; allowed: coil_maps [coils, H, W]")
  images = low_images(space, side)
  energy = np.sqrt(np.sum(np.abs(images) ** 2, 0))
  return (images / np.maximum(energy, np.finfo(float).tiny)).astype(np.complex64), 2 * side + 1
