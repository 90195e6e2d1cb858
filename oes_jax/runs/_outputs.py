"""What a finished run leaves in its folder: images, figures and summary.json."""

import dataclasses
import functools
import json
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
from oes_jax.runs import _forward
from oes_jax.runs import _jobs


def quality_of(image, truth) -> dict[str, float]:
  """Return PSNR (dB) and SSIM, data range 1, of [H, W, C] images."""
  return {"psnr": float(metrics.psnr(image, truth)), "ssim": metrics.ssim(image, truth)}


def write_outputs(job: _jobs.Job, measured, truth, mask, collapse, last, average, seconds, memory,
          guarded: fitting.Choice | None = None) -> dict[str, Any]:
  """Write images, figures where output.figures asks for them, and last of all summary.json; return the summary.

  Args:
    job: that is finished.
    measured: members.Measured.
    truth: [H, W, C] in the unit range, as are `last` and `average`; or None. Only scored.
    mask: full tree.
    collapse: findings about it.
    last: output of the last step.
    average: averaged output.
    seconds: of each stage.
    memory: peak bytes of each stage's program.
    guarded: what weights.guard has chosen.
  """
  workdir, config = job.workdir, job.config
  choices = {"average": average, "last": last}
  if guarded is not None:
    choices["guarded"] = guarded.output
  curves = files.read_metrics(workdir / "metrics.jsonl")
  quality, view = None, functools.partial(_forward.to_view, config)
  if truth is not None:
    quality = {name: quality_of(view(image), view(truth))
               for name, image in {"measurement": measured.estimate, **choices}.items()}
    trace = curves["weights"]["psnr"]
    quality["best"] = {"psnr": float(trace.max()), "step": int(trace.argmax()) + 1}
  written = write_images(
      job.workdir, job, measured, truth, choices[config.output.image], quality)
  report = _jobs.density_report(job, mask)
  if config.output.figures:
    files.save_curves(workdir / "curves.png", curves)
    files.save_mask_figure(workdir / "mask.png", report)
  return _write_summary(job, {
      "output": written, "quality": quality, "seconds": seconds, "peak_bytes": memory,
      "guard": guarded and {"step": guarded.step, "stopped": guarded.stopped},
      "mask": {"kept": sum(r.kept for r in report), "acting": sum(r.acting for r in report),
               "size": sum(r.size for r in report), "density": masks.density(mask), "collapse": collapse,
               "prior": job.keep_fraction, "layers": [r._asdict() for r in report]}})


def write_tiled(job: _jobs.Job, measured, restored, parts) -> dict[str, Any]:
  """Write the blend of tiles whose summaries are `parts`, and summary.json; return the summary.

  Weights and seconds are sums over the tiles. The tiles' own folders hold curves and masks.
  """
  quality, truth = None, measured.truth
  if truth is not None:
    quality = {"measurement": quality_of(measured.estimate, truth),
               job.config.output.image: quality_of(restored, truth)}
  written = write_images(job.workdir, job, measured, truth, restored, quality)
  seconds = {stage: {name: sum(part["seconds"][stage][name] for part in parts)
                     for name in times} for stage, times in parts[0]["seconds"].items()}
  for times in seconds.values():
    times["per_step"] /= len(parts)
  weights = {name: sum(part["mask"][name] for part in parts) for name in ("kept", "acting", "size")}
  return _write_summary(job, {
      "output": written, "quality": quality, "seconds": seconds, "tiles": len(parts),
      "peak_bytes": parts[0]["peak_bytes"],
      "mask": {**weights, "density": weights["kept"] / weights["size"],
               "collapse": [found for part in parts for found in part["mask"]["collapse"]],
               "prior": job.keep_fraction}})


def write_images(workdir: pathlib.Path, job: _jobs.Job, measured, truth, restored, quality) -> str:
  """Write the images of a job and, with output.figures, their comparison; return the name of the restored one.

  Args:
    workdir: folder to write into.
    job: for the layout, type and range of its file.
    measured: members.Measured.
    truth: [H, W, C] in the unit range, or None; for the comparison.
    restored: the result, likewise.
    quality: scores to print above the images, or None.
  """
  dtype, view = job.picture.values.dtype, functools.partial(_forward.to_view, job.config)
  if _forward.is_complex(job.config):
    np.save(workdir / "complex.npy", job.limits[1] * operators.to_complex(2 * np.asarray(restored, np.float32) - 1))
  np.save(workdir / "output.npy", np.asarray(restored, np.float32))
  restored = view(restored)
  values = intensity.from_unit(restored, job.limits, dtype)
  np.save(workdir / "restored.npy", values[..., 0] if job.picture.squeezed else values)
  written = files.write_picture(workdir / "restored", values, _layout(job, values))
  if job.config.operator.name in _forward.MEASURE_IMAGES:
    kept = intensity.from_unit(measured.values, job.limits, dtype)
    files.write_picture(workdir / "measurement", kept, _layout(job, kept))
  else:
    np.save(workdir / "measurement.npy", measured.values)
  if job.config.output.figures:
    _save_comparison(workdir / "before_after.png", job, view(measured.estimate), restored,
                     None if truth is None else view(truth), quality)
  return written.name


def _save_comparison(path: pathlib.Path, job: _jobs.Job, measured, restored, truth, quality) -> None:
  titles = {"measurement": "measurement", "restored": "restored"}
  if quality is not None:
    for title, entry in (("measurement", "measurement"), ("restored", job.config.output.image)):
      titles[title] = f"{title}\n{quality[entry]['psnr']:.2f} dB, SSIM {quality[entry]['ssim']:.3f}"
  panels = [(titles["measurement"], measured), (titles["restored"], restored)]
  files.save_comparison(path, panels if truth is None else [*panels, ("truth", truth)])


def _layout(job: _jobs.Job, values) -> files.Picture:
  """Return the layout of the job's file; an image of another size has none of its transparency."""
  same = values.shape[:2] == job.picture.values.shape[:2]
  return job.picture if same else dataclasses.replace(job.picture, alpha=None)


def _write_summary(job: _jobs.Job, results: dict[str, Any]) -> dict[str, Any]:
  summary = {
      **results, "output_image": job.config.output.image, "truth": _truth_name(job),
      "limits": job.limits, "sigma": job.sigma, "noise": job.strength._asdict(), "generator": job.generator.spec, "conv": job.conv,
      "chunk_steps": job.chunk_steps, "tile": job.tile,
      "device": f"{jax.devices()[0].device_kind} ({jax.default_backend()})",
      "versions": {"oes_jax": oes_jax.__version__, "jax": jax.__version__,
                   "python": platform.python_version(), "numpy": np.__version__},
      **job.identity}
  files.write_atomically(job.workdir / "summary.json", json.dumps(summary, indent=2).encode())
  return summary


def _truth_name(job: _jobs.Job) -> str | None:
  if job.config.data.truth is not None:
    return job.config.data.truth
  return job.config.data.source if job.truth is not None else None
