"""Everything that was found of one measurement, and how it is found."""

import dataclasses
from typing import Any, Mapping

import numpy as np

from oes_jax import intensity
from oes_jax import operators
from oes_jax.inspection import _defects
from oes_jax.inspection import _k_space
from oes_jax.inspection import _noise
from oes_jax.inspection import _recommendation
from oes_jax.inspection import _remarks
from oes_jax.inspection import _report
from oes_jax.inspection import _sinogram
from oes_jax.inspection import _values

# Longest side of what noise and defects are looked for in: the middle of a larger image.
_LONGEST = 768
_SQUARED = (1e-100, 1e100)  # the least range and the largest value whose squares, and ratios of them, are numbers
# Standard deviations from which a pixel is none of the noise, that of few photons too. Share beyond 4 standard deviations
# from which noise has tails that single pixels may belong to, unless half of these lie so many beyond.
_BEYOND, _NORMAL_TAILS, _FAR_BEYOND = 8, 1e-3, 20


@dataclasses.dataclass(frozen=True)
class Findings:
  """What was found of one measurement, from itself alone; `str` is the report.

  Attributes:
    values: what the stored values are, of an image; or None.
    defects: dead and hot pixels, impulses, stripes, JPEG blocks, of an image of more than one value; or None.
    noise: what the noise of an image is; None where it cannot be told, or of scans.
    k_space: what a scan of magnetic resonance imaging is, or None.
    sinogram: what a scan of computed tomography is, or None.
    mask: [H, W], 0 where a pixel of the image is lost: without data, dead or hot; None where none is.
    remarks: lines that say what is wrong, or needs something done first.
    recommendation: what to restore it with; None where there is nothing to restore, or not yet.
  """
  values: _values.Values | None = None
  defects: _defects.Defects | None = None
  noise: _noise.Noise | None = None
  k_space: _k_space.KSpace | None = None
  sinogram: _sinogram.Sinogram | None = None
  mask: np.ndarray | None = None
  remarks: tuple[str, ...] = ()
  recommendation: _recommendation.Recommendation | None = None

  def __str__(self) -> str:
    return _report.describe(self)

  def report(self, source: str, mask: str | None = None, program: str = "oes-jax") -> str:
    """Return the report with the command for a file.

    Args:
      source: path of the file.
      mask: path of `mask` where it was written, or None.
      program: how the program is called.
    """
    return _report.describe(self, source, mask, program)

  def as_dict(self) -> dict[str, Any]:
    """Return all findings but the mask as plain values, for JSON."""
    return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self) if field.name != "mask"}


def _plain(value: Any) -> Any:
  if isinstance(value, tuple) and hasattr(value, "_asdict"):
    return {key: _plain(entry) for key, entry in value._asdict().items()}
  if isinstance(value, dict):
    return {key: _plain(entry) for key, entry in value.items()}
  if isinstance(value, (tuple, list)):
    return [_plain(entry) for entry in value]
  if isinstance(value, np.generic):
    return value.item()
  return value


