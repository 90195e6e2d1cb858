"""What a finished run leaves in its folder: images, figures, summary.json and the manifest."""

import dataclasses
import logging
import pathlib
import platform
from typing import Any

import jax
import numpy as np

import oes_jax
from oes_jax import files
from oes_jax import fitting
from oes_jax import intensity
from oes_jax import masks
from oes_jax import metrics
from oes_jax import operators
from oes_jax.runs import _candidates
from oes_jax.runs import _comparison
from oes_jax.runs import _expected
from oes_jax.runs import _finished
from oes_jax.runs import _masks
from oes_jax.runs import _measure
from oes_jax.runs import _range_ends
from oes_jax.runs import _remarks
from oes_jax.runs import _report
from oes_jax.runs._job import Job
from oes_jax.runs._measure import Measurement

FIRST_IMAGE = "first_image.npy"


def quality_of(image, truth) -> dict[str, float]:
  """Return PSNR (dB) and SSIM, data range 1, of [H, W, C] images."""
  return {"psnr": float(metrics.psnr(image, truth)), "ssim": metrics.ssim(image, truth)}


def output_of(weights: fitting.TrainWeights) -> str:
  """Return the output.image that settings of the weight stage make the result where nothing else is asked for."""
  return "combined" if weights.combine else "average" if weights.guard is None else "guarded"


def image_of(job: Job, restored: fitting.Restoration):
  """Return the image that output.image asks for, [H, W, C] in the unit range."""
  return _images(restored)[job.settings.output.image]


def _images(restored: fitting.Restoration) -> dict[str, Any]:
  guarded = {} if restored.guarded is None else {"guarded": restored.guarded.output}
  combined = {} if restored.combined is None else {
      "combined": restored.combined.output, "estimate": restored.combined.estimate}
  return {"average": restored.image, "last": restored.last, **guarded, **combined}


def describe(job: Job, measurement: Measurement, mask, collapse: list[str], restored: fitting.Restoration,
             trace) -> dict[str, Any]:
  """Return what summary.json says of a restoration: the quality of its images, the guard's choice and the mask.

  Args:
    job: finished job.
    measurement: measurement of the job; a truth is only scored.
    mask: full tree of the weights that were kept.
    collapse: findings that make the mask useless, in words.
    restored: images that the weight stage gave, in the unit range.
    trace: PSNR of every step of the weight stage, [steps]; None without a truth.
  """
  quality, view, guarded = None, fitting.view_of(job.data.operator), restored.guarded
  if measurement.truth is not None:
    truth = view(measurement.truth)
    quality = {name: quality_of(view(np.asarray(image)), truth)
               for name, image in {"measurement": measurement.estimate, **_images(restored)}.items()}
    quality["best"] = {"psnr": float(trace.max()), "step": int(trace.argmax()) + 1}
  report = _masks.density_report(job, mask)
  return {
      "quality": quality, "noise_level": noise_level_of(job, measurement),
      "guard": guarded and {"step": guarded.step, "stopped": guarded.stopped},
      "combined": None if restored.combined is None else {"share": float(restored.combined.share)},
      "expected_psnr": _expected.expected_psnr_of(job, restored, measurement.noise_level),
      "mask": {"kept": sum(r.kept for r in report), "acting": sum(r.acting for r in report),
               "size": sum(r.size for r in report), "density": masks.density(mask), "collapse": collapse,
               "prior": job.density.keep_fraction, "layers": [r._asdict() for r in report]}}


def noise_level_of(job: Job, measurement: Measurement) -> dict[str, Any] | None:
  """Return what summary.json says of the noise level that the fit was told of or estimated; None where it needs none."""
  recorruption = _measure.recorruption_of(job, measurement)
  if recorruption is None or job.settings.noise.model != "gaussian":
    return None
  level = measurement.noise_level
  return {"sigma": float(recorruption.noise.strength.sigma), "estimated": level is not None,
          **({} if level is None else {"correlation": level.correlation, "clipped": level.clipped, "bound": level.bound})}


