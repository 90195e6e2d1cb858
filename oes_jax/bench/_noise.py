"""How fast networks fit noise alone: the slower, the less they take from a measurement's noise."""

import io
import pathlib
from typing import Any, Sequence

import numpy as np

from oes_jax.bench import _cases
from oes_jax.bench import _flags
from oes_jax.bench import _methods
from oes_jax.bench import _tables
from oes_jax import files
from oes_jax import runs

_NETWORKS = (_methods.LEARNED, *_methods.DENSE_NETS, _methods.RECORRUPTED_DENSE, _methods.RECORRUPTED_LEARNED)
_SIGMA = 0.1  # standard deviation of the noise, in the range [0, 1]


def _write_noise(folder: pathlib.Path, shape: Sequence[int], seed: int) -> str:
  """Write an array of nothing but noise around 0.5; return its path."""
  path = folder / f"noise-{'x'.join(map(str, shape))}-sigma{_SIGMA:g}-seed{seed}.npy"
  if not path.is_file():
    folder.mkdir(parents=True, exist_ok=True)
    noise = 0.5 + _SIGMA * np.random.default_rng(seed).standard_normal(shape)
    stream = io.BytesIO()
    np.save(stream, np.clip(noise, 0, 1).astype(np.float32))
    files.write_atomically(path, stream.getvalue())
  return str(path)


def _fit(config, base: pathlib.Path) -> dict[str, dict[_cases.Key, dict[str, Any]]]:
  """Fit noise with every method; return {method: {(path of the noise, seed): summary}}.

  Learned masks, the first of which also sets the size of the narrow net, come from the first image of the config: on
  noise itself there is nothing to learn, and the mask collapses. The noise is its own "truth": PSNR tells what is fitted
  of it, also where what a step fits is made anew.
  """
  image, crop = config.benchmark.crops[0]
  first = _cases.of_crops(config, config.benchmark.crops[:1])
  keys = _cases.keys_of(first)
  learned = _cases.restore_cases(first, base / "learned", _methods.LEARNED, {key: {} for key in keys})
  shape = runs.inspect(_cases.list_cases(first, {keys[0]: {}})[0].config).shape
  paths = {seed: _write_noise(base, shape, seed) for _, seed in keys}
  alone = _cases.of_crops(config, [(path, (0, 0, *crop[2:])) for path in paths.values()])
  common = {"data.range": (0.0, 1.0), "noise.sigma": 0.0}
  fitted = {}
  for name in _cases.methods_for(_NETWORKS, config.noise.model):
    changes = _cases.changes_of(first, name, learned, common)
    if name in (_methods.LEARNED, _methods.RECORRUPTED_LEARNED):
      found = learned if name == _methods.LEARNED else _cases.restore_cases(
          first, base / _cases.folder_name(name), name, _cases.changes_of(first, name, learned, {}))
      changes = {key: {**changes[key], **_methods.given(_cases.learned_of(first, image, summary))}
                 for key, summary in found.items()}
    fitted[name] = _cases.restore_cases(alone, base / _cases.folder_name(f"noise, {name}"), name, {
        (paths[seed], seed): {**change, "data.truth": paths[seed]} for (_, seed), change in changes.items()})
  return fitted


def _share_fitted(summaries: Sequence[dict[str, Any]]) -> np.ndarray:
  """Return the share of the noise's variance that is fitted after every weight step, mean over runs."""
  psnrs = [files.read_metrics(pathlib.Path(summary["folder"]) / "metrics.jsonl")["weights"]["psnr"]
           for summary in summaries]
  return 1 - np.mean(np.power(10, np.divide(psnrs, -10)), 0) / _SIGMA ** 2


def run_noise(arguments) -> None:
  """Fit an image of noise alone with every method; print, record and draw what share of it is fitted."""
  config, base, output = _cases.read_arguments(arguments, "noise")
  fitted = _fit(config, base)
  traces = {name: _share_fitted(list(found.values())) for name, found in fitted.items() if found}
  rows = [{"method": name, "step": step, "share fitted": f"{share:.5f}"}
          for name, trace in traces.items() for step, share in enumerate(trace, start=1)]
  most = len(config.benchmark.seeds)
  steps = [step for step in (100, 300, 1000, 3000, 10000) if step <= config.weights.num_steps]
  table = [["share of the noise's variance fitted after", *(f"{step:,} steps" for step in steps), "failed"]]
  table += [[name, *(f"{100 * traces[name][step - 1]:.1f} %" if found and step <= len(traces[name]) else "" for step in steps),
             _tables.share_of(most - len(found), most)] for name, found in fitted.items()]
  _tables.finish(base, output, config, "noise", rows, files.without_empty_columns(table))
  files.save_traces(base / "noise.png", traces, ylabel="share of the noise's variance fitted")


def add_command(commands) -> None:
  """Add the command `noise` and its flags."""
  parser = _flags.add_parser(commands, "noise", run_noise, "how fast networks fit noise alone")
  _flags.add_config(parser, "noise")
