"""What a change of the denoising config costs in quality: whole restorations of bundled images, compared.

Every restoration is an ordinary run in a folder of its own: what is finished is not run again,
and what was interrupted resumes.
"""

import pathlib
from typing import Any, Iterable, Sequence

import tqdm

from oes_jax.bench import _records
from oes_jax.bench import _tables
from oes_jax import files
from oes_jax import runs

_NOT_COMPARED = {"checkpoint.every_steps": 5000}


def run(folder: pathlib.Path, preset: str, changes: dict[str, Any]) -> dict[str, Any]:
  """Run the denoising config with some of its keys changed; return the summary.

  Args:
    folder: the run's folder.
    preset: the config's preset.
    changes: {dotted key: value}.
  """
  config = runs.make_config(preset=preset)
  config.update_from_flattened_dict({**_NOT_COMPARED, **changes})
  job = runs.prepare(config, str(folder))
  runs.use_compilation_cache(job.settings.compute.compilation_cache)
  with runs.Signals() as signals:
    return runs.run_job(job, signals)


def run_methods(folder: pathlib.Path, methods: dict[str, dict[str, Any]], crops: dict[str, Any],
                seeds: Iterable[int], common: dict[str, Any]) -> list[dict[str, Any]]:
  """Restore every crop with every method and seed; return one row for each.

  Args:
    folder: folder in which the runs' folders lie.
    methods: {method's name: its changes of the config}.
    crops: {name of a bundled image: (top, left, height, width) of the crop, in pixels}.
    seeds: the seeds of every crop and method.
    common: changes of the config that all methods share.
  """
  cases = [(method, image, seed) for seed in seeds for image in crops for method in methods]
  rows = []
  for method, image, seed in tqdm.tqdm(cases, desc="restorations", unit="run"):
    summary = run(folder / f"{method}-{image}-{seed}".replace(" ", "_"), "oes", {
        "data.source": image, "data.crop": crops[image], "seed": seed, **common, **methods[method]})
    rows.append({
        "method": method, "image": image, "seed": seed,
        **{f"{name} psnr": summary["quality"][name]["psnr"]
           for name in ("measurement", "last", "average", "best")},
        **{name: summary["mask"][name] for name in ("kept", "acting", "size")},
        "seconds": {stage: times["total"] for stage, times in summary["seconds"].items()}})
  return rows


def tabulate(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
  """Return header and cells: mean and standard deviation over all images and seeds, then per image."""
  images = list(dict.fromkeys(row["image"] for row in rows))
  table = [["mask", "last", "averaged", *(f"{image}, averaged" for image in images), "kept", "can act"]]
  for method in dict.fromkeys(row["method"] for row in rows):
    mine = [row for row in rows if row["method"] == method]
    kept, size = (sum(row[name] for row in mine) for name in ("kept", "size"))
    table.append([method, _tables.spread(mine, "last psnr"), _tables.spread(mine, "average psnr"), *(
        _tables.mean([row for row in mine if row["image"] == image], "average psnr", 2) for image in images),
        f"{100 * kept / size:.1f} %", _tables.mean(mine, "acting")])
  return table


def finish(output: str, rows: Sequence[dict[str, Any]], **further: Any) -> None:
  """Print the table of rows; write it and the rows as a record, with further entries.

  Args:
    output: the path of the record.
    rows: what `run_methods` returned.
    **further: the record's other entries.
  """
  table = tabulate(rows)
  print(files.format_table(table))
  _records.write_benchmark(output, {**further, "rows": rows, "table": files.format_markdown(table)})
