"""What k-space of magnetic resonance imaging holds: where it peaks, what was sampled, its coils and its noise."""

import dataclasses
from typing import Any, Mapping, NamedTuple

import numpy as np

from oes_jax import fitting
from oes_jax import operators

# A line is sampled where this share of its samples is, as scanners leave corners or parts of an echo out.
_LINE = 0.5


class KSpace(NamedTuple):
  """What a scan of magnetic resonance imaging is.

  Attributes:
    coils: number of receiver coils.
    shape: (rows, columns) of samples.
    peak: "centre" or "corner": where most energy, and so the zero frequency, lies.
    coil_axis: axis of the coils, 0 or -1.
    pattern: what was left out: "nothing", "columns", "rows" or "points".
    acceleration: samples to measured ones.
    central_lines: neighbouring lines around the zero frequency that were all measured; of points the side of such a square.
    spacing: distance of measured lines away from there, where it is the same everywhere; else None.
    has_maps: whether sensitivities of the coils are given; else they are estimated.
    sigma_value: standard deviation of the noise of a real or imaginary part, in k-space's own units.
    sigma: the same in the unit range of the image.
  """
  coils: int
  shape: tuple[int, int]
  peak: str
  coil_axis: int
  pattern: str
  acceleration: float
  central_lines: int
  spacing: int | None
  has_maps: bool
  sigma_value: float
  sigma: float


def _coil_axis(arrays: Mapping[str, Any], told: int) -> int:
  """Return the axis of the coils: of three axes the last one, where the first is longer than it and than another."""
  shape = np.shape(arrays["kspace"])
  if len(shape) == 3 and told == 0 and shape[0] > min(shape[1:]) == shape[-1]:
    return -1
  return told


def _run(measured: np.ndarray) -> tuple[int, int]:
  """Return (first, behind the last) of the neighbouring measured lines around the middle; equal where it is not measured."""
  first = behind = measured.size // 2
  while first > 0 and measured[first - 1] and measured[behind]:
    first -= 1
  while behind < measured.size and measured[behind]:
    behind += 1
  return first, behind


def _lines(measured: np.ndarray) -> tuple[int, int | None]:
  """Return (central lines, distance of the others where it is the same everywhere) of which lines were measured."""
  first, behind = _run(measured)
  outer = np.flatnonzero(measured)
  steps = np.concatenate([np.diff(outer[outer < first]), np.diff(outer[outer >= behind])])
  return behind - first, int(steps[0]) if steps.size > 1 and np.all(steps == steps[0]) else None


def _sampling(seen: np.ndarray) -> tuple[str, int, int | None]:
  """Return (pattern, central lines, spacing) of which samples [H, W] were measured, the zero frequency in the middle."""
  columns, rows = seen.mean(0) > _LINE, seen.mean(1) > _LINE
  if seen.all():
    return "nothing", min(seen.shape), None
  for name, lines, filled in (("columns", columns, np.broadcast_to(columns, seen.shape)),
                              ("rows", rows, np.broadcast_to(rows[:, None], seen.shape))):
    if np.mean(filled != seen) < 0.01:
      return name, *_lines(lines)
  side = 0
  middle = [length // 2 for length in seen.shape]
  while side < min(middle) and all(
      seen[middle[0] - side - 1:middle[0] + side + 1, middle[1] - side - 1:middle[1] + side + 1].ravel()):
    side += 1
  return "points", 2 * side, None


def read_k_space(settings: operators.OperatorSettings, arrays: Mapping[str, Any],
                 ) -> tuple[operators.OperatorSettings, operators.Scan]:
  """Return (settings with the conventions that the arrays seem to have, the scan that they are by these).

  Raises:
    ValueError: as `operators.read_scan`.
  """
  if "kspace" in arrays and np.ndim(arrays["kspace"]) == 3:
    settings = dataclasses.replace(settings, coil_axis=_coil_axis(arrays, settings.coil_axis))
  scan = operators.read_scan(settings, arrays)
  if operators.peaks_at_corners(_complex(scan.values)):
    settings = dataclasses.replace(settings, centred=not settings.centred)
    scan = operators.read_scan(settings, arrays)
  return settings, scan


def _complex(values: np.ndarray) -> np.ndarray:
  return values[..., 0] + 1j * values[..., 1]


def describe_k_space(settings: operators.OperatorSettings, arrays: Mapping[str, Any],
                     ) -> tuple[KSpace, operators.OperatorSettings, tuple[str, ...]]:
  """Return (what a scan is, settings that read it, remarks).

  Args:
    settings: operator settings, of name "mri".
    arrays: kspace and perhaps coil_maps, sampling and mask.

  Raises:
    ValueError: the arrays are no such scan.
  """
  settings, scan = read_k_space(settings, arrays)
  operator = operators.make_operator(settings, scan.image_shape, scan=scan)
  op_params = operator.init(np.random.default_rng(0))
  seen = op_params[1][0, ..., 0] > 0
  pattern, central, spacing = _sampling(seen)
  sigma = operator.noise_level(op_params, scan.values)
  high = fitting.choose_range(fitting.scan_estimate(operator, op_params, scan), None, is_complex=True, computed=True)[1]
  found = KSpace(
      coils=len(scan.values), shape=seen.shape, peak="centre" if settings.centred else "corner",
      coil_axis=settings.coil_axis, pattern=pattern, acceleration=float(seen.size / seen.sum()),
      central_lines=central, spacing=spacing, has_maps=arrays.get("coil_maps") is not None, sigma_value=sigma, sigma=float(sigma / (2 * high * operator.unit)))
  return found, settings, scan.remarks
