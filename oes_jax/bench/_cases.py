"""What benchmarks of many methods share: their config, their cases, and rows of results."""

import hashlib
import json
import logging
import pathlib
import runpy
import statistics
import time
from typing import Any, Callable, Iterator, Sequence

import numpy as np

from oes_jax.bench import _methods
from oes_jax.bench import _records
from oes_jax.bench import peers
from oes_jax import files
from oes_jax import runs
from oes_jax import sweeps

# (image, seed).
Key = tuple[str, int]


def read_config(argument: str):
  """Return the config of a file with an optional preset, FILE or FILE:PRESET.

  Raises:
    ValueError: there is no such file, or it is no config of the benchmark.
  """
  path, _, preset = argument.partition(":")
  if not pathlib.Path(path).is_file():
    raise ValueError(f"--config={argument!r} does not exist; allowed: a file such as configs/benchmark.py, "
                     "with a preset after a colon.")
  config = runpy.run_path(path)["get_config"](*([preset] if preset else []))
  if "benchmark" not in config:
    raise ValueError(f"--config={argument!r} has no section `benchmark`; allowed: configs/benchmark.py.")
  names = [image for image, _ in config.benchmark.crops]
  for key in ("transfer_crops", "texture_crops", "tuning_crops"):
    both = [*names, *(image for image, _ in config.benchmark[key])]
    if len(set(both)) < len(both):
      raise ValueError(f"benchmark.crops and benchmark.{key} hold {both}; allowed: every image once.")
  unknown = [name for name in config.benchmark.methods if name not in _methods.METHODS]
  if unknown:
    raise ValueError(f"benchmark.methods holds {unknown[0]!r}; allowed: {', '.join(_methods.METHODS)}.")
  return config


def read_arguments(arguments, command: str) -> tuple[Any, pathlib.Path, str]:
  """Return (config, folder of the restorations, path of the record) of a command."""
  config = read_config(arguments.config)
  base = f"runs/{config.experiment}/{command}"
  return config, pathlib.Path(arguments.folder or base), arguments.output or f"{base}.json"


def noise_seed(image: str, seed: int) -> int:
  """Return the seed of a measurement's noise: another one for every image and seed."""
  return int(hashlib.sha256(f"{image} {seed}".encode()).hexdigest()[:7], 16)


def keys_of(config) -> list[Key]:
  """Return every image with every seed."""
  return [(image, seed) for image, _ in config.benchmark.crops for seed in config.benchmark.seeds]


def list_cases(config, changes: dict[Key, dict[str, Any]]) -> list[sweeps.Case]:
  """Return one case for every image and seed that has changes."""
  crops, listed = dict(config.benchmark.crops), []
  for (image, seed), change in changes.items():
    case = config.copy_and_resolve_references().unlock()
    del case.benchmark
    case.update_from_flattened_dict({
        "data.source": image, "data.crop": tuple(crops[image]), "seed": seed,
        "noise.seed": noise_seed(image, seed), **change})
    listed.append(sweeps.Case(case.lock(), len(listed), 0))
  return listed


def of_crops(config, crops: Sequence[Any]):
  """Return the config of a benchmark with other images, ((name, (top, left, height, width)), ...)."""
  config = config.copy_and_resolve_references().unlock()
  config.benchmark.crops = tuple(crops)
  return config.lock()


def restore(config, folder: pathlib.Path, name: str, changes: dict[Key, dict[str, Any]]) -> dict[Key, dict[str, Any]]:
  """Restore cases of one kind; return the summaries of those that ended with one, and say which did not.

  What is finished in the folder stays and is not run again.

  Args:
    config: of the benchmark.
    folder: of this kind of case.
    name: of the kind, for the log.
    changes: of the config, for each image and seed.
  """
  if not changes:
    return {}
  listed = list_cases(config, changes)
  identity = {"format": runs.FORMAT, "many": True, "benchmark": name}
  folder = runs.find_workdir(str(folder), config.experiment, identity)[0]
  print(f"\n{name}", flush=True)
  found = {}
  for case, key in zip(sweeps.run_cases(listed, folder, identity, config.compute), changes):
    path = folder / "cases" / case / "summary.json"
    if path.is_file():
      found[key] = {**json.loads(path.read_text(encoding="utf-8")), "folder": str(path.parent)}
    else:
      logging.warning("%s: %s, seed %d, did not end with a result", name, *key)
  return found


