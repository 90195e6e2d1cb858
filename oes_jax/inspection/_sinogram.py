"""What a sinogram holds: angles and their unit, detectors, whether it counts photons, its axis of rotation, its noise."""

import dataclasses
from typing import Any, Mapping, NamedTuple

import numpy as np

from oes_jax import fitting
from oes_jax import operators

# Share of the detectors on either side that see air, and by how much more they see where photons are counted.
_AIR, _BRIGHTER = 0.05, 1.2
# Least offset of the axis of rotation, in detectors, and standard errors of it, that count.
_OFFSET, _SURELY = 0.5, 4
# The same for a remark of a run, and by which share the sums over the detectors may differ where all rays are measured.
_FAR_OFFSET, _WHOLE = 1.5, 0.1
# Fewest angles that show a path, and the condition of its fit beyond which they turn too little to show the axis.
_FEWEST_ANGLES, _LEAST_TURN = 6, 300


class Sinogram(NamedTuple):
  """What a scan of computed tomography is.

  Attributes:
    angles: number of angles.
    first, last: smallest and largest angle, in degrees.
    unit: "degrees" or "radians", as the angles seem to be given.
    detectors: number of detectors.
    counts: whether the values are larger outside of the object than inside, as counted photons are, and not their logarithm.
    offset: distance of the axis of rotation from the middle detector, in detectors: by the centre of mass, whose path over
      the angles is a sine around the axis; None where it cannot be told.
    offset_error: its standard error.
    sigma_value: standard deviation of the noise of a value, in the sinogram's own units; None where it cannot be told.
    sigma: the same in the unit range of the image, as noise.sigma means it; None of counts too.
  """
  angles: int
  first: float
  last: float
  unit: str
  detectors: int
  counts: bool
  offset: float | None
  offset_error: float
  sigma_value: float | None
  sigma: float | None


def _is_counted(values: np.ndarray) -> bool:
  """Whether a sinogram [detectors, angles] sees more at its sides than in its middle, and nothing below 0."""
  side, third = max(1, int(_AIR * len(values))), len(values) // 3
  air = np.median(np.concatenate([values[:side], values[-side:]]))
  return bool(values.min() >= 0 and air > _BRIGHTER * np.median(values[third:-third or None]))


def _centres(values: np.ndarray) -> np.ndarray | None:
  """Return the centre of mass at each angle, from the middle detector, [angles]; None where it cannot be told.

  Args:
    values: [detectors, angles], line integrals.
  """
  mass = values.sum(0)
  if values.shape[1] < _FEWEST_ANGLES or np.any(mass <= 0):
    return None
  return (np.arange(len(values)) - len(values) // 2) @ values / mass


def _path(centres: np.ndarray, design: np.ndarray) -> tuple[float, float, float]:
  """Return (first coefficient of the path of the centres, its standard error, root mean square left over)."""
  path = np.linalg.lstsq(design, centres, rcond=None)[0]
  left = float(np.sqrt(np.sum((centres - design @ path) ** 2) / (centres.size - design.shape[1])))
  return float(path[0]), left * float(np.sqrt(np.linalg.pinv(design.T @ design)[0, 0])), left


def _turning(radians: np.ndarray) -> np.ndarray:
  """Return what a centre of mass that turns around an axis is made of: the axis, and a sine, [angles, 3]."""
  return np.stack([np.ones_like(radians), np.cos(radians), np.sin(radians)], 1)


def _axis_offset(values: np.ndarray, radians: np.ndarray) -> tuple[float, float] | None:
  """Return (offset of the axis of rotation from the middle detector, its standard error); None where it cannot be told."""
  centres, design = _centres(values), _turning(radians)
  if centres is None or np.linalg.cond(design) > _LEAST_TURN:
    return None
  return _path(centres, design)[:2]


def _unit_of(values: np.ndarray, angles: np.ndarray, told: str) -> str:
  """Return the unit of angles: radians within a turn of them, unless the centre of mass hardly turns, as by degrees."""
  if told == "radians" or not 0 < np.ptp(angles) <= 2 * np.pi or angles.size < 2:
    return told
  centres = _centres(values)
  if centres is None:
    return "radians"
  bent = np.stack([np.ones_like(angles), angles, angles ** 2], 1)
  return "degrees" if _path(centres, bent)[2] < 0.5 * _path(centres, _turning(angles))[2] else "radians"


def describe_sinogram(settings: operators.OperatorSettings, arrays: Mapping[str, Any],
                      ) -> tuple[Sinogram, operators.OperatorSettings, tuple[str, ...]]:
  """Return (what a scan is, settings that read it, remarks).

  Args:
    settings: operator settings, of name "tomography".
    arrays: sinogram, angles and shape.

  Raises:
    ValueError: the arrays are no such scan.
  """
  scan = operators.read_scan(settings, arrays)
  values = scan.values.astype(np.float64).mean(-1)
  given = np.asarray(arrays["angles"], np.float64)
  counted = _is_counted(values)
  integrals = np.log(np.maximum(values.max(), 1e-30) / np.maximum(values, 1e-6 * values.max())) if counted else values
  settings = dataclasses.replace(settings, angle_unit=_unit_of(integrals, given, settings.angle_unit))
  scan = operators.read_scan(settings, arrays)
  degrees = scan.given["angles"]
  axis = _axis_offset(integrals, np.radians(degrees))
  operator = operators.make_operator(settings, scan.image_shape, scan=scan)
  op_params = operator.init(np.random.default_rng(0))
  sigma, share = operator.noise_level(op_params, scan.values), None
  if sigma and not counted:
    low, high = fitting.choose_range(fitting.scan_estimate(operator, op_params, scan), None, computed=True)
    share = float(sigma / ((high - low) * operator.unit))
  found = Sinogram(
      degrees.size, float(degrees.min()), float(degrees.max()), settings.angle_unit, len(values), counted,
      axis and axis[0], axis[1] if axis else 0.0, sigma, share)
  return found, settings, scan.remarks


def is_offset(found: Sinogram) -> bool:
  """Whether the axis of rotation lies surely beside the middle detector."""
  return found.offset is not None and abs(found.offset) > max(_OFFSET, _SURELY * found.offset_error)


def remark_axis(values: np.ndarray, degrees: np.ndarray) -> tuple[str, ...]:
  """Return a line where the axis of rotation lies surely detectors off the middle one, which no result can mend.

  Nothing is said of counts, and of rays that do not see the whole object from every side.

  Args:
    values: sinogram [detectors, angles, C].
    degrees: its angles.
  """
  values = values.astype(np.float64).mean(-1)
  mass = values.sum(0)
  axis = None if _is_counted(values) or np.ptp(mass) > _WHOLE * abs(mass.mean()) else _axis_offset(values, np.radians(degrees))
  if axis is None or abs(axis[0]) <= max(_FAR_OFFSET, _SURELY * axis[1]):
    return ()
  return (f"by the centre of mass its axis of rotation lies {axis[0]:.2f} +- {axis[1]:.2f} detectors beside the middle one, where it "
          f"has to lie: shift the detectors by {-axis[0]:.2f} first",)
