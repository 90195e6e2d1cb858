"""What is put on record: a line a step, TensorBoard events, and benchmarks."""

import datetime
import json
import os
import pathlib
import platform
import re
from typing import Any, Iterator

import jax
import numpy as np
import tensorboardX

from oes_jax.files import _checkpoints


class DamagedLog(Exception):
  """metrics.jsonl does not hold the steps that a checkpoint says were done."""


class MetricsLog:
  """metrics.jsonl, a line a step, and TensorBoard events, a point a chunk.

  Args:
    workdir: where both go.
    resume: (stage, step) that was restored, or None. Lines beyond it, which a killed process
      left, are cut off: they are written again.

  Raises:
    DamagedLog: the file ends before the restored step, or is not a record of steps.
  """

  def __init__(self, workdir: pathlib.Path, resume: tuple[str, int] | None):
    self._path = workdir / "metrics.jsonl"
    kept = [] if resume is None else list(self._lines_up_to(*resume))
    _checkpoints.write_atomically(self._path, "".join(kept).encode())
    self._file = open(self._path, "a", encoding="utf-8")
    self._events = tensorboardX.SummaryWriter(str(workdir / "tensorboard"), purge_step=len(kept) + 1)
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
    """Append the steps of a chunk; steps count from 1."""
    count = len(record["loss"])
    for i in range(count):
      values = {name: float(f"{column[i]:.8g}") for name, column in record.items()}
      self._file.write(json.dumps({"stage": stage, "step": first_step + i, **values}) + "\n")
    self._file.flush()
    self._count += count
    if count:
      for name, column in record.items():
        self._events.add_scalar(f"{stage}/{name}", float(column[-1]), self._count)

  def sync(self) -> None:
    """Make the lines durable; called before the checkpoint that relies on them."""
    os.fsync(self._file.fileno())

  def __enter__(self):
    return self

  def __exit__(self, *exception):
    self._file.close()
    self._events.close()


def _parse(line: str) -> dict[str, Any] | None:
  try:
    record = json.loads(line)
  except json.JSONDecodeError:
    return None
  return record if isinstance(record, dict) else None


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
  _checkpoints.write_atomically(file, json.dumps(record, indent=2).encode())
  print(f"written: {file}")