def folder_name(name: str) -> str:
  """Return a method's name with nothing but letters, digits and hyphens."""
  return "".join(letter if letter.isalnum() else "-" for letter in name)


def learned_of(config, image: str, summary: dict[str, Any]) -> _methods.Learned:
  """Return what other methods take from the summary of a learned mask."""
  height, width = dict(config.benchmark.crops)[image][2:]
  mask, spec = summary["mask"], summary["generator"]
  return _methods.Learned(
      str(pathlib.Path(summary["folder"]) / "mask"), mask["kept"], mask["acting"], mask["size"], spec,
      (height, width, spec["image_channels"]), config.weights.num_steps)


def changes_of(config, name: str, learned: dict[Key, dict[str, Any]], common: dict[str, Any]) -> dict[Key, dict[str, Any]]:
  """Return what a method changes for every image and seed; a case without the learned mask it needs is left out.

  Args:
    config: of the benchmark.
    name: of the method.
    learned: summaries of the learned masks.
    common: changes of every method.
  """
  found = {}
  for key in keys_of(config):
    told = learned_of(config, key[0], learned[key]) if key in learned else None
    changes = _methods.changes_of(name, config.weights.num_steps, told)
    if changes is None:
      logging.warning("%s: %s, seed %d, has no learned mask to go by", name, *key)
    else:
      found[key] = {**common, **changes}
  return found


def row(method: str, key: Key, summary: dict[str, Any]) -> dict[str, Any]:
  """Return what a table needs of one finished case."""
  quality, mask = summary["quality"], summary["mask"]
  return {"method": method, "image": key[0], "seed": key[1],
          **{f"{name} {score}": quality[name][score]
             for name in ("measurement", "last", "average", "guarded") if name in quality
             for score in ("psnr", "ssim")},
          **({"guard step": summary["guard"]["step"]} if summary["guard"] else {}),
          **({"best psnr": quality["best"]["psnr"]} if "best" in quality else {}),
          **{name: mask[name] for name in ("kept", "acting", "size")}, "collapse": mask["collapse"],
          "learning rate": summary["config"]["weights"]["learning_rate"],
          "seconds": {stage: times["total"] for stage, times in summary["seconds"].items()},
          "peak bytes": max(summary["peak_bytes"].values())}


def inspected(config, changes: dict[Key, dict[str, Any]]) -> Iterator[tuple[Key, runs.Job]]:
  """Yield every case that can be run, and say of the others why not."""
  for key, case in zip(changes, list_cases(config, changes)):
    try:
      yield key, runs.inspect(case.config)
    except (ValueError, OSError) as error:
      logging.warning("%s, seed %d: %s", *key, error)


def classical_rows(config, folder: pathlib.Path, changes: dict[Key, dict[str, Any]],
                   names: Sequence[str] | None = None) -> list[dict[str, Any]]:
  """Score the denoisers of `classical`, all or those named, on the measurements of cases; the folder keeps the scores."""
  folder.mkdir(parents=True, exist_ok=True)
  rows = []
  for key, job in inspected(config, changes):
    for method in names or peers.available():
      told = json.dumps([method, peers.version(method), job.identity], sort_keys=True)
      path = folder / f"{folder_name(method)}-{hashlib.sha256(told.encode()).hexdigest()[:12]}.json"
      if not path.is_file():
        files.write_atomically(path, json.dumps(_denoise(method, job)).encode())
      rows.append({"method": method, "image": key[0], "seed": key[1],
                   **json.loads(path.read_text(encoding="utf-8")), "collapse": []})
  return rows


