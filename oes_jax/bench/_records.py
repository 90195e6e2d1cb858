"""Records of benchmarks: JSON files, and their tables in Markdown pages."""

import datetime
import json
import os
import pathlib
import platform
import re
from typing import Any

import jax

from oes_jax import files


def fill_tables(text: str, folder: pathlib.Path) -> str:
  """Put the tables of benchmarks' records into Markdown that has a place for them.

  A place is the comment <!-- NAME.json: KEY -->, with the table right below it; NAME.json lies in
  `folder`, and KEY is its entry that holds a table.

  Raises:
    ValueError, OSError: there is no such record, or no such entry in it.
  """
  def fill(match: re.Match) -> str:
    record = json.loads((folder / match["name"]).read_text(encoding="utf-8"))
    if match["key"] not in record:
      raise ValueError(f"{match['name']} has no entry {match['key']!r}; it has {', '.join(record)}.")
    return f"{match['place']}\n{record[match['key']]}"
  return re.sub(r"(?P<place><!-- (?P<name>[\w.-]+\.json): (?P<key>[\w ]+) -->)\n(\|.*\n)*", fill, text)


def write_benchmark(path: str, record: dict[str, Any]) -> None:
  """Write a benchmark's record as JSON, with date, device and versions added."""
  record = {"date": datetime.date.today().isoformat(), "cores": os.cpu_count(),
            "device": jax.devices()[0].device_kind, "machine": platform.machine(),
            "jax": jax.__version__, **record}
  file = pathlib.Path(path)
  file.parent.mkdir(parents=True, exist_ok=True)
  files.write_atomically(file, json.dumps(record, indent=2).encode())
  print(f"written: {file}")
