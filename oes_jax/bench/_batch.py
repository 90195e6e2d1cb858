"""Time of many restorations together, against one alone and against how many run at once."""

import argparse
import json
import pathlib
import shutil
import statistics
import time
from typing import Any

import jax

from oes_jax.bench import _flags
from oes_jax.bench import _records
from oes_jax import files
from oes_jax import runs
from oes_jax import sweeps


def _restore_seeds(folder: pathlib.Path, cases: int, width: int, arguments) -> dict[str, Any]:
  """Restore `cases` seeds of one image anew, `width` on a device at once; return what it took."""
  shutil.rmtree(folder, ignore_errors=True)
  config = runs.make_config(preset="oes")
  config.update_from_flattened_dict({
      "data.source": "astronaut", "data.max_side": arguments.size, "sweep.seeds": tuple(range(cases)),
      "mask.num_steps": arguments.mask_steps, "weights.num_steps": arguments.weight_steps,
      "compute.images_per_device": width, "compute.compilation_cache": ""})
  began = time.perf_counter()
  sweeps.run_all(config, str(folder))
  wall = time.perf_counter() - began
  summaries = [json.loads(path.read_text(encoding="utf-8"))
               for path in (folder / "cases").glob("*/summary.json")]
  if len(summaries) != cases:
    raise ValueError(f"only {len(summaries)} of {cases} cases ended with a result; see {folder}")
  stages = [stage for summary in summaries for stage in summary["seconds"].values()]
  compiling = sum(stage["compile"] for stage in stages)
  return {"cases": cases, "images at once": width, "seconds": wall - compiling, "compilation": compiling,
          "steps alone": sum(stage["run"] for stage in stages),
          "psnr": statistics.mean(line["psnr"]["average"] for line in sweeps.read_results(folder).values())}


def run_batch(arguments: argparse.Namespace) -> None:
  """Print and record the seconds of one case and of many, compilation apart.

  The first restoration warms up and is not counted: it compiles what every later one finds.
  """
  folder = pathlib.Path(arguments.folder) / "timed"  # it is emptied every time
  _restore_seeds(folder, 1, 1, arguments)
  plans = [(1, 1), *((arguments.cases, width) for width in arguments.width)]
  rounds = [[_restore_seeds(folder, *plan, arguments) for plan in plans] for _ in range(arguments.rounds)]
  rows = []
  for measured in zip(*rounds):
    middle = lambda name, measured=measured: statistics.median(row[name] for row in measured)
    rows.append({**measured[0], **{name: middle(name) for name in ("seconds", "compilation", "steps alone")},
                 "ratio": statistics.median(row["seconds"] / alone[0]["seconds"]
                                            for row, alone in zip(measured, rounds)),
                 "images an hour": 3600 * measured[0]["cases"] / middle("seconds")})
  cells = [("cases", "at once", "seconds", "to one", "compilation", "images an hour", "PSNR")]
  cells += [(row["cases"], row["images at once"], f"{row['seconds']:.1f}", f"{row['ratio']:.2f}",
             f"{row['compilation']:.1f}", f"{row['images an hour']:.0f}", f"{row['psnr']:.2f}")
            for row in rows]
  print(files.format_table(cells))
  _records.write_benchmark(arguments.output, {
      "devices": jax.device_count(), "size": arguments.size, "mask steps": arguments.mask_steps,
      "weight steps": arguments.weight_steps, "rounds": arguments.rounds, "rows": rows})


def add_command(commands) -> None:
  """Add the command `batch` and its flags."""
  parser = _flags.add_parser(commands, "batch", run_batch,
                             "time many restorations together against one alone, compilation apart")
  _flags.add_folder_and_output(parser, "batch")
  parser.add_argument("--size", type=_flags.positive, default=96, help="longer side of the image, pixels")
  parser.add_argument("--cases", type=_flags.positive, default=8, help="restorations together")
  parser.add_argument("--width", type=_flags.positive, nargs="+", default=[1, 4, 8],
                      help="how many of them a device restores at once")
  parser.add_argument("--mask_steps", type=_flags.positive, default=200)
  parser.add_argument("--weight_steps", type=_flags.positive, default=600)
  parser.add_argument("--rounds", type=_flags.positive, default=1, help="times that all is repeated")
