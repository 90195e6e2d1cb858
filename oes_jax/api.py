"""The Python call: arrays in, arrays out, with the settings of the operator's preset."""

import contextlib
import io
import json
import pathlib
import tempfile
from typing import Any, Iterator, Mapping, NamedTuple, Sequence

import numpy as np

from oes_jax import files
from oes_jax import runs
from oes_jax import sweeps


# Standard deviation of the noise that is simulated through a scanner, where none is given.
_SIMULATED_SIGMA = {"mri": 0.03, "tomography": 0.03}


class Restoration(NamedTuple):
  """A restored image.

  Attributes:
    image: in the layout, type and range of the measurement; [H, W] or [H, W, C].
    spread: standard deviation of an ensemble's members at every value, in the measurement's range; None
      without an ensemble.
    mask: pytree of boolean arrays, which weights were kept; of the first member.
    traces: {stage: {metric: [steps] array}}, likewise.
    summary: what the command line writes as summary.json, likewise.
    folder: where all of it was written; gone unless a folder was given.
  """
  image: np.ndarray
  spread: np.ndarray | None
  mask: Any
  traces: dict[str, dict[str, np.ndarray]]
  summary: dict[str, Any]
  folder: str


def _write(folder: pathlib.Path, name: str, given: Any) -> str:
  """Write an array, or several by name, for the config to name; return the path."""
  several = isinstance(given, Mapping)
  path, stream = folder / f"{name}.{'npz' if several else 'npy'}", io.BytesIO()
  if several:
    np.savez(stream, **{key: np.asarray(given[key]) for key in sorted(given)})
  else:
    np.save(stream, np.asarray(given), allow_pickle=False)
  if not path.is_file():
    files.write_atomically(path, stream.getvalue())
  elif path.read_bytes() != stream.getvalue():
    raise ValueError(f"workdir={str(folder.parent)!r} holds another {name}; allowed: a new or empty folder.")
  return str(path)


def _plain(value: Any, folder: pathlib.Path, name: str) -> Any:
  """Return a value as the config takes it; arrays are written and become paths."""
  if np.ndim(value) > 0 and not isinstance(value, (str, tuple, list)):
    return _write(folder, name, value)
  if isinstance(value, list):
    return tuple(value)
  if isinstance(value, pathlib.PurePath):
    return str(value)
  return value.item() if isinstance(value, np.generic) else value


def _make_config(measurement, operator, truth, settings, folder: pathlib.Path):
  """Return the config of one measurement, its arrays written into `folder`."""
  chosen = {"name": operator} if isinstance(operator, str) else dict(operator)
  if "name" not in chosen:
    raise ValueError(f"operator has {', '.join(map(repr, chosen)) or 'nothing'}; allowed: 'name', and with it the "
                     "other keys of config.operator.")
  changes = {f"operator.{key}": value for key, value in chosen.items()} | dict(settings)
  named = str(changes["operator.name"])
  config = runs.make_config(named, experiment="call", **{"operator.simulate": False})
  if changes.get("operator.simulate"):
    config.noise.sigma = _SIMULATED_SIGMA.get(named)
  known = config.to_dict()
  for key, value in changes.items():
    section, _, name = key.rpartition(".")
    there = known.get(section, {}) if section else known
    if name not in there or isinstance(there[name], dict) or section == "sweep":
      raise ValueError(f"{key!r} is no key of a restoration; allowed: those of configs/default.py, such as "
                       "'weights.num_steps', without `sweep`.")
    try:
      config.update_from_flattened_dict({key: _plain(value, folder, name)})
    except TypeError as error:
      raise ValueError(f"{key}={value!r} is a {type(value).__name__}; allowed: as in configs/default.py.") from error
  config.data.source = _write(folder, "measurement", measurement)
  if truth is not None:
    config.data.truth = _write(folder, "truth", truth)
  return config


