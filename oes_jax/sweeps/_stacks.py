"""The restored pages of a TIFF file as one stack again."""

import logging
import os
import pathlib
from typing import Any

from oes_jax import files
from oes_jax import runs
from oes_jax.sweeps import _results

_SETTING = ("seed", *_results.SETTING)


def _page_of(line: dict[str, Any], lines: dict[str, dict[str, Any]]) -> tuple[str, tuple, str] | None:
  """Return (file, setting, page) of a line of results.jsonl; None of one that is no page of a file.

  An ensemble's line has the settings of its first member.
  """
  path, page = files.split_page(line["source"])
  asked = lines.get(line["case"].removeprefix("ensemble-"), line)
  return None if page is None else (path, tuple(asked[name] for name in _SETTING), line["source"])


def _stem(path: str, setting: tuple, names: list[str]) -> str:
  """Return the name, without its suffix, of the stack of the cases with these names."""
  return f"{pathlib.PurePath(path).name.split('.', 1)[0]}-stack-seed{setting[0]}-{runs.digest_of([path, setting, names])}"


def name_stacks(old: dict[str, dict[str, Any]], lines: dict[str, dict[str, Any]]) -> list[str]:
  """Return the names, without suffixes, of the stacks that were made of lines of results.jsonl if they are all of a file.

  Args:
    old: {case: its line}.
    lines: {case: its line} of all on record, `old` among them.
  """
  found: dict[tuple[str, tuple, bool], list[tuple[int, str]]] = {}
  for name, line in old.items():
    page = _page_of(line, lines)
    if page is not None and not line["failure"]:
      found.setdefault((*page[:2], "members" in line), []).append((files.split_page(line["source"])[1], name))
  return [_stem(path, setting, [name for _, name in sorted(pages)]) for (path, setting, _), pages in found.items()]


def _is_of(folder: pathlib.Path, line: dict[str, Any], digest: str) -> bool:
  """Whether a line is of a case that restored the content of a file as it is now; of an ensemble, its first member."""
  name = line["case"].removeprefix("ensemble-")
  return files.read_json(folder / "cases" / name / "config.json")["inputs"]["source"] == digest


def join_pages(folder: pathlib.Path) -> list[pathlib.Path]:
  """Write a stack into restored/ for every TIFF file all of whose pages are restored with one setting; return their paths.

  Of an ensemble's pages the means are joined. Pages of what the file held earlier do not count. A stack that cannot be made is
  warned of.

  Args:
    folder: the sweep's folder.
  """
  lines = _results.read_results(folder)
  ensembles = any("members" in line for line in lines.values())
  stacks: dict[tuple[str, tuple], dict[str, str]] = {}
  digests: dict[str, str | None] = {}
  for line in lines.values():
    found = None if line["failure"] or ensembles != ("members" in line) else _page_of(line, lines)
    if found is None:
      continue
    path, setting, source = found
    if path not in digests:
      digests[path] = files.digest_of_file(path) if os.path.isfile(path) else None
    if digests[path] is not None and _is_of(folder, line, digests[path]):
      stacks.setdefault((path, setting), {})[source] = line["case"]
  written = []
  for (path, setting), names in stacks.items():
    pages = files.list_sources(path)
    if set(pages) == set(names):
      written += _join(folder, path, setting, [names[page] for page in pages])
  return written


def _join(folder: pathlib.Path, path: str, setting: tuple, names: list[str]) -> list[pathlib.Path]:
  """Write one stack of the pages with these names; return its path, or nothing where it cannot be made."""
  pages = [next((folder / ("ensembles" if name.startswith("ensemble-") else "cases") / name).glob("restored*.tif*"))
           for name in names]
  target = folder / "restored" / f"{_stem(path, setting, names)}{pages[0].name.removeprefix('restored')}"
  try:
    for text in files.write_stack(target, pages, path):
      logging.warning("%s: %s", path, text)
  except ValueError as error:
    logging.warning("%s: its pages are not joined to a stack: %s", path, error)
    return []
  return [target]
