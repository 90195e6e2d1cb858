"""Inverse problems: the learned mask and the dense net against classical methods, on the same measurements."""

import functools
import time
from typing import Any

import numpy as np

from oes_jax import bench_cases
from oes_jax import forward
from oes_jax import inverse_peers
from oes_jax import jobs
from oes_jax import members
from oes_jax import methods
from oes_jax import outputs
from oes_jax import records
from oes_jax import reports
from oes_jax import validation

# What the estimate that a run is shown beside is called, where it is a method of its own.
_ESTIMATES = {"identity": "the measurement itself", "mri": "zero-filled", "super_resolution": "bicubic", "tomography": "filtered back-projection", "inpainting": "mean of the rest",
              "deblurring": "the measurement itself", "fourier_rows": "zero-filled", "gaussian_rows": "adjoint"}
_NETWORKS = (methods.LEARNED, "dense (deep image prior)")


def _peer_rows(config, changes: dict[bench_cases.Key, dict[str, Any]]) -> list[dict[str, Any]]:
  """Score the first estimate and the classical methods on every measurement."""
  rows = []
  for key, case in zip(changes, bench_cases.list_cases(config, changes)):
    job = jobs.inspect(case.config)
    measured, operator = members.measure(job), case.config.operator
    view = functools.partial(forward.to_view, case.config)
    made = {_ESTIMATES[operator.name]: lambda measured=measured, job=job: np.clip(
        job.operator.estimate(measured.op_params, measured.values), 0, 1)}
    for peer in inverse_peers.PEERS[operator.name]:
      made[peer] = lambda peer=peer, operator=operator, measured=measured, job=job: inverse_peers.solve(
          operator.name, peer, measured.values, measured.op_params, operator, job.shape)
    for name, make in made.items():
      began = time.perf_counter()
      image = np.asarray(make())
      seconds = time.perf_counter() - began
      quality = outputs.quality_of(view(image), view(measured.truth))
      rows.append({"method": name, "image": key[0], "seed": key[1],
                   **{f"average {score}": value for score, value in quality.items()},
                   "seconds": seconds})
  return rows


def tabulate(rows: list[dict[str, Any]]) -> list[list[str]]:
  """Return header and cells: every problem with all its methods, the best averaged PSNR first."""
  table = [["problem", "method", "PSNR (averaged output)", "SSIM", "last PSNR", "seconds"]]
  for problem in dict.fromkeys(row["problem"] for row in rows):
    mine = [row for row in rows if row["problem"] == problem]
    lines = []
    for name in dict.fromkeys(row["method"] for row in mine):
      of = [row for row in mine if row["method"] == name]
      lines.append([problem, name, bench_cases.spread(of, "average psnr"), bench_cases.mean(of, "average ssim", 3),
                    bench_cases.spread(of, "last psnr"), bench_cases.mean(of, "seconds", 1)])
    table += sorted(lines, key=lambda line: -float(line[2].partition(" ")[0]))
  return reports.without_empty_columns(table)


def run_inverse(arguments) -> None:
  """Solve every problem of the config with every method; print and record the table."""
  config, base, output = bench_cases.read_arguments(arguments, "inverse")
  rows = []
  for problem, pairs in config.benchmark.problems:
    shared = dict(pairs)
    changes = {key: shared for key in bench_cases.keys_of(config)}
    learned, found = None, []
    for name in _NETWORKS:
      mine = changes if learned is None else {
          key: {**shared, **methods.METHODS[name](bench_cases.learned_of(config, key[0], summary))}
          for key, summary in learned.items()}
      restored = bench_cases.restore(
          config, base / bench_cases.folder_name(f"{problem}-{name}"), f"{problem}: {name}", mine)
      learned = restored if learned is None else learned
      for key, summary in restored.items():
        row = bench_cases.row(name, key, summary)
        found.append({**row, "seconds": sum(row["seconds"].values())})
    rows += [{"problem": problem, **row} for row in found + _peer_rows(config, changes)]
  table = tabulate(rows)
  print(f"\n{reports.format_table(table)}")
  records.write_benchmark(output, {
      "config": validation.plain(config), "rows": rows, "table": reports.format_markdown(table)})
