"""Configs of the program: every key with its default, an operator's preset and the paper's constants."""

import dataclasses
import textwrap
from typing import Any, Iterable, Mapping

import numpy as np

from oes_jax import fitting
from oes_jax import noise
from oes_jax import operators
from oes_jax import recorruption
from oes_jax import settings
from oes_jax.runs import _settings

PRESETS = ("preview", "quick", "best", "oes", "paper")


def _default(field: dataclasses.Field) -> Any:
  """Return the default of a key; one that is None still knows its type, for changes on the command line."""
  from ml_collections import config_dict  # configs alone need it  # pylint: disable=import-outside-toplevel
  return config_dict.placeholder(field.metadata["kind"]) if field.default is None else field.default


def make_config(operator: str = "identity", preset: str = "quick", **changes: Any):
  """Return a config of every key, an ml_collections.ConfigDict, locked: an unknown key raises and names the nearest known one.

  Args:
    operator: the name of the forward operator; what its restorations need is set with it.
    preset: "quick", which fits the clean image (fitting.RECORRUPTED) where the operator is among
      fitting.RECORRUPTED_OPERATORS; "preview", a picture within seconds, hardly more than the classical estimate; "best", the
      mean of four of quick; "oes", the two stages of OES with a short schedule, which are also the defaults of all keys; or
      "paper", the authors' constants.
    **changes: values of other keys by their dotted names, such as **{"weights.num_steps": 3000}.

  Raises:
    ValueError: the operator or the preset is unknown.
    KeyError, TypeError: a change names no key, or has another type.
  """
  from ml_collections import config_dict  # pylint: disable=import-outside-toplevel
  if operator not in operators.FAMILIES:
    raise ValueError(f"operator.name={operator!r} is unknown; allowed: {', '.join(operators.FAMILIES)}.")
  if preset not in PRESETS:
    raise ValueError(f"preset {preset!r} is unknown; allowed: {', '.join(PRESETS)}.")
  config = config_dict.ConfigDict()
  for section, kinds in _settings.SECTIONS.items():
    keys = {field.name: _default(field) for kind in kinds for field in settings.fields_of(kind)}
    if section:
      config[section] = config_dict.ConfigDict(keys)
    else:
      config.update(keys)
  config.lock().update_from_flattened_dict({**preset_values(operator, preset), **changes})
  return config


def preset_values(operator: str, preset: str) -> dict[str, Any]:
  """Return the values of a preset, by dotted keys, that differ from the defaults of these keys.

  Args:
    operator: the name of the forward operator.
    preset: one of PRESETS.
  """
  chosen = {"operator.name": operator, **fitting.OPERATOR_PRESETS.get(operator, {}), **(fitting.PAPER if preset == "paper" else {})}
  recorrupted = operator in fitting.RECORRUPTED_OPERATORS
  if preset in ("preview", "quick", "best") and recorrupted:
    chosen |= fitting.RECORRUPTED | fitting.RECORRUPTED_OPERATOR_PRESETS.get(operator, {})
  if preset == "preview":
    chosen |= fitting.PREVIEW if recorrupted else fitting.PLAIN_PREVIEW
  return chosen | (fitting.BEST if preset == "best" else {})


def preset_of(told: Mapping[str, Any], objects: Iterable[str]) -> str:
  """Return the preset of a call: quick, but oes where an object of the caller's, a setting or the noise asks for it.

  What an operator of the caller's measured goes with quick where fit.sigma says how strong its noise is: nothing estimates that.

  Args:
    told: settings that are given, by their dotted names.
    objects: names of the objects that are given: "operator", "generator", "mask", "weights", "loss".
  """
  if told.get("method") == "auto":
    return "quick"
  asked = {"fit.objective": "plain", "generator.input": "noise", "generator.name": "deep_decoder", "mask.source": "bundled"}
  own = {"generator", "loss"} if told.get("fit.sigma") is not None else {"operator", "generator", "loss"}
  if own & set(objects) or any(str(told.get(key)) == value for key, value in asked.items()):
    return "oes"
  model = str(told.get("noise.model", "gaussian"))
  fits = model in recorruption.RECORRUPT and all(
      told.get(f"noise.{name}") is not None for name in noise.NOISE_MODELS[model].reads if model != "gaussian")
  return "quick" if fits else "oes"


