"""Where the prior holds and where it fails: density, noise level, texture, and noise alone."""

import itertools
import pathlib
from typing import Sequence

import numpy as np

from oes_jax.bench import _cases
from oes_jax.bench import _methods
from oes_jax import files
from oes_jax import runs

_NARROW = "narrow dense, as many weights as kept"
_DENSE = "dense (deep image prior)"
# What is compared with the learned mask here; more would hide it in the figure.
_COMPARED = (_DENSE, _NARROW, "deep decoder, dense")
_PEER = "non-local means, told sigma"


def run_sparsity(arguments) -> None:
  """PSNR against density, learned and random masks, collapsed ones marked."""
  config, base, output = _cases.read_arguments(arguments, "sparsity")
  rows, tried = [], tuple(itertools.product(("learn", "random"), config.benchmark.densities))
  for source, fraction in tried:
    name = f"{source}, {100 * fraction:g} %"
    restored = _cases.restore(
        config, base / _cases.folder_name(name), name,
        {key: {"mask.source": source, "mask.keep_fraction": fraction} for key in _cases.keys_of(config)})
    for item in restored.items():
      row = _cases.row(source, *item)
      rows.append({"source": source, "density": fraction, **{
          column: row[column] for column in ("image", "seed", "last psnr", "average psnr", "best psnr",
                                             "kept", "acting")}, "collapsed": bool(row["collapse"])})
  most = len(_cases.keys_of(config))
  table = [["mask", "density", "averaged PSNR", "last PSNR", "can act", "collapsed", "failed"]]
  lines: dict[str, list[tuple[float, float, bool]]] = {}
  for source, fraction in tried:
    mine = [row for row in rows if (row["source"], row["density"]) == (source, fraction)]
    collapsed = sum(row["collapsed"] for row in mine)
    table.append([source, f"{100 * fraction:g} %", _cases.spread(mine, "average psnr"),
                  _cases.spread(mine, "last psnr"), _cases.mean(mine, "acting"),
                  _cases.share_of(collapsed, len(mine)), _cases.share_of(most - len(mine), most)])
    if mine:
      lines.setdefault(f"{source}ed mask" if source == "learn" else f"{source} mask", []).append(
          (100 * fraction, float(np.mean([row["average psnr"] for row in mine])), collapsed > 0))
  _cases.finish(base, output, config, "sparsity", rows, files.without_empty_columns(table))
  files.save_lines(base / "sparsity.png", lines, xlabel="weights kept, %", ylabel="averaged PSNR, dB")


def run_limits(arguments) -> None:
  """PSNR against the noise level, on photographs and on pure textures."""
  config, base, output = _cases.read_arguments(arguments, "limits")
  both = _cases.of_crops(config, (*config.benchmark.crops, *config.benchmark.texture_crops))
  textures = [image for image, _ in config.benchmark.texture_crops]
  rows, lines = [], {}
  for sigma in config.benchmark.sigmas:
    changes = {key: {"noise.sigma": sigma} for key in _cases.keys_of(both)}
    learned = _cases.restore(both, base / f"learned-{sigma:g}", f"{_methods.LEARNED}, noise {sigma:g}", changes)
    found = [_cases.row(_methods.LEARNED, *item) for item in learned.items()]
    for name in _COMPARED:
      restored = _cases.restore(
          both, base / f"{_cases.folder_name(name)}-{sigma:g}", f"{name}, noise {sigma:g}",
          _cases.changes_of(both, name, learned, {"noise.sigma": sigma}))
      found += [_cases.row(name, *item) for item in restored.items()]
    found += _cases.classical_rows(both, base / "classical", changes, [_PEER])
    rows += [{"sigma": sigma, "kind": "texture" if row["image"] in textures else "photograph", **{
        column: row.get(column, "") for column in ("method", "image", "seed", "measurement psnr", "last psnr",
                                                   "average psnr", "best psnr")}} for row in found]
  shown = (_methods.LEARNED, *_COMPARED, _PEER)
  table = [["images", "noise", "measurement", *shown, "failed"]]
  for kind, sigma in dict.fromkeys((row["kind"], row["sigma"]) for row in rows):
    mine = [row for row in rows if (row["kind"], row["sigma"]) == (kind, sigma)]
    of = {name: [row for row in mine if row["method"] == name] for name in shown}
    most = sum((key[0] in textures) == (kind == "texture") for key in _cases.keys_of(both))
    table.append([kind, f"{sigma:g}", _cases.mean(mine, "measurement psnr", 2),
                  *(_cases.spread(of[name], "average psnr") for name in shown),
                  ", ".join(f"{name}: {most - len(of[name])}" for name in shown if len(of[name]) < most)])
    for name in shown:
      if of[name]:
        lines.setdefault(f"{name}, {kind}s", []).append(
            (sigma, float(np.mean([row["average psnr"] for row in of[name]])), False))
  _cases.finish(base, output, config, "limits", rows, files.without_empty_columns(
      [table[0], *sorted(table[1:], key=lambda line: line[0])]))
  files.save_lines(base / "limits.png", lines, xlabel="standard deviation of the noise",
                     ylabel="averaged PSNR, dB")


