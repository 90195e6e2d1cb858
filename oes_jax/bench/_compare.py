"""Methods compared at equal weight steps, learning rate and noise draw, on images whose truth none may see.

The learned mask comes first. Masks at "the same density" keep as many weights, image by image and seed by seed;
all methods restore the same measurements, and draw initial weights and network input from the same seeds.
"""

import logging
import pathlib
import statistics
from typing import Any, Sequence

import numpy as np

from oes_jax.bench import _cases
from oes_jax.bench import _denoiser_scores
from oes_jax.bench import _earlier
from oes_jax.bench import _ensembles
from oes_jax.bench import _flags
from oes_jax.bench import _methods
from oes_jax.bench import _tables
from oes_jax.bench.peers import denoisers
from oes_jax import files


def _mean_trace(restored: dict[Any, dict[str, Any]]) -> np.ndarray:
  """PSNR of the output of every weight step, mean over images and seeds."""
  return np.mean([files.read_metrics(pathlib.Path(summary["folder"]) / "metrics.jsonl")["weights"]["psnr"]
                  for summary in restored.values()], 0)


def _of_methods(rows: Sequence[dict[str, Any]], wanted: Sequence[str]) -> list[tuple[str, list[dict[str, Any]]]]:
  """Group rows by method, the best PSNR of what they return first; methods of `wanted` that have no row come last."""
  groups = [(name, [row for row in rows if row["method"] == name])
            for name in dict.fromkeys((*(row["method"] for row in rows), *wanted))]
  return sorted(groups, key=lambda group: -statistics.mean(
      map(_tables.returned, group[1])) if group[1] else np.inf)


def tabulate(rows: Sequence[dict[str, Any]], most: int, wanted: Sequence[str] = ()) -> list[list[str]]:
  """Return header and cells of the comparison: mean and standard deviation of each method over images and seeds.

  Ranks are by the output that a method returns, the averaged one where no other is named, among the networks that do not see the truth; peers that are no deep image
  priors and the oracle stand at their places without one, and so does a method of which a case has failed or
  every case has collapsed. A collapsed case counts like any other: it has lost.

  Args:
    rows: the results of all methods.
    most: the number of cases of a method.
    wanted: the names of methods that have a line even where every case has failed.
  """
  groups = _of_methods(rows, wanted)
  learned = dict(groups).get(_methods.LEARNED, [])
  main, output, averaged = _tables.heads(rows)
  table = [["rank", "method", main, "against the learned mask", "SSIM", output, averaged, "last PSNR", "SSIM",
            "guarded PSNR", "SSIM", "guard's step", "best PSNR (oracle)", "kept", "can act", "mask stage, s",
            "weight stage, s", "peak MB", "collapsed", "failed"]]
  rank = 0
  for name, mine in groups:
    collapsed = sum(bool(row["collapse"]) for row in mine)
    ranked = name != _methods.ORACLE and len(mine) == most and "kept" in mine[0] and collapsed < most
    rank += ranked
    mask_seconds = lambda row: (sum(s for stage, s in row["seconds"].items() if stage not in ("weights", "all"))
                                if len(row["seconds"]) > 1 else None)
    main, output, averaged = _tables.cells(rows, mine)
    table.append([
        str(rank) if ranked else "", name, main,
        "" if mine is learned else _tables.paired(mine, learned),
        _tables.mean(mine, lambda row: _tables.returned(row, "ssim"), 3), output, averaged, _tables.spread(mine, "last psnr"),
        _tables.mean(mine, "last ssim", 3), _tables.spread(mine, "guarded psnr"),
        _tables.mean(mine, "guarded ssim", 3), _tables.mean(mine, "guard step"),
        _tables.spread(mine, "best psnr"), _tables.mean(mine, "kept"), _tables.mean(mine, "acting"),
        _tables.mean(mine, mask_seconds, 1),
        _tables.mean(mine, lambda row: row["seconds"].get("weights", row["seconds"].get("all")), 1),
        _tables.mean(mine, lambda row: row["peak bytes"] / 1e6 if "peak bytes" in row else None),
        _tables.share_of(collapsed, len(mine)), _tables.share_of(most - len(mine), most)])
  return files.without_empty_columns(table)


def tabulate_tuned(rows: Sequence[dict[str, Any]], tuning: Sequence[dict[str, Any]], most: int,
                   wanted: Sequence[str] = ()) -> list[list[str]]:
  """Return header and cells: every method at the learning rate that was best for it on other images.

  Args:
    rows: the results on the images of the comparison.
    tuning: the results on the images for tuning, at every learning rate.
    most: the number of cases of a method.
    wanted: the names of methods that have a line even without a result: a case has failed at every rate, or here all.
  """
  rates = sorted({row["learning rate"] for row in tuning})
  table = [["method", "learning rate", *_tables.heads(rows), "last PSNR", "best PSNR (oracle)", "collapsed", "failed",
            *(f"tuning, {rate:g}" for rate in rates)]]
  for name, mine in _of_methods(rows, wanted):
    rate = mine[0]["learning rate"] if mine else None
    edge = " (an end of the range)" if rate in (*rates[:1], *rates[-1:]) else ""
    table.append([
        name, f"{rate:g}{edge}" if mine else "",
        *_tables.cells(rows, mine), *(_tables.spread(mine, value) for value in ("last psnr", "best psnr")),
        _tables.share_of(sum(bool(row["collapse"]) for row in mine), len(mine)),
        _tables.share_of(most - len(mine), most) if mine else "all",
        *(_tables.mean([row for row in tuning if (row["method"], row["learning rate"]) == (name, tried)],
                        _tables.returned, 2) for tried in rates)])
  return files.without_empty_columns(table)


