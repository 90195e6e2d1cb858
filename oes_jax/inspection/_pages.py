"""What the images of a stack say together: how far apart their noise is, and the range of values of all."""

import dataclasses
from typing import Mapping

import numpy as np

from oes_jax import intensity
from oes_jax.inspection import _findings
from oes_jax.inspection import _recommendation

_APART = 1.5  # ratio of the strongest and the weakest noise from which on the images are said to differ
_MOST, _LEAST, _PIXELS = 8, 3, 8_000_000  # images that are looked at, and pixels of all of them that take some ten seconds
_STRENGTHS = ("noise.peak", "noise.sigma", "fit.sigma")


def some_pages(count: int, pixels: int) -> list[int]:
  """Return the numbers of images to look at: the first, the middle and the last one, and others between.

  Args:
    count: number of the images.
    pixels: number of values of each.
  """
  most = min(count, max(_LEAST, min(_MOST, _PIXELS // pixels)))
  return sorted({round(place) for place in np.linspace(0, count - 1, most)} | {count // 2})


def _compare(found: Mapping[str, _findings.Findings], count: int) -> tuple[tuple[float, float] | None, list[str]]:
  """Return (range of values of all, or None where none has one; lines that say it and how far the noise is apart)."""
  sigmas = {name: one.noise.sigma_value for name, one in found.items() if one.noise is not None}
  limits = [one.values.limits for one in found.values() if one.values is not None and one.values.limits is not None]
  shared, remarks = intensity.range_of_all(limits) if limits else None, []
  if len(sigmas) > 1:
    low, high = (end(sigmas, key=sigmas.get) for end in (min, max))
    differ = f": they differ, the strongest is in {high} and the weakest in {low}" if sigmas[high] > _APART * sigmas[low] else ""
    remarks.append(f"noise of {len(sigmas)} of the {count} images: standard deviation {sigmas[low]:.4g} to {sigmas[high]:.4g} in their "
                   f"units{differ}")
  if len(set(limits)) > 1:
    remarks.append(f"the range of those looked at together is {shared[0]:.4g} to {shared[1]:.4g}; pages of one file, and those of "
                   "restore_stack, share that of all")
  return shared, remarks


def _in_range(told: _recommendation.Recommendation, old: tuple[float, float], limits: tuple[float, float],
              ) -> _recommendation.Recommendation:
  """Return a recommendation whose range, and strengths of noise in it, are those of all images; without either as it is."""
  strengths = [name for name in _STRENGTHS if name in told.settings]
  if not strengths and "data.range" not in told.settings:
    return told
  if "noise.peak" in strengths:  # photons are counted from 0
    old, limits = (0.0, old[1]), (0.0, limits[1])
  low, high = (float(f"{end:.{intensity.digits_of(*limits)}g}") for end in limits)
  wider = (high - low) / (old[1] - old[0])
  scaled = {name: float(f"{told.settings[name] * (wider if name == 'noise.peak' else 1 / wider):.4g}") for name in strengths}
  return told._replace(settings={**told.settings, **scaled, "data.range": (low, high)}, reasons=(
      *told.reasons, f"{', '.join(sorted(strengths)) or 'data.range'} is of the range {intensity.say_range(low, high)}, which has to be "
                     "that of all"))


def with_pages(one: _findings.Findings, found: Mapping[str, _findings.Findings], count: int, said: str) -> _findings.Findings:
  """Return what was found of one image of several with what some of them say together.

  Args:
    one: what was found of the one; it is among `found`.
    found: Findings of those that were looked at, by their names.
    count: number of all.
    said: line that says of what there are so many.
  """
  name = next(name for name, findings in found.items() if findings is one)
  shared, remarks = _compare(found, count)
  told = one.recommendation
  if told is not None and shared is not None and one.values.limits is not None:
    old = told.settings.get("data.range", one.values.limits)
    if "data.range" in told.settings:  # by hand, as the automatic range of this image cuts values off
      ends = [old, *((other.values.low.value, other.values.high.value) for other in found.values() if other.values is not None)]
      shared = min(low for low, _ in ends), max(high for _, high in ends)
    told = _in_range(told, old, shared)
  said = f"{said}, of which {name} is looked at; what is recommended is by this one"
  return dataclasses.replace(one, remarks=(said, *remarks, *one.remarks), recommendation=told)
