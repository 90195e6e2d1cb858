"""Results of an earlier record, which a benchmark takes over in place of running them again."""

import json
import pathlib
from typing import Any, Sequence

from oes_jax.bench import _cases
from oes_jax import runs

# {(problem or "", method, image, seed, learning rate or None): row}.
Rows = dict[tuple[str, str, str, int, float | None], dict[str, Any]]


def _keys(config: dict[str, Any]) -> dict[str, Any]:
  """Return the values of a plain config by dotted key, with each image's crop and each problem's images and changes; but for
  the rest of the benchmark's own, and the experiment's name.
  """
  benchmark = config.get("benchmark", {})
  flat = {f"crop of {image}": crop for image, crop in benchmark.get("crops", [])}
  flat |= {f"problem {name!r}": [images, changes] for name, images, changes in benchmark.get("problems", [])}
  for section, value in config.items():
    if section not in ("benchmark", "experiment"):
      flat |= {f"{section}.{key}": item for key, item in value.items()} if isinstance(value, dict) else {section: value}
  return flat


def read(path: str | None, config, entry: str = "rows") -> Rows:
  """Return the rows of a record by what they are the results of; each says from which day it is.

  What a method does stands in no config: rows of a version of this program that did it otherwise are taken as they are.

  Args:
    path: the record's path; None: there is none, and nothing is returned.
    config: the config that the rows have to be of; keys that only one of the two has are not compared.
    entry: the record's entry that holds the rows; a record may lack the others than "rows".

  Raises:
    ValueError: the record is of another config, of another benchmark, or holds two results of one case.
    OSError: there is no such record.
  """
  if path is None:
    return {}
  record = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
  rows = record.get(entry, []) if entry != "rows" else record.get("rows")
  if rows is None or "config" not in record or not all({"method", "image", "seed"} <= row.keys() for row in rows):
    raise ValueError(f"--extends={path!r} holds no {entry!r} of cases with their config; allowed: a record of this benchmark.")
  asked, had = _keys(runs.plain(config)), _keys(record["config"])
  for key in sorted(asked.keys() & had.keys()):
    if asked[key] != had[key]:
      raise ValueError(f"--extends={path!r} was made with {key}={had[key]!r}, and this config has {asked[key]!r}; allowed: "
                       "a record of this benchmark and preset.")
  found = {(row.get("problem", ""), row["method"], row["image"], row["seed"], row.get("learning rate")):
           {"from": record["date"], **row} for row in rows}
  if len(found) < len(rows):
    raise ValueError(f"--extends={path!r} holds two results of one case; allowed: a record of this benchmark.")
  return found


def lacking(rows: Rows, keys: Sequence[_cases.Key], method: str, rate: float | None = None,
            problem: str = "") -> list[_cases.Key]:
  """Return the images and seeds of which a method has no row yet.

  Args:
    rows: the rows of the record.
    keys: the images and seeds that are asked for.
    method: the method's name.
    rate: the method's learning rate; None: it has none.
    problem: the name of the problem, in a benchmark of several.
  """
  return [key for key in keys if (problem, method, *key, rate) not in rows]


def taken(rows: Rows, keys: Sequence[_cases.Key], method: str, rate: float | None = None,
          problem: str = "") -> list[dict[str, Any]]:
  """Return those rows of a method that are there; the arguments are those of `lacking`."""
  return [rows[problem, method, *key, rate] for key in keys if (problem, method, *key, rate) in rows]


def check_measurements(path: str | None, rows: Sequence[dict[str, Any]]) -> None:
  """Refuse results of one image and seed that are not of one measurement.

  Args:
    path: the path of the record that some of the rows come from.
    rows: results, old and new; those that have a "measurement psnr" are compared.

  Raises:
    ValueError: two of them differ.
  """
  if path is None:
    return
  seen: dict[Any, float] = {}
  for row in rows:
    if row.get("measurement psnr") is not None:
      had = seen.setdefault((row.get("problem", ""), row["image"], row["seed"]), row["measurement psnr"])
      if abs(had - row["measurement psnr"]) > 1e-3:
        raise ValueError(f"--extends={path!r}: {row['image']}, seed {row['seed']}, has a measurement of {had:.3f} dB and one "
                         f"of {row['measurement psnr']:.3f}; allowed: a record of the same measurements.")