def _read(folder: pathlib.Path, members: Sequence[pathlib.Path], summary: dict[str, Any]) -> Restoration:
  first = members[0]
  spread = np.load(folder / "spread.npy") if len(members) > 1 else None
  image = np.load(folder / "restored.npy")
  if spread is not None:
    spread = spread.reshape(image.shape)
  traces = files.read_metrics(first / "metrics.jsonl") if (first / "metrics.jsonl").is_file() else {}
  mask = files.load_mask(first / "mask")[0] if (first / "mask").is_dir() else None
  return Restoration(image, spread, mask, traces, summary, str(folder))


def _restore_one(config, base: pathlib.Path) -> Restoration:
  if not sweeps.is_many(config):
    folder = base / "run"
    return _read(folder, [folder], runs.run(runs.prepare(config, str(folder))))
  folder, complete = sweeps.run_all(config, str(base / "run"))
  if not complete:
    raise runs.Failed(f"not every member of the ensemble was restored; see {folder / 'results.jsonl'}")
  ensemble, = (folder / "ensembles").iterdir()
  read = lambda path: json.loads((path / "summary.json").read_text(encoding="utf-8"))
  parts = [folder / "cases" / name for name in read(ensemble)["members"]]
  return _read(ensemble, parts, read(parts[0]))


@contextlib.contextmanager
def _base(workdir: str | None) -> Iterator[pathlib.Path]:
  if workdir is not None:
    yield pathlib.Path(workdir).expanduser()
    return
  with tempfile.TemporaryDirectory(prefix="oes_jax_") as folder:
    yield pathlib.Path(folder)


Measurement = np.ndarray | Mapping[str, np.ndarray]


def restore(measurement: Measurement | Sequence[Measurement], *, operator: str | Mapping[str, Any] = "identity",
            truth: np.ndarray | Sequence[np.ndarray] | None = None, ensemble: int = 1, seed: int = 0,
            settings: Mapping[str, Any] | None = None,
            workdir: str | None = None) -> Restoration | list[Restoration]:
  """Restore one measurement, or a list of them, each from itself alone.

  Args:
    measurement: [H, W] or [H, W, C], of any real type; its values are mapped to the unit range as those of a
      file are (8-bit: 0 to 255; other types: by the measurement, or by settings={"data.range": (low, high)}).
      For operators "mri" and "tomography" the arrays of a scan by name, as scans.READERS lays them out.
      Or a list or tuple of either, which may differ in shape.
    operator: what was measured: the name of an operator, or its keys of config.operator, such as
      {"name": "inpainting", "mask": array}; arrays are allowed where the config names a file.
    truth: the clean image, or a list of them; only ever scored.
    ensemble: restorations of every measurement; their mean is the image, their spread the uncertainty.
    seed: of all draws.
    settings: keys of the config by their dotted names, such as {"weights.num_steps": 3000}, that differ from the
      operator's preset, runs.make_config(operator). A strength of noise is that of the measurement: nothing is
      simulated unless {"operator.simulate": True} asks for it.
    workdir: folder to work in and to keep: the same call goes on there after an interruption. None: a
      temporary one, without figures.

  Returns:
    A Restoration, or a list of them.

  Raises:
    ValueError: an argument is not allowed; the message names it.
    run.Failed: a restoration could not go on; with a workdir what was computed is kept.
    processes.Interrupted: after SIGTERM or SIGINT in the main thread, likewise.
    processes.Busy: another process works in the workdir.
  """
  several = isinstance(measurement, (list, tuple))
  arrays = list(measurement) if several else [measurement]
  truths = list(truth) if several and truth is not None else [truth] * len(arrays)
  if not arrays or len(truths) != len(arrays):
    raise ValueError(f"{len(arrays)} measurements and {len(truths)} truths were given; allowed: one measurement or "
                     "more, and as many truths or None.")
  restored = []
  with _base(workdir) as base:
    for number, (array, clean) in enumerate(zip(arrays, truths)):
      folder = base / f"{number:04d}" if several else base
      (folder / "arrays").mkdir(parents=True, exist_ok=True)
      told = {"ensemble": ensemble, "seed": seed, "output.figures": workdir is not None, **(settings or {})}
      config = _make_config(array, operator, clean, told, folder / "arrays")
      restored.append(_restore_one(config, folder))
  return restored if several else restored[0]