def _denoise(method: str, job: runs.Job) -> dict[str, Any]:
  """Return scores and seconds of a method of `classical`."""
  measured = runs.measure(job)
  began = time.perf_counter()
  image = peers.denoise(method, measured.values, job.sigma)
  seconds = time.perf_counter() - began
  return {f"{name} {score}": value for name, shown in (("measurement", measured.values), ("average", image))
          for score, value in runs.quality_of(shown, measured.truth).items()} | {"seconds": {"all": seconds}}


def show(base: pathlib.Path, name: str, rows: Sequence[dict[str, Any]], table: Sequence[Sequence[str]]) -> None:
  """Print a table; write the single values of its rows as CSV, beside the figure `name`.png.

  Raises:
    run.Failed: there are no rows.
  """
  if not rows:
    raise runs.Failed(f"{name}: no case ended with a result")
  print(f"\n{files.format_table(table)}")
  header = list(dict.fromkeys(
      column for row in rows for column, value in row.items() if not isinstance(value, (dict, list))))
  files.write_csv(base / f"{name}.csv", header, [[row.get(column, "") for column in header] for row in rows])


def record(output: str, config, rows: Sequence[dict[str, Any]], table: Sequence[Sequence[str]], **further: Any) -> None:
  """Write the record of a benchmark."""
  _records.write_benchmark(output, {
      "config": runs.plain(config), "rows": rows, "table": files.format_markdown(table), **further})


def finish(base: pathlib.Path, output: str, config, name: str, rows: Sequence[dict[str, Any]],
           table: Sequence[Sequence[str]]) -> None:
  """Show a table, and record it with its rows.

  Raises:
    run.Failed: there are no rows.
  """
  show(base, name, rows, table)
  record(output, config, rows, table)


def averages(rows: Sequence[dict[str, Any]], row_of: Callable[[dict[str, Any]], str],
             column_of: Callable[[dict[str, Any]], str]) -> tuple[list[str], list[str], np.ndarray]:
  """Return (names of rows, names of columns, mean averaged PSNR of every cell).

  A cell with fewer results than another one of its column is NaN: a case of it has failed.
  """
  found: dict[tuple[str, str], list[float]] = {}
  for row in rows:
    found.setdefault((row_of(row), column_of(row)), []).append(row["average psnr"])
  names, columns = (list(dict.fromkeys(place[i] for place in found)) for i in range(2))
  most = {column: max(len(values) for place, values in found.items() if place[1] == column) for column in columns}
  def mean_of(name, column):
    values = found.get((name, column), [])
    return np.mean(values) if len(values) == most[column] else np.nan
  return names, columns, np.array([[mean_of(name, column) for column in columns] for name in names])


def spread(rows: Sequence[dict[str, Any]], value: str | Callable[[dict[str, Any]], float], digits: int = 2) -> str:
  """Return mean and standard deviation of a value over those rows that have it; "" where none has."""
  read = value if callable(value) else lambda row: row.get(value)
  values = [found for found in map(read, rows) if found is not None]
  if not values:
    return ""
  deviation = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
  return f"{statistics.mean(values):,.{digits}f}{deviation}"


def paired(mine: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]]) -> str:
  """Return the mean difference of the averaged PSNR on the cases that both have, and its standard error.

  Seeds of one image are averaged first: the error is over the images.
  """
  psnr = {(row["image"], row["seed"]): row["average psnr"] for row in others}
  of_image: dict[str, list[float]] = {}
  for row in mine:
    if (row["image"], row["seed"]) in psnr:
      of_image.setdefault(row["image"], []).append(row["average psnr"] - psnr[row["image"], row["seed"]])
  means = [statistics.mean(differences) for differences in of_image.values()]
  if not means:
    return ""
  error = f" ± {statistics.stdev(means) / len(means) ** 0.5:.2f}" if len(means) > 1 else ""
  return f"{statistics.mean(means):+.2f}{error}"


def share_of(count: int, most: int) -> str:
  """Return "1 of 9", or "" for none."""
  return f"{count} of {most}" if count else ""


def mean(rows: Sequence[dict[str, Any]], value: str | Callable[[dict[str, Any]], float], digits: int = 0) -> str:
  """Return the mean of a value over those rows that have it; "" where none has."""
  return spread(rows, value, digits).partition(" ±")[0]
