"""What a run fails with. Messages of the library name its arguments; here they come to name the keys of a config."""

import contextlib
import re
from typing import Mapping

from oes_jax import settings
from oes_jax.runs import _settings


class Failed(Exception):
  """The restoration cannot go on; what was computed is kept."""


@contextlib.contextmanager
def named(section: str, words: Mapping[str, str] | None = None):
  """Put a section before the settings that a ValueError raised inside names: num_steps=0 becomes mask.num_steps=0.

  Args:
    section: section of a config, e.g. "mask".
    words: other words of the messages, each with what is said in its place; None: no other.
  """
  try:
    yield
  except ValueError as error:
    names = "|".join(field.name for kind in _settings.SECTIONS[section] for field in settings.fields_of(kind))
    message = re.sub(rf"(?<![\w.])({names})=", rf"{section}.\1=", str(error))
    for word, said in (words or {}).items():
      message = message.replace(word, said)
    raise ValueError(message) from error
