"""Rows of results, and what tables say of them."""

import pathlib
import statistics
from typing import Any, Callable, Sequence

import numpy as np

from oes_jax.bench import _records
from oes_jax import files
from oes_jax import runs
from oes_jax import sweeps


def row(method: str, key: tuple[str, int], summary: dict[str, Any]) -> dict[str, Any]:
  """Return what a table needs of one finished case.

  Args:
    method: the method's name.
    key: the case's (image, seed).
    summary: the summary of its run.
  """
  quality, mask = summary["quality"], summary["mask"]
  return {"method": method, "image": key[0], "seed": key[1],
          **{f"{name} {score}": quality[name][score]
             for name in sweeps.MEASURED if name in quality
             for score in ("psnr", "ssim")},
          **({"guard step": summary["guard"]["step"]} if summary["guard"] else {}),
          **({"share": summary["combined"]["share"]} if summary["combined"] else {}),
          **({} if summary["output_image"] == "average" else {"output": summary["output_image"]}),
          **({"estimated sigma": summary["noise_level"]["sigma"]} if summary["noise_level"] else {}),
          **({"best psnr": quality["best"]["psnr"]} if "best" in quality else {}),
          **{name: mask[name] for name in ("kept", "acting", "size")}, "collapse": mask["collapse"],
          "learning rate": summary["config"]["weights"]["learning_rate"],
          "seconds": {stage: times["total"] for stage, times in summary["seconds"].items()},
          "peak bytes": max(summary["peak_bytes"].values())}


def show(base: pathlib.Path, name: str, rows: Sequence[dict[str, Any]], table: Sequence[Sequence[str]]) -> None:
  """Print a table; write the single values of its rows as CSV, beside the figure `name`.png.

  Args:
    base: the folder of the CSV.
    name: the benchmark's name, and the CSV's.
    rows: the results that the table is of; a column that holds lists or dicts stays out of the CSV.
    table: header and cells.

  Raises:
    runs.Failed: there are no rows.
  """
  if not rows:
    raise runs.Failed(f"{name}: no case ended with a result")
  print(f"\n{files.format_table(table)}")
  header = list(dict.fromkeys(
      column for row in rows for column, value in row.items() if not isinstance(value, (dict, list))))
  files.write_csv(base / f"{name}.csv", header, [[row.get(column, "") for column in header] for row in rows])


def record(output: str, config, rows: Sequence[dict[str, Any]], table: Sequence[Sequence[str]], **further: Any) -> None:
  """Write a benchmark's record: its config, rows and table, with further entries.

  Args:
    output: the path of the record.
    config: the benchmark's config.
    rows: the results that the table is of.
    table: header and cells.
    **further: the record's other entries.
  """
  _records.write_benchmark(output, {
      "config": runs.plain(config), "rows": rows, "table": files.format_markdown(table), **further})


def finish(base: pathlib.Path, output: str, config, name: str, rows: Sequence[dict[str, Any]],
           table: Sequence[Sequence[str]]) -> None:
  """Show a table, and record it with its rows; the arguments are those of `show` and `record`.

  Raises:
    runs.Failed: there are no rows.
  """
  show(base, name, rows, table)
  record(output, config, rows, table)


def averages(rows: Sequence[dict[str, Any]], row_of: Callable[[dict[str, Any]], str],
             column_of: Callable[[dict[str, Any]], str]) -> tuple[list[str], list[str], np.ndarray]:
  """Return (names of rows, names of columns, mean PSNR of every cell, of the output that a method returns).

  A cell with fewer results than another one of its column is NaN: a case of it has failed.

  Args:
    rows: the results.
    row_of: the name of the matrix's row that a result belongs to.
    column_of: the name of its column.
  """
  found: dict[tuple[str, str], list[float]] = {}
  for row in rows:
    found.setdefault((row_of(row), column_of(row)), []).append(returned(row))
  names, columns = (list(dict.fromkeys(place[i] for place in found)) for i in range(2))
  most = {column: max(len(values) for place, values in found.items() if place[1] == column) for column in columns}
  def mean_of(name, column):
    values = found.get((name, column), [])
    return np.mean(values) if len(values) == most[column] else np.nan
  return names, columns, np.array([[mean_of(name, column) for column in columns] for name in names])


def spread(rows: Sequence[dict[str, Any]], value: str | Callable[[dict[str, Any]], float], digits: int = 2) -> str:
  """Return mean and standard deviation of a value over those rows that have it; "" where none has.

  Args:
    rows: the results.
    value: a column's name, or a function of a row; None is no value.
    digits: the digits after the point.
  """
  read = value if callable(value) else lambda row: row.get(value)
  values = [found for found in map(read, rows) if found is not None]
  if not values:
    return ""
  deviation = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
  return f"{statistics.mean(values):,.{digits}f}{deviation}"


def returned(row: dict[str, Any], score: str = "psnr") -> float:
  """Return the score of the output that a row's method returns: the averaged one, unless the row names another.

  Args:
    row: a result.
    score: "psnr" or "ssim".
  """
  return row[f"{row.get('output', 'average')} {score}"]


def heads(rows: Sequence[dict[str, Any]]) -> tuple[str, str, str]:
  """Return the heads of three columns, whose cells `cells` gives: PSNR of what a method returns, which output that is, and
  PSNR of the averaged one; the last two are empty where all return that.
  """
  return ("PSNR", "returned", "averaged PSNR") if _differ(rows) else ("averaged PSNR", "", "")


def cells(rows: Sequence[dict[str, Any]], mine: Sequence[dict[str, Any]]) -> tuple[str, str, str]:
  """Return the cells of a method below the `heads`.

  Args:
    rows: the results of all methods.
    mine: those of the method; only networks have outputs to tell apart.
  """
  shown = _differ(rows) and mine and "kept" in mine[0]
  return (spread(mine, returned), mine[0].get("output", "average") if shown else "",
          spread(mine, "average psnr") if shown else "")


def _differ(rows: Sequence[dict[str, Any]]) -> bool:
  return any("output" in row for row in rows)


def paired(mine: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]]) -> str:
  """Return the mean difference of the PSNR of what is returned on the cases that both have, and its standard error.

  Seeds of one image are averaged first: the error is over the images.
  """
  psnr = {(row["image"], row["seed"]): returned(row) for row in others}
  of_image: dict[str, list[float]] = {}
  for row in mine:
    if (row["image"], row["seed"]) in psnr:
      of_image.setdefault(row["image"], []).append(returned(row) - psnr[row["image"], row["seed"]])
  means = [statistics.mean(differences) for differences in of_image.values()]
  if not means:
    return ""
  error = f" ± {statistics.stdev(means) / len(means) ** 0.5:.2f}" if len(means) > 1 else ""
  return f"{statistics.mean(means):+.2f}{error}"


def share_of(count: int, most: int) -> str:
  """Return "1 of 9", or "" for none."""
  return f"{count} of {most}" if count else ""


def mean(rows: Sequence[dict[str, Any]], value: str | Callable[[dict[str, Any]], float], digits: int = 0) -> str:
  """Return the mean of a value over those rows that have it, as `spread` does; "" where none has."""
  return spread(rows, value, digits).partition(" ±")[0]
