"""The PSNR that is expected of a result, and its map of errors, against the truth."""

import pathlib
from typing import Any, Sequence

import numpy as np
from scipy import ndimage

from oes_jax.bench import _cases
from oes_jax.bench import _flags
from oes_jax.bench import _methods
from oes_jax.bench import _tables
from oes_jax import files
from oes_jax import fitting
from oes_jax import runs

_AROUND = 2.0  # pixels, as of the map


def _decibel(error) -> float:
  return float(-10 * np.log10(np.mean(error)))


def _score(job: runs.Job, summary: dict[str, Any]) -> dict[str, Any]:
  """Return what was expected of a finished restoration and what is true of it."""
  folder, measured, operator = pathlib.Path(summary["folder"]), runs.measure(job), job.data.operator
  view, output = fitting.view_of(operator), np.load(folder / "output.npy")
  params, seen = measured.op_params, operator.seen(measured.op_params)
  missed = np.asarray(operator.apply(params, output) - operator.apply(params, measured.truth)) / operator.unit
  seen = np.ones(()) if seen is None else np.asarray(seen)
  parts = np.broadcast_to(seen[..., 0] if np.iscomplexobj(missed) and seen.ndim else seen, missed.shape)
  squared = np.mean((np.asarray(view(output), np.float64) - view(measured.truth)) ** 2, -1)
  map_of = runs.read_error_map(folder)  # through an operator there is none
  alike = lambda error: None if map_of is None else float(np.corrcoef(map_of.ravel(), error.ravel())[0, 1])
  expected = summary["expected_psnr"] or {"psnr": None, "spread": None}  # of noise that is a guess nothing is expected
  return {"expected": expected["psnr"], "spread": expected["spread"],
          "measured psnr": _decibel(np.sum(parts * np.abs(missed) ** 2) / np.sum(parts)), "image psnr": _decibel(squared),
          "map around": alike(np.sqrt(ndimage.gaussian_filter(squared, _AROUND))), "map of pixels": alike(np.sqrt(squared))}


def tabulate(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
  """Return header and cells: every problem, then denoising and operators together; those of which nothing is expected are counted.

  Args:
    rows: the results.
  """
  table = [["problem", "restorations", "median difference, dB", "mean difference, dB", "within its spread",
            "correlation of the map around a pixel", "of single pixels"]]
  groups = {name: [row for row in rows if row["problem"] == name] for name in dict.fromkeys(row["problem"] for row in rows)}
  groups["denoising"] = [row for row in rows if row["denoising"]]
  groups["operators"] = [row for row in rows if not row["denoising"]]
  for name, every in groups.items():
    mine = [row for row in every if row["expected"] is not None]
    off = np.array([row["expected"] - row["measured psnr"] for row in mine])
    if mine:
      told = str(len(mine)) if len(mine) == len(every) else f"{len(mine)} of {len(every)}"
      table.append([name, told, f"{np.median(np.abs(off)):.2f}", f"{np.mean(off):+.2f}",
                    f"{100 * np.mean(np.abs(off) <= [row['spread'] for row in mine]):.0f} %",
                    *(_tables.mean(mine, column, 2) for column in ("map around", "map of pixels"))])
  return table


def run_expected(arguments) -> None:
  """Restore every problem of the config with the default; print, record and draw what was expected and what is true."""
  config, base, output = _cases.read_arguments(arguments, "expected")
  rows, name = [], _methods.RECORRUPTED_DENSE
  for problem, crops, pairs in config.benchmark.problems:
    mine, shared = _cases.of_crops(config, crops), dict(pairs)
    changes = _cases.changes_of(mine, name, {}, shared)
    restored = _cases.restore_cases(mine, base / _cases.folder_name(problem), problem, changes)
    for key, job in _cases.inspected(mine, {key: changes[key] for key in restored}):
      rows.append({"problem": problem, "denoising": shared["operator.name"] == "identity", "image": key[0], "seed": key[1],
                   **_score(job, restored[key])})
  table = tabulate(rows)
  _tables.show(base, "expected", rows, table)
  _tables.record(output, config, rows, table)
  told = [row for row in rows if row["expected"] is not None]
  files.save_scatter(base / "expected.png", {
      problem: [(row["measured psnr"], row["expected"]) for row in told if row["problem"] == problem]
      for problem in dict.fromkeys(row["problem"] for row in told)},
      xlabel="true PSNR of what was measured, dB", ylabel="expected, dB")


def add_command(commands) -> None:
  """Add the command `expected` and its flags."""
  parser = _flags.add_parser(commands, "expected", run_expected, "the PSNR that is expected of a result, against the true one")
  _flags.add_config(parser, "expected")
