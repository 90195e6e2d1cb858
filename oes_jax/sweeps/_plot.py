"""The plot of a sweep: the quality of the results against the setting that varies."""

import collections
import math
import pathlib
import statistics
from typing import Any, Mapping, Sequence

from oes_jax import files
from oes_jax.sweeps import _results

PLOT = "psnr.png"
_NUMBERS = ("keep_fraction", "kl_weight", "sigma")  # settings that may be an axis
_RESULTS = ("combined", "guarded", "average")  # what a case's result may be, the later ones where the earlier are not made
_WIDE = 5  # a ratio of values from which on they are drawn in logarithms

Line = Mapping[str, Any]


def _qualities(line: Line) -> dict[str, float]:
  """Return {what may be drawn of a case: its value in dB}: PSNR against the truth, and the expected one, as far as it has them."""
  found = {f"PSNR of {name}, dB": line["psnr"][name] for name in _RESULTS if name in line["psnr"]}
  return found | ({"expected PSNR of what was measured, dB": line["expected_psnr"]} if "expected_psnr" in line else {})


def _drawn(lines: Sequence[Line]) -> tuple[list[Line], str, int]:
  """Return (cases that can be drawn, what is drawn of them, number of all cases that ended well).

  It is the one thing that most cases have, the better one of two.
  """
  good = [_results.shown(line) for line in lines if not line["failure"] and "members" not in line]
  counts = collections.Counter(  # of what is as frequent the first one
      what for name in (*_RESULTS, "expected") for line in good for what in _qualities(line) if name in what)
  what = max(counts, key=counts.get, default="")
  return [line for line in good if what in _qualities(line)], what, len(good)


def _series(lines: Sequence[Line], what: str, axis: str | None, others: Sequence[str]) -> dict[str, dict[Any, list[float]]]:
  """Return {other settings in words: {value on the axis: PSNR of all images and seeds}}."""
  found: dict[str, dict[Any, list[float]]] = {}
  for line in lines:
    label = ", ".join(f"{name.replace('_', ' ')} {line[name]}" for name in others if line[name] is not None)
    found.setdefault(label, {}).setdefault(line[axis] if axis else line["mask"], []).append(_qualities(line)[what])
  return found


def _axes(good: Sequence[Line]) -> tuple[list[str], str | None]:
  """Return (settings that vary among cases that can be drawn, the numeric one of most values or None)."""
  varying = [name for name in _results.SETTING if len({line[name] for line in good}) > 1]
  values = {name: len({line[name] for line in good} - {None}) for name in _NUMBERS if name in varying}
  axis = max(values, key=values.get, default=None)
  return varying, axis if axis is not None and values[axis] > 1 else None


def remark_no_plot(lines: Sequence[Line]) -> str:
  """Return why `draw_plot` draws nothing of lines of results.jsonl."""
  good, failed = _drawn(lines)[0], sum(line["failure"] is not None for line in lines)
  if not good:
    return f"no plot: no case has a PSNR, which needs a truth or an expected one; {failed} cases failed"
  return f"no plot: among the {len(good)} cases with a PSNR only images and seeds vary; {failed} cases failed"


def draw_plot(folder: pathlib.Path, lines: Sequence[Line]) -> pathlib.Path | None:
  """Draw the PSNR of a sweep's cases against the setting of most values; return the file's path, or None: nothing varies.

  One and the same quality of all cases is drawn: the expected PSNR where some have no truth. Images and seeds are averaged; bars
  are their standard deviation. What has no value on the axis, such as a dense network where the share of weights kept varies, is a
  level.

  Args:
    folder: the sweep's folder.
    lines: lines of results.jsonl.
  """
  good, what, able = _drawn(lines)
  varying, axis = _axes(good)
  if axis is None and "mask" not in varying:
    return None
  summed = lambda numbers: (statistics.mean(numbers), statistics.stdev(numbers) if len(numbers) > 1 else 0.0)
  curves, levels = {}, {}
  for label, points in _series(good, what, axis, [name for name in varying if name != (axis or "mask")]).items():
    levels |= {label or "without": summed(points[None])[0]} if None in points else {}
    places = sorted(place for place in points if place is not None) if axis else list(points)
    if places:
      curves[label] = [(place, *summed(points[place])) for place in places]
  ends = [end(line[axis] for line in good if line[axis] is not None) for end in (min, max)] if axis else [0, 0]
  files.save_sweep(folder / PLOT, curves, levels, xlabel=(axis or "mask").replace("_", " "),
                   ylabel=what if len(good) == able else f"{what} ({len(good)} of {able} cases)",
                   logarithmic=ends[0] > 0 and math.inf > ends[1] / ends[0] > _WIDE)
  return folder / PLOT
