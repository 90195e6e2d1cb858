"""Whether a mask pays under the recorrupted objective: at equal steps, at equal seconds, and in what it memorises."""

import pathlib
from typing import Any, NamedTuple, Sequence

import tqdm

from oes_jax import files
from oes_jax import fitting
from oes_jax.bench import _cases
from oes_jax.bench import _denoising
from oes_jax.bench import _flags
from oes_jax.bench import _methods
from oes_jax.bench import _records
from oes_jax.bench import _tables

_EVERY = 10  # steps between two values of a trace
_NEAR = 0.1  # dB below the dense net's best averaged output that count as its quality
# The network alone. Every method has the default's weight steps.
_COMMON: dict[str, Any] = {**fitting.RECORRUPTED, "weights.combine": False, "output.image": "guarded", "output.figures": False}
_LEARNED = {key: value for key, value in _methods.RECORRUPTED_MASK.items() if key.startswith("mask.")}
_DENSE = "dense"


def _scored(source: str, density: float) -> dict[str, Any]:
  return {"mask.source": source, "mask.prune": "kernels", "mask.keep_fraction": density}


_MASKS: dict[str, dict[str, Any]] = {
    _DENSE: {"mask.source": "dense"}, "learned, 10 %": _LEARNED, "SynFlow, 10 %": _scored("synflow", 0.1),
    "random, 50 %": _scored("random", 0.5)}
# The learned mask with one setting changed.
_SEARCH: dict[str, dict[str, Any]] = {
    _DENSE: _MASKS[_DENSE], "learned, 10 %": _LEARNED,
    **{f"{100 * density:g} % kept": {**_LEARNED, "mask.keep_fraction": density} for density in (0.05, 0.2, 0.5)},
    **{f"{steps} mask steps": {**_LEARNED, "mask.num_steps": steps} for steps in (50, 300)},
    **{f"KL weight {weight:g}": {**_LEARNED, "mask.kl_weight": weight} for weight in (1e-8, 1e-6)},
    **{f"temperature {value:g}": {**_LEARNED, "mask.temperature": value} for value in (0.2, 1.0)},
    "of all weights": {**_LEARNED, "mask.prune": "all"}}


class Part(NamedTuple):
  """Methods that are compared on the same measurements.

  Attributes:
    name: what is measured.
    methods: {name: its changes of the config}; the dense net among them.
    crops: {name of a bundled image: (top, left, height, width), in pixels}.
    common: what all methods change in the config.
  """
  name: str
  methods: dict[str, dict[str, Any]]
  crops: dict[str, tuple[int, int, int, int]]
  common: dict[str, Any]


def _through(operator: str, sigma: float) -> dict[str, Any]:
  return {"operator.name": operator, "noise.sigma": sigma}


_CHELSEA = {"chelsea": (90, 130, 96, 96)}
_NO_RANDOM = {name: changes for name, changes in _MASKS.items() if not name.startswith("random")}
_LEARNED_ALONE = {name: _MASKS[name] for name in (_DENSE, "learned, 10 %")}
PARTS = (
    Part("settings, 96x96, noise 0.1", _SEARCH, _CHELSEA, {"noise.sigma": 0.1}),
    Part("images that nothing was chosen on, 96x96, noise 0.1", _MASKS, {
        "rocket": (90, 260, 96, 96), "immunohistochemistry": (200, 200, 96, 96), "retina": (600, 600, 96, 96)},
         {"noise.sigma": 0.1}),
    *(Part(f"96x96, noise {sigma:g}", _NO_RANDOM, _CHELSEA, {"noise.sigma": sigma}) for sigma in (0.02, 0.05, 0.2)),
    *(Part(f"160x160, noise {sigma:g}", _LEARNED_ALONE, {"chelsea": (60, 100, 160, 160)}, {"noise.sigma": sigma})
      for sigma in (0.02, 0.1, 0.2)),
    *(Part(f"96x96, {name}, noise {sigma:g}", _NO_RANDOM, _CHELSEA, _through(name, sigma))
      for name, sigma in (("inpainting", 0.05), ("super_resolution", 0.02))))


def _row(folder: pathlib.Path, summary: dict[str, Any]) -> dict[str, Any]:
  """Return what one finished run is compared by; seconds are without compilation, and without the scores of a criterion."""
  trace = files.read_metrics(folder / "metrics.jsonl")["weights"]["psnr_average"]
  best = max(range(len(trace)), key=trace.__getitem__)
  seconds = {stage: times.get("run", times["total"]) for stage, times in summary["seconds"].items()}
  return {"measurement psnr": summary["quality"]["measurement"]["psnr"],
          "guarded psnr": summary["quality"]["guarded"]["psnr"],
          "guard step": summary["guard"]["step"], "best average psnr": float(trace[best]), "best average step": best + 1,
          "acting": summary["mask"]["acting"], "collapse": summary["mask"]["collapse"],
          "mask seconds": sum(value for stage, value in seconds.items() if stage != "weights"),
          "step seconds": seconds["weights"] / len(trace),
          "trace": [round(float(value), 3) for value in trace[_EVERY - 1::_EVERY]]}


