"""Method auto in a folder: candidates one after another, each in a folder of its own, within a budget of seconds."""

import json
import logging
import pathlib
import time
from typing import Any, Callable, Mapping

from oes_jax import files
from oes_jax.runs import _auto
from oes_jax.runs import _budget
from oes_jax.runs import _candidates
from oes_jax.runs import _expected
from oes_jax.runs import _finished
from oes_jax.runs import _job
from oes_jax.runs import _measure
from oes_jax.runs import _outputs
from oes_jax.runs import _preview
from oes_jax.runs import _processes
from oes_jax.runs import _range_ends
from oes_jax.runs import _remarks
from oes_jax.runs import _report
from oes_jax.runs import _saying
from oes_jax.runs._candidates import Candidate
from oes_jax.runs._errors import Failed
from oes_jax.runs._job import Job

_RECORD = "candidates.json"
# What it says, and its types: seconds that were spent so far, and of every candidate that is left out, why.
_KIND = {"seconds": (int, float), "left_out": {str: str}}


def restore_auto(job: Job, signals: _processes.Signals, label: str, restore: Callable[..., dict[str, Any]]) -> dict[str, Any]:
  """Restore a job by all candidates, mix them and write the result; what is finished is not run again. It raises what `run_job` does.

  Args:
    job: job with method auto; its folder is claimed and locked.
    signals: signals, served between chunks.
    label: text before the progress bars.
    restore: function (job, signals, label) -> summary that restores a network's job in its folder.
  """
  measurement = _measure.measure(job)
  problem, record, found = _auto.problem_of(job, measurement), _Record(job.workdir, label), {}
  budget = _budget.Budget(signals, job.settings.experiment.budget_s, record.spent)
  for text in _candidates.remark_dropped(job.settings):
    logging.warning("%s: %s", job.settings.data.source, text)
  for name, make in _auto.classical(job, problem):
    if name in record.left_out:
      continue
    if found and budget.is_spent and not _is_kept(job, name):
      record.note(name, _auto.OUT_OF_TIME)
    else:
      found[name] = _classical(job, name, make)
      record.note()
      _draw(job, problem, found)
  budget.expect(found[_auto.ESTIMATE].seconds)
  networks = list(_candidates.candidate_jobs(job, measurement))
  for number, (name, candidate) in enumerate(networks):
    if name in record.left_out:
      continue
    _saying.say(f"network {number + 1} of {len(networks)}: {name}")
    try:
      one = _network(candidate, name, budget, signals, label, restore)
    except _processes.Interrupted:
      record.note()  # a restart has no more time than is left
      raise
    if isinstance(one, str):
      record.note(name, one)
    else:
      found[name] = one
      record.note()
      _draw(job, problem, found)
  return _write(job, measurement, problem, found, record.left_out)


class _Record:
  """What a run has decided so far, in its folder, and the seconds that it took; that of an earlier start stands.

  Attributes:
    spent: seconds of earlier starts.
    left_out: {name of a candidate that is left out: why}.
  """

  def __init__(self, folder: pathlib.Path, label: str):
    found = _read_record(folder)
    self.spent, self.left_out = found["seconds"], found["left_out"]
    self._path, self._label, self._began = folder / _RECORD, label, time.perf_counter()

  def note(self, name: str | None = None, why: str = "") -> None:
    """Write the seconds so far, and that a candidate is left out, which is warned of."""
    if name is not None:
      self.left_out[name] = why
      logging.warning("%s%s is left out: %s", self._label, name, why)
    content = {"seconds": self.spent + time.perf_counter() - self._began, "left_out": self.left_out}
    files.write_atomically(self._path, json.dumps(content).encode())


def _read_record(folder: pathlib.Path) -> dict[str, Any]:
  """Return what an earlier start has decided, which stands: a restart tries the same candidates."""
  path = folder / _RECORD
  if path.is_file():
    record = files.read_json(path)
    if _finished.matches(record, _KIND):
      return record
    logging.warning("%s is no record of this program: all candidates are tried", path)
  return {"seconds": 0.0, "left_out": {}}


