"""What of a config is not at its default, and the command that asks for the same again."""

import os
import shlex
from typing import Any, Mapping

from oes_jax import settings
from oes_jax.runs import _settings

# Of every key the default: what `--config.KEY=VALUE` changes.
_DEFAULTS_FILE = "configs/default.py"


def changed_settings(asked: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
  """Return (dotted key, value, default) of every setting that is not at its default, in the order of the settings.

  Args:
    asked: a config of every key in plain JSON types, as config.json has it.
  """
  changed = []
  for section, kinds in _settings.SECTIONS.items():
    for field in (field for kind in kinds for field in settings.fields_of(kind)):
      value = _with_tuples((asked[section] if section else asked)[field.name])
      if value != field.default:
        changed.append((f"{section}.{field.name}".lstrip("."), value, field.default))
  return changed


def command_of(asked: Mapping[str, Any]) -> str:
  """Return the command line that restores what a config asks for, quoted for a shell, a flag a line.

  Args:
    asked: a config of every key in plain JSON types, as config.json has it.
  """
  flags = [f"--config.{key}={'' if value is None else value}" for key, value, _ in changed_settings(asked)]
  return " \\\n  ".join([f"python -m oes_jax.main --config={_DEFAULTS_FILE}", *map(_quote, flags)])


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
