"""Results of what a file held earlier, or of files that have gone: a sweep's folder may still hold them."""

import glob
import logging
import os
import pathlib
from typing import Any, Iterable, Sequence

from oes_jax import files
from oes_jax import runs
from oes_jax.sweeps import _cases
from oes_jax.sweeps import _results
from oes_jax.sweeps import _stacks

_NAMED = 5  # sources that a warning names


def _asked(config: dict[str, Any]) -> str:
  """Return what tells a case from every other but for the content of its files."""
  return runs.digest_of({"format": runs.FORMAT, "config": config})


def _is_replaced(folder: pathlib.Path, name: str, asked: set[str]) -> bool:
  """Whether a case on record that is not planned has the config of one that is: then its files held something else."""
  try:
    identity = files.read_sealed(folder / "cases" / name / "config.json")
    return runs.digest_of({key: identity[key] for key in ("format", "config")}) in asked
  except (ValueError, KeyError):  # its folder was deleted, or does not tell
    return False


def _is_gone(source: str) -> bool:
  """Whether the file of a source, or this page of it, is no longer there."""
  path, page = files.split_page(source)
  if files.is_bundled(source) or source.startswith("tfds:"):
    return False
  return not os.path.isfile(path) or isinstance(page, int) and page >= len(files.list_sources(path))


def _name(sources: Iterable[str]) -> str:
  named = sorted(set(sources))
  return ", ".join([*named[:_NAMED], *([f"{len(named) - _NAMED} more"] if len(named) > _NAMED else [])])


def withdraw(folder: pathlib.Path, cases: Sequence[_cases.Case]) -> None:
  """Take results of what a planned case's files held earlier off the record and out of restored/; say which files have gone.

  The folders of the cases stay: with the same files back, the next start has their results on record again.

  Args:
    folder: the sweep's folder.
    cases: all planned cases of this start.
  """
  names, lines = {case.name for case in cases}, _results.read_results(folder)
  planned = {(case.asked["source"], case.asked["seed"]) for case in cases}
  others = [name for name, line in lines.items() if name not in names and (line["source"], line.get("seed")) in planned]
  asked = {_asked(runs.plain(case.config)) for case in cases if case.error is None} if others else set()
  replaced = {name for name in others if _is_replaced(folder, name, asked)}
  old = {name: line for name, line in lines.items() if name.removeprefix("ensemble-") in replaced}
  for stem in [*old, *_stacks.name_stacks(old, lines)]:
    for path in (folder / "restored").glob(f"{glob.escape(stem)}.*"):
      path.unlink(missing_ok=True)
  for name in old:
    _results.append_result(folder, {"case": name, "withdrawn": True})
  if old:
    logging.warning("%d results of what these files, their truth, mask or operator held earlier are withdrawn from %s and from "
                    "the table; their folders stay: %s", len(old), folder / "restored", _name(line["source"] for line in old.values()))
  gone = [line["source"] for name, line in lines.items() if name not in names and name not in old and _is_gone(line["source"])]
  if gone:
    logging.warning("%s and the table still hold the results of files that are no longer there: %s",
                    folder / "restored", _name(gone))
