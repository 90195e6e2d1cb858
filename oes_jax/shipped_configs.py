"""The config files that come with the package: configs/ of the project's top level, installed inside the package."""

import os
import pathlib
import re


def _folder() -> pathlib.Path:
  """Return the folder of the shipped configs: that of an installed package, or that of a clone of the project."""
  package = pathlib.Path(__file__).parent
  installed = package / "configs"
  return installed if installed.is_dir() else package.parent / "configs"


def names() -> list[str]:
  """Return the names of the config files that come with the package, such as "denoise"."""
  return sorted(path.stem for path in _folder().glob("*.py"))


def path_of(name: str) -> pathlib.Path:
  """Return the path of a config file that comes with the package, one of `names`."""
  return _folder() / f"{name}.py"


def find(argument: str) -> tuple[str, str | None]:
  """Find a config file: as it is named, or, where it is not there, the shipped one of that name.

  Args:
    argument: FILE or FILE:PRESET; a shipped file is configs/NAME.py or NAME.

  Returns:
    (FILE or FILE:PRESET of a file that is there, what is said of it); the argument as it is, of which nothing is said, where the
    file is there or no shipped one has its name.
  """
  name, colon, preset = argument.partition(":")
  found = re.fullmatch(r"(?:configs/)?(\w+)(?:\.py)?", os.path.normpath(name))
  if os.path.isfile(name) or found is None or found[1] not in names():
    return argument, None
  path = path_of(found[1])
  return f"{path}{colon}{preset}", f"config: there is no file {name} here; the one that comes with oes_jax is taken, {path}"
