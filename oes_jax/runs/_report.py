"""What the report of a restoration says."""

import math
import pathlib
from typing import Any, Mapping, Sequence

import numpy as np

from oes_jax import files
from oes_jax import fitting
from oes_jax import intensity
from oes_jax import masks
from oes_jax.runs import _comparison
from oes_jax.runs import _nearly_clean
from oes_jax.runs import _repeat
from oes_jax.runs import _saying
from oes_jax.runs import _tail
from oes_jax.runs._job import Job
from oes_jax.runs._measure import Measurement

# Figures that a report shows where they lie in the folder: name, heading and explanation.
_FIGURES = (
    ("error_map.png", "Error map", "How wrong the result is expected to be around every pixel; bright is worse."),
    ("uncertainty.png", "Uncertainty", "How far the members are apart at every pixel: their standard deviation, in the unit range."),
    ("curves.png", "Curves", ""))
_SCORED = ("measurement", "average", "last", "guarded", "estimate", "combined")

Rows = list[tuple[str, ...]]


def write_report(folder: pathlib.Path, job: Job, measurement: Measurement, restored, summary: Mapping[str, Any], *,
                 parts: Sequence[tuple[str, str]] = (), changes: Mapping[str, Any] | None = None) -> None:
  """Write report.html of a restoration, a blend of tiles or a mean of an ensemble.

  Args:
    folder: folder whose figures are drawn already.
    job: job of the image; of an ensemble that of any member.
    measurement: measurement of the job.
    restored: the result, [H, W, C] in the unit range.
    summary: what summary.json says.
    parts: (name, path from the folder) of the reports of tiles or members.
    changes: values of keys outside all sections that are asked for in place of the job's own.
  """
  asked = {**job.identity["config"], **(changes or {})}
  preset = _repeat.nearest_config(asked)
  before, after = viewed(job, measurement.estimate), viewed(job, restored)
  image = job.settings.output.image
  mask = summary.get("mask", {})
  files.write_report(folder, files.Report(
      title=_title(job), facts=_facts(job), done=_done(job, summary), before=before, after=after, labels=_labels(job, image, summary["quality"]),
      remarks=_remarks(job, measurement, summary), result=_result(job, summary), quality=_quality(job, summary["quality"]),
      candidates=_candidates(summary),
      quality_result=image, figures=_figures(folder), noise=_noise(job, summary), mask=_mask(mask), layers=_layers(mask),
      seconds=_seconds(summary), machine=_machine(summary), command=_repeat.command_of(asked), parts=parts,
      preset=preset.config, settings=[(key, repr(value), repr(had)) for key, value, had in preset.changed]))


def viewed(job: Job, image) -> np.ndarray:
  """Return an image [H, W, C] of the unit range as the eye is to see it."""
  shown = np.asarray(fitting.view_of(job.data.operator)(image))
  return 1 - shown if job.data.picture.is_negative else shown  # the file's 0 is white


def _title(job: Job) -> str:
  source = job.settings.data.source
  return source if source.startswith("tfds:") else pathlib.PurePath(source).name or source


def _facts(job: Job) -> list[str]:
  height, width, channels = job.data.picture.values.shape
  low, high = job.data.limits
  return [*([job.settings.data.source] if job.settings.data.source != _title(job) else []),
          f"{_saying.task_of(job.settings.operator.name)}; {height} × {width} pixels, {channels} channel{'s' * (channels > 1)}, "
          f"{job.data.picture.values.dtype}; values {intensity.say_range(low, high)} map to 0 to 1"]


def _done(job: Job, summary: Mapping[str, Any]) -> str:
  """Return a sentence that says how the result was made."""
  settings = job.settings
  if "candidates" in summary:
    names = ", ".join(one["name"] for one in summary["candidates"])
    return (f"A mix of what methods made of this measurement alone: {names}. How well each guesses measured values that it has not seen "
            "decides its share.")
  fitted = "copies of the measurement with new noise in every step" if settings.fit.objective == "recorrupted" else "the measurement"
  kept = {"dense": "all weights of a network", "learn": "the weights that a learned mask keeps"}.get(
      settings.mask.source, f"the weights that a mask keeps ({settings.mask.source})")
  is_mixed = summary.get("combined") or settings.output.image == "combined"  # of a tile or a member, each has a share of its own
  mixed = ", then mixed with an estimate without a network" if is_mixed else ""
  return f"{kept[0].upper()}{kept[1:]} fitted to {fitted}, {settings.weights.num_steps} steps{mixed}."


def _labels(job: Job, image: str, quality: Mapping[str, Any] | None) -> tuple[str, str]:
  scores = [f": {quality[name]['psnr']:.2f} dB" if quality else "" for name in ("measurement", image)]
  return f"{_comparison.name_of_estimate(job)}{scores[0]}", f"restored{scores[1]}"


def _remarks(job: Job, measurement: Measurement, summary: Mapping[str, Any]) -> list[str]:
  """Return what was warned of, as far as it is still at hand."""
  level, collapse = measurement.noise_level, summary.get("mask", {}).get("collapse", [])
  found = _nearly_clean.remark_level(job.data.operator, level, job.data.simulated)
  return [*job.data.remarks, *found, *measurement.remarks, *_tail.remark_tail(job.settings, summary), *(f"The mask has collapsed: {text}" for text in collapse)]


