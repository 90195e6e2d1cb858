"""Seconds and PSNR of whole restorations: our default against the authors' schedule, 128 x 128, 5 scales."""

import json
import pathlib
import shutil
import time
from typing import Any

from oes_jax.bench import _denoising
from oes_jax.bench import _flags
from oes_jax.bench import _records
from oes_jax.bench import _steps

_SHARED = {"data.source": "astronaut_face", "data.crop": (16, 16, 128, 128), "generator.num_scales": 5}


def _run_default(folder: pathlib.Path) -> tuple[dict[str, float], dict[str, Any]]:
  """Run the default anew as a machine's first and second image; return wall seconds and summaries by those names."""
  shutil.rmtree(folder, ignore_errors=True)
  walls, summaries = {}, {}
  for name in ("first", "second"):
    began = time.perf_counter()
    summaries[name] = _denoising.run(folder / name, "oes", {
        **_SHARED, "seed": int(name == "second"), "compute.compilation_cache": str(folder / "cache")})
    walls[name] = time.perf_counter() - began
  return walls, summaries


def _run_faithful(folder: pathlib.Path, record: str | None) -> dict[str, Any]:
  """Return quality, seconds and config of the authors' schedule: those of a kept record, or of a run."""
  if record:
    kept = json.loads(pathlib.Path(record).read_text(encoding="utf-8"))
    print(f"authors' schedule: {pathlib.Path(record)}, of {kept['date']}, {kept['cores']} cores")
    return kept
  summary = _denoising.run(folder / "faithful", "paper", {**_SHARED, "compute.compaction": False})
  _records.write_benchmark(str(folder / "faithful.json"), {
      name: summary[name] for name in ("quality", "seconds", "config")})
  return summary


def _report(result: dict[str, Any], step_seconds: dict[str, float]) -> None:
  default, faithful, ratio = (result[name] for name in ("default", "faithful", "ratio"))
  for name, seconds, quality in (("default", default["seconds"]["first"], default["quality"]),
                                 ("faithful", faithful["seconds"], faithful["quality"])):
    print(f"{name}: {seconds:.0f} s; last {quality['last']['psnr']:.2f} dB, averaged "
          f"{quality['average']['psnr']:.2f} dB (measurement {quality['measurement']['psnr']:.2f})")
  print(f"authors' schedule by steps timed just now ({1e3 * step_seconds['mask']:.0f} ms a mask step, "
        f"{1e3 * step_seconds['dense']:.0f} ms a weight step): "
        f"{faithful['seconds by steps timed with the default']:.0f} s\n"
        f"default: {default['seconds']['first']:.0f} s the first time, ratio: {ratio['first']:.0f}; "
        f"{default['seconds']['second']:.0f} s the second time, ratio: {ratio['second']:.0f}")


def run_time_to_quality(arguments) -> None:
  """Print and record total seconds and PSNR of our default and of the authors' schedule.

  The authors' schedule (100,000 steps, nothing compacted) takes hours; its finished run may be
  given as a kept record. The ratios are of its steps as timed here, without compilation, to the
  wall time of the whole default run: the first on a machine, and the next image of that size
  (seed 1), which finds some programs compiled.
  """
  folder = pathlib.Path(arguments.folder)
  walls, summaries = _run_default(folder / "timed")
  faithful = _run_faithful(folder, arguments.faithful_record)
  step_seconds = _steps.time_own_steps(128, num_scales=5)
  config = faithful["config"]
  steps = {"mask": config["mask"]["num_steps"], "dense": config["weights"]["num_steps"]}
  today = sum(step_seconds[name] * count for name, count in steps.items())
  result = {"default": {"seconds": walls, "quality": summaries["first"]["quality"]},
            "faithful": {"seconds": sum(stage["total"] for stage in faithful["seconds"].values()),
                         "quality": faithful["quality"], "seconds by steps timed with the default": today},
            "ratio": {name: today / wall for name, wall in walls.items()}}
  _report(result, step_seconds)
  _records.write_benchmark(arguments.output, result)


def add_command(commands) -> None:
  """Add the command `time_to_quality` and its flags."""
  parser = _flags.add_parser(commands, "time_to_quality", run_time_to_quality,
                             "seconds and PSNR of the default and of the authors' schedule, 128x128")
  _flags.add_folder_and_output(parser, "time_to_quality")
  parser.add_argument("--faithful_record", help="a kept record of the authors' schedule; without "
                      "it the schedule runs, for hours, and resumes where it was stopped")