def at_seconds(row: dict[str, Any], seconds: float) -> float | None:
  """Return the PSNR of the averaged output some seconds after the start of the mask stage, in dB; None: before the first
  value of the trace. A run that has ended keeps its last output.
  """
  count = int((seconds - row["mask seconds"]) / row["step seconds"] + 1e-6) // _EVERY  # but for rounding
  return None if count < 1 else row["trace"][min(count, len(row["trace"])) - 1]


def seconds_to(row: dict[str, Any], psnr: float) -> float | None:
  """Return the seconds from the start of the mask stage until the averaged output has a PSNR, in dB; None: never."""
  reached = [number for number, value in enumerate(row["trace"], start=1) if value >= psnr]
  return row["mask seconds"] + reached[0] * _EVERY * row["step seconds"] if reached else None


def tabulate(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
  """Return header and cells: every part with its methods, mean and standard deviation over its images.

  Args:
    rows: the results; of every image of a part the dense net's is among them, whose whole time is the measure of others.
  """
  table = [["part", "mask", "guarded PSNR", "averaged PSNR, last step", "its best (oracle)", "at step", "in the dense net's time",
            "in half of it", "seconds to the dense net's quality", "reached", "mask stage, s", "weight step, ms", "can act",
            "collapsed"]]
  for part in dict.fromkeys(row["part"] for row in rows):
    of_part = [row for row in rows if row["part"] == part]
    dense = {(row["image"], row["seed"]): row for row in of_part if row["method"] == _DENSE}
    for method in dict.fromkeys(row["method"] for row in of_part):
      mine = [row for row in of_part if row["method"] == method]
      def time_of(row, dense=dense):
        other = dense[row["image"], row["seed"]]
        return other["step seconds"] * _EVERY * len(other["trace"])
      def to_quality(row, dense=dense):
        return seconds_to(row, dense[row["image"], row["seed"]]["best average psnr"] - _NEAR)
      reached = sum(to_quality(row) is not None for row in mine)
      table.append([
          part if method == of_part[0]["method"] else "", method, _tables.spread(mine, "guarded psnr"),
          _tables.mean(mine, lambda row: row["trace"][-1], 2), _tables.mean(mine, "best average psnr", 2), _tables.mean(mine, "best average step"),
          *(_tables.mean(mine, lambda row, share=share: at_seconds(row, share * time_of(row)), 2) for share in (1, 0.5)),
          _tables.mean(mine, to_quality, 1), _tables.share_of(len(mine) - reached, len(mine)) and f"{reached} of {len(mine)}",
          _tables.mean(mine, "mask seconds", 1), _tables.mean(mine, lambda row: 1000 * row["step seconds"], 1),
          _tables.mean(mine, "acting"), _tables.share_of(sum(bool(row["collapse"]) for row in mine), len(mine))])
  return files.without_empty_columns(table)


def run_recorrupted_masks(arguments) -> None:
  """Restore with every mask of every part; print the table and record every run."""
  cases = [(part, image, seed, method) for part in PARTS for image in part.crops for seed in range(arguments.seeds)
           for method in part.methods]
  rows = []
  for part, image, seed, method in tqdm.tqdm(cases, desc="restorations", unit="run"):
    folder = pathlib.Path(arguments.folder) / _cases.folder_name(f"{part.name} {method} {image} {seed}")
    summary = _denoising.run(folder, "oes", {
        "data.source": image, "data.crop": part.crops[image], "seed": seed, **_COMMON, **part.common, **part.methods[method]})
    rows.append({"part": part.name, "method": method, "image": image, "seed": seed, **_row(folder, summary)})
  table = tabulate(rows)
  print(files.format_table(table))
  _records.write_benchmark(arguments.output, {
      "common": _COMMON, "parts": [part._asdict() for part in PARTS], "rows": rows, "table": files.format_markdown(table)})


def add_command(commands) -> None:
  """Add the command `recorrupted_masks` and its flags."""
  parser = _flags.add_parser(
      commands, "recorrupted_masks", run_recorrupted_masks,
      "masks under the recorrupted objective, at equal steps and at equal seconds")
  _flags.add_folder_and_output(parser, "recorrupted_masks")
  _flags.add_seeds(parser, 1)
