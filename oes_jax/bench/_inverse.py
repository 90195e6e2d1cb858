"""Inverse problems: learned masks, dense nets and an ensemble against classical methods, on the same measurements."""

import time
from typing import Any, Sequence

import numpy as np

from oes_jax.bench import _cases
from oes_jax.bench import _earlier
from oes_jax.bench import _ensembles
from oes_jax.bench import _flags
from oes_jax.bench import _tables
from oes_jax.bench.peers import denoisers
from oes_jax.bench.peers import inverse
from oes_jax import files
from oes_jax import fitting
from oes_jax import operators
from oes_jax import runs

# What the first estimate of a measurement is called, where it is a method of its own.
_ESTIMATES = {name: family.estimate_name for name, family in operators.FAMILIES.items() if family.estimate_name}


def _peer_rows(config, open_keys: dict[str, list[_cases.Key]], shared: dict[str, Any]) -> list[dict[str, Any]]:
  """Score the first estimate and the classical methods, each on its measurements."""
  rows = []
  for key, job in _cases.inspected(config, {key: shared for keys in open_keys.values() for key in keys}):
    measured, name, view = runs.measure(job), job.settings.operator.name, fitting.view_of(job.data.operator)
    given = inverse.Given(
        job.data.operator, measured.op_params, measured.values, job.shape,
        operators.angles_of(job.settings.operator), job.data.strength.sigma)
    truth = np.asarray(view(measured.truth))
    for method in (method for method, keys in open_keys.items() if key in keys):
      began = time.perf_counter()
      image = measured.estimate if method == _ESTIMATES[name] else inverse.solve(name, method, given)
      seconds = None if method == _ESTIMATES[name] else time.perf_counter() - began
      quality = runs.quality_of(np.asarray(view(image)), truth)
      rows.append({"method": method, "image": key[0], "seed": key[1],
                   **{f"average {score}": value for score, value in quality.items()},
                   "seconds": seconds})
  return rows


def tabulate(config, rows: list[dict[str, Any]], methods: dict[str, Sequence[str]]) -> list[list[str]]:
  """Return header and cells: every problem with all its methods, the best PSNR of what they return first.

  Mean and standard deviation are over images and seeds, those of an image over seeds.

  Args:
    config: the benchmark's config.
    rows: the results; a case without one has failed.
    methods: {name of a problem: the names of its methods}.
  """
  problems = config.benchmark.problems
  most = max(len(crops) for _, crops, _ in problems)
  main, output, averaged = _tables.heads(rows)
  table = [["problem", "method", main, *(f"image {number + 1}" for number in range(most)),
            "SSIM", output, averaged, "last PSNR", "guarded PSNR", "estimate's PSNR", "below its measurement", "seconds", "failed"]]
  for problem, crops, _ in problems:
    shown, cases, lines = [image for image, _ in crops], len(crops) * len(config.benchmark.inverse_seeds), []
    for name in methods[problem]:
      of = [row for row in rows if (row["problem"], row["method"]) == (problem, name)]
      each = [_tables.spread([row for row in of if row["image"] == image], _tables.returned) for image in shown]
      main, output, averaged = _tables.cells(rows, of)
      lines.append([f"{problem}: {', '.join(shown)}", name, main, *each, *[""] * (most - len(each)),
                    _tables.mean(of, lambda row: _tables.returned(row, "ssim"), 3), output, averaged,
                    _tables.mean(of, "last psnr", 2), _tables.mean(of, "guarded psnr", 2),
                    _tables.mean(of, "estimate psnr", 2),
                    _tables.share_of(sum(row.get("measurement psnr", -np.inf) > _tables.returned(row) for row in of), len(of)),
                    _tables.mean(of, "seconds", 1), _tables.share_of(cases - len(of), cases)])
    lines.sort(key=lambda line: -float(line[2].partition(" ")[0] or -np.inf))
    table += [[line[0] if line is lines[0] else "", *line[1:]] for line in lines]
  return files.without_empty_columns(table)


def _of_problem(config, crops: Sequence[Any]):
  """Return the config with the images of a problem, and the seeds of inverse problems."""
  config = _cases.of_crops(config, crops).unlock()
  config.benchmark.seeds = config.benchmark.inverse_seeds
  return config.lock()


def run_inverse(arguments) -> None:
  """Solve every problem of the config with every method; print and record the table.

  Raises:
    ValueError: an operator of the config's problems has no classical peers.
  """
  config, base, output = _cases.read_arguments(arguments, "inverse")
  if not arguments.output:
    output = f"runs/{config.experiment}/{config.benchmark.inverse_record}.json"  # of each preset its own
  for problem, _, pairs in config.benchmark.problems:
    if dict(pairs).get("operator.name") not in _ESTIMATES:
      raise ValueError(f"benchmark.problems: {problem!r} has operator.name={dict(pairs).get('operator.name')!r}; "
                       f"allowed: {', '.join(_ESTIMATES)}.")
  earlier = _earlier.read(arguments.extends, config)
  rows, methods, rate = [], {}, config.weights.learning_rate
  for problem, crops, pairs in config.benchmark.problems:
    mine, shared = _of_problem(config, crops), dict(pairs)
    networks = _cases.methods_for(config.benchmark.networks, shared.get("noise.model", config.noise.model))
    operator = shared["operator.name"]
    keys, had = _cases.keys_of(mine), {method for of, method, *_ in earlier if of == problem}  # BM3D may be missing now
    peers = tuple(dict.fromkeys((_ESTIMATES[operator], *inverse.PEERS[operator], *sorted(had & denoisers.DENOISERS.keys()))))
    methods[problem] = [*peers, *networks]
    for name in peers:
      rows += _earlier.taken(earlier, keys, name, problem=problem)
    rows += [{"problem": problem, **row} for row in _peer_rows(
        mine, {name: _earlier.lacking(earlier, keys, name, problem=problem)
               for name in (_ESTIMATES[operator], *inverse.PEERS[operator])}, shared)]
    place = lambda name, problem=problem: (base / _cases.folder_name(f"{problem}-{name}"), f"{problem}: {name}")
    for name in networks:
      rows += _earlier.taken(earlier, keys, name, rate, problem)
      lacking = _earlier.lacking(earlier, keys, name, rate, problem)
      restored = _ensembles.restore_method(mine, place, name, {
          key: change for key, change in _cases.changes_of(mine, name, {}, shared).items() if key in lacking})
      for key, summary in restored.items():
        row = _tables.row(name, key, summary)
        rows.append({"problem": problem, **row, "seconds": sum(row["seconds"].values())})
  _earlier.check_measurements(arguments.extends, rows)
  table = tabulate(config, rows, methods)
  name = config.benchmark.inverse_record
  _tables.show(base, name, rows, table)
  _tables.record(output, config, rows, table, methods=methods)
  files.save_matrix(base / f"{name}.png", *_tables.averages(
      rows, lambda row: row["method"], lambda row: row["problem"]), title="PSNR, dB")


def add_command(commands) -> None:
  """Add the command `inverse` and its flags."""
  parser = _flags.add_parser(
      commands, "inverse", run_inverse, "restore through operators, against classical methods")
  _flags.add_config(parser, "inverse")
  _flags.add_extends(parser)