def _run(config, base: pathlib.Path, rates: dict[str, float],
         earlier: _earlier.Rows) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
  """Restore with the methods of `rates`, each at its learning rate, what no earlier record holds; return all rows, and the
  traces of those methods of which nothing is taken from it.
  """
  keys = _cases.keys_of(config)
  open_keys = {name: _earlier.lacking(earlier, keys, name, rate) for name, rate in rates.items()}
  needed = {key for name, lacking in open_keys.items() if _methods.needs_learned(name) for key in lacking}
  learned = _cases.restore_cases(config, base / "learned", _methods.LEARNED, {key: {} for key in keys if key in needed})
  rows, traces = [], {}
  for name, rate in rates.items():
    rows += _earlier.taken(earlier, keys, name, rate)
    if not open_keys[name]:
      continue
    restored = {key: summary for key, summary in learned.items() if key in open_keys[name]}
    if name != _methods.LEARNED or rate != config.weights.learning_rate:
      changes = _cases.changes_of(config, name, learned, {"weights.learning_rate": rate})
      if name == _methods.LEARNED:  # it is not learned again
        changes = {key: {**changes[key], **_methods.given(_cases.learned_of(config, key[0], summary))}
                   for key, summary in learned.items()}
      changes = {key: change for key, change in changes.items() if key in open_keys[name]}
      restored = _ensembles.restore_method(config, lambda name: (base / _cases.folder_name(name), name), name, changes)
    rows += [_tables.row(name, *item) for item in restored.items()]
    if restored and open_keys[name] == keys and name not in _methods.ENSEMBLES:
      traces[name] = _mean_trace(restored)
  return rows, traces


def _score_denoisers(config, base: pathlib.Path, earlier: _earlier.Rows) -> list[dict[str, Any]]:
  """Score the classical denoisers, but for those whose rows an earlier record holds."""
  keys, rows = _cases.keys_of(config), []
  for name in denoisers.DENOISERS:
    rows += _earlier.taken(earlier, keys, name)
  together: dict[tuple[_cases.Key, ...], list[str]] = {}  # each case is read once for all that lack it
  for name in denoisers.available():
    together.setdefault(tuple(_earlier.lacking(earlier, keys, name)), []).append(name)
  for lacking, names in together.items():
    rows += _denoiser_scores.score_cases(config, base / "classical", {key: {} for key in lacking}, names)
  return rows


def _of_tuning(config):
  """Return the config with the images that are for tuning only."""
  other = _cases.of_crops(config, config.benchmark.tuning_crops).unlock()
  other.benchmark.seeds = config.benchmark.seeds[:1]
  return other.lock()


def _best_rates(rows: Sequence[dict[str, Any]], most: int) -> dict[str, float]:
  """Return the learning rate with the best PSNR of what is returned, for every method that has one.

  A rate at which one of its `most` cases has failed is none.
  """
  best = {}
  for name in dict.fromkeys(row["method"] for row in rows):
    mine = [row for row in rows if row["method"] == name]
    found = {rate: [_tables.returned(row) for row in mine if row["learning rate"] == rate]
             for rate in dict.fromkeys(row["learning rate"] for row in mine)}
    whole = {rate: statistics.mean(values) for rate, values in found.items() if len(values) == most}
    if whole:
      best[name] = max(whole, key=whole.get)
    else:
      logging.warning("%s has no learning rate: at every one a case has failed", name)
  return best


def run_compare(arguments) -> None:
  """Restore with every method; print the tables, record every run, and draw PSNR against the step."""
  config, base, output = _cases.read_arguments(arguments, "compare")
  if config.benchmark.learning_rates and not arguments.output:
    output = f"{base}_tuned.json"  # beside what a preset without them has recorded
  keys, earlier = _cases.keys_of(config), _earlier.read(arguments.extends, config)
  of_tuning, of_tuned = (_earlier.read(arguments.extends if config.benchmark.learning_rates else None, config, entry)
                         for entry in ("tuning", "tuned"))
  names = _cases.methods_for(config.benchmark.methods or _methods.METHODS, config.noise.model)
  rows, traces = _run(config, base, dict.fromkeys(names, config.weights.learning_rate), earlier)
  rows += _score_denoisers(config, base, earlier)
  _earlier.check_measurements(arguments.extends, rows)
  files.write_csv(base / "traces.csv", ("method", "step", "psnr"), [
      (method, step, f"{psnr:.3f}") for method, trace in traces.items()
      for step, psnr in enumerate(trace, start=1)])
  files.save_traces(base / "traces.png", traces)
  table = tabulate(rows, len(keys), names)
  _tables.finish(base, output, config, "compare", rows, table)
  if config.benchmark.learning_rates:
    other, tuning = _of_tuning(config), []
    for rate in config.benchmark.learning_rates:
      tuning += _run(other, base, dict.fromkeys(names, rate), of_tuning)[0]
    tuned = _run(config, base, _best_rates(tuning, len(_cases.keys_of(other))), of_tuned)[0]
    for found in (tuning, tuned):
      _earlier.check_measurements(arguments.extends, found)
    tuned_table = tabulate_tuned(tuned, tuning, len(keys), names)
    print("\nlearning rate tuned on other images")
    _tables.show(base, "tuned", tuned, tuned_table)
    _tables.record(output, config, rows, table, tuning=tuning, tuned=tuned,
                   **{"tuned table": files.format_markdown(tuned_table)})


def add_command(commands) -> None:
  """Add the command `compare` and its flags."""
  parser = _flags.add_parser(
      commands, "compare", run_compare,
      "compare the learned mask with other masks, narrow nets and classical denoisers")
  _flags.add_config(parser, "compare")
  _flags.add_extends(parser)
