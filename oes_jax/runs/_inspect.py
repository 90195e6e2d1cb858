"""Jobs of configs: checked and read before anything is compiled or written."""

import pathlib

from oes_jax.runs import _check
from oes_jax.runs import _data
from oes_jax.runs import _errors
from oes_jax.runs import _folder
from oes_jax.runs import _job
from oes_jax.runs import _measure


def inspect(config, workdir: str | None = None, *, parent: pathlib.Path | None = None,
            tile: int | None = None) -> _job.Job:
  """Check a config and its files, and choose what is automatic; nothing is written.

  Args:
    config: config of one restoration.
    workdir: folder of the run; None: runs/<experiment>-<hash>, or a folder of its own in `parent`.
    parent: folder in which cases have their folders.
    tile: side of the tiles where it was chosen before (0: none), else None.

  Raises:
    ValueError, OSError: with one line that names the value, what is allowed and the config key.
  """
  settings = _check.check_config(config)
  data, whole, inputs = _data.read_data(settings)
  identity = {"format": _job.FORMAT, "config": _folder.plain(config), "inputs": inputs}
  if parent is not None:
    workdir = str(parent / _job.case_name(settings.data.source, settings.experiment.seed, identity))
  folder, choices = _folder.find_workdir(workdir, settings.experiment.experiment, identity)
  with _errors.named("data", {"16x16 with 1 channel": "16x16 with 1 channel (data.source, data.crop)"}):
    job = _job.make_job(settings, folder, identity, data, whole, choices.get("tile", tile))
  _measure.check_fit(job)
  return job


def prepare(config, workdir: str | None = None) -> _job.Job:
  """Inspect a config and claim its folder."""
  job = inspect(config, workdir)
  _job.claim(job)
  return job
