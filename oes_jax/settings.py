"""Settings: frozen dataclasses in which the meaning, the default and the range of a number stand once.

  @dataclasses.dataclass(frozen=True)
  class Stage(settings.Settings):
    num_steps: int = settings.setting(500, "Steps of the stage.", allowed="1 or more", test=lambda v: v >= 1)

  Stage(num_steps=0)  # ValueError: num_steps=0 is not allowed; allowed: 1 or more.

A program that keeps the same keys in a section of a config reads it with `Stage.from_section`, and lists the keys with
`describe`.
"""

import dataclasses
import difflib
import math
import numbers
import textwrap
from typing import Any, Callable, Iterable, Mapping, Sequence

# Type of a setting: (types whose values it takes, what is allowed where nothing narrower is said).
_KINDS = {bool: (bool, "True or False"), int: (numbers.Integral, "a whole number"), float: (numbers.Real, "a number"),
          str: (str, "a string"), tuple: (tuple, "a tuple")}


def setting(default: Any, text: str, *, allowed: str = "", test: Callable[[Any], bool] | None = None,
            choices: Sequence[str] | Mapping[str, Any] | Callable[[], Any] | None = None, kind: type | None = None,
            optional: bool = False) -> Any:
  """Return the field of a dataclass that knows its meaning and its range.

  Args:
    default: the value where none is given.
    text: what the setting means, in whole sentences, with its unit and its source.
    allowed: the values that `test` accepts, in words, for messages.
    test: value -> whether it is allowed; None: every value of the type is.
    choices: the names that are allowed, or a mapping with these keys, or a function that returns either.
    kind: bool, int, float, str or tuple, the type of the values; None: that of the default.
    optional: whether None is allowed too; it always is where it is the default.
  """
  kind = type(default) if kind is None else kind
  optional = optional or default is None
  known = _KINDS[kind][1] + (", or None" if optional else "")
  return dataclasses.field(default=default, metadata={
      "text": text, "allowed": allowed or known, "test": test, "choices": choices, "kind": kind, "optional": optional})


def nearest(name: str, known: Iterable[str]) -> str:
  """Return " (did you mean ...?)" for a name that is unknown, or "" where no known one is like it.

  Args:
    name: what was written.
    known: names, or dotted names, of which the last part alone may have been written.
  """
  known = list(known)
  found = [each for each in known if each.rpartition(".")[2] == name] or difflib.get_close_matches(name, known, 1, 0.75)
  return f" (did you mean {' or '.join(map(repr, found))}?)" if found else ""


class Settings:
  """Base of the settings: checks itself when it is made.

  A subclass whose settings depend on each other extends `check`.
  """

  def __new__(cls, *given, **named):
    """Refuse a name that is no setting with the nearest that is one."""
    del given
    known = [field.name for field in dataclasses.fields(cls)]
    for name in named:
      if name not in known:
        raise TypeError(f"{cls.__name__} has no setting {name!r}{nearest(name, known)}; allowed: {', '.join(known)}.")
    return super().__new__(cls)

  def __init_subclass__(cls, **options):
    """Add the meaning of every setting to the docstring."""
    super().__init_subclass__(**options)
    lines = [textwrap.fill(f"{name}: {field.metadata['text']}", 120, initial_indent=4 * " ", subsequent_indent=6 * " ")
             for name, field in vars(cls).items() if isinstance(field, dataclasses.Field) and "text" in field.metadata]
    cls.__doc__ = "\n".join([f"{(cls.__doc__ or '').rstrip()}\n\n  Attributes:", *lines])

  def __post_init__(self):
    self.check()

  def check(self, prefix: str = "") -> None:
    """Check every setting; see the function `check`."""
    check(self, prefix)

  @classmethod
  def from_section(cls, section: Mapping[str, Any], prefix: str = ""):
    """Return the settings that a section of a config holds.

    Args:
      section: mapping with the name of every setting; what else it holds is not read.
      prefix: what stands before the names in messages, such as "mask.".

    Raises:
      ValueError: as `check`.
    """
    made = object.__new__(cls)  # its own check knows no prefix
    for field in dataclasses.fields(cls):
      value = section[field.name] if "text" in field.metadata else field.default
      object.__setattr__(made, field.name, value)
    made.check(prefix)
    return made


def fields_of(settings: Any) -> list[dataclasses.Field]:
  """Return the fields made by `setting` of a dataclass or an instance of one."""
  return [field for field in dataclasses.fields(settings) if "text" in field.metadata]


def check(settings: Any, prefix: str = "") -> None:
  """Check that every setting has its type and lies in its range.

  Args:
    settings: instance of a dataclass of settings.
    prefix: what stands before the names in messages, such as "mask.".

  Raises:
    ValueError: names the setting, its value and what is allowed.
  """
  for field in fields_of(settings):
    _check_value(f"{prefix}{field.name}", getattr(settings, field.name), field.metadata)


def _check_value(name: str, value: Any, rule: Mapping[str, Any]) -> None:
  if value is None and rule["optional"]:
    return
  if rule["choices"] is not None:
    choices = tuple(rule["choices"]() if callable(rule["choices"]) else rule["choices"])
    if not (isinstance(value, str) and value in choices):
      raise ValueError(f"{name}={_shortened(value)} is unknown; allowed: {', '.join(choices)}"
                       f"{', or None' if rule['optional'] else ''}.")
    return
  fits = isinstance(value, _KINDS[rule["kind"]][0]) and (rule["kind"] is bool or not isinstance(value, bool))
  numbers_in = [entry for entry in (value if isinstance(value, tuple) else (value,)) if isinstance(entry, numbers.Real)]
  if fits and any(map(_is_too_large, numbers_in)):
    raise ValueError(f"{name}={_shortened(value)} is not allowed; allowed: {rule['allowed']}; whole numbers below 2^31, others "
                     "below 3e38.")
  sound = not any(math.isnan(entry) or isinstance(entry, bool) and rule["kind"] is not bool for entry in numbers_in)
  if not (fits and sound and (rule["test"] is None or rule["test"](value))):
    raise ValueError(f"{name}={_shortened(value)} is not allowed; allowed: {rule['allowed']}.")


def _is_too_large(number: Any) -> bool:
  """Whether a number does not fit into the 32 bits of an array's entry."""
  return abs(number) >= (2 ** 31 if isinstance(number, numbers.Integral) else 3e38)


def _shortened(value: Any) -> str:
  text = repr(value)
  return text if len(text) <= 300 else f"{text[:300]} ..."


def allowed(settings: type, name: str) -> str | None:
  """Return what a setting of a dataclass allows, in words; None where it has no such setting."""
  found = next((field.metadata for field in fields_of(settings) if field.name == name), None)
  if found is None or found["choices"] is None:
    return found and found["allowed"]
  choices = found["choices"]
  return ", ".join(choices() if callable(choices) else choices) + (", or None" if found["optional"] else "")


def describe(settings: type, prefix: str = "") -> list[tuple[str, str]]:
  """Return (prefix and name, meaning and default) of every setting of a dataclass, in its order."""
  return [(f"{prefix}{field.name}", f"{field.metadata['text']} (default {field.default})")
          for field in fields_of(settings)]