def _middle(length: int) -> slice:
  start = max(0, (length - _LONGEST) // 2 // 8 * 8)  # the blocks of JPEG begin where they do in the whole image
  return slice(start, start + _LONGEST)


def inspect_image(values: np.ndarray, *, operator: str = "identity", told: Mapping[str, Any] | None = None,
                  mask: np.ndarray | None = None, limits: tuple[float, float] | None = None) -> Findings:
  """Look at an image before it is restored.

  Args:
    values: [H, W, C], boolean, integer or real; NaN where a pixel is lost.
    operator: name of the operator that measured it, one of which the measurement is an image.
    told: other settings of the operator by their dotted names, which the recommendation repeats.
    mask: [H, W], 0 where a pixel is lost; or None.
    limits: (low, high), the values that map to 0 and 1, where the file says so; None: as a restoration chooses.

  Raises:
    ValueError: no pixel holds data, or values are so large or so close that their squares are no numbers any more.
  """
  seen, fill = _values.find_lost(values, mask)
  if not seen.any():
    raise ValueError("the measurement holds no pixel with data; allowed: some that are finite, and not 0 in the mask.")
  found = _values.describe_values(values, seen, fill)
  if limits is not None and not found.is_blank:
    found = found._replace(limits=limits, outside=float(np.mean((values[seen] < limits[0]) | (values[seen] > limits[1]))))
  if found.is_blank:
    return Findings(found, remarks=_remarks.remarks_on_image(found, None, None))
  largest, span = max(abs(found.low.value), abs(found.high.value)), found.limits[1] - found.limits[0]
  if largest > _SQUARED[1] or span < _SQUARED[0]:
    raise ValueError(f"the measurement holds values up to {largest:.3g} in a range of {span:.3g}; allowed: up to "
                     f"{_SQUARED[1]:g}, in a range of {_SQUARED[0]:g} or more, as noise is told by squares.")
  place = tuple(map(_middle, seen.shape))
  part, known = _values.fill_lost(values, seen)[place].astype(np.float64), seen[place]
  defects, singles, noise, found = _defects_and_noise(part, known, found)
  lost = ~seen
  lost[place] |= singles
  remarks = _remarks.remarks_on_image(found, defects, noise)
  remarks += _remarks.remarks_on_operator(operator, found, defects)
  if part.shape != values.shape:
    remarks += (f"defects and noise are those of its middle {part.shape[0]}x{part.shape[1]} pixels",)
  return Findings(found, defects, noise, mask=np.uint8(~lost) if lost.any() else None, remarks=remarks,
                  recommendation=_recommendation.recommend_for_image(
                      operator, told or {}, found, defects, noise, mask is not None))


def _defects_and_noise(part: np.ndarray, known: np.ndarray, values: _values.Values):
  """Return (defects, which pixels are single ones, noise, what the values are without them).

  Single pixels count where they lie beyond the noise of all others: few photons, and noise of heavy tails, make some too.
  """
  unit = intensity.to_unit(part, values.limits)
  defects, hot, dead, impulses = _defects.describe_defects(unit, known)
  ends = _ends(values, defects)
  noise = _noise.describe_noise(part, known & ~(hot | dead | impulses), values.limits, tuple(end.is_cut for end in ends))
  if defects.hot + defects.dead and noise is not None:
    distance = _noise.distance_in_noise(part, noise)
    heavy = noise.tails is not None and noise.tails > _NORMAL_TAILS and np.median(distance[hot | dead]) < _FAR_BEYOND
    beyond = np.zeros_like(known) if heavy else distance > _BEYOND
    before, hot, dead = hot | dead, _defects.unless_few(hot & beyond), _defects.unless_few(dead & beyond)
    defects = defects._replace(hot=int(hot.sum()), dead=int(dead.sum()))
    if not np.array_equal(before, hot | dead):
      ends = _ends(values, defects)
      noise = _noise.describe_noise(part, known & ~(hot | dead), values.limits, tuple(end.is_cut for end in ends))
  return defects, hot | dead, noise, values._replace(low=ends[0], high=ends[1])


def _ends(values: _values.Values, defects: _defects.Defects) -> tuple[_values.End, _values.End]:
  """Return the ends of the values, not cut off where defects alone are what holds them."""
  size = np.prod(values.shape)
  return tuple(end._replace(is_cut=end.is_cut and not defects.impulses and end.share * size > 2 * singles)
               for end, singles in ((values.low, defects.dead), (values.high, defects.hot)))


def inspect_scan(arrays: Mapping[str, Any], settings: operators.OperatorSettings | None = None) -> Findings:
  """Look at the arrays of a scan before it is restored.

  Args:
    arrays: kspace and perhaps coil_maps, sampling and mask; or sinogram, angles and shape.
    settings: settings of the operator; None: its defaults, by the arrays.

  Raises:
    ValueError: they are no such scan.
  """
  if settings is None:
    settings = operators.OperatorSettings(name="tomography" if arrays.get("sinogram") is not None else "mri")
  if settings.name == "mri":
    k_space, _, remarks = _k_space.describe_k_space(settings, arrays)
    return Findings(k_space=k_space, remarks=remarks, recommendation=_recommendation.recommend_for_k_space(k_space))
  sinogram, _, remarks = _sinogram.describe_sinogram(settings, arrays)
  return Findings(sinogram=sinogram, remarks=remarks + _remarks.remarks_on_sinogram(sinogram),
                  recommendation=_recommendation.recommend_for_sinogram(sinogram))
