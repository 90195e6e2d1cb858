"""PSNR against density: learned and random masks, collapsed ones marked."""

import itertools
from typing import Any, Sequence

import numpy as np

from oes_jax.bench import _cases
from oes_jax.bench import _flags
from oes_jax.bench import _tables
from oes_jax import files

_SOURCES = ("learn", "random")
_COLUMNS = ("image", "seed", "last psnr", "average psnr", "best psnr", "kept", "acting")


def _of(rows: Sequence[dict[str, Any]], source: str, density: float) -> list[dict[str, Any]]:
  return [row for row in rows if (row["source"], row["density"]) == (source, density)]


def tabulate(config, rows: Sequence[dict[str, Any]]) -> list[list[str]]:
  """Return header and cells: every source of masks at every density.

  Args:
    config: the benchmark's config.
    rows: the results; a case without one has failed.
  """
  most = len(_cases.keys_of(config))
  table = [["mask", "density", "averaged PSNR", "last PSNR", "can act", "collapsed", "failed"]]
  for source, density in itertools.product(_SOURCES, config.benchmark.densities):
    mine = _of(rows, source, density)
    table.append([source, f"{100 * density:g} %", _tables.spread(mine, "average psnr"),
                  _tables.spread(mine, "last psnr"), _tables.mean(mine, "acting"),
                  _tables.share_of(sum(row["collapsed"] for row in mine), len(mine)),
                  _tables.share_of(most - len(mine), most)])
  return files.without_empty_columns(table)


def _lines(config, rows: Sequence[dict[str, Any]]) -> dict[str, list[tuple[float, float, bool]]]:
  """Return {name: [(density in %, mean averaged PSNR, whether a mask has collapsed), ...]}."""
  lines = {}
  for source, density in itertools.product(_SOURCES, config.benchmark.densities):
    mine = _of(rows, source, density)
    if mine:
      lines.setdefault("learned mask" if source == "learn" else f"{source} mask", []).append(
          (100 * density, float(np.mean([row["average psnr"] for row in mine])),
           any(row["collapsed"] for row in mine)))
  return lines


def run_sparsity(arguments) -> None:
  """Restore with learned and with random masks of every density of the config; print, record and draw PSNR."""
  config, base, output = _cases.read_arguments(arguments, "sparsity")
  rows = []
  for source, density in itertools.product(_SOURCES, config.benchmark.densities):
    name = f"{source}, {100 * density:g} %"
    restored = _cases.restore_cases(
        config, base / _cases.folder_name(name), name,
        {key: {"mask.source": source, "mask.keep_fraction": density} for key in _cases.keys_of(config)})
    for item in restored.items():
      row = _tables.row(source, *item)
      rows.append({"source": source, "density": density, **{column: row[column] for column in _COLUMNS},
                   "collapsed": bool(row["collapse"])})
  _tables.finish(base, output, config, "sparsity", rows, tabulate(config, rows))
  files.save_lines(base / "sparsity.png", _lines(config, rows), xlabel="weights kept, %", ylabel="averaged PSNR, dB")


def add_command(commands) -> None:
  """Add the command `sparsity` and its flags."""
  parser = _flags.add_parser(commands, "sparsity", run_sparsity, "PSNR against density, collapse marked")
  _flags.add_config(parser, "sparsity")
