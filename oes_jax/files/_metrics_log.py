"""What a run puts on record of its steps: a line a step, and TensorBoard events."""

import json
import logging
import os
import pathlib
from typing import Any, Iterator

import numpy as np

from oes_jax.files import _atomic
from oes_jax.files import _events


class DamagedLog(Exception):
  """metrics.jsonl does not hold the steps that a checkpoint says were done."""


def _open_events(folder: pathlib.Path, first_step: int):
  """Return the writer of TensorBoard's events, or None, and say so, where tensorboardX is not installed."""
  try:
    return _events.Events(folder, first_step)
  except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] != "tensorboardX":
      raise
    logging.warning("tensorboardX is not installed: no TensorBoard events are written; metrics.jsonl holds every step. For them: "
                    "pip install tensorboardX")
    return None


class MetricsLog:
  """metrics.jsonl, a line a step, and TensorBoard events, a point a chunk (none without tensorboardX).

  Args:
    workdir: the folder that both go to.
    resume: the (stage, step) that was restored, or None for a new run. Lines beyond it, which a killed
      process left, are cut off: they are written again.

  Raises:
    DamagedLog: the file ends before the restored step, or is not a record of steps.
  """

  def __init__(self, workdir: pathlib.Path, resume: tuple[str, int] | None):
    self._path = workdir / "metrics.jsonl"
    kept = [] if resume is None else list(self._lines_up_to(*resume))
    _atomic.write_atomically(self._path, "".join(kept).encode())
    self._file = open(self._path, "a", encoding="utf-8")
    self._events = _open_events(workdir / "tensorboard", len(kept) + 1)
    self._count = len(kept)

  def _lines_up_to(self, stage: str, step: int) -> Iterator[str]:
    if self._path.exists():
      with open(self._path, encoding="utf-8") as file:
        for line in file:
          if not line.endswith("\n"):
            break  # cut by a kill
          yield line
          record = _parse(line)
          if record is None:
            break
          if (record.get("stage"), record.get("step")) == (stage, step):
            return
    raise DamagedLog(f"{self._path} does not reach step {step} of the {stage} stage, which has a "
                     "checkpoint: another program changed it. Use a new --workdir.")

  def write(self, stage: str, first_step: int, record: dict[str, np.ndarray]) -> None:
    """Append the steps of a chunk.

    Args:
      stage: the name of the stage.
      first_step: number of the chunk's first step; they count from 1.
      record: {metric: [steps] array}, "loss" among them.
    """
    count = len(record["loss"])
    for i in range(count):
      values = {name: float(f"{column[i]:.8g}") for name, column in record.items()}
      self._file.write(json.dumps({"stage": stage, "step": first_step + i, **values}) + "\n")
    self._file.flush()
    self._count += count
    if count and self._events is not None:
      for name, column in record.items():
        self._events.add_scalar(f"{stage}/{name}", float(column[-1]), self._count)

  def sync(self) -> None:
    """Make the lines durable; called before the checkpoint that relies on them."""
    os.fsync(self._file.fileno())

  def __enter__(self):
    return self

  def __exit__(self, *exception):
    self._file.close()
    if self._events is not None:
      self._events.close()


def _parse(line: str) -> dict[str, Any] | None:
  try:
    record = json.loads(line)
  except json.JSONDecodeError:
    return None
  return record if isinstance(record, dict) else None


def read_metrics(path: pathlib.Path) -> dict[str, dict[str, np.ndarray]]:
  """Return {stage: {metric: [steps] array}} of a metrics.jsonl file."""
  stages: dict[str, dict[str, list[float]]] = {}
  for line in path.read_text().splitlines():
    record = json.loads(line)
    columns = stages.setdefault(record.pop("stage"), {})
    for name, value in record.items():
      columns.setdefault(name, []).append(value)
  return {stage: {name: np.asarray(values) for name, values in columns.items()}
          for stage, columns in stages.items()}
