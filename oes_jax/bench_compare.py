"""Methods compared at equal density, steps, learning rate and noise draw, on images that none may see.

The learned mask comes first. Every other mask keeps as many weights, image by image and seed by seed, and
all methods restore the same measurement: noise, initial weights and network input follow from the seed.
"""

import bisect
import json
import pathlib
import runpy
import statistics
import time
from typing import Any, Callable, NamedTuple, Sequence

import jax
import numpy as np

from oes_jax import cases
from oes_jax import classical
from oes_jax import generators
from oes_jax import jobs
from oes_jax import masks
from oes_jax import members
from oes_jax import outputs
from oes_jax import records
from oes_jax import reports
from oes_jax import sweep
from oes_jax import validation

LEARNED = "learned mask (OES)"


class Learned(NamedTuple):
  """What other methods take from the learned mask of the same image and seed.

  Attributes:
    folder: of the mask.
    kept: weights.
    acting: weights that can act.
    size: all weights.
    spec: of its generator.
    shape: (H, W, C) of the image.
  """
  folder: str
  kept: int
  acting: int
  size: int
  spec: dict[str, Any]
  shape: tuple[int, int, int]


def narrow_channels(spec: dict[str, Any], shape, count: int) -> tuple[int, ...]:
  """Return the widths of the dense hourglass, narrowed alike, whose weights come closest to `count`."""
  def weights(channels):
    generator = generators.make_generator(
        spec["name"], image_shape=shape, num_scales=spec["num_scales"], channels=channels)
    return masks.count_weights(jax.eval_shape(generator.init, jax.random.key(0))[0])
  shares = np.geomspace(1 / max(spec["channels"]), 1, 200)
  widths = list(dict.fromkeys(
      tuple(max(1, round(share * width)) for width in spec["channels"]) for share in shares))
  place = bisect.bisect(widths, count, key=weights)  # more channels, more weights
  return min(widths[max(0, place - 1):place + 1], key=lambda channels: abs(weights(channels) - count))


def _density(learned: Learned) -> float:
  return (learned.kept + 0.5) / learned.size  # int() of its product with the size is `kept`


def _narrow(count: Callable[[Learned], int]) -> Callable[[Learned], dict[str, Any]]:
  return lambda learned: {"mask.source": "dense", "generator.channels": narrow_channels(
      learned.spec, learned.shape, count(learned))}


def _scored(source: str, scope: str = "global") -> Callable[[Learned], dict[str, Any]]:
  return lambda learned: {"mask.source": source, "mask.scope": scope,
                          "mask.keep_fraction": _density(learned)}


# Name: what a method changes in the config, given the learned mask of the same image and seed.
METHODS = {
    LEARNED: None,
    "dense (deep image prior)": lambda learned: {"mask.source": "dense"},
    "deep decoder, dense": lambda learned: {
        "mask.source": "dense", "generator.name": "deep_decoder", "generator.channels": None},
    "narrow dense, as many weights as kept": _narrow(lambda learned: learned.kept),
    "narrow dense, as many weights as can act": _narrow(lambda learned: learned.acting),
    "learned mask shuffled inside arrays": lambda learned: {
        "mask.source": "shuffled", "mask.path": learned.folder},
    "random": _scored("random"),
    "random, layer-wise": _scored("random", "layerwise"),
    "random, 50 %": lambda learned: {"mask.source": "random", "mask.keep_fraction": 0.5},
    "magnitude": _scored("magnitude"),
    "SNIP": _scored("snip"),
    "GraSP": _scored("grasp"),
    "SynFlow": _scored("synflow"),
}


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
  return config


def _cases(config, changes: dict[tuple[str, int], dict[str, Any]]) -> list[cases.Case]:
  """One case for every image and seed that has changes."""
  listed = []
  for image, crop in config.benchmark.crops:
    for seed in config.benchmark.seeds:
      if (image, seed) in changes:
        case = config.copy_and_resolve_references().unlock()
        del case.benchmark
        case.update_from_flattened_dict({"data.source": image, "data.crop": tuple(crop), "seed": seed,
                                         **changes[image, seed]})
        listed.append(cases.Case(case.lock(), len(listed), 0))
  return listed


def _restore(config, folder: pathlib.Path, method: str, changes) -> dict[tuple[str, int], dict[str, Any]]:
  """Restore with one method; return the summaries, by image and seed."""
  listed = _cases(config, changes)
  identity = {"format": jobs.FORMAT, "many": True, "method": method, "config": validation.plain(config)}
  folder = validation.find_workdir(str(folder), config.experiment, identity)[0]
  print(f"\n{method}", flush=True)
  sweep.run_cases(listed, folder, identity, config.compute)
  found = {}
  for path in sorted((folder / "cases").glob("*/summary.json")):
    summary = json.loads(path.read_text(encoding="utf-8"))
    used = summary["config"]
    found[used["data"]["source"], used["seed"]] = {**summary, "folder": str(path.parent)}
  return found


