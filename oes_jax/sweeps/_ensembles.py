"""The mean of several restorations of one measurement, and how far they are apart."""

import functools
import json
import pathlib
from typing import Any, Sequence

import numpy as np

from oes_jax import files
from oes_jax import metrics
from oes_jax import runs


def write_ensemble(folder: pathlib.Path, job: runs.Job, parts: Sequence[pathlib.Path]) -> dict[str, Any]:
  """Write the members' mean, their spread and its figure; return the summary.

  Files: restored.*, restored.npy and output.npy as a run's; spread.npy, the standard deviation of
  the members (n - 1) at every value, in the units of the image's file; uncertainty.png; summary.json.

  Args:
    folder: of the ensemble, which is made.
    job: of any member: measurement and truth are the same for all.
    parts: folders of two or more finished members.
  """
  folder.mkdir(parents=True, exist_ok=True)
  outputs_of = np.stack([np.load(part / "output.npy") for part in parts]).astype(np.float64)
  view = functools.partial(runs.to_view, job.config)
  mean, shown = outputs_of.mean(0), np.stack([view(output) for output in outputs_of])
  spread, measured = shown.std(0, ddof=1), runs.measure(job)
  quality, error = None, None
  if measured.truth is not None:
    truth = view(measured.truth)
    singles = [float(metrics.psnr(output, truth)) for output in shown]
    psnr = float(metrics.psnr(view(mean), truth))
    error = np.abs(view(mean) - truth)
    quality = {"measurement": runs.quality_of(view(measured.estimate), truth),
               job.config.output.image: runs.quality_of(view(mean), truth),
               "members": singles, "gain": psnr - float(np.mean(singles)),
               "correlation of spread and error": float(np.corrcoef(spread.ravel(), error.ravel())[0, 1])}
  written = runs.write_images(folder, job, measured, measured.truth, mean, quality)
  low, high = job.limits
  np.save(folder / "spread.npy", (spread * (high - low)).astype(np.float32))
  if job.config.output.figures:
    files.save_uncertainty(folder / "uncertainty.png", view(mean), spread, error)
  summary = {"output": written, "members": [part.name for part in parts], "quality": quality,
             "mean_spread": float(spread.mean())}
  files.write_atomically(folder / "summary.json", json.dumps(summary, indent=2).encode())
  return summary


def is_made_of(folder: pathlib.Path, parts: Sequence[pathlib.Path]) -> bool:
  """Whether the ensemble in a folder is already that of these members."""
  path = folder / "summary.json"
  return path.is_file() and json.loads(path.read_text(encoding="utf-8"))["members"] == [
      part.name for part in parts]


def describe_ensemble(name: str, job: runs.Job, summary: dict[str, Any]) -> dict[str, Any]:
  """Return the ensemble's line for results.jsonl."""
  quality = summary["quality"]
  psnr = {} if quality is None else {
      "member": float(np.mean(quality["members"])), "mean": quality[job.config.output.image]["psnr"],
      "gain": quality["gain"]}
  return {"case": name, "source": job.config.data.source, "members": len(summary["members"]),
          "psnr": psnr, "failure": None}
