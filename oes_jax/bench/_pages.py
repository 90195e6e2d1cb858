"""Tables of records in the docs."""

import pathlib

from oes_jax.bench import _flags
from oes_jax.bench import _records
from oes_jax import files


def run_readme(arguments) -> None:
  """Put the tables of the records into pages that have places for them."""
  for path in map(pathlib.Path, arguments.file):
    text = _records.fill_tables(path.read_text(encoding="utf-8"), pathlib.Path(arguments.records))
    files.write_atomically(path, text.encode())


def add_command(commands) -> None:
  """Add the command `readme` and its flags."""
  parser = _flags.add_parser(
      commands, "readme", run_readme, "put the recorded tables into the docs")
  parser.add_argument("--file", nargs="+", default=["docs/results.md", "docs/pruning.md", "docs/many_machines.md"])
  parser.add_argument("--records", default="docs/records")