def _row(method: str, key: tuple[str, int], summary: dict[str, Any]) -> dict[str, Any]:
  quality, mask = summary["quality"], summary["mask"]
  return {"method": method, "image": key[0], "seed": key[1],
          **{f"{name} {score}": quality[name][score]
             for name in ("measurement", "last", "average", "guarded") if name in quality
             for score in ("psnr", "ssim")},
          **({"guard step": summary["guard"]["step"]} if summary["guard"] else {}), "best psnr": quality["best"]["psnr"],
          **{name: mask[name] for name in ("kept", "acting", "size")}, "collapse": mask["collapse"],
          "seconds": {stage: times["total"] for stage, times in summary["seconds"].items()}}


def _mean_trace(restored: dict[Any, dict[str, Any]]) -> np.ndarray:
  """PSNR of the output of every weight step, mean over images and seeds."""
  return np.mean([reports.read_metrics(pathlib.Path(summary["folder"]) / "metrics.jsonl")["weights"]["psnr"]
                  for summary in restored.values()], 0)


def _classical_rows(config) -> list[dict[str, Any]]:
  """Score the denoisers of `classical` on the same measurements."""
  rows = []
  keys = {(image, seed): {} for image, _ in config.benchmark.crops for seed in config.benchmark.seeds}
  for case in _cases(config, keys):
    job = jobs.inspect(case.config)
    measurement, truth = (np.asarray(array) for array in members.measure(job))
    for method in classical.available():
      began = time.perf_counter()
      image = classical.denoise(method, measurement, job.sigma)
      seconds, quality = time.perf_counter() - began, outputs.quality_of(image, truth)
      measured = outputs.quality_of(measurement, truth)
      rows.append({
          "method": method, "image": case.config.data.source, "seed": case.config.seed,
          **{f"measurement {score}": value for score, value in measured.items()},
          **{f"average {score}": value for score, value in quality.items()}, "collapse": [],
          "seconds": {"all": seconds}})
  return rows


def tabulate(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
  """Return header and cells: mean and standard deviation of each method over images and seeds.

  A collapsed run counts like any other: a method that collapses has lost.
  """
  table = [["method", "last PSNR", "averaged PSNR", "guarded PSNR", "guard's step", "best (oracle)",
            "averaged SSIM", "kept", "can act", "seconds", "collapsed"]]
  for method in dict.fromkeys(row["method"] for row in rows):
    mine = [row for row in rows if row["method"] == method]
    def spread(name, digits=2, mine=mine):
      values = [row[name] for row in mine if name in row]
      if not values:
        return ""
      sd = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
      return f"{statistics.mean(values):.{digits}f}{sd}"
    def mean(name, mine=mine):
      values = [row[name] for row in mine if name in row]
      return f"{statistics.mean(values):,.0f}" if values else ""
    seconds = statistics.mean(sum(row["seconds"].values()) for row in mine)
    collapsed = sum(bool(row["collapse"]) for row in mine)
    table.append([method, spread("last psnr"), spread("average psnr"), spread("guarded psnr"),
                  mean("guard step"), spread("best psnr"),
                  spread("average ssim", 3), mean("kept"), mean("acting"), f"{seconds:.1f}",
                  f"{collapsed} of {len(mine)}" if collapsed else ""])
  return reports.without_empty_columns(table)


def run_compare(arguments) -> None:
  """Restore with every method; print the table, record every run, and draw PSNR against the step."""
  config = read_config(arguments.config)
  base = pathlib.Path(arguments.folder or f"runs/{config.experiment}")
  keys = {(image, seed): {} for image, _ in config.benchmark.crops for seed in config.benchmark.seeds}
  learned = _restore(config, base / "learned", LEARNED, keys)
  rows, traces = [_row(LEARNED, *item) for item in learned.items()], {LEARNED: _mean_trace(learned)}
  for method, change in METHODS.items():
    if change is None:
      continue
    changes = {key: change(Learned(
        str(pathlib.Path(summary["folder"]) / "mask"), summary["mask"]["kept"], summary["mask"]["acting"],
        summary["mask"]["size"], summary["generator"], _shape(config, key[0], summary)))
               for key, summary in learned.items()}
    name = "".join(letter if letter.isalnum() else "-" for letter in method)
    restored = _restore(config, base / name, method, changes)
    rows += [_row(method, *item) for item in restored.items()]
    if restored:
      traces[method] = _mean_trace(restored)
  rows += _classical_rows(config)
  table = tabulate(rows)
  reports.write_csv(base / "traces.csv", ("method", "step", "psnr"), [
      (method, step, f"{psnr:.3f}") for method, trace in traces.items()
      for step, psnr in enumerate(trace, start=1)])
  reports.save_traces(base / "traces.png", traces)
  print(f"\n{reports.format_table(table)}")
  records.write_benchmark(arguments.output, {
      "config": validation.plain(config), "rows": rows, "table": reports.format_markdown(table)})


def _shape(config, image: str, summary: dict[str, Any]) -> tuple[int, int, int]:
  height, width = dict(config.benchmark.crops)[image][2:]
  return height, width, summary["generator"]["image_channels"]
