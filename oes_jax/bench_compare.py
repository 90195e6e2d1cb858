"""Methods compared at equal weight steps, learning rate and noise draw, on images whose truth none may see.

The learned mask comes first. Masks at "the same density" keep as many weights, image by image and seed by seed;
all methods restore the same measurements, and draw initial weights and network input from the same seeds.
"""

import collections
import pathlib
import statistics
from typing import Any, Sequence

import numpy as np

from oes_jax import bench_cases
from oes_jax import methods
from oes_jax import records
from oes_jax import reports
from oes_jax import validation


def _mean_trace(restored: dict[Any, dict[str, Any]]) -> np.ndarray:
  """PSNR of the output of every weight step, mean over images and seeds."""
  return np.mean([reports.read_metrics(pathlib.Path(summary["folder"]) / "metrics.jsonl")["weights"]["psnr"]
                  for summary in restored.values()], 0)


def _of_methods(rows: Sequence[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
  """Group rows by method, the best averaged PSNR first."""
  groups = [(name, [row for row in rows if row["method"] == name])
            for name in dict.fromkeys(row["method"] for row in rows)]
  return sorted(groups, key=lambda group: -statistics.mean(row["average psnr"] for row in group[1]))


def _against(mine: Sequence[dict[str, Any]], learned: Sequence[dict[str, Any]]) -> str:
  """Return the mean difference of the averaged PSNR to the learned mask's on the same cases, and its standard error."""
  others = {(row["image"], row["seed"]): row["average psnr"] for row in learned}
  differences = [row["average psnr"] - others[row["image"], row["seed"]] for row in mine
                 if (row["image"], row["seed"]) in others]
  if not differences or mine is learned:
    return ""
  error = f" ± {statistics.stdev(differences) / len(differences) ** 0.5:.2f}" if len(differences) > 1 else ""
  return f"{statistics.mean(differences):+.2f}{error}"


def tabulate(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
  """Return header and cells: mean and standard deviation of each method over images and seeds.

  Ranks are by the averaged output, the default one, among the networks that do not see the truth; peers
  that are no deep image priors and the oracle stand at their places without one, and so does a method of
  which a case has failed. A collapsed run counts like any other: a method that collapses has lost.
  """
  groups = _of_methods(rows)
  most, learned = max(len(mine) for _, mine in groups), dict(groups).get(methods.LEARNED, [])
  table = [["rank", "method", "averaged PSNR (default output)", "against the learned mask", "SSIM", "last PSNR", "SSIM", "guarded PSNR", "SSIM",
            "guard's step", "best PSNR (oracle)", "kept", "can act", "mask stage, s", "weight stage, s", "peak MB",
            "collapsed", "failed"]]
  rank = 0
  for name, mine in groups:
    ranked = name != methods.ORACLE and "last psnr" in mine[0] and len(mine) == most
    rank += ranked
    collapsed = sum(bool(row["collapse"]) for row in mine)
    mask_seconds = lambda row: (sum(s for stage, s in row["seconds"].items() if stage not in ("weights", "all"))
                                if len(row["seconds"]) > 1 else None)
    table.append([
        str(rank) if ranked else "", name, bench_cases.spread(mine, "average psnr"), _against(mine, learned),
        bench_cases.mean(mine, "average ssim", 3), bench_cases.spread(mine, "last psnr"),
        bench_cases.mean(mine, "last ssim", 3), bench_cases.spread(mine, "guarded psnr"),
        bench_cases.mean(mine, "guarded ssim", 3), bench_cases.mean(mine, "guard step"),
        bench_cases.spread(mine, "best psnr"), bench_cases.mean(mine, "kept"), bench_cases.mean(mine, "acting"),
        bench_cases.mean(mine, mask_seconds, 1),
        bench_cases.mean(mine, lambda row: row["seconds"].get("weights", row["seconds"].get("all")), 1),
        bench_cases.mean(mine, lambda row: row["peak bytes"] / 1e6 if "peak bytes" in row else None),
        f"{collapsed} of {len(mine)}" if collapsed else "", f"{most - len(mine)} of {most}" if len(mine) < most else ""])
  return reports.without_empty_columns(table)


def tabulate_tuned(rows: Sequence[dict[str, Any]], tuning: Sequence[dict[str, Any]]) -> list[list[str]]:
  """Return header and cells: every method at the learning rate that was best for it on other images."""
  table = [["method", "learning rate", "averaged PSNR", "last PSNR", "best PSNR (oracle)"]]
  for name, mine in _of_methods(rows):
    table.append([name, f"{mine[0]['learning rate']:g}", *(
        bench_cases.spread(mine, value) for value in ("average psnr", "last psnr", "best psnr"))])
  rates = sorted({row["learning rate"] for row in tuning})
  table[0] += [f"tuning, {rate:g}" for rate in rates]
  for line in table[1:]:
    line += [bench_cases.mean([row for row in tuning if (row["method"], row["learning rate"]) == (line[0], rate)],
                              "average psnr", 2) for rate in rates]
  return table


def _changes(config, name: str, learned: dict[Any, dict[str, Any]], rate: float) -> dict[Any, dict[str, Any]]:
  """Return what a method changes, for every image and seed; a learned mask is not learned again."""
  changes = {}
  for key, summary in learned.items():
    told = bench_cases.learned_of(config, key[0], summary)
    changes[key] = {**methods.METHODS[name](told), "weights.learning_rate": rate}
    if name == methods.LEARNED:
      changes[key].update({"mask.source": "file", "mask.path": told.folder})
  return changes


def _run(config, base: pathlib.Path, rates: dict[str, float]) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
  """Restore with every method at a learning rate of its own; return the rows and the traces."""
  learned = bench_cases.restore(config, base / "learned", methods.LEARNED,
                                {key: {} for key in bench_cases.keys_of(config)})
  rows, traces = [], {}
  for name in config.benchmark.methods or methods.METHODS:
    rate = rates.get(name, config.weights.learning_rate)
    if name == methods.LEARNED and rate == config.weights.learning_rate:
      restored = learned
    else:
      restored = bench_cases.restore(config, base / bench_cases.folder_name(name), name,
                                     _changes(config, name, learned, rate))
    rows += [bench_cases.row(name, *item) for item in restored.items()]
    if restored:
      traces[name] = _mean_trace(restored)
  return rows, traces


def _tune(config, base: pathlib.Path) -> list[dict[str, Any]]:
  """Return rows of every method at every learning rate, on the images that are for tuning only."""
  other = config.copy_and_resolve_references().unlock()
  other.benchmark.crops, other.benchmark.seeds = config.benchmark.tuning_crops, config.benchmark.seeds[:1]
  rows = []
  for rate in config.benchmark.learning_rates:
    rows += _run(other, base, dict.fromkeys(methods.METHODS, rate))[0]
  return rows


def _best_rates(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
  """Return, for every method, the learning rate with the best averaged PSNR; one at which a case failed is none."""
  best = {}
  most = max(collections.Counter((row["method"], row["learning rate"]) for row in rows).values())
  for name in dict.fromkeys(row["method"] for row in rows):
    mine = [row for row in rows if row["method"] == name]
    found = {rate: [row["average psnr"] for row in mine if row["learning rate"] == rate]
             for rate in dict.fromkeys(row["learning rate"] for row in mine)}
    whole = {rate: statistics.mean(values) for rate, values in found.items() if len(values) == most}
    if whole:
      best[name] = max(whole, key=whole.get)
  return best


def run_compare(arguments) -> None:
  """Restore with every method; print the tables, record every run, and draw PSNR against the step."""
  config, base, output = bench_cases.read_arguments(arguments, "compare")
  if config.benchmark.learning_rates and not arguments.output:
    output = f"{base}_tuned.json"  # beside what a preset without them has recorded
  rows, traces = _run(config, base, {})
  rows += bench_cases.classical_rows(config, {key: {} for key in bench_cases.keys_of(config)})
  table = tabulate(rows)
  record = {"config": validation.plain(config), "rows": rows, "table": reports.format_markdown(table)}
  reports.write_csv(base / "traces.csv", ("method", "step", "psnr"), [
      (method, step, f"{psnr:.3f}") for method, trace in traces.items()
      for step, psnr in enumerate(trace, start=1)])
  reports.save_traces(base / "traces.png", traces)
  print(f"\n{reports.format_table(table)}")
  records.write_benchmark(output, record)
  if config.benchmark.learning_rates:
    tuning = _tune(config, base)
    tuned = _run(config, base, _best_rates(tuning))[0]
    table = tabulate_tuned(tuned, tuning)
    record |= {"tuning": tuning, "tuned": tuned, "tuned table": reports.format_markdown(table)}
    print(f"\nlearning rate tuned on other images\n{reports.format_table(table)}")
    records.write_benchmark(output, record)
