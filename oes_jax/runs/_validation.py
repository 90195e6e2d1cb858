"""Checks of a config, its files and its folder, all made before anything is compiled or written.

Every message names the value, what is allowed and the config key.
"""

import hashlib
import json
import pathlib
from typing import Any

import jax

from oes_jax import files
from oes_jax import fitting
from oes_jax import generators
from oes_jax.runs import _forward
from oes_jax.runs import _settings

def check_config(config) -> None:
  """Check every value of a config that can be checked alone, and those of several sections that go together.

  Raises:
    ValueError: names the key, its value and what is allowed.
  """
  for section, kinds in _settings.SECTIONS.items():
    for kind in kinds:
      kind.from_section(config[section] if section else config, f"{section}." if section else "")
  if config.weights.guard is None and config.output.image == "guarded":
    raise ValueError("output.image='guarded' needs weights.guard; allowed: "
                     f"{', '.join(fitting.GUARDS)}.")
  if config.compute.tile and config.operator.name != "identity":
    raise ValueError(f"compute.tile={config.compute.tile} cuts an image that operator.name={config.operator.name!r} "
                     "measures as a whole; allowed: None or 0.")
  if config.noise.model != "gaussian" and config.operator.name not in _forward.MEASURE_IMAGES:
    raise ValueError(f"noise.model={config.noise.model!r} is for images, which operator.name="
                     f"{config.operator.name!r} does not measure; allowed: gaussian.")
  if config.mask.source in ("learn", "imp", "imp_oracle") and config.mask.keep_fraction == 1:
    raise ValueError("mask.keep_fraction=1.0 leaves nothing to learn or prune; allowed: mask.source='dense', "
                     "or a fraction below 1.")


def read_bundled_mask(generator: generators.Generator, params):
  """Return the shipped mask of a generator, 0/1 arrays like `params`, and what it was learned on.

  Raises:
    ValueError: none is shipped for this generator.
  """
  path = files.find_bundled_mask(generator)
  stored, metadata = files.read_packed_mask(path)
  mask = files.fit_head(stored, generator.spec["image_channels"])
  return masks_like(mask, params), metadata["source"]


def read_mask(path: str, generator: generators.Generator, params):
  """Return the mask of mask.path as a tree of 0/1 arrays like `params`.

  Args:
    path: the mask/ folder of a run, or a mask pickle of the authors.
    generator: that it must have been made for.
    params: of the generator, arrays or shapes.

  Raises:
    ValueError: it is damaged, unsafe, or was made for another generator.
    OSError: it cannot be read.
  """
  source = pathlib.Path(path)
  if not source.exists():
    raise ValueError(f"mask.path={path!r} does not exist.")
  if source.is_file():
    return files.place_flat_mask(files.read_flat_mask(path), generator.graph, params)
  mask, metadata = files.load_mask(source)
  if metadata.get("generator") != generator.spec:
    raise ValueError(f"mask.path={path!r} was made for the generator "
                     f"{metadata.get('generator')}, this run uses {generator.spec}; allowed: the same "
                     "generator.name, num_scales, channels and number of image channels.")
  return masks_like(mask, params)


def mask_digest(mask_config) -> str | None:
  """Return the sha256 that identifies the file of the mask; None where the run makes it itself.

  Raises:
    ValueError: there is no such mask.
  """
  if mask_config.source == "bundled":
    return files.bundled_masks_digest()
  if mask_config.source not in _settings.READ_A_FILE:
    return None
  path = mask_config.path
  file = pathlib.Path(path)
  file = file / "manifest.json" if file.is_dir() else file
  if not file.is_file():
    raise ValueError(f"mask.path={path!r} holds no mask; allowed: the mask/ folder of a finished mask "
                     "stage, or a mask pickle (.pkl) of the authors of OES.")
  return hashlib.sha256(file.read_bytes()).hexdigest()


def masks_like(mask, params):
  """Cast a stored mask of booleans to 0/1 arrays of the dtypes of `params`."""
  return jax.tree.map(lambda m, p: m.astype(p.dtype), mask, params)


def plain(config) -> dict[str, Any]:
  """Return a config as plain JSON types (tuples become lists)."""
  return json.loads(json.dumps(config.to_dict()))


def plain_without(config, keys) -> dict[str, Any]:
  """Return a config as plain JSON types, without some dotted keys or sections."""
  kept = plain(config)
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
  return [] if old == new else [f"{prefix}: {old!r} there, {new!r} now"]


def find_workdir(workdir: str | None, experiment: str,
                 identity: dict[str, Any]) -> tuple[pathlib.Path, dict[str, Any]]:
  """Return the run's folder, the one asked for or runs/<experiment>-<hash>, and its choices.

  An existing folder must be empty or hold this very run, as its config.json says; the choices are
  what an earlier start of the run stored there by `claim_workdir`. Nothing is written.

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
    try:
      old = json.loads(record.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
      raise ValueError(f"--workdir={workdir!r} holds a config.json that is not a run's: "
                       f"{error}.") from error
    choices = old.pop("choices", {}) if isinstance(old, dict) else {}
    if isinstance(old, dict) and old.get("many") != identity.get("many"):
      kinds = ["one image", "many images"]
      raise ValueError(f"--workdir={workdir!r} holds a run of {kinds[bool(old.get('many'))]}, this is one of "
                       f"{kinds[bool(identity.get('many'))]}; use a new folder.")
    differences = _differences(old, identity)
    if differences:
      raise ValueError(f"--workdir={workdir!r} holds the run of another config "
                       f"({'; '.join(differences[:3])}); use a new folder.")
    return folder, choices
  if folder.exists() and not all(p.match(files.TEMPORARY) for p in folder.iterdir()):
    if record.is_file():  # another process has written it since
      return find_workdir(workdir, experiment, identity)
    raise ValueError(f"--workdir={workdir!r} holds files that are no run; use a new or empty folder.")
  return folder, {}


def claim_workdir(folder: pathlib.Path, identity: dict[str, Any], choices: dict[str, Any]) -> None:
  """Make the folder that `find_workdir` returned, with its config.json.

  Args:
    folder: of the run.
    identity: what makes this run this run.
    choices: what was chosen automatically, and must not change on resume.

  Raises:
    OSError: it cannot be made or written.
  """
  if (folder / "config.json").is_file():
    return  # as find_workdir has checked
  try:
    folder.mkdir(parents=True, exist_ok=True)
    files.write_atomically(folder / "config.json",
                                 json.dumps({**identity, "choices": choices}, indent=2).encode())
  except OSError as error:
    raise OSError(f"--workdir={str(folder)!r} cannot be written: {error.strerror}.") from error
