"""Checks of a config, its files and its folder, all made before anything is compiled or written.

Every message names the value, what is allowed and the config key.
"""

import hashlib
import json
import pathlib
import re
from typing import Any

from oes_jax import files
from oes_jax import fitting
from oes_jax import generators
from oes_jax import masks
from oes_jax import noise
from oes_jax import operators
from oes_jax.runs import _forward

MASK_SOURCES = (*masks.SCORED, "bundled", "file", "dense", "shuffled")
_READ_A_FILE = ("file", "shuffled")
MASK_SCOPES = ("global", "layerwise")
OUTPUTS = ("average", "last", "guarded")
PRECISIONS = ("default", "high", "highest")
DTYPES = ("float32", "bfloat16")

_OPTIONAL = ("noise.sigma", "noise.peak", "noise.share", "noise.seed", "mask.keep_fraction", "mask.round_steps", "data.max_side",
             "compute.chunk_steps", "compute.images_per_device", "compute.tile")  # None is automatic
# key: (test, what is allowed).
_NUMBERS = {
    "seed": (lambda v: 0 <= v < 2 ** 31, "a whole number from 0 to 2^31 - 1"),
    "ensemble": (lambda v: 1 <= v <= 1000, "a whole number from 1 to 1000"),
    "data.max_side": (lambda v: v >= 16, "16 pixels or more, or None for no limit"),
    "noise.seed": (lambda v: 0 <= v < 2 ** 31, "a whole number from 0 to 2^31 - 1, or None for seed"),
    "noise.sigma": (lambda v: 0 <= v <= 1, "a number in [0, 1] (of the unit range), or None"),
    "noise.peak": (lambda v: 0 < v < float("inf"), "a number > 0 (counts at the value 1), or None"),
    "noise.share": (lambda v: 0 <= v < 1, "a number in [0, 1), or None"),
    "operator.kept": (lambda v: 0 < v <= 1, "a number in (0, 1]"),
    "operator.factor": (lambda v: 2 <= v <= 8, "a whole number from 2 to 8"),
    "operator.kernel_sigma": (lambda v: 0.1 <= v <= 50, "0.1 to 50 pixels"),
    "operator.motion_length": (lambda v: 2 <= v <= 200, "2 to 200 pixels"),
    "operator.motion_angle": (lambda v: -360 <= v <= 360, "-360 to 360 degrees"),
    "operator.coils": (lambda v: 1 <= v <= 64, "a whole number from 1 to 64"),
    "operator.acceleration": (lambda v: 1 <= v <= 100, "a number from 1 to 100"),
    "operator.centre": (lambda v: 0 < v <= 1, "a number in (0, 1]"),
    "operator.angles": (lambda v: 1 <= v <= 10_000, "a whole number from 1 to 10,000"),
    "operator.rows": (lambda v: 0 < v <= 1, "a number in (0, 1]"),
    "generator.num_scales": (lambda v: v >= 1, "1 or more"),
    "mask.keep_fraction": (lambda v: 0 < v <= 1, "a number in (0, 1], or None for automatic"),
    "mask.rounds": (lambda v: 1 <= v <= 100, "a whole number from 1 to 100"),
    "mask.round_steps": (lambda v: v >= 1, "1 or more, or None for weights.num_steps"),
    "mask.num_steps": (lambda v: v >= 1, "1 or more"),
    "mask.learning_rate": (lambda v: 0 < v < float("inf"), "a number > 0"),
    "mask.kl_weight": (lambda v: 0 <= v < float("inf"), "a number >= 0"),
    "mask.temperature": (lambda v: 0 < v < float("inf"), "a number > 0"),
    "weights.num_steps": (lambda v: v >= 1, "1 or more"),
    "weights.learning_rate": (lambda v: 0 < v < float("inf"), "a number > 0"),
    "weights.average_decay": (lambda v: 0 <= v <= 0.9999 or v == 1,
                              "a number in [0, 0.9999], or 1 for the plain mean"),
    "weights.average_from": (lambda v: v >= 0, "0 or more"),
    "weights.input_noise": (lambda v: 0 <= v < float("inf"), "a number >= 0"),
    "weights.sgld_noise": (lambda v: 0 <= v < float("inf"), "a number >= 0, in learning rates"),
    "weights.guard_window": (lambda v: 2 <= v <= 1000, "a whole number from 2 to 1000"),
    "weights.guard_patience": (lambda v: v >= 1, "1 or more"),
    "weights.held_out": (lambda v: 0 < v <= 0.5, "a number in (0, 0.5]"),
    "checkpoint.every_steps": (lambda v: v >= 1, "1 or more"),
    "compute.chunk_steps": (lambda v: v >= 1, "1 or more, or None for automatic"),
    "compute.images_per_device": (lambda v: v >= 1, "1 or more, or None for automatic"),
    "compute.tile": (lambda v: v == 0 or v >= 64, "64 pixels or more, 0 for never, or None for automatic"),
    "compute.tile_overlap": (lambda v: 0 <= v <= 128, "0 to 128 pixels"),
}
_CHOICES = {
    "operator.name": _forward.OPERATOR_NAMES,
    "operator.downsampling": tuple(operators.DOWNSAMPLING),
    "noise.model": tuple(noise.NOISE_MODELS),
    "generator.name": tuple(generators.GENERATORS),
    "mask.source": MASK_SOURCES,
    "mask.scope": MASK_SCOPES,
    "mask.schedule": tuple(fitting.SCHEDULES),
    "weights.schedule": tuple(fitting.SCHEDULES),
    "output.image": OUTPUTS,
    "compute.conv": ("auto", *generators.CONVOLUTIONS),
    "compute.precision": PRECISIONS,
    "compute.dtype": DTYPES,
}
_FLAGS = ("output.figures", "compute.compaction")
_TUPLES = {  # key: (length or None, allowed)
    "data.crop": (4, int, "(top, left, height, width), whole numbers"),
    "data.range": (2, (int, float), "(low, high)"),
    "generator.channels": (None, int, "a tuple of whole widths"),
}