def _folder_of(job: Job, name: str) -> pathlib.Path:
  return job.workdir / "candidates" / _candidates.folder_name(name)


def _is_kept(job: Job, name: str) -> bool:
  """Whether the folder of a classical candidate holds what it made, whole."""
  folder = _folder_of(job, name)
  return (folder / files.MANIFEST).is_file() and files.find_damage(folder) is None


def _classical(job: Job, name: str, make: Callable[[], Candidate]) -> Candidate:
  """Return what a classical candidate makes, or made at an earlier start."""
  folder = _folder_of(job, name)
  if not _is_kept(job, name):
    folder.mkdir(parents=True, exist_ok=True)
    one = make()
    files.write_array(folder / "output.npy", one.image)
    files.write_array(folder / _expected.UNSEEN, one.unseen)
    files.write_atomically(folder / "seconds.json", json.dumps(one.seconds).encode())
    files.write_manifest(folder, ["output.npy", _expected.UNSEEN, "seconds.json"])
    _saying.say(f"{name}: {one.seconds:.1f} s")
  return _read(job, folder, files.read_json(folder / "seconds.json"))


def _read(job: Job, folder: pathlib.Path, seconds: float, summary: dict[str, Any] | None = None) -> Candidate:
  """Return what a candidate has left in its folder; a network that is fed with noise has seen no value that is held out."""
  unseen = _expected.UNSEEN if (folder / _expected.UNSEEN).is_file() else "output.npy"
  return Candidate(*(_finished.read_output(folder, name, job.shape) for name in ("output.npy", unseen)), seconds, summary)


def _network(job: Job, name: str, budget: _budget.Budget, signals: _processes.Signals, label: str, restore) -> Candidate | str:
  """Return what a network makes, or made at an earlier start, or why it is left out."""
  summary = _finished.read_finished(job.workdir)
  if summary is None:
    if budget.is_spent:
      return _auto.OUT_OF_TIME
    job.workdir.mkdir(parents=True, exist_ok=True)
    steps = _job.stage_steps(job.settings).values()
    budget.begin(sum(-(-count // job.chunk_steps) + 1 for count in steps))
    try:
      summary = restore(job, budget, f"{label}{name}: ")
    except Failed as error:
      return str(error)
    except _processes.Interrupted:
      if signals.received or not budget.over:
        raise
      return _auto.WOULD_NOT_END
  seconds = sum(times["total"] for times in summary["seconds"].values())
  budget.end(seconds)
  return _read(job, job.workdir, seconds, summary)


def _draw(job: Job, problem, found: Mapping[str, Candidate]) -> None:
  """Draw the mix so far as the preview."""
  if job.settings.output.figures:
    image = _auto.mix(job, problem, found, expects=False).restored.image
    files.save_preview(job.workdir / _preview.PREVIEW, _report.viewed(job, image))
    if len(found) == 1:
      _saying.say(f"preview: {job.workdir / _preview.PREVIEW} shows the mix of what has ended so far")


def _write(job: Job, measurement: _measure.Measurement, problem, found: Mapping[str, Candidate],
           left_out: Mapping[str, str]) -> dict[str, Any]:
  mixed = _auto.mix(job, problem, found)
  image, results = mixed.restored.image, _auto.describe(job, measurement, problem, found, mixed, left_out)
  fault = _range_ends.fault_of(job, image)
  if fault:
    raise Failed(f"{job.workdir}: {fault}")
  for text in () if _range_ends.is_later_member(job) else _remarks.remark_result(job, measurement, image, results):
    logging.warning("%s: %s", job.settings.data.source, text)
  written = _outputs.write_images(job.workdir, job, measurement, image, results["quality"])
  written += _expected.write_error_map(job.workdir, job, _expected.error_map_of(job, mixed.restored, results["expected_psnr"]))
  summary = _outputs.summary_of(job, {"output": written[0], **results})
  if job.settings.output.figures:
    (job.workdir / _preview.PREVIEW).unlink(missing_ok=True)
    _report.write_report(job.workdir, job, measurement, image, summary)
  _finished.finish(job.workdir, summary, written)
  return summary
