"""What of a config is not as a shipped one has it, and the command that asks for the same again."""

import os
import shlex
from typing import Any, Mapping, NamedTuple

from oes_jax import inspection
from oes_jax import settings
from oes_jax.runs import _presets
from oes_jax.runs import _settings

_DEFAULTS_FILE = "default"


class Changes(NamedTuple):
  """A shipped config, and what of another is not as in that one.

  Attributes:
    config: the shipped one, as a command line names it: configs/denoise.py:quick.
    changed: (dotted key, value, the shipped config's) of every setting that differs but data.source, in the order of the settings.
  """
  config: str
  changed: list[tuple[str, Any, Any]]


def nearest_config(asked: Mapping[str, Any]) -> Changes:
  """Return the shipped config that differs in the fewest settings, data.source aside, of which each has its own.

  Args:
    asked: a config of every key in plain JSON types, as config.json has it.
  """
  operator = asked["operator"]["name"]
  name = inspection.CONFIGS.get(operator)
  found = [_changes(asked, f"configs/{name}.py:{preset}", {
      **_presets.preset_values(operator, preset), "experiment": f"{name.replace('_', '-')}-{preset}"})
           for preset in _presets.PRESETS] if name else []
  return min([*found, _changes(asked, f"configs/{_DEFAULTS_FILE}.py", {})], key=lambda one: len(one.changed))


def _changes(asked: Mapping[str, Any], config: str, base: Mapping[str, Any]) -> Changes:
  """Return what differs from a shipped config, whose values that are no defaults are given."""
  changed = []
  for section, kinds in _settings.SECTIONS.items():
    for field in (field for kind in kinds for field in settings.fields_of(kind)):
      key = f"{section}.{field.name}".lstrip(".")
      value, had = _with_tuples((asked[section] if section else asked)[field.name]), base.get(key, field.default)
      if value != had and key != "data.source":
        changed.append((key, value, had))
  return Changes(config, changed)


def command_of(asked: Mapping[str, Any]) -> str:
  """Return the command line that restores what a config asks for, quoted for a shell, a flag a line.

  Args:
    asked: a config of every key in plain JSON types, as config.json has it.
  """
  config, changed = nearest_config(asked)
  told = {"data.source": asked["data"]["source"], **{key: value for key, value, _ in changed}}
  flags = [f"--config.{key}={'' if value is None else value}" for key, value in told.items()]
  return " \\\n  ".join([f"python -m oes_jax.main --config={config}", *map(_quote, flags)])


def _with_tuples(value: Any) -> Any:
  """Return a JSON value with tuples for its lists, as settings have them."""
  return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def _quote(text: str) -> str:
  """Quote a word for a shell; what cannot be printed, such as bytes of a file's name that are no text, is written in digits."""
  if text.isprintable():
    return shlex.quote(text)
  escaped = "".join(
      one if one.isprintable() and one not in "\\'" else "".join(f"\\x{byte:02x}" for byte in os.fsencode(one))
      for one in text)
  return f"$'{escaped}'"