def check_objects_of_method(told: Mapping[str, Any], objects: Iterable[str]) -> None:
  """Raise a ValueError where an object of the caller's does not go with the method that settings ask for.

  Args:
    told: settings that are given, by their dotted names.
    objects: names of the objects that are given.
  """
  wrong = [name for name in objects if name != "operator"]
  if told.get("method") == "auto" and wrong:
    raise ValueError(f"{wrong[0]} is an object of your own, and method='auto' tries networks, masks and losses of its own; allowed: "
                     "method='network', or an operator alone.")


def merge_told(by_arguments: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
  """Return settings that arguments of a call give, and those of its argument `settings`, by their dotted names.

  Raises:
    ValueError: both give one, and differ.
  """
  for key, value in by_arguments.items():
    if key in told and not (np.shape(value) == np.shape(told[key]) and np.all(np.equal(value, told[key], dtype=object))):
      one, other = (f"an array {np.shape(each)}" if np.ndim(each) else repr(each) for each in (value, told[key]))
      raise ValueError(f"{key} is {one} as an argument and {other} in settings; allowed: one of the two.")
  return {**by_arguments, **told}


def allowed_values(key: str) -> str | None:
  """Return what a key of a config, such as "mask.num_steps", allows, in words; None where there is no such key."""
  section, _, name = key.rpartition(".")
  found = [settings.allowed(kind, name) for kind in _settings.SECTIONS.get(section, ())]
  return next((words for words in found if words is not None), None)


def _field_of(key: str) -> dataclasses.Field:
  section, _, name = key.rpartition(".")
  return next(field for kind in _settings.SECTIONS[section] for field in settings.fields_of(kind) if field.name == name)


def check_key(key: str) -> None:
  """Check that one restoration has a key, which those of sweeps are not.

  Raises:
    ValueError: it has no such key; the message names the nearest.
  """
  known = [f"{section}.{field.name}".lstrip(".") for section, kinds in _settings.SECTIONS.items() if section != "sweep"
           for kind in kinds for field in settings.fields_of(kind)]
  if key not in known:
    raise ValueError(f"{key!r} is no key of a restoration{settings.nearest(key, known)}; allowed: those that `python -m "
                     "oes_jax.main --help` lists, such as 'weights.num_steps', without `sweep`.")


def choices_of(key: str) -> tuple[str, ...] | None:
  """Return the names that a key of a config, such as "noise.model", allows; None where its values are no names."""
  choices = _field_of(key).metadata["choices"]
  return None if choices is None else tuple(choices() if callable(choices) else choices)


def describe_key(key: str, config) -> str:
  """Return the meaning of a key, such as "mask.num_steps", and its value in a config, which is its default there."""
  section, _, name = key.rpartition(".")
  value = (config[section] if section else config)[name]
  return f"{_field_of(key).metadata['text']} (default {value})"


def describe_keys(prefix: str = "", width: int = 120) -> str:
  """Return the listing of every key of a config by section, with its meaning, its default, and what preset quick sets.

  Args:
    prefix: text before every key, such as "--config.".
    width: columns of the listing.
  """
  lines = []
  for section, kinds in _settings.SECTIONS.items():
    lines += ["", f"{section or 'config'}:"]
    for kind in kinds:
      for key, text in settings.describe(kind, f"{prefix}{section}." if section else prefix):
        quick = fitting.RECORRUPTED.get(key.removeprefix(prefix))
        if quick is not None:
          text = f"{text.removesuffix(')')}; preset quick: {quick})"
        lines.append(textwrap.fill(f"{key}  {text}", width, initial_indent=2 * " ", subsequent_indent=6 * " ",
                                   break_long_words=False, break_on_hyphens=False))
  return "\n".join(lines[1:])
