"""What a run puts on record of its steps: a line a step, and TensorBoard events."""

import functools
import hashlib
import json
import logging
import os
import pathlib
from typing import NamedTuple

import numpy as np

from oes_jax.files import _atomic
from oes_jax.files import _boundary
from oes_jax.files import _events
from oes_jax.files import _extras


class DamagedLog(Exception):
  """metrics.jsonl does not hold the steps that a checkpoint says were done."""


def _open_events(folder: pathlib.Path, first_step: int):
  """Return the writer of TensorBoard's events, or None, and say so, where tensorboardX is not installed."""
  try:
    return _events.Events(folder, first_step)
  except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] != "tensorboardX":
      raise
    _warn_of_no_events()
    return None


@functools.cache  # once, not for every image
def _warn_of_no_events() -> None:
  logging.warning("tensorboardX is not installed: tensorboard/ is not written; metrics.jsonl holds every step. For it: %s",
                  _extras.how_to_install("tensorboard"))


class Mark(NamedTuple):
  """How far a log went when a checkpoint was saved.

  Attributes:
    stage: name of the stage.
    step: number of its steps that were done.
    num_bytes: length of the file.
    sha256: its checksum.
  """
  stage: str
  step: int
  num_bytes: int
  sha256: str


def read_marked(workdir: pathlib.Path, mark: Mark) -> bytes:
  """Return the lines of metrics.jsonl that a checkpoint relies on.

  Raises:
    DamagedLog: the file ends before them, or they were changed.
  """
  path = workdir / "metrics.jsonl"
  lines = path.read_bytes()[:mark.num_bytes] if path.is_file() else b""
  fault = None
  if len(lines) < mark.num_bytes:
    fault = "does not reach"
  elif hashlib.sha256(lines).hexdigest() != mark.sha256:
    fault = "is not what was logged up to"
  if fault:
    raise DamagedLog(f"{path} {fault} step {mark.step} of the {mark.stage} stage, which has a checkpoint: another program "
                     f"changed it. Use a new --workdir, or delete {workdir}.")
  return lines


class MetricsLog:
  """metrics.jsonl, a line a step, and TensorBoard events, a point a chunk (none without tensorboardX).

  Args:
    workdir: the folder that both go to.
    mark: how far the log went at the restored step, or None for a new run. Lines beyond it, which a killed
      process left, are cut off: they are written again.

  Raises:
    DamagedLog: the file ends before the mark, or is not what it was.
  """

  def __init__(self, workdir: pathlib.Path, mark: Mark | None):
    self._path = workdir / "metrics.jsonl"
    kept = b"" if mark is None else read_marked(workdir, mark)
    _atomic.write_atomically(self._path, kept)
    self._file = open(self._path, "ab")
    self._digest, self._num_bytes = hashlib.sha256(kept), len(kept)
    self._count = kept.count(b"\n")
    self._events = _open_events(workdir / "tensorboard", self._count + 1)

  def write(self, stage: str, first_step: int, record: dict[str, np.ndarray]) -> None:
    """Append the steps of a chunk.

    Args:
      stage: the name of the stage.
      first_step: number of the chunk's first step; they count from 1.
      record: {metric: [steps] array}, "loss" among them.
    """
    count = len(record["loss"])
    lines = []
    for i in range(count):
      values = {name: float(f"{column[i]:.8g}") for name, column in record.items()}
      lines.append(json.dumps({"stage": stage, "step": first_step + i, **values}) + "\n")
    written = "".join(lines).encode()
    self._file.write(written)
    self._file.flush()
    self._digest.update(written)
    self._num_bytes += len(written)
    self._count += count
    if count and self._events is not None:
      for name, column in record.items():
        self._events.add_scalar(f"{stage}/{name}", float(column[-1]), self._count)

  def sync(self) -> tuple[int, str]:
    """Make the lines durable, before the checkpoint that relies on them; return their length and sha256, for its Mark."""
    os.fsync(self._file.fileno())
    return self._num_bytes, self._digest.hexdigest()

  def __enter__(self):
    return self

  def __exit__(self, *exception):
    self._file.close()
    if self._events is not None:
      self._events.close()


def read_metrics(path: pathlib.Path) -> dict[str, dict[str, np.ndarray]]:
  """Return {stage: {metric: [steps] array}} of a metrics.jsonl file.

  Raises:
    ValueError: it is no record of steps.
  """
  stages: dict[str, dict[str, list[float]]] = {}
  with _boundary.reading(f"{path} is no record of steps"):
    for line in path.read_text(encoding="utf-8").splitlines():
      record = json.loads(line)
      columns = stages.setdefault(record.pop("stage"), {})
      for name, value in record.items():
        columns.setdefault(name, []).append(value)
    return {stage: {name: np.asarray(values) for name, values in columns.items()}
            for stage, columns in stages.items()}
