"""What a run writes while it works: one line a step, and TensorBoard events."""

import json
import pathlib
from typing import Iterator

import numpy as np
import tensorboardX

from oes_jax import checkpoints


class MetricsLog:
  """metrics.jsonl, a line a step, and TensorBoard events, a point a chunk.

  Args:
    workdir: where both go.
    resume: (stage, step) that was restored, or None. Lines beyond it, which a killed process
      left, are cut off: they are written again.

  Raises:
    ValueError: the file ends before the restored step.
  """

  def __init__(self, workdir: pathlib.Path, resume: tuple[str, int] | None):
    self._path = workdir / "metrics.jsonl"
    kept = [] if resume is None else list(self._lines_up_to(*resume))
    checkpoints.write_atomically(self._path, "".join(kept).encode())
    self._file = open(self._path, "a", encoding="utf-8")
    self._events = tensorboardX.SummaryWriter(str(workdir / "tensorboard"), purge_step=len(kept))
    self._count = len(kept)

  def _lines_up_to(self, stage: str, step: int) -> Iterator[str]:
    if self._path.exists():
      with open(self._path, encoding="utf-8") as file:
        for line in file:
          if not line.endswith("\n"):
            break  # cut by a kill
          yield line
          record = json.loads(line)
          if (record["stage"], record["step"]) == (stage, step):
            return
    raise ValueError(f"{self._path} ends before step {step} of the {stage} stage, which has a "
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

  def close(self) -> None:
    """Close both files."""
    self._file.close()
    self._events.close()
