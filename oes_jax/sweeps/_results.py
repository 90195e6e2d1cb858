"""How cases ended: a line each in results.jsonl, and a copy of every restored image in restored/."""

import fcntl
import json
import logging
import os
import pathlib
from typing import Any, BinaryIO, Mapping, Sequence

import jax

from oes_jax import files
from oes_jax import fitting
from oes_jax import runs
from oes_jax.sweeps import _cases
from oes_jax.sweeps import _plan

RESULTS_FILE = "results.jsonl"
_BLOCK = 4096  # bytes that are read at a time from the end; a line has some 600
_NUMBER, _NUMBERS = (int, float), {str: (int, float)}
# The kinds of lines: of a case that failed, of one that was mended, of an ensemble, and of a result.
_LINES = (
    {"case": str, "source": str, "failure": str}, {"case": str, "withdrawn": True},
    {"case": str, "source": str, "failure": None, "members": int, "psnr": _NUMBERS},
    {"case": str, "source": str, "failure": None, "mask": str, "keep_fraction": (None, *_NUMBER),
     "kl_weight": (None, *_NUMBER), "sigma": _NUMBER, "psnr": _NUMBERS, "ssim": _NUMBERS, "kept": int, "can_act": int,
     "size": int, "seconds": _NUMBER})
SECONDS = "seconds, compilation included"  # head of their column: the first case of a shape compiles for the others
SETTING = ("mask", "keep_fraction", "kl_weight", "sigma")  # of a line: what tells the settings of a sweep apart
# Images of which a line holds the quality; a case need not have all of them.
MEASURED = ("measurement", "last", "average", "guarded", "combined", "estimate")


def shown(entry: Mapping[str, Any]) -> dict[str, Any]:
  """Return a line, or a row of several, as it is shown: without a sigma of 0, which says that nothing was simulated.

  A file that was measured has noise of its own, so that it would stand for a clean one.
  """
  return {**entry, "sigma": entry.get("sigma") or None}


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
    file.write(json.dumps(files.seal(line)).encode() + b"\n")
    file.flush()
    os.fsync(file.fileno())


def _read_line(line: bytes, name: str) -> dict[str, Any]:
  """Return a line of results.jsonl; one that is cut, changed or no line of this program's raises a ValueError."""
  record, whole = files.unseal(line, name)
  if not whole:
    raise ValueError(f"{name} was changed since it was written")
  asked = [record.get(name) for name in SETTING]
  if (not any(runs.matches(record, kind) for kind in _LINES) or not runs.matches(asked, [(None, str, *_NUMBER)])
      or record.get("failure") == ""):
    raise ValueError(f"{name} is no line of a case")
  return record


def read_results(folder: pathlib.Path, warn: bool = False) -> dict[str, dict[str, Any]]:
  """Return {case: its last line}; a case that failed and was mended has one line that counts.

  A line that is cut or was changed does not count: the next start of the sweep writes it again.

  Args:
    folder: the sweep's folder; one without results.jsonl gives {}.
    warn: whether lines that do not count are named.
  """
  path, last = folder / RESULTS_FILE, {}
  for number, line in enumerate(path.read_bytes().split(b"\n")[:-1] if path.is_file() else [], 1):
    try:
      record = _read_line(line, f"line {number} of {path}")
    except ValueError as error:
      if warn:
        logging.warning("%s: it does not count", error)
    else:
      last[record["case"]] = record
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
          **({"expected_psnr": summary["expected_psnr"]["psnr"]} if summary.get("expected_psnr") else {}),
          "kept": mask["kept"], "can_act": mask["acting"], "size": mask["size"],
          "seconds": fitting.seconds_of(summary)}


def copy_restored(folder: pathlib.Path, source: pathlib.Path, output: str) -> bool:
  """Copy a restored image to restored/, under the name of the folder that it comes from, unless it is there already.

  Args:
    folder: the sweep's folder.
    source: finished folder of a case or of an ensemble.
    output: name of the image's file in `source`.

  Returns:
    Whether it was copied.
  """
  target = folder / "restored" / f"{source.name}{pathlib.Path(output).suffix}"
  if files.is_as_described(target, files.read_manifest(source)[output]):
    return False
  target.parent.mkdir(exist_ok=True)
  files.write_atomically(target, (source / output).read_bytes())
  return True


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
    files.write_sealed(job.workdir / _plan.FAILURE, {"failure": outcome.failure, "sigma": job.data.sigma})
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


def _read_ended(workdir: pathlib.Path, case: _cases.Case) -> tuple[dict[str, Any], str | None]:
  """Return (line of a case that has ended, name of its restored image or None) as its folder says.

  Raises:
    ValueError: the folder was changed since it was planned.
  """
  if not (workdir / files.MANIFEST).is_file():
    record = _plan.read_failure(workdir)
    return _failed(case, record["sigma"], record["failure"]), None
  summary = runs.read_summary(workdir)
  line = _finished(case, summary["sigma"], summary)
  return line, None if line["failure"] else summary["output"]


def _is_same(line: dict[str, Any], other: dict[str, Any]) -> bool:
  return json.dumps(line, sort_keys=True) == json.dumps(other, sort_keys=True)  # NaN equals NaN


def _reconcile_ended(folder: pathlib.Path, case: _cases.Case, line: dict[str, Any] | None) -> bool:
  """Record a case that has ended as its folder says; return whether its restored image had gone from restored/."""
  workdir = folder / "cases" / case.name
  try:
    found, output = _read_ended(workdir, case)
  except ValueError as error:
    logging.warning("%s", error)
    return False
  copied = output is not None and copy_restored(folder, workdir, output)
  if line is None and found["failure"]:
    record_failure(folder, case, found["failure"], found["sigma"])
  elif line is None or not _is_same(line, found):
    if line is not None:
      logging.warning("%s says of %s what its folder does not: it is recorded anew", folder / RESULTS_FILE, case.name)
    append_result(folder, found)
  return copied and line is not None


def _reconcile_case(folder: pathlib.Path, case: _cases.Case, recorded: dict[str, dict[str, Any]]) -> bool:
  line = recorded.get(case.name)
  if case.error is not None:
    if line is not None and _is_same(line, _failed(case, None, case.error)):
      logging.warning("%s failed: %s", case.name, case.error)
    else:
      record_failure(folder, case, case.error)
    return False
  unread = _plan.unread_name(case)
  if unread in recorded:  # the file has been mended since
    append_result(folder, {"case": unread, "withdrawn": True})
  return case.done and _reconcile_ended(folder, case, line)


def reconcile(folder: pathlib.Path, cases: Sequence[_cases.Case]) -> None:
  """Make results.jsonl and restored/ say what the folders of ended cases say, and add the lines of faulty files.

  A kill may have come before a case was put on record, and what is on record may have been changed or lost.
  Each process of a program takes its share of the cases.

  Args:
    folder: the sweep's folder.
    cases: all planned cases of this start.
  """
  recorded = read_results(folder, warn=jax.process_index() == 0)
  count = sum(_reconcile_case(folder, case, recorded) for case in cases[jax.process_index()::jax.process_count()])
  if count:
    logging.warning("%d images were gone from %s, or damaged there: they are copied anew", count, folder / "restored")
