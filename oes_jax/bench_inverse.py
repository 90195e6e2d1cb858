"""Inverse problems: the learned mask and two dense nets against classical methods, on the same measurements."""

import time
from typing import Any

import numpy as np

from oes_jax import bench_cases
from oes_jax import forward
from oes_jax import inverse_peers
from oes_jax import members
from oes_jax import methods
from oes_jax import outputs
from oes_jax import reports

# What the first estimate of a measurement is called, where it is a method of its own.
_ESTIMATES = {"mri": "zero-filled", "super_resolution": "bicubic", "tomography": "filtered back-projection",
              "inpainting": "mean of the rest", "deblurring": "the measurement itself"}
_NETWORKS = (methods.LEARNED, "dense (deep image prior)", "deep decoder, dense")


def _peer_rows(config, changes: dict[bench_cases.Key, dict[str, Any]]) -> list[dict[str, Any]]:
  """Score the first estimate and the classical methods on every measurement."""
  rows = []
  for key, job in bench_cases.inspected(config, changes):
    measured, name = members.measure(job), job.config.operator.name
    given = inverse_peers.Given(
        job.operator, measured.op_params, measured.values, job.shape,
        forward.angles_of(job.config), job.strength.sigma)
    truth = np.asarray(forward.to_view(job.config, measured.truth))
    for method in (_ESTIMATES[name], *inverse_peers.PEERS[name]):
      began = time.perf_counter()
      image = measured.estimate if method == _ESTIMATES[name] else inverse_peers.solve(name, method, given)
      seconds = None if method == _ESTIMATES[name] else time.perf_counter() - began
      quality = outputs.quality_of(np.asarray(forward.to_view(job.config, image)), truth)
      rows.append({"method": method, "image": key[0], "seed": key[1],
                   **{f"average {score}": value for score, value in quality.items()},
                   "seconds": seconds})
  return rows


def tabulate(config, rows: list[dict[str, Any]]) -> list[list[str]]:
  """Return header and cells: every problem with all its methods, the best averaged PSNR first."""
  problems = config.benchmark.problems
  most = max(len(crops) for _, crops, _ in problems)
  table = [["problem", "method", "PSNR (averaged output)", *(f"image {number + 1}" for number in range(most)),
            "SSIM", "last PSNR", "guarded PSNR", "seconds", "failed"]]
  for problem, crops, pairs in problems:
    shown, cases = [image for image, _ in crops], len(crops) * len(config.benchmark.seeds)
    operator, lines = dict(pairs)["operator.name"], []
    for name in (_ESTIMATES[operator], *inverse_peers.PEERS[operator], *_NETWORKS):
      of = [row for row in rows if (row["problem"], row["method"]) == (problem, name)]
      each = [bench_cases.mean([row for row in of if row["image"] == image], "average psnr", 2) for image in shown]
      lines.append([f"{problem}: {', '.join(shown)}", name, bench_cases.spread(of, "average psnr"),
                    *each, *[""] * (most - len(each)), bench_cases.mean(of, "average ssim", 3),
                    bench_cases.mean(of, "last psnr", 2), bench_cases.mean(of, "guarded psnr", 2),
                    bench_cases.mean(of, "seconds", 1), bench_cases.share_of(cases - len(of), cases)])
    lines.sort(key=lambda line: -float(line[2].partition(" ")[0] or -np.inf))
    table += [[line[0] if line is lines[0] else "", *line[1:]] for line in lines]
  return reports.without_empty_columns(table)


def run_inverse(arguments) -> None:
  """Solve every problem of the config with every method; print and record the table.

  Raises:
    ValueError: a problem has an operator without classical peers.
  """
  config, base, output = bench_cases.read_arguments(arguments, "inverse")
  for problem, _, pairs in config.benchmark.problems:
    if dict(pairs).get("operator.name") not in _ESTIMATES:
      raise ValueError(f"benchmark.problems: {problem!r} has operator.name={dict(pairs).get('operator.name')!r}; "
                       f"allowed: {', '.join(_ESTIMATES)}.")
  rows = []
  for problem, crops, pairs in config.benchmark.problems:
    mine, shared = bench_cases.of_crops(config, crops), dict(pairs)
    changes = {key: shared for key in bench_cases.keys_of(mine)}
    rows += [{"problem": problem, **row} for row in _peer_rows(mine, changes)]
    for name in _NETWORKS:
      restored = bench_cases.restore(
          mine, base / bench_cases.folder_name(f"{problem}-{name}"), f"{problem}: {name}",
          bench_cases.changes_of(mine, name, {}, shared))
      for key, summary in restored.items():
        row = bench_cases.row(name, key, summary)
        rows.append({"problem": problem, **row, "seconds": sum(row["seconds"].values())})
  bench_cases.finish(base, output, config, "inverse", rows, tabulate(config, rows))
  reports.save_matrix(base / "inverse.png", *bench_cases.averages(
      rows, lambda row: row["method"], lambda row: row["problem"]), title="averaged PSNR, dB")
