"""One restoration: both stages of an image, or of its tiles one after another."""

import dataclasses
import logging
import os
import time
from typing import Any

import jax
import numpy as np
import tqdm

from oes_jax import files
from oes_jax import intensity
from oes_jax import operators
from oes_jax import parallel
from oes_jax import tiles
from oes_jax.runs import _auto_run
from oes_jax.runs import _batch
from oes_jax.runs import _expected
from oes_jax.runs import _finished
from oes_jax.runs import _inspect
from oes_jax.runs import _measure
from oes_jax.runs import _outputs
from oes_jax.runs import _processes
from oes_jax.runs import _saying
from oes_jax.runs._errors import Failed
from oes_jax.runs._job import Job


def run(config, workdir: str | None = None) -> dict[str, Any]:
  """Restore the one image of a config in a folder, from the start or from the last checkpoint there.

  JAX's settings and the process's signal handlers are the caller's: `main` serves signals, a library call does not.

  Args:
    config: config of one restoration, of `make_config` or of a file in configs/.
    workdir: folder of the run; None: runs/<experiment>-<hash of the config>.

  Returns:
    The summary, as summary.json has it; `workdir` is where all of it lies.

  Raises:
    ValueError: the config, a file or the folder is faulty; the message names the key.
    Failed: the loss became NaN or infinite, with the last good state saved; or another program
      changed metrics.jsonl.
    Busy: another process runs the same job.
    OSError: the folder can no longer be written; a files.Unwritable where the disk is full or the folder has gone.

  Example:
    >>> import tempfile
    >>> from oes_jax import runs
    >>> config = runs.make_config(**{"data.source": "camera", "data.crop": (0, 0, 16, 16), "generator.num_scales": 1,
    ...                              "generator.channels": (4,), "mask.source": "dense", "weights.num_steps": 2})
    >>> folder = tempfile.TemporaryDirectory()
    >>> summary = runs.run(config, folder.name)
    workdir: ...
    >>> summary["output"]
    'restored.png'
    >>> folder.cleanup()
  """
  return run_job(_inspect.prepare(config, workdir))


def run_job(job: Job, signals: _processes.Signals | None = None) -> dict[str, Any]:
  """Run a claimed job to its end, from the start or from its last checkpoint; return its summary.

  What is finished and sound is not run again. Of what is finished and damaged, the outputs are made anew from the last
  checkpoint, or by starting over.

  Args:
    job: a claimed job.
    signals: signals to serve between chunks; None serves none, and Ctrl-C is a plain KeyboardInterrupt.

  Raises:
    Interrupted: after a signal, with the state saved. Else as `run`.
  """
  summary = _finished.read_finished(job.workdir)
  if summary is not None:
    _saying.say(f"{job.workdir} is finished: nothing was run again")
    return summary
  with files.writing_into(job.workdir), _processes.lock(job.workdir):
    files.remove_temporaries(job.workdir)
    _announce(job)
    return restore_job(job, signals or _processes.Signals())


def use_compilation_cache(folder: str) -> None:
  """Turn JAX's persistent compilation cache on in a folder; "" leaves it as it is."""
  if folder:
    jax.config.update("jax_compilation_cache_dir", os.path.expanduser(folder))


def restore_job(job: Job, signals: _processes.Signals, label: str = "") -> dict[str, Any]:
  """Restore the image of a job, in tiles if need be; its folder is claimed and locked.

  Raises:
    Failed, Busy, Interrupted: as `run_job` has them.
  """
  return (_restore_part if job.tile is None else _restore_tiles)(job, signals, label)


def _restore_part(job: Job, signals, label) -> dict[str, Any]:
  """Restore an image or a tile, by the network that the settings name or by all candidates."""
  if job.settings.experiment.method == "auto":
    return _auto_run.restore_auto(job, signals, label, _restore_whole)
  return _restore_whole(job, signals, label)


def _restore_whole(job: Job, signals, label) -> dict[str, Any]:
  outcome, = _batch.restore_batch(_batch.Batch(
      jobs=[job], filling=[False], generator=job.generator, frame=job.shape, framed=False,
      folder=job.workdir, mesh=parallel.image_mesh(jax.local_devices()[:1]), programs={},
      signals=signals, label=label))
  if outcome.failure:
    raise Failed(f"{job.workdir}: {outcome.failure}")
  return outcome.summary