def _value(config, key: str):
  for part in key.split("."):
    config = config[part]
  return config


def check_config(config) -> None:
  """Check every value of a config that can be checked alone.

  Raises:
    ValueError: names the key, its value and what is allowed.
  """
  for key, (test, allowed) in _NUMBERS.items():
    value = _value(config, key)
    if not (key in _OPTIONAL if value is None else test(value)):
      raise ValueError(f"{key}={value!r} is not allowed; allowed: {allowed}.")
  for key, allowed in _CHOICES.items():
    value = _value(config, key)
    if value not in allowed:
      raise ValueError(f"{key}={value!r} is unknown; allowed: {', '.join(allowed)}.")
  for key in _FLAGS:
    if not isinstance(_value(config, key), bool):
      raise ValueError(f"{key}={_value(config, key)!r} is not allowed; allowed: True or False.")
  for key, (length, kind, allowed) in _TUPLES.items():
    value = _value(config, key)
    if value is not None and ((length is not None and len(value) != length)
                              or not all(isinstance(v, kind) for v in value)):
      raise ValueError(f"{key}={value!r} is not allowed; allowed: {allowed}, or None.")
  if not re.fullmatch(r"[\w-][\w.-]*", config.experiment):
    raise ValueError(f"experiment={config.experiment!r} is not allowed; allowed: letters, digits, "
                     "'_', '-' and '.', as it names a folder.")
  weights = config.weights
  if weights.guard not in (None, *fitting.GUARDS):
    raise ValueError(f"weights.guard={weights.guard!r} is unknown; allowed: {', '.join(fitting.GUARDS)}, or None.")
  if weights.guard == "variance" and weights.num_steps < weights.guard_window:
    raise ValueError(f"weights.guard='variance' needs weights.num_steps={weights.num_steps} to be at least "
                     f"weights.guard_window={weights.guard_window}.")
  if weights.average_from >= weights.num_steps:
    raise ValueError(f"weights.average_from={weights.average_from} leaves nothing to average; allowed: less "
                     f"than weights.num_steps={weights.num_steps}.")
  if weights.guard is None and config.output.image == "guarded":
    raise ValueError("output.image='guarded' needs weights.guard; allowed: "
                     f"{', '.join(fitting.GUARDS)}.")
  if config.mask.source not in _READ_A_FILE and config.mask.path is not None:
    raise ValueError(f"mask.path={config.mask.path!r} is not used by mask.source="
                     f"{config.mask.source!r}; allowed: mask.source='file' or 'shuffled'.")
  if config.mask.source in _READ_A_FILE and config.mask.path is None:
    raise ValueError(f"mask.source={config.mask.source!r} needs mask.path: the mask/ folder of another "
                     "run, or a mask pickle of the authors of OES.")
  if config.mask.prune not in (None, *masks.PRUNED):
    raise ValueError(f"mask.prune={config.mask.prune!r} is unknown; allowed: {', '.join(masks.PRUNED)}, or None.")
  if config.compute.tile and config.operator.name != "identity":
    raise ValueError(f"compute.tile={config.compute.tile} cuts an image that operator.name={config.operator.name!r} "
                     "measures as a whole; allowed: None or 0.")
  if config.noise.model != "gaussian" and config.operator.name not in _forward.MEASURE_IMAGES:
    raise ValueError(f"noise.model={config.noise.model!r} is for images, which operator.name="
                     f"{config.operator.name!r} does not measure; allowed: gaussian.")
  if config.compute.tile and config.compute.tile_overlap > config.compute.tile // 2:
    raise ValueError(f"compute.tile_overlap={config.compute.tile_overlap} is not allowed; allowed: at "
                     f"most half of compute.tile={config.compute.tile}.")
  if config.mask.source in ("learn", "imp", "imp_oracle") and config.mask.keep_fraction == 1:
    raise ValueError("mask.keep_fraction=1.0 leaves nothing to learn or prune; allowed: mask.source='dense', "
                     "or a fraction below 1.")


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
