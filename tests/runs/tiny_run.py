"""Runs of one tiny image, which the tests of this folder run, stop and look at."""

import json

import numpy as np

from configs import default
from oes_jax import runs

TINY = {
    "data.source": "camera", "data.crop": (100, 200, 24, 32), "generator.num_scales": 1,
    "generator.channels": (8,), "mask.num_steps": 24, "mask.keep_fraction": 0.4,
    "weights.num_steps": 30, "checkpoint.every_steps": 6, "compute.chunk_steps": 5,
}
# Through a forward operator: fewer steps, in one chunk.
TINY_MEASURED = {
    "data.source": "camera", "data.crop": (100, 200, 24, 32), "generator.num_scales": 1,
    "generator.channels": (6,), "mask.num_steps": 6, "mask.keep_fraction": 0.5,
    "weights.num_steps": 30, "weights.guard_window": 5, "output.figures": False}
# Both stages fit a measurement made anew in every step, and feed the generator with one; its image is mixed with an estimate.
RECORRUPTED = {"fit.objective": "recorrupted", "fit.flips": True, "generator.input": "measurement",
               "generator.name": "skip_hourglass", "mask.keep_fraction": 0.8, "weights.guard": "held_out",
               "weights.combine": True, "output.image": "combined"}


def config(base=None, **changes):
  """Return the config of TINY, or of another base, with some keys changed; "__" stands for the dot of a key."""
  made = default.get_config()
  made.update_from_flattened_dict({
      **(TINY if base is None else base), "compute.compilation_cache": "",
      **{key.replace("__", "."): value for key, value in changes.items()}})
  return made


def scan_config(folder, name, **arrays):
  """Write the arrays of a scan, and return the config that restores it by the operator of that name."""
  np.savez(folder / f"{name}.npz", **arrays)
  return config(TINY_MEASURED, data__source=str(folder / f"{name}.npz"), data__crop=None, mask__source="dense",
                operator__name=name)


def phantom():
  """Return an image [24, 32]: a disc of 100 on 20."""
  rows, columns = np.indices((24, 32))
  return np.float32(80 * ((rows - 11) ** 2 + (columns - 15) ** 2 < 60) + 20)


def run(made, folder):
  """Run a config as the command line does, with signals served; return its summary."""
  job = runs.prepare(made, str(folder))
  with runs.Signals() as signals:
    return runs.run_job(job, signals)


def restore(folder, base=None, **changes):
  """Run the config of TINY, or of another base, with some keys changed; return its summary."""
  return run(config(base, **changes), folder)


def read_lines(folder):
  """Return the lines of a run's metrics.jsonl."""
  return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def same_result(a, b):
  """Assert that two runs gave the same image by the same steps, bit for bit."""
  for name in ("restored.npy", "metrics.jsonl"):
    assert (a / name).read_bytes() == (b / name).read_bytes(), name
