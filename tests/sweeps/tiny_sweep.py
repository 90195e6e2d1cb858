"""A sweep of two tiny images, which the tests of this folder run, stop and look at."""

import os
import signal

from configs import default
from oes_jax import files
from oes_jax import runs
from oes_jax import sweeps

TINY = {
    "data.source": "camera,coins", "data.crop": (100, 150, 24, 30), "generator.num_scales": 1,
    "generator.channels": (8,), "mask.num_steps": 12, "mask.keep_fraction": 0.4,
    "weights.num_steps": 15, "checkpoint.every_steps": 6, "compute.chunk_steps": 6,
    "compute.compilation_cache": "", "compute.images_per_device": 1, "output.figures": False,
}


def config(**changes):
  """Return the sweep's config with some keys changed; "__" stands for the dot of a key."""
  made = default.get_config()
  made.update_from_flattened_dict(
      {**TINY, **{key.replace("__", "."): value for key, value in changes.items()}})
  return made


def run(made, folder, shard=(0, 1)):
  """Run a sweep as the command line does, with signals served; return what `sweeps.run_all` gives."""
  with runs.Signals() as signals:
    return sweeps.run_all(made, str(folder), shard, signals)


def restored(folder):
  """Return {name: bytes} of the restored images of a sweep."""
  return {path.name: path.read_bytes() for path in (folder / "restored").iterdir()}


def stop_in(monkeypatch, stage):
  """Send one SIGTERM in the first chunk of a stage, and again whenever the returned list is cleared."""
  sent, write = [], files.MetricsLog.write
  def interrupting(self, name, *args):
    write(self, name, *args)
    if name == stage and not sent:
      sent.append(name)
      os.kill(os.getpid(), signal.SIGTERM)
  monkeypatch.setattr(files.MetricsLog, "write", interrupting)
  return sent
