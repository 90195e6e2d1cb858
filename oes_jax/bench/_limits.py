"""PSNR against the noise level, on photographs and on pure textures."""

import pathlib
from typing import Any, Sequence

import numpy as np

from oes_jax.bench import _cases
from oes_jax.bench import _denoiser_scores
from oes_jax.bench import _flags
from oes_jax.bench import _methods
from oes_jax.bench import _tables
from oes_jax import files

_PEER = "non-local means, told sigma"
_SHOWN = (_methods.LEARNED, *_methods.DENSE_NETS, _PEER)
_COLUMNS = ("method", "image", "seed", "measurement psnr", "last psnr", "average psnr", "best psnr")


def _rows_at(config, base: pathlib.Path, sigma: float) -> list[dict[str, Any]]:
  """Restore every image at one noise level with every method; return the rows."""
  changes = {key: {"noise.sigma": sigma} for key in _cases.keys_of(config)}
  learned = _cases.restore_cases(
      config, base / f"learned-{sigma:g}", f"{_methods.LEARNED}, noise {sigma:g}", changes)
  rows = [_tables.row(_methods.LEARNED, *item) for item in learned.items()]
  for name in _methods.DENSE_NETS:
    restored = _cases.restore_cases(
        config, base / f"{_cases.folder_name(name)}-{sigma:g}", f"{name}, noise {sigma:g}",
        _cases.changes_of(config, name, learned, {"noise.sigma": sigma}))
    rows += [_tables.row(name, *item) for item in restored.items()]
  return rows + _denoiser_scores.score_cases(config, base / "classical", changes, [_PEER])


def _of(rows: Sequence[dict[str, Any]], **values: Any) -> list[dict[str, Any]]:
  """Return the rows that have all these values."""
  return [row for row in rows if all(row[column] == value for column, value in values.items())]


def tabulate(config, rows: Sequence[dict[str, Any]]) -> list[list[str]]:
  """Return header and cells: every noise level with all methods, for photographs and then for textures.

  Args:
    config: the benchmark's config.
    rows: the results; a case without one has failed.
  """
  table = [["images", "noise", "measurement", *_SHOWN, "failed"]]
  for kind, crops in (("photograph", config.benchmark.crops), ("texture", config.benchmark.texture_crops)):
    most = len(crops) * len(config.benchmark.seeds)
    for sigma in dict.fromkeys(row["sigma"] for row in rows if row["kind"] == kind):
      mine = _of(rows, kind=kind, sigma=sigma)
      of = {name: _of(mine, method=name) for name in _SHOWN}
      table.append([kind, f"{sigma:g}", _tables.mean(mine, "measurement psnr", 2),
                    *(_tables.spread(of[name], "average psnr") for name in _SHOWN),
                    ", ".join(f"{name}: {most - len(of[name])}" for name in _SHOWN if len(of[name]) < most)])
  return files.without_empty_columns(table)


def _lines(rows: Sequence[dict[str, Any]]) -> dict[str, list[tuple[float, float, bool]]]:
  """Return {name: [(noise level, mean averaged PSNR, no mark), ...]}."""
  lines = {}
  for kind, sigma in dict.fromkeys((row["kind"], row["sigma"]) for row in rows):
    for name in _SHOWN:
      mine = _of(rows, kind=kind, sigma=sigma, method=name)
      if mine:
        lines.setdefault(f"{name}, {kind}s", []).append(
            (sigma, float(np.mean([row["average psnr"] for row in mine])), False))
  return lines


def run_limits(arguments) -> None:
  """Restore photographs and textures at every noise level of the config; print, record and draw PSNR."""
  config, base, output = _cases.read_arguments(arguments, "limits")
  both = _cases.of_crops(config, (*config.benchmark.crops, *config.benchmark.texture_crops))
  textures = [image for image, _ in config.benchmark.texture_crops]
  rows = [{"sigma": sigma, "kind": "texture" if row["image"] in textures else "photograph",
           **{column: row.get(column, "") for column in _COLUMNS}}
          for sigma in config.benchmark.sigmas for row in _rows_at(both, base, sigma)]
  _tables.finish(base, output, config, "limits", rows, tabulate(config, rows))
  files.save_lines(base / "limits.png", _lines(rows), xlabel="standard deviation of the noise",
                   ylabel="averaged PSNR, dB")


def add_command(commands) -> None:
  """Add the command `limits` and its flags."""
  parser = _flags.add_parser(
      commands, "limits", run_limits, "PSNR against the noise level, photographs and textures")
  _flags.add_config(parser, "limits")