def _result(job: Job, summary: Mapping[str, Any]) -> Rows:
  rows, expected, quality, level = [], summary.get("expected_psnr"), summary["quality"] or {}, summary.get("noise_level")
  if expected and expected["of"] == "image" and level:
    rows.append(("PSNR of the measurement", f"{-20 * math.log10(level['sigma']):.2f} dB, by its noise"))
  if expected:
    rows.append(("expected PSNR", f"{fitting.say_expected_psnr(expected)}, told without a truth"))
  if summary.get("guard"):
    final = "" if summary["guard"]["stopped"] else ", still the best at the end"
    rows.append(("guard's step", f"{summary['guard']['step']}{final}"))
  if summary.get("combined"):
    rows.append(("generator's share", f"{100 * summary['combined']['share']:.0f} % of the mix"))
  if "members" in summary:
    rows.append(("members", str(len(summary["members"]))))
    rows.append(("their spread", f"{summary['mean_spread']:.4f} of the range, on average"))
  if "gain" in quality:
    rows.append(("gain of the mean", f"{quality['gain']:+.2f} dB over a member"))
  if "tiles" in summary:
    rows.append(("tiles", str(summary["tiles"])))
  return rows


def _candidates(summary: Mapping[str, Any]) -> Rows:
  """Return the table of the candidates of method auto, the largest share first; () of another method."""
  if "candidates" not in summary:
    return []
  scored = all(one["quality"] for one in summary["candidates"])  # tiles and members score their mean alone
  rows = [("method", "share", "misfit of unseen values (root mean square)", "seconds", *(["PSNR, dB"] if scored else []))]
  for one in summary["candidates"]:
    rows.append((one["name"], f"{100 * one['share']:.0f} %", f"{one['misfit']:.4g}", f"{one['seconds']:.0f}",
                 *([f"{one['quality']['psnr']:.2f}"] if scored else [])))
  return rows + [(name, f"left out: {why}") for name, why in summary["left_out"].items()]


def _quality(job: Job, quality: Mapping[str, Any] | None) -> Rows:
  """Return the table of what the images score; () without a truth."""
  if not quality:
    return []
  rows = [("image", "PSNR, dB", "SSIM")]
  names = {"measurement": _comparison.name_of_estimate(job)}
  rows += [(names.get(name, name), f"{quality[name]['psnr']:.2f}", f"{quality[name]['ssim']:.3f}") for name in _SCORED if name in quality]
  if "best" in quality:  # chosen with the truth, which no method has
    rows.append((f"best iterate (oracle, step {quality['best']['step']})", f"{quality['best']['psnr']:.2f}", ""))
  return rows


def _noise(job: Job, summary: Mapping[str, Any]) -> Rows:
  """Return what is known of the noise, as summary.json says it."""
  level, (low, high) = summary.get("noise_level"), job.data.limits
  rows = []
  if job.data.simulated:
    strength = ", ".join(f"{name} {value:g}" for name, value in job.data.strength._asdict().items() if value)
    rows.append(("simulated", f"{job.settings.noise.model}, {strength or 'none'}"))
  if level:
    how = "estimated from the measurement" if level["estimated"] else "told by fit.sigma or noise.sigma"
    if level.get("bound") is not None:
      how = f"taken off; the noise may be as strong as {level['bound']:.4f}, which fine texture would explain too"
    rows.append(("standard deviation", f"{level['sigma']:.4f} of the range, {how}"))
    if job.data.operator.measures_image:
      rows.append(("in the units of the file", f"{level['sigma'] * (high - low):.4g}"))
    if level.get("correlation") is not None:
      rows.append(("correlation of neighbours", f"{level['correlation']:.2f} (about 0 for white noise)"))
    if "clipped" in level:
      rows.append(("clipped values", f"{100 * level['clipped']:.2g} %"))
  return rows


def _mask(mask: Mapping[str, Any]) -> Rows:
  """Return what is said of a mask as a whole; () where all weights are kept, or none has one."""
  if not mask or mask["kept"] == mask["size"]:
    return []
  share = lambda count: f"{count:,} of {mask['size']:,} weights, {100 * count / mask['size']:.3g} %"
  return [("kept", share(mask["kept"])), ("can act", share(mask["acting"]))]


def _layers(mask: Mapping[str, Any]) -> list[masks.LayerReport]:
  return [masks.LayerReport(**row) for row in mask.get("layers", ())]


def _seconds(summary: Mapping[str, Any]) -> Rows:
  if not summary.get("seconds"):  # of an ensemble, and of a mix without networks
    return []
  return [("stage", "total, s", "run, s", "compilation, s", "a step, ms"),
          *((stage, *(f"{times[name]:.1f}" for name in ("total", "run", "compile")), f"{1e3 * times['per_step']:.1f}")
            for stage, times in summary["seconds"].items())]


def _machine(summary: Mapping[str, Any]) -> list[str]:
  if "device" not in summary:
    return []
  peak = f"; {max(summary['peak_bytes'].values()) / 1e6:,.0f} MB at the peak" if summary["peak_bytes"] else ""
  versions = ", ".join(f"{name} {version}" for name, version in summary["versions"].items())
  return [f"{summary['device']}; convolutions: {summary['conv']}{peak}. {versions}."]


def _figures(folder: pathlib.Path) -> list[tuple[str, str, bytes]]:
  return [(heading, text, (folder / name).read_bytes()) for name, heading, text in _FIGURES if (folder / name).is_file()]