def write_outputs(job: Job, measurement: Measurement, mask, collapse: list[str], restored: fitting.Restoration,
                  seconds, memory) -> dict[str, Any]:
  """Write images, figures where output.figures asks for them, summary.json and last of all the manifest; return the summary.

  Args:
    job: finished job.
    measurement: measurement of the job; a truth is only scored.
    mask: full tree of the weights that were kept.
    collapse: findings that make the mask useless, in words.
    restored: images that the weight stage gave, in the unit range.
    seconds: seconds of each stage.
    memory: peak bytes of each stage's program.
  """
  curves = files.read_metrics(job.workdir / "metrics.jsonl")
  results = describe(job, measurement, mask, collapse, restored, curves["weights"].get("psnr"))
  remarks = () if _range_ends.is_later_member(job) else _remarks.remark_result(job, measurement, image_of(job, restored), results)
  for text in remarks:
    logging.warning("%s: %s", job.settings.data.source, text)
  written = write_images(job.workdir, job, measurement, image_of(job, restored), results["quality"])
  error = _expected.error_map_of(job, restored, results["expected_psnr"])
  written += _expected.write_error_map(job.workdir, job, error) + _expected.write_unseen(job.workdir, restored)
  if job.settings.output.figures:
    files.save_curves(job.workdir / "curves.png", curves, results["guard"] and results["guard"]["step"],
                      _comparison.noise_floor_of(job, measurement))
    files.save_mask_figure(job.workdir / "mask.png", [masks.LayerReport(**row) for row in results["mask"]["layers"]])
  summary = summary_of(job, {"output": written[0], **results, "seconds": seconds, "peak_bytes": memory})
  return _finish(job, measurement, image_of(job, restored), summary, written)


def write_tiled(job: Job, measurement: Measurement, restored, parts, error=None) -> dict[str, Any]:
  """Write the blend of tiles, summary.json and the manifest; return the summary. The tiles' folders hold curves and masks.

  Args:
    job: job of the whole image.
    measurement: measurement of the job.
    restored: the blend, [H, W, C] in the unit range.
    parts: summaries of the tiles.
    error: the blend of their maps of the expected error, [H, W] in the units of the image's file; None: they have none.
  """
  results = describe_tiled(job, measurement, restored, parts)
  written = write_images(job.workdir, job, measurement, restored, results["quality"])
  written += _expected.write_error_map(job.workdir, job, error)
  summary = summary_of(job, {"output": written[0], **results})
  reports = [(f"tile {number + 1}", f"tiles/{number:03d}/{files.REPORT}") for number in range(len(parts))]
  return _finish(job, measurement, restored, summary, written,
                 [(name, path) for name, path in reports if (job.workdir / path).is_file()])


def describe_tiled(job: Job, measurement: Measurement, restored, parts) -> dict[str, Any]:
  """Return what summary.json says of a blend of tiles; weights and seconds are sums over the tiles.

  Args:
    job: job of the whole image.
    measurement: measurement of the job.
    restored: the blend, [H, W, C] in the unit range.
    parts: summaries of the tiles.
  """
  quality, truth = None, measurement.truth
  if truth is not None:
    quality = {"measurement": quality_of(measurement.estimate, truth),
               job.settings.output.image: quality_of(restored, truth)}
  stages = {stage: times for part in reversed(parts) for stage, times in part["seconds"].items()}  # a budget may end before some
  seconds = {stage: {name: sum(part["seconds"].get(stage, {}).get(name, 0) for part in parts) for name in times}
             for stage, times in stages.items()}
  for times in seconds.values():
    times["per_step"] /= len(parts)
  weights = {name: sum(part["mask"][name] for part in parts) for name in ("kept", "acting", "size")}
  return {
      "quality": quality, "noise_level": noise_level_of(job, measurement), "seconds": seconds, "tiles": len(parts),
      "peak_bytes": parts[0]["peak_bytes"],
      "expected_psnr": None if _expected.is_guessed(measurement.noise_level) else _expected.mean_of_parts(
          [part.get("expected_psnr") for part in parts]),
      "mask": {**weights, "density": weights["kept"] / max(1, weights["size"]),
               "collapse": [found for part in parts for found in part["mask"]["collapse"]],
               "prior": job.density.keep_fraction},
      **_candidates.candidates_of_parts(parts)}


