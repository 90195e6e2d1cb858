"""Messages of the library name its arguments; here they come to name the keys of a config."""

import contextlib
import re

from oes_jax import settings
from oes_jax.runs import _settings


@contextlib.contextmanager
def named(section: str):
  """Put a section before the settings that a ValueError raised inside names: num_steps=0 becomes mask.num_steps=0.

  Args:
    section: section of a config, e.g. "mask".
  """
  try:
    yield
  except ValueError as error:
    names = "|".join(field.name for kind in _settings.SECTIONS[section] for field in settings.fields_of(kind))
    raise ValueError(re.sub(rf"(?<![\w.])({names})=", rf"{section}.\1=", str(error))) from error
