"""When a folder's restoration is finished and sound: its manifest is written last, and holds checksums of the rest.

Figures and TensorBoard's events are not in it: nothing relies on them, and they may go.
"""

import json
import logging
import pathlib
from typing import Any, Sequence

import numpy as np

from oes_jax import files

SUMMARY = "summary.json"
LOG = "metrics.jsonl"
_NUMBER = (int, float)
_SECONDS = {str: {name: _NUMBER for name in ("total", "run", "compile", "per_step")}}
# What is read of a summary again, and its types.
_SUMMARY = {
    "output": str, "quality": (None, dict), "truth": (None, str), "sigma": _NUMBER, "seconds": _SECONDS,
    "peak_bytes": {str: _NUMBER}, "mask": {"kept": int, "acting": int, "size": int, "collapse": [str]}}
_SCORES = {"psnr": _NUMBER, "ssim": _NUMBER}
# What it may lack, and of its qualities the one that is no image's.
_MORE = {"guard": {"step": int, "stopped": bool}, "combined": {"share": _NUMBER},
         "expected_psnr": {"psnr": _NUMBER, "spread": _NUMBER, "of": str}}
_BEST = {"psnr": _NUMBER, "step": int}


def matches(value: Any, kind: Any) -> bool:
  """Whether a JSON value has the types that are asked for.

  Args:
    value: JSON value.
    kind: type; None; True; tuple of kinds, any of which will do; [kind of every item]; {str: kind of every value}; or
      {key: kind}, of which other keys are no concern.
  """
  if isinstance(kind, tuple):
    return any(matches(value, one) for one in kind)
  if isinstance(kind, list):
    return isinstance(value, list) and all(matches(item, kind[0]) for item in value)
  if isinstance(kind, dict) and str in kind:
    return isinstance(value, dict) and all(matches(item, kind[str]) for item in value.values())
  if isinstance(kind, dict):
    return isinstance(value, dict) and all(key in value and matches(value[key], one) for key, one in kind.items())
  if kind is True:
    return value is True
  return value is None if kind is None else isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _is_summary(summary: Any) -> bool:
  """Whether a JSON value has all that is read of the summary of a restoration."""
  if not matches(summary, _SUMMARY) or not all(matches(summary.get(name), (None, kind)) for name, kind in _MORE.items()):
    return False
  quality = summary["quality"]
  if quality is None:
    return summary["truth"] is None
  return all(matches(value, _BEST if name == "best" else _SCORES) for name, value in quality.items())


def _is_ensemble(summary: Any) -> bool:
  """Whether a JSON value has all that is read of the summary of an ensemble."""
  kind = {"output": str, "members": [str], "outputs": [str], "mean_spread": _NUMBER,
          "quality": (None, {"members": [_NUMBER], "gain": _NUMBER})}
  return matches(summary, kind) and all(
      matches(value, _SCORES) for value in (summary["quality"] or {}).values() if isinstance(value, dict))


def read_summary(folder: pathlib.Path, is_one=_is_summary) -> dict[str, Any]:
  """Return what summary.json says in the folder of a restoration, or of an ensemble.

  Args:
    folder: folder that is finished.
    is_one: function that tells whether a JSON value has all that is read of it.

  Raises:
    ValueError: it cannot be read, or is none; the line names it.
  """
  path = folder / SUMMARY
  summary = files.read_json(path)
  if not is_one(summary) or summary["output"] not in files.read_manifest(folder):
    raise ValueError(f"{path} is no summary that this program wrote; delete {folder} to restore it anew.")
  return summary


def read_ensemble(folder: pathlib.Path) -> dict[str, Any]:
  """Return the summary of an ensemble, as `read_summary` that of a restoration."""
  return read_summary(folder, _is_ensemble)


def read_finished(folder: pathlib.Path, warn: bool = True, read=read_summary) -> dict[str, Any] | None:
  """Return the summary of a folder that is finished and sound, or None: it is to be restored, or made anew.

  Args:
    folder: folder of a run, a tile, a case or an ensemble, which need not exist.
    warn: whether damage to what was finished is said.
    read: function that returns the summary of a folder.
  """
  if not (folder / files.MANIFEST).is_file():
    return None
  damaged = files.find_damage(folder)
  if damaged is None:
    try:
      return read(folder)
    except ValueError:
      damaged = SUMMARY
  if warn:
    sound = read is not read_summary or any((folder / name).is_dir() for name in ("checkpoints", "tiles"))
    logging.warning("%s is damaged or gone: it is made anew%s", folder / damaged,
                    "" if sound else ", and with no checkpoint left from the start")
  return None


def finish(folder: pathlib.Path, summary: dict[str, Any], names: Sequence[str]) -> None:
  """Write summary.json, and last of all the manifest, which calls the folder finished once everything is safe on disk.

  Args:
    folder: folder of a run, a tile, a case or an ensemble.
    summary: JSON values.
    names: files that a later step or the user relies on; the log and the mask are among them where there are any.
  """
  files.write_atomically(folder / SUMMARY, json.dumps(summary, indent=2).encode())
  more = [name for name in (LOG, "mask") if (folder / name).exists()]
  files.write_manifest(folder, [*names, *more, SUMMARY])


def read_output(folder: pathlib.Path, name: str, shape: Sequence[int]) -> np.ndarray:
  """Return an array of a finished folder.

  Args:
    folder: folder of a tile.
    name: name of an NPY file.
    shape: shape that it must have.

  Raises:
    ValueError: it has another shape; the line names the file.
  """
  array = np.load(folder / name, allow_pickle=False)
  if array.shape != tuple(shape):
    raise ValueError(f"{folder / name} has the shape {array.shape}, {tuple(shape)} is wanted; delete {folder} to restore it "
                     "anew.")
  return array
