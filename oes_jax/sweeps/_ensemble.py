"""The mean of several restorations of one measurement, and how far they are apart."""

import logging
import pathlib
from typing import Any, Sequence

import numpy as np

from oes_jax import files
from oes_jax import fitting
from oes_jax import metrics
from oes_jax import runs
from oes_jax.sweeps import _cases
from oes_jax.sweeps import _plan
from oes_jax.sweeps import _results


def _quality(job: runs.Job, measured, mean: np.ndarray, shown: np.ndarray) -> dict[str, Any]:
  """Return what the mean and its members score against the truth.

  Args:
    job: the job of any member.
    measured: measurement of the job, with a truth.
    mean: mean of the members' outputs, [H, W, C].
    shown: the members' outputs as they are shown, [members, H, W, c].
  """
  view = fitting.view_of(job.data.operator)
  truth, mean = view(measured.truth), view(mean)
  singles = [float(metrics.psnr(output, truth)) for output in shown]
  error, spread = np.abs(mean - truth), shown.std(0, ddof=1)
  return {"measurement": runs.quality_of(view(measured.estimate), truth),
          job.settings.output.image: runs.quality_of(mean, truth), "members": singles,
          "gain": float(metrics.psnr(mean, truth)) - float(np.mean(singles)),
          "correlation of spread and error": float(np.corrcoef(spread.ravel(), error.ravel())[0, 1])}


def write_ensemble(folder: pathlib.Path, job: runs.Job, parts: Sequence[pathlib.Path],
                   asked: dict[str, Any] | None = None) -> dict[str, Any]:
  """Write the members' mean, their spread and its figure; return the summary.

  Files: restored.*, restored.npy and output.npy as a run's; spread.npy, the standard deviation of
  the members (n - 1) at every value, in the units of the image's file; uncertainty.png and
  report.html; summary.json and the manifest.

  Args:
    folder: the ensemble's folder, which is made.
    job: the job of any member: measurement and truth are the same for all.
    parts: folders of two or more finished members.
    asked: {key outside all sections: its value} where the ensemble's config says other than the job's.
  """
  folder.mkdir(parents=True, exist_ok=True)
  files.remove_temporaries(folder, locked=False)
  view, measured = fitting.view_of(job.data.operator), runs.measure(job)
  outputs = np.stack([np.load(part / "output.npy") for part in parts]).astype(np.float64)
  mean, shown = outputs.mean(0), np.stack([view(output) for output in outputs])
  spread = shown.std(0, ddof=1)
  for text in runs.remark_same_members(shown):
    logging.warning("%s: %s", folder, text)
  quality = None if measured.truth is None else _quality(job, measured, mean, shown)
  names = runs.write_images(folder, job, measured, mean, quality)
  low, high = job.data.limits
  files.write_array(folder / "spread.npy", (spread * (high - low)).astype(np.float32))
  if job.settings.output.figures:
    error = None if measured.truth is None else np.abs(view(mean) - view(measured.truth))
    files.save_uncertainty(folder / "uncertainty.png", view(mean), spread, error)
  names += runs.write_error_map(folder, job, runs.mean_of_maps([runs.read_error_map(part) for part in parts]))
  told = [runs.read_summary(part) for part in parts]
  summary = {"output": names[0], "members": [part.name for part in parts], "outputs": _checksums(parts), "quality": quality,
             "mean_spread": float(spread.mean()),
             "expected_psnr": runs.mean_of_parts([one.get("expected_psnr") for one in told]), **runs.candidates_of_parts(told)}
  if job.settings.output.figures:
    runs.write_report(folder, job, measured, mean, {**summary, "noise_level": runs.noise_level_of(job, measured)}, changes=asked,
                      parts=[(part.name, f"../../cases/{part.name}/{files.REPORT}") for part in parts])
  runs.finish(folder, summary, [*names, "spread.npy"])
  return summary


def _checksums(parts: Sequence[pathlib.Path]) -> list[str]:
  """Return the sha256 of what each finished member contributes."""
  return [files.read_manifest(part)["output.npy"]["sha256"] for part in parts]


def read_made(folder: pathlib.Path, parts: Sequence[pathlib.Path], image: str) -> dict[str, Any] | None:
  """Return the summary of the ensemble in a folder if it is sound and that of these members, or None.

  Args:
    folder: the ensemble's folder, which need not exist.
    parts: folders of finished members, in their order.
    image: the output.image that is averaged.
  """
  summary = runs.read_finished(folder, read=runs.read_ensemble)
  made = summary and (summary["members"], summary["outputs"]) == ([part.name for part in parts], _checksums(parts))
  scored = made and (summary["quality"] is None or isinstance(summary["quality"].get(image), dict))
  return summary if scored else None


def describe_ensemble(name: str, job: runs.Job, summary: dict[str, Any]) -> dict[str, Any]:
  """Return the ensemble's line for results.jsonl.

  Args:
    name: name of the ensemble's folder.
    job: the job of any member.
    summary: summary of the ensemble, as `write_ensemble` returns it.
  """
  quality = summary["quality"]
  psnr = {} if quality is None else {
      "member": float(np.mean(quality["members"])), "mean": quality[job.settings.output.image]["psnr"],
      "gain": quality["gain"]}
  return {"case": name, "source": job.settings.data.source, "members": len(summary["members"]),
          "psnr": psnr, "failure": None}


def _average(folder: pathlib.Path, members: Sequence[_cases.Case], recorded: dict[str, dict[str, Any]],
             asked: dict[str, Any]) -> None:
  """Write and record the ensemble of finished members, unless that is done already."""
  job = _plan.read_case(members[0], folder / "cases")
  place = folder / "ensembles" / f"ensemble-{members[0].name}"
  parts = [folder / "cases" / case.name for case in members]
  summary = read_made(place, parts, job.settings.output.image)
  if summary is None:
    damaged = [part / found for part in parts if (found := files.find_damage(part))]
    if damaged:  # since this start has looked at it
      logging.warning("%s is damaged: %s is not made; start again", damaged[0], place.name)
      return
    summary = write_ensemble(place, job, parts, asked)
  _results.copy_restored(folder, place, summary["output"])
  line = describe_ensemble(place.name, job, summary)
  if recorded.get(place.name) != line:
    _results.append_result(folder, line)


def average_members(folder: pathlib.Path, cases: Sequence[_cases.Case]) -> None:
  """Write every ensemble whose members have all ended, two of them at least with a result.

  Args:
    folder: the sweep's folder.
    cases: all planned cases of this start.
  """
  ensembles: dict[int, list[_cases.Case]] = {}
  for case in cases:
    ensembles.setdefault(case.ensemble, []).append(case)
  recorded = _results.read_results(folder)
  for members in ensembles.values():
    lines = [recorded.get(case.name) for case in members]
    good = [case for case, line in zip(members, lines) if line and not line["failure"]]
    if None not in lines and len(good) > 1:
      _average(folder, good, recorded, {"seed": members[0].asked["seed"], "ensemble": len(members)})
