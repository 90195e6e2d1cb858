"""Arrays restored in a folder that is kept: written into it, and run there so that an interruption can be resumed."""

import io
import pathlib
import re
from typing import Any, Mapping, Sequence

import numpy as np

from oes_jax import files
from oes_jax import fitting
from oes_jax import runs
from oes_jax.sweeps import _cases
from oes_jax.sweeps import _results
from oes_jax.sweeps import _sweep


def write_array(folder: pathlib.Path, name: str, given: Any, called: str | None = None) -> str:
  """Write an array, or several by name, into a folder's arrays/, for a config to name; return the path.

  Args:
    folder: folder that is kept.
    name: name of the file.
    given: array, or {name: array}.
    called: what messages call it; None: its name.

  Raises:
    ValueError: it holds no numbers, or another array of that name lies there.
  """
  several = isinstance(given, Mapping)
  called = called or name
  for part, array in ({f"{called}[{key!r}]": given[key] for key in given} if several else {called: given}).items():
    runs.as_array(array, part, kinds="biufc")
  path, stream = folder / "arrays" / f"{name}.{'npz' if several else 'npy'}", io.BytesIO()
  if several:
    np.savez(stream, **{key: np.asarray(given[key]) for key in sorted(given)})
  else:
    np.save(stream, np.asarray(given), allow_pickle=False)
  path.parent.mkdir(parents=True, exist_ok=True)
  files.remove_temporaries(path.parent, locked=False)
  if not path.is_file():
    with files.writing_into(folder):
      files.write_atomically(path, stream.getvalue())
  elif path.read_bytes() != stream.getvalue():
    raise ValueError(f"workdir={str(folder)!r} holds another {called}; allowed: a new or empty folder.")
  return str(path)


def _rename(message: str, names: Mapping[str, str]) -> str:
  """Return a message that names the arguments {path: name} that were written to files, not the files."""
  for path, name in names.items():
    message = re.sub(rf"[\w.]+={re.escape(repr(path))}", lambda _, name=name: name, message)
  return message


def restore_in_folder(config, folder: pathlib.Path, signals: runs.Signals,
                      names: Mapping[str, str] | None = None) -> fitting.Restoration:
  """Restore what a config names in a folder, and return what was written there.

  Args:
    config: config of one measurement, perhaps with an ensemble.
    folder: folder to work in and to keep.
    signals: signals to serve between chunks.
    names: {path: what messages call the array that was written there}.

  Raises:
    ValueError: the config or an array is faulty.
    runs.Failed: a restoration could not go on; what was computed is kept.
    runs.Interrupted: a signal was received, perhaps too late to stop this restoration; what was computed is kept.
    runs.Busy: another process works in the folder.
  """
  place = folder / "run"
  runs.check_strength(runs.check_config(config))
  if _cases.is_many(config):
    restored = _restore_ensemble(config, place, signals, names or {})
  else:
    try:
      job = runs.prepare(config, str(place))
    except ValueError as error:
      raise ValueError(_rename(str(error), names or {})) from error
    restored = _read(place, [place], runs.run_job(job, signals))
  if signals.received:  # it ends the caller's loop too
    raise runs.Interrupted(signals.received)
  return restored


def _restore_ensemble(config, place: pathlib.Path, signals: runs.Signals, names: Mapping[str, str]) -> fitting.Restoration:
  place, complete = _sweep.run_all(config, str(place), signals=signals)
  if not complete:
    failures = [one["failure"] for one in _results.read_results(place).values() if one["failure"]]
    why = _rename(failures[0], names) if failures else "another process works in the folder."
    raise runs.Failed(f"not every member of the ensemble was restored: {why} See {place / 'results.jsonl'}")
  ensemble, = (place / "ensembles").iterdir()
  averaged, settings = runs.read_ensemble(ensemble), runs.check_config(config)
  asked = settings.output.image
  members = [place / "cases" / name for name in averaged["members"]]
  summary = {**runs.read_summary(members[0]), "members": len(members)}
  if averaged["quality"] is not None:
    summary["quality"] = {**summary["quality"], asked: averaged["quality"][asked]}
  return _read(ensemble, members, summary, settings.data.channel_axis)


def _read(folder: pathlib.Path, members: Sequence[pathlib.Path], summary: dict[str, Any],
          channel_axis: int = -1) -> fitting.Restoration:
  first = members[0]
  image = np.load(folder / "restored.npy")
  spread = None
  if len(members) > 1:
    spread = np.moveaxis(np.load(folder / "spread.npy"), -1, channel_axis).reshape(image.shape)
  traces = files.read_metrics(first / "metrics.jsonl") if (first / "metrics.jsonl").is_file() else {}
  traces = {stage: {name: values for name, values in trace.items() if name != "step"} for stage, trace in traces.items()}
  before = next((np.load(folder / name) for name in (runs.FIRST_IMAGE, "measurement.npy") if (folder / name).is_file()), None)
  before = before if before is not None and before.shape == image.shape else None  # that of super-resolution is smaller
  mask = files.load_mask(first / "mask")[0] if (first / "mask").is_dir() else None
  return runs.Restored(image, None, mask=mask, traces=traces, spread=spread, error=runs.read_error_map(folder), summary=summary,
                       before=before)
