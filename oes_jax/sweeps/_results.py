"""How cases ended: a line each in results.jsonl, and a copy of every restored image in restored/."""

import fcntl
import json
import logging
import os
import pathlib
import shutil
from typing import Any, BinaryIO, Sequence

import jax

from oes_jax import files
from oes_jax import runs
from oes_jax.sweeps import _cases
from oes_jax.sweeps import _plan

RESULTS_FILE = "results.jsonl"
_BLOCK = 4096  # bytes that are read at a time from the end; a line has some 600
# Images of which a line holds the quality; a case need not have all of them.
MEASURED = ("measurement", "last", "average", "guarded", "combined", "estimate")


def _end_of_lines(file: BinaryIO) -> int:
  """Return where the last whole line of a file ends, in bytes; only what follows it is read."""
  end = file.seek(0, os.SEEK_END)
  while end:
    start = max(0, end - _BLOCK)
    file.seek(start)
    found = file.read(end - start).rfind(b"\n")
    if found >= 0:
      return start + found + 1
    end = start
  return 0


def append_result(folder: pathlib.Path, line: dict[str, Any]) -> None:
  """Add a line to results.jsonl, safe from other processes and from a kill at any moment."""
  with open(folder / RESULTS_FILE, "a+b") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    file.truncate(_end_of_lines(file))  # a line that a kill has cut
    file.write(json.dumps(line).encode() + b"\n")
    file.flush()
    os.fsync(file.fileno())


def read_results(folder: pathlib.Path) -> dict[str, dict[str, Any]]:
  """Return {case: its last line}; a case that failed and was mended has one line that counts.

  Args:
    folder: the sweep's folder; one without results.jsonl gives {}.
  """
  path = folder / RESULTS_FILE
  lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []
  last = {record["case"]: record for record in map(json.loads, lines)}
  return {case: record for case, record in last.items() if not record.get("withdrawn")}


def _describe(case: _cases.Case, sigma: float | None) -> dict[str, Any]:
  """Return the part of a case's line that is known before it is run; sigma None: its image was not read."""
  return {"case": case.name, **case.asked, "sigma": sigma}


def _failed(case: _cases.Case, sigma: float | None, failure: str) -> dict[str, Any]:
  return {**_describe(case, sigma), "failure": failure}


def _finished(case: _cases.Case, sigma: float, summary: dict[str, Any]) -> dict[str, Any]:
  """Return the line of a case that ran to its end; a collapsed mask makes it a failure."""
  mask, quality = summary["mask"], summary["quality"] or {}
  collapse = mask["collapse"]
  return {**_failed(case, sigma, f"the mask collapsed: {collapse[0]}" if collapse else None),
          "psnr": {name: quality[name]["psnr"] for name in MEASURED if name in quality},
          "ssim": {name: quality[name]["ssim"] for name in MEASURED if name in quality},
          "kept": mask["kept"], "can_act": mask["acting"], "size": mask["size"],
          "seconds": sum(times["total"] for times in summary["seconds"].values())}


def copy_restored(folder: pathlib.Path, source: pathlib.Path, output: str) -> None:
  """Copy a restored image to restored/, under the name of the folder that it comes from.

  Args:
    folder: the sweep's folder.
    source: folder of a case or of an ensemble.
    output: name of the image's file in `source`.
  """
  target = folder / "restored" / f"{source.name}{pathlib.Path(output).suffix}"
  target.parent.mkdir(exist_ok=True)
  shutil.copyfile(source / output, target)


def record_failure(folder: pathlib.Path, case: _cases.Case, failure: str, sigma: float | None = None) -> None:
  """Say, in the log and in results.jsonl, that a case could not be restored.

  Args:
    folder: the sweep's folder.
    case: a planned case.
    failure: a line that says why.
    sigma: standard deviation of the case's noise in the unit range; None where its image was not read.
  """
  logging.warning("%s failed: %s", case.name, failure)
  append_result(folder, _failed(case, sigma, failure))


def record_end(folder: pathlib.Path, case: _cases.Case, job: runs.Job, outcome: runs.Outcome) -> None:
  """Put a case's end on record: a line, and the restored image beside those of the others.

  Args:
    folder: the sweep's folder.
    case: a planned case.
    job: the case's job.
    outcome: end of the restoration: its summary, or a line that says why there is none.
  """
  if outcome.failure:
    files.write_atomically(job.workdir / "failure.json", json.dumps({"failure": outcome.failure}).encode())
    record_failure(folder, case, outcome.failure, job.data.sigma)
    return
  line = _finished(case, job.data.sigma, outcome.summary)
  if not line["failure"]:
    copy_restored(folder, job.workdir, outcome.summary["output"])
  append_result(folder, line)


def read_or_fail(folder: pathlib.Path, case: _cases.Case) -> runs.Job | None:
  """Read a planned case's files again; where they have gone, the case fails alone and None is returned."""
  try:
    return _plan.read_case(case, folder / "cases")
  except (ValueError, OSError) as error:
    record_failure(folder, case, str(error))
    return None


def _read_outcome(workdir: pathlib.Path) -> runs.Outcome:
  """Return how the restoration in a finished case's folder ended."""
  summary = workdir / "summary.json"
  if summary.is_file():
    return runs.Outcome(json.loads(summary.read_text(encoding="utf-8")))
  return runs.Outcome(failure=json.loads((workdir / "failure.json").read_text(encoding="utf-8"))["failure"])


def _reconcile_case(folder: pathlib.Path, case: _cases.Case, recorded: dict[str, dict[str, Any]]) -> None:
  line = recorded.get(case.name)
  if case.error is not None:
    if line == _failed(case, None, case.error):
      logging.warning("%s failed: %s", case.name, case.error)
    else:
      record_failure(folder, case, case.error)
    return
  unread = _plan.unread_name(case)
  if unread in recorded:  # the file has been mended since
    append_result(folder, {"case": unread, "withdrawn": True})
  workdir = folder / "cases" / case.name
  if case.done and (line is None or line["failure"] and (workdir / "summary.json").is_file()):
    record_end(folder, case, _plan.read_case(case, folder / "cases"), _read_outcome(workdir))


def reconcile(folder: pathlib.Path, cases: Sequence[_cases.Case]) -> None:
  """Add the lines of faulty files, and of cases that ended before a kill could put them on record.

  Each process of a program takes its share of the cases.

  Args:
    folder: the sweep's folder.
    cases: all planned cases of this start.
  """
  recorded = read_results(folder)
  for case in cases[jax.process_index()::jax.process_count()]:
    _reconcile_case(folder, case, recorded)