def _restore_tiles(job: Job, signals, label) -> dict[str, Any]:
  """Restore every tile in a folder of its own, as a run of its own, and blend them."""
  measurement = _measure.measure(job)
  overlap = job.settings.compute.tile_overlap
  places = tiles.cut(measurement.values.shape, job.tile, overlap)
  restored, errors, summaries, seconds = [], [], [], []
  for number, place in enumerate(places):
    if signals.received:
      raise _processes.Interrupted(signals.received)
    began = time.perf_counter()
    part = tile_job(job, number, measurement, place)
    _saying.say(f"tile {number + 1} of {len(places)}: rows {place[0].start} to {place[0].stop}, "
                f"columns {place[1].start} to {place[1].stop}")
    summary = _finished.read_finished(part.workdir)
    if summary is not None:
      summaries.append(summary)
    else:
      part.workdir.mkdir(parents=True, exist_ok=True)
      summaries.append(_restore_part(part, signals, label))
      seconds.append(time.perf_counter() - began)
      left = sum(seconds) / len(seconds) * (len(places) - number - 1)
      _saying.say(f"tiles left: {len(places) - number - 1}, about {tqdm.tqdm.format_interval(left)}")
    restored.append(_finished.read_output(part.workdir, "restored.npy", part.data.picture.values.shape))
    errors.append(_expected.read_error_map(part.workdir))
  blend = lambda images: tiles.blend(images, places, measurement.values.shape, overlap)
  error = _expected.blend_maps(job, errors, blend, measurement.noise_level)
  return _outputs.write_tiled(job, measurement, blend(restored), summaries, error)


def tile_job(job: Job, number: int, measurement: _measure.Measurement, place) -> Job:
  """Return the job of a tile: a floating-point image that needs no noise, no intensity map and no noise level of its own."""
  picture = dataclasses.replace(
      job.data.picture, values=np.asarray(measurement.values[place]), alpha=None, squeezed=False, suffix=".npy",
      channel_axis=-1)
  truth = None if measurement.truth is None else np.asarray(measurement.truth[place])
  data = dataclasses.replace(job.data, picture=picture, truth=truth, limits=(0.0, 1.0), simulated=False,
                             operator=operators.identity(job.shape), remarks=())
  settings = job.settings
  if measurement.noise_level is not None:
    settings = settings._replace(fit=dataclasses.replace(settings.fit, sigma=measurement.noise_level.sigma))
  if settings.experiment.budget_s is not None:
    count = len(tiles.cut(measurement.values.shape, job.tile, settings.compute.tile_overlap))
    settings = settings._replace(experiment=dataclasses.replace(settings.experiment, budget_s=settings.experiment.budget_s / count))
  folder = job.workdir and job.workdir / "tiles" / f"{number:03d}"
  return dataclasses.replace(job, settings=settings, workdir=folder, data=data, tile=None)


def _describe_measurement(job: Job) -> str:
  """Say what is simulated, or how strong the noise of a measured image seems to be."""
  data, model, task = job.data, job.settings.noise.model, _saying.task_of(job.settings.operator.name)
  if data.simulated:
    strength = ", ".join(f"{name} {value:g}" for name, value in data.strength._asdict().items() if value)
    return f"{task}, simulated {model} noise, {strength or 'none'}"
  level = _estimate_level(job) if model == "gaussian" else None
  about = level and ("about" if level.bound is None else "at most")
  own = "" if level is None else f"; its own seems to be {about} {level.bound or level.sigma:.3f} of the range"
  return f"{task}{_describe_lost(job)}, no noise added{own}"


def _describe_lost(job: Job) -> str:
  """Say how many pixels are lost, of an image that loses some."""
  operator = job.data.operator
  seen = operator.seen(_measure.op_params_of(job.settings, operator)) if operator.measures_image else None
  return "" if seen is None else f", {100 * (1 - np.mean(seen)):.3g} % of the pixels lost"


def _estimate_level(job: Job) -> operators.NoiseLevel | None:
  """Return how strong the noise of a measurement seems to be, or None: it cannot be told."""
  measured = _measure.measure(job, lambda text: None)
  if measured.noise_level is not None:
    return measured.noise_level
  try:
    return operators.estimate_noise_level(job.data.operator, measured.op_params, measured.values)
  except ValueError:
    return None


def _announce(job: Job) -> None:
  spec, shape, limits = job.generator.spec, job.data.picture.values.shape, job.data.limits
  _saying.say(f"workdir: {job.workdir}")
  _saying.say(f"image: {job.settings.data.source}, {shape[0]}x{shape[1]}, {shape[2]} channels, "
              f"{job.data.picture.values.dtype}; values {intensity.say_range(*limits)} map to 0 to 1; "
              + _describe_measurement(job))
  _saying.say(f"device: {jax.devices()[0].device_kind} ({jax.default_backend()}); convolutions: {job.conv}; "
              f"chunks of {job.chunk_steps} steps; about {sum(job.need) / 1e9:.1f} GB of memory")
  if job.tile is not None:
    count = len(tiles.cut(shape, job.tile, job.settings.compute.tile_overlap))
    _saying.say(f"the image is cut into {count} tiles of up to {job.tile}x{job.tile} pixels, which are "
                "restored one after another and blended")
  if spec["num_scales"] < job.settings.generator.num_scales:
    logging.warning("generator.num_scales=%d is lowered to %d: the deepest map of %dx%d pixels "
                    "must be at least 4 pixels wide", job.settings.generator.num_scales,
                    spec["num_scales"], *(min(side, job.tile or side) for side in shape[:2]))