def write_images(workdir: pathlib.Path, job: Job, measurement: Measurement, restored, quality) -> list[str]:
  """Write the images of a job and, with output.figures, their comparison; return the images' names, the restored one first.

  Args:
    workdir: folder to write into.
    job: job whose file has the layout, type and range.
    measurement: measurement of the job.
    restored: the result, [H, W, C] in the unit range.
    quality: scores to print above the images, or None.
  """
  data, dtype, view = job.data, job.data.picture.values.dtype, fitting.view_of(job.data.operator)
  written = ["output.npy", "restored.npy"]
  if data.operator.is_complex:
    whole = operators.to_complex(2 * np.asarray(restored, np.float32) - 1)
    files.write_array(workdir / "complex.npy", data.limits[1] * whole)
    written.append("complex.npy")
  files.write_array(workdir / "output.npy", np.asarray(restored, np.float32))
  restored = view(restored)
  values = intensity.from_unit(restored, data.limits, dtype)
  files.write_array(workdir / "restored.npy", values[..., 0] if data.picture.squeezed else values)
  written.insert(0, files.write_picture(workdir / "restored", values, _layout(job, values), _origin_of(job, "restored")).name)
  if data.operator.measures_image:
    kept = intensity.from_unit(measurement.values, data.limits, dtype)
    written.append(files.write_picture(workdir / "measurement", kept, _layout(job, kept),
                                       _origin_of(job, "written as it was fitted")).name)
  else:
    files.write_array(workdir / "measurement.npy", measurement.values)
    first = intensity.from_unit(view(measurement.estimate), data.limits, dtype)
    files.write_array(workdir / FIRST_IMAGE, first[..., 0] if data.picture.squeezed else first)
    written += ["measurement.npy", FIRST_IMAGE]
    if job.settings.output.figures:
      files.save_preview(workdir / FIRST_IMAGE.replace(".npy", ".png"), _report.viewed(job, measurement.estimate))
  if job.settings.output.figures:
    _comparison.save_comparison(workdir / "before_after.png", job, measurement, restored, quality)
  return list(dict.fromkeys(written))  # a picture of suffix .npy is the array


def _origin_of(job: Job, description: str) -> files.Origin:
  """Return what made an image of a job: images of one series that are restored with the same settings stay one."""
  settings = job.settings._replace(data=dataclasses.replace(job.settings.data, source="any", truth=None))
  return files.Origin(f"{description} ({job.settings.operator.name})", repr(settings))


def _layout(job: Job, values) -> files.Picture:
  """Return the layout of the job's file; an image of another size has none of its transparency."""
  picture = job.data.picture
  return picture if values.shape[:2] == picture.values.shape[:2] else dataclasses.replace(picture, alpha=None)


def _finish(job: Job, measurement: Measurement, restored, summary: dict[str, Any], written: list[str],
            parts=()) -> dict[str, Any]:
  if job.settings.output.figures:
    _report.write_report(job.workdir, job, measurement, restored, summary, parts=parts)
  _finished.finish(job.workdir, summary, written)
  return summary


def summary_of(job: Job, results: dict[str, Any]) -> dict[str, Any]:
  """Return results with what summary.json says of the job itself."""
  data = job.data
  return {
      **results, "output_image": job.settings.output.image, "compared_with": _comparison.name_of_estimate(job), "truth": _truth_name(job),
      "limits": data.limits, "sigma": data.sigma, "noise": data.strength._asdict(), "generator": job.generator.spec,
      "conv": job.conv, "chunk_steps": job.chunk_steps, "tile": job.tile,
      "device": f"{jax.devices()[0].device_kind} ({jax.default_backend()})",
      "versions": {"oes_jax": oes_jax.__version__, "jax": jax.__version__,
                   "python": platform.python_version(), "numpy": np.__version__},
      **job.identity}


def _truth_name(job: Job) -> str | None:
  if job.settings.data.truth is not None:
    return job.settings.data.truth
  return job.settings.data.source if job.data.truth is not None else None
