"""The folder of a run: what makes it this run, and who may use it."""

import hashlib
import json
import pathlib
from typing import Any

from oes_jax import files


def plain(config) -> dict[str, Any]:
  """Return a config as plain JSON types (tuples become lists)."""
  return json.loads(json.dumps(config.to_dict(), default=float))  # NumPy's numbers


def without(plain_config: dict[str, Any], keys) -> dict[str, Any]:
  """Return a config of plain JSON types without some dotted keys or sections."""
  kept = json.loads(json.dumps(plain_config))
  for key in keys:
    *parents, last = key.split(".")
    node = kept
    for parent in parents:
      node = node[parent]
    del node[last]
  return kept


def digest_of(value: Any) -> str:
  """Return 8 hexadecimal digits that tell JSON values apart."""
  return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]


def _differences(old: Any, new: Any, prefix: str = "") -> list[str]:
  if isinstance(old, dict) and isinstance(new, dict):
    return [line for key in sorted(old.keys() | new.keys())
            for line in _differences(old.get(key), new.get(key), f"{prefix}.{key}".lstrip("."))]
  return [] if old == new else [f"{prefix}: {old!r:.200} there, {new!r:.200} now"]


def _read_choices(record: pathlib.Path, workdir: str, identity: dict[str, Any]) -> dict[str, int]:
  """Return the choices in the config.json of a folder that holds this very run."""
  try:
    old, whole = files.unseal(record.read_bytes(), "it")
  except ValueError as error:
    raise ValueError(f"--workdir={workdir!r} holds a config.json that is not a run's: {error} Use a new folder, or delete "
                     "this one.") from error
  choices = old.pop("choices", None)
  if old.get("many") != identity.get("many"):
    kinds = ["one image", "many images"]
    raise ValueError(f"--workdir={workdir!r} holds a run of {kinds[bool(old.get('many'))]}, this is one of "
                     f"{kinds[bool(identity.get('many'))]}; use a new folder.")
  differences = _differences(old, identity)
  if differences:
    raise ValueError(f"--workdir={workdir!r} holds the run of another config "
                     f"({'; '.join(differences[:3])}); use a new folder.")
  kept = isinstance(choices, dict) and all(type(value) is int and value >= 0 for value in choices.values())
  if not (whole and kept and set(choices) == {"memory" if identity.get("many") else "tile"}):
    raise ValueError(f"--workdir={workdir!r} holds a config.json that was changed since the run began, in what was chosen "
                     f"then (choices={choices!r:.200}); use a new folder, or delete this one.")
  return choices


def find_workdir(workdir: str | None, experiment: str,
                 identity: dict[str, Any]) -> tuple[pathlib.Path, dict[str, int]]:
  """Return the run's folder, the one asked for or runs/<experiment>-<hash>, and its choices.

  An existing folder must be empty or hold this very run, as its config.json says; the choices are
  what an earlier start of the run stored there by `claim_workdir`. Nothing is written.

  Args:
    workdir: path of the folder that is asked for, or None.
    experiment: name of the experiment, for a folder that is not asked for.
    identity: JSON values that tell this run from every other.

  Raises:
    ValueError: the folder holds something else.
  """
  if workdir is None:
    workdir = f"runs/{experiment}-{digest_of(identity)}"
  folder = pathlib.Path(workdir).expanduser().absolute()
  if folder.exists() and not folder.is_dir():
    raise ValueError(f"--workdir={workdir!r} is not a folder.")
  record = folder / "config.json"
  if record.is_file():
    return folder, _read_choices(record, workdir, identity)
  if folder.exists() and not all(p.match(files.TEMPORARY) or p.name == ".lock" for p in folder.iterdir()):
    if record.is_file():  # another process has written it since
      return find_workdir(workdir, experiment, identity)
    raise ValueError(f"--workdir={workdir!r} holds files that are no run; use a new or empty folder.")
  return folder, {}


def claim_workdir(folder: pathlib.Path, identity: dict[str, Any], choices: dict[str, int]) -> None:
  """Make the folder that `find_workdir` returned, with its config.json.

  Args:
    folder: folder of the run.
    identity: JSON values that tell this run from every other.
    choices: automatic choices, which must not change on resume: of one image its "tile", of many the "memory".

  Raises:
    OSError: it cannot be made or written.
  """
  if (folder / "config.json").is_file():
    return  # as find_workdir has checked
  try:
    folder.mkdir(parents=True, exist_ok=True)
    files.write_sealed(folder / "config.json", {**identity, "choices": choices})
  except OSError as error:
    raise OSError(f"--workdir={str(folder)!r} cannot be written: {error.strerror}.") from error
