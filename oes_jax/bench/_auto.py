"""Method auto against each of its candidates, on the same measurements."""

import statistics
from typing import Any, Sequence

from oes_jax.bench import _cases
from oes_jax.bench import _earlier
from oes_jax.bench import _flags
from oes_jax.bench import _methods
from oes_jax.bench import _tables
from oes_jax import fitting

_AUTO = "auto"


def rows_of(problem: str, key: _cases.Key, summary: dict[str, Any]) -> list[dict[str, Any]]:
  """Return a row of the result of method auto and one of each of its candidates.

  Args:
    problem: the problem's name.
    key: the case's (image, seed).
    summary: the summary of its run.
  """
  case = {"problem": problem, "image": key[0], "seed": key[1]}
  candidates = summary["candidates"]
  rows = [{**case, "method": one["name"], "psnr": one["quality"]["psnr"], "ssim": one["quality"]["ssim"],
           "share": one["share"], "misfit": one["misfit"], "seconds": one["seconds"]} for one in candidates]
  quality, expected = summary["quality"]["combined"], summary["expected_psnr"]
  return [{**case, "method": _AUTO, "psnr": quality["psnr"], "ssim": quality["ssim"],
           "expected": expected and expected["psnr"], "seconds": fitting.seconds_of(summary)}, *rows]


def _means(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
  """Return the mean PSNR of every method that has a row of every case, and of what was best, case by case."""
  cases: dict[Any, dict[str, float]] = {}
  for row in rows:
    cases.setdefault((row["problem"], row["image"], row["seed"]), {})[row["method"]] = row["psnr"]
  methods = [name for name in dict.fromkeys(row["method"] for row in rows) if all(name in case for case in cases.values())]
  best = [max(psnr for name, psnr in case.items() if name != _AUTO) for case in cases.values()]
  return {**{name: statistics.mean(case[name] for case in cases.values()) for name in methods},
          "best candidate of each case (oracle)": statistics.mean(best)}


def tabulate(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
  """Return header and cells: the mean PSNR of auto and of its candidates over the cases of every problem, then over all problems.

  A method that lacks a case of a problem has no mean there. The best candidate of each case is chosen with the truth.

  Args:
    rows: the results.
  """
  problems = list(dict.fromkeys(row["problem"] for row in rows))
  found = {problem: _means([row for row in rows if row["problem"] == problem]) for problem in problems}
  methods = list(dict.fromkeys(name for means in found.values() for name in means))
  methods.sort(key=lambda name: (name != _AUTO, "oracle" in name))
  everywhere = {name: statistics.mean(means[name] for means in found.values()) for name in methods
                if all(name in means for means in found.values())}
  table = [["problem", "cases", *methods, "auto, seconds"]]
  for problem, means in {**found, "mean over the problems": everywhere}.items():
    mine = [row for row in rows if row["method"] == _AUTO and problem in (row["problem"], "mean over the problems")]
    table.append([problem, str(len(mine)), *(f"{means[name]:.2f}" if name in means else "" for name in methods),
                  _tables.mean(mine, "seconds", 0)])
  return table


def run_auto(arguments) -> None:
  """Restore every problem of the config by method auto, seed by seed; print and record the table."""
  config, base, output = _cases.read_arguments(arguments, "auto")
  rows: list[dict[str, Any]] = []
  earlier = _earlier.read(arguments.extends, config)
  for seed in config.benchmark.inverse_seeds:
    for problem, crops, pairs in config.benchmark.problems:
      mine = _cases.of_crops(config, crops).unlock()
      mine.benchmark.seeds = (seed,)
      keys = _cases.keys_of(mine)
      if not _earlier.lacking(earlier, keys, _AUTO, problem=problem):
        rows += [row for row in earlier.values() if row["problem"] == problem and (row["image"], row["seed"]) in keys]
        continue
      changes = _cases.changes_of(mine.lock(), _methods.RECORRUPTED_DENSE, {}, {**dict(pairs), "method": "auto"})
      restored = _cases.restore_cases(mine, base / _cases.folder_name(f"{problem}-{seed}"), f"{problem}, seed {seed}", changes)
      for key, summary in restored.items():
        rows += rows_of(problem, key, summary)
      _tables.record(output, config, rows, tabulate(rows))  # of what there is: it takes hours
  _tables.finish(base, output, config, "auto", rows, tabulate(rows))


def add_command(commands) -> None:
  """Add the command `auto` and its flags."""
  parser = _flags.add_parser(commands, "auto", run_auto, "method auto against each of its candidates")
  _flags.add_config(parser, "auto")
  _flags.add_extends(parser)
