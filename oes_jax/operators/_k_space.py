"""K-space that was measured: what its arrays mean, and what in them contradicts the rest."""

import numpy as np

from oes_jax.operators import _coil_maps
from oes_jax.operators import _scan

_MOST_ZEROS = 0.01  # share of measured samples that are 0 exactly
# Share of the energy that right maps explain: 0.86 or more, at a noise of 0.3 of the image's highest value too and of 5 x 5
# samples, of 2 to 8 simulated coils; conjugated 0.2 to 0.3 (of 2 coils 0.9), rolled or flipped 0.3 to 0.5, of 4 coils in
# another order 0.03 to 0.6 (2026-11-27). Of 2 coils, conjugated ones leave 2.3 times as much as right ones, or more.
_LEAST_EXPLAINED, _WELL_EXPLAINED, _LEFT_BY_CONJUGATES = 0.7, 0.85, 1.5
# Energy around the corners of an image over that around its middle: of heads, slices and eyes in air rolled by half 2.4 to 7,
# of what is not rolled up to 2.5 (a slice that fills its frame).
_ROLLED = 4


def peaks_at_corners(space: np.ndarray) -> bool:
  """Whether k-space [coils, H, W] has more energy in its corners than in as many samples around the middle."""
  energy = np.sum(np.abs(space) ** 2, 0)
  height, width = (max(1, side // 16) for side in energy.shape)
  def middle(plane):
    top, left = plane.shape[0] // 2, plane.shape[1] // 2
    return plane[top - height:top + height, left - width:left + width].sum()
  return bool(middle(np.fft.fftshift(energy)) > middle(energy))


def _origin_in_middle(space: np.ndarray) -> np.ndarray:
  """Move the origin of the image from its corner, as `numpy.fft.fft2` has it, to its middle; the image stays where it is.

  Args:
    space: k-space [coils, H, W], its zero frequency in the corner.
  """
  for axis in (-2, -1):
    side = space.shape[axis]
    turns = np.arange(side) * (side // 2) % side / side
    phase = np.exp(2j * np.pi * turns).astype(np.result_type(space.dtype, np.complex64))
    space = space * (phase[:, None] if axis == -2 else phase)
  return space


def _along_rows(measured: np.ndarray, sampling: np.ndarray) -> bool:
  """Whether a mask [W] of a square k-space fits what is 0 in it, [H, W] of booleans, along rows and not along columns."""
  if np.shape(sampling) != measured.shape[:1] or measured.shape[0] != measured.shape[1]:
    return False
  lost = sampling == 0
  return bool(measured[:, lost].any() and lost.any() and not measured[lost].any())


def _sampled(space: np.ndarray, sampling: np.ndarray | None) -> tuple[np.ndarray, list[str]]:
  """Return (what of k-space [coils, H, W] is measured, remarks): what is given, without lines that are 0 throughout."""
  measured, remarks = np.any(space != 0, 0), []
  if sampling is None:
    return measured, []
  if np.shape(sampling) not in (measured.shape, measured.shape[1:]):
    return sampling, []  # refused with the operator
  if _along_rows(measured, sampling):
    sampling = np.broadcast_to(sampling[:, None], measured.shape)
    remarks.append("the mask is taken for rows of kspace, which is 0 where it is; along columns it is not")
  # Scanners fill up with zeros, which the masks of fastMRI may call measured.
  for axis, name in ((0, "columns"), (1, "rows")):
    seen = np.broadcast_to(sampling != 0, measured.shape)
    filled = seen.any(axis) & ~measured.any(axis)
    if filled.any() and measured.any():
      sampling = np.where(filled, 0, sampling) if axis == 0 else np.where(filled[:, None], 0, sampling)
      remarks.append(f"{filled.sum()} of {filled.size} {name} of kspace are 0 throughout, and count as not measured")
  zero = np.mean(~measured, where=np.broadcast_to(sampling != 0, measured.shape)) if np.any(sampling) else 0
  if zero > _MOST_ZEROS and measured.any():
    remarks.append(f"{100 * zero:.3g} % of the samples that count as measured are exactly 0 in all coils; where they were not "
                   "measured, make the mask 0 there, or leave it out")
  return sampling, remarks


def _say_origin(centred: bool) -> str:
  """Return where the origin of the image is taken to lie, and what to do where it lies elsewhere."""
  place, other, shifted = ("middle", "corner", "ifftshift") if centred else ("corner", "middle", "fftshift")
  return (f"its origin is taken to lie in its {place}; where it lies in its {other}, pass numpy.fft.{shifted} of kspace and "
          f"mask with operator.centred={not centred}")


def _remark_origin(space: np.ndarray, sampling: np.ndarray, centred: bool) -> list[str]:
  """Return a line where the image of k-space [coils, H, W], of which no maps tell, looks as if it were rolled by half."""
  shape = space.shape[1:]
  if np.shape(sampling) not in (shape, shape[1:]):
    return []
  side = _coil_maps.calibration_side(np.broadcast_to(sampling != 0, shape))
  energy = np.sum(np.abs(_coil_maps.low_images(space, side)) ** 2, 0)
  middle = tuple(slice(length // 4, length - length // 4) for length in shape)
  if side < _coil_maps.LEAST_SIDE or np.sum(np.fft.fftshift(energy)[middle]) <= _ROLLED * np.sum(energy[middle]):
    return []
  return ["the image of kspace is brighter around its corners than in its middle, as one that is rolled by half: "
          f"{_say_origin(centred)}"]


def _remark_images(space: np.ndarray, sampling: np.ndarray, maps: np.ndarray | None, centred: bool) -> list[str]:
  """Return a line where the images of k-space [coils, H, W] do not go with its coil maps, or of none or one, look rolled."""
  if maps is None or len(space) == 1:
    return _remark_origin(space, sampling, centred)
  return _remark_maps(space, sampling, maps, centred)


def _remark_maps(space: np.ndarray, sampling: np.ndarray, maps: np.ndarray, centred: bool) -> list[str]:
  """Return a line where coil maps [coils, H, W] explain little of the images of the middle of k-space."""
  shape = space.shape[1:]
  if np.shape(sampling) not in (shape, shape[1:]):
    return []
  side = _coil_maps.calibration_side(np.broadcast_to(sampling != 0, shape))
  if side < _coil_maps.LEAST_SIDE:
    return []
  images = _coil_maps.low_images(space, side)
  share, rolled, conjugate = (_coil_maps.explained_share(images, tried) for tried in (
      maps, np.fft.fftshift(maps, (-2, -1)), np.conj(maps)))
  if share >= _LEAST_EXPLAINED and 1 - share < _LEFT_BY_CONJUGATES * (1 - conjugate) + 0.02:
    return []
  said = f"coil_maps explain {100 * share:.0f} % of the energy of the coils' images in the middle of kspace"
  if rolled > max(_WELL_EXPLAINED, conjugate):
    return [f"{said}, rolled by half the image {100 * rolled:.0f} %: {_say_origin(centred)}"]
  if conjugate > _WELL_EXPLAINED:
    return [f"{said}, their conjugates {100 * conjugate:.0f} %: pass numpy.conj of them"]
  return [f"{said}, right ones more than {100 * _LEAST_EXPLAINED:.0f} %: perhaps their coils lie in another order, or their "
          "rows and columns elsewhere"]


def _coil_maps_of(space: np.ndarray, sampling: np.ndarray, maps: np.ndarray | None) -> tuple[np.ndarray, list[str]]:
  """Return (sensitivities [coils, H, W], remarks): those that are given, else estimated ones."""
  shape = space.shape[1:]
  if maps is not None:
    return maps, []
  if np.shape(sampling) not in (shape, shape[1:]):  # refused with the operator
    return np.ones_like(space), []
  maps, side = _coil_maps.estimate_coil_maps(space, np.broadcast_to(sampling != 0, shape))
  return maps, [f"it has no coil_maps; they are estimated of the {side}x{side} samples around the middle of kspace" if side
                else "it has no coil_maps; the sensitivity of its one coil is taken to be 1 everywhere"]


def read_scan(arrays, *, centred: bool = True, coil_axis: int = 0) -> _scan.Scan:
  """Read kspace and coil_maps, complex [coils, H, W], whose transforms are orthonormal; [H, W] is that of one coil.

  Where it is not 0, sampling [H, W] or [W] says what was measured; without it mask does; without both, what is not 0 in kspace.
  Coil maps that are not given are estimated of the middle of kspace.

  Args:
    arrays: {name: array}.
    centred: whether the zero frequency lies in the middle of kspace, and the origin of the image in its middle, as fastMRI has
      them; else both lie in the corner, as `numpy.fft.fft2` has them. Masks lie as kspace does.
    coil_axis: axis of the coils in both arrays: 0, or -1 where they are [H, W, coils].

  Raises:
    ValueError: an array has another shape than these.
  """
  space, maps = (np.expand_dims(array, coil_axis) if array is not None and array.ndim == 2 else array
                 for array in (arrays["kspace"], arrays.get("coil_maps")))
  if space.ndim != 3 or maps is not None and maps.shape != space.shape:
    raise ValueError(f"kspace is {space.shape}, coil_maps {'missing' if maps is None else maps.shape}; allowed: the same "
                     "[coils, H, W]")
  space, remarks = np.moveaxis(space, coil_axis, 0), []
  coils, height, width = space.shape
  if not np.any(np.imag(space)):
    remarks.append("kspace is real: a magnitude alone gives no image")
  if coils > min(height, width):
    remarks.append(f"kspace is read as {coils} coils of {height}x{width} samples, more coils than samples along a side; "
                   f"where it is [H, W, coils], set operator.coil_axis={-1 - coil_axis}")
  sampling = arrays.get("sampling", arrays.get("mask"))
  if "sampling" in arrays and "mask" in arrays:
    remarks.append("mask of the scan is not read, as it has sampling")
  if not centred:
    space = np.fft.fftshift(_origin_in_middle(space), (-2, -1))
    sampling = None if sampling is None else np.fft.fftshift(sampling)
  misplaced = peaks_at_corners(space)
  if misplaced:
    remarks.append("kspace has more energy in its corners than around its middle, where its zero frequency is taken to lie; "
                   f"where it lies elsewhere, set operator.centred={not centred}")
  sampling, said = _sampled(space, sampling)
  given = None if maps is None else np.moveaxis(maps, coil_axis, 0)
  maps, estimated = _coil_maps_of(space, sampling, given)
  remarks += [*said, *estimated]
  if not misplaced:
    remarks += _remark_images(space, sampling, given, centred)
  values = np.stack([space.real, space.imag], -1).astype(np.float32)
  return _scan.Scan(values, (height, width, 2), {"coils": maps.astype(np.complex64), "sampling": sampling}, tuple(remarks))