def _write_noise(folder: pathlib.Path, shape: Sequence[int], seed: int, sigma: float) -> str:
  """Write an array of nothing but noise around 0.5; return its path."""
  path = folder / f"noise-{'x'.join(map(str, shape))}-sigma{sigma:g}-seed{seed}.npy"
  if not path.is_file():
    folder.mkdir(parents=True, exist_ok=True)
    noise = 0.5 + sigma * np.random.default_rng(seed).standard_normal(shape)
    files.write_array(path, np.clip(noise, 0, 1).astype(np.float32))
  return str(path)


def run_noise(arguments) -> None:
  """Fit an image of noise alone: the slower a network fits it, the less it takes from a measurement's noise.

  The learned mask, which also sets the size of the narrow net, comes from the first image of the config: on noise
  itself there is nothing to learn, and the mask collapses.
  """
  config, base, output = _cases.read_arguments(arguments, "noise")
  sigma, (image, crop) = 0.1, config.benchmark.crops[0]
  first = _cases.of_crops(config, config.benchmark.crops[:1])
  keys = _cases.keys_of(first)
  learned = _cases.restore(first, base / "learned", _methods.LEARNED, {key: {} for key in keys})
  shape = runs.inspect(_cases.list_cases(first, {keys[0]: {}})[0].config).shape
  paths = {seed: _write_noise(base, shape, seed, sigma) for _, seed in keys}
  alone = _cases.of_crops(config, [(path, (0, 0, *crop[2:])) for path in paths.values()])
  common = {"data.range": (0.0, 1.0), "noise.sigma": 0.0}
  fitted = {}
  for name in (_methods.LEARNED, *_COMPARED):
    changes = _cases.changes_of(first, name, learned, common)
    if name == _methods.LEARNED:
      changes = {key: {**common, **_methods.given(_cases.learned_of(first, image, summary))}
                 for key, summary in learned.items()}
    fitted[name] = _cases.restore(alone, base / _cases.folder_name(f"noise, {name}"), name, {
        (paths[seed], seed): change for (_, seed), change in changes.items()})
  traces, rows = {}, []
  for name, found in fitted.items():
    if not found:
      continue
    losses = [files.read_metrics(pathlib.Path(summary["folder"]) / "metrics.jsonl")["weights"]["mse"]
              for summary in found.values()]
    traces[name] = 1 - np.mean(losses, 0) / sigma ** 2
    rows += [{"method": name, "step": step, "share fitted": f"{share:.5f}"}
             for step, share in enumerate(traces[name], start=1)]
  steps = [step for step in (100, 300, 1000, 3000, 10000) if step <= config.weights.num_steps]
  table = [["share of the noise's variance fitted after", *(f"{step:,} steps" for step in steps)]]
  table[0].append("failed")
  table += [[name, *(f"{100 * traces[name][step - 1]:.1f} %" if found else "" for step in steps),
             _cases.share_of(len(keys) - len(found), len(keys))] for name, found in fitted.items()]
  _cases.finish(base, output, config, "noise", rows, files.without_empty_columns(table))
  files.save_traces(base / "noise.png", traces, ylabel="share of the noise's variance fitted")
