"""One restoration: both stages of an image, or of its tiles one after another."""

import dataclasses
import json
import logging
import os
import time
from typing import Any

import jax
import numpy as np
from skimage import restoration
import tqdm

from oes_jax import intensity
from oes_jax import parallel
from oes_jax.runs import _batches
from oes_jax.runs import _jobs
from oes_jax.runs import _members
from oes_jax.runs import _outputs
from oes_jax.runs import _processes
from oes_jax import tiles


class Failed(Exception):
  """The restoration cannot go on; what was computed is kept."""


def use_compilation_cache(compute) -> None:
  """Turn JAX's persistent compilation cache on or off, as config.compute says."""
  if compute.compilation_cache:
    jax.config.update("jax_compilation_cache_dir", os.path.expanduser(compute.compilation_cache))


def run(job: _jobs.Job) -> dict[str, Any]:
  """Run a job to its end, from the start or from its last checkpoint; return its summary.

  Raises:
    processes.Interrupted: after SIGTERM or SIGINT, with the state saved.
    Failed: the loss became NaN or infinite, with the last good state saved; or another program
      changed metrics.jsonl.
    processes.Busy: another process runs the same job.
    OSError: the folder can no longer be written.
  """
  finished = job.workdir / "summary.json"
  if finished.is_file():
    print(f"{job.workdir} is finished: nothing was run again")
    return json.loads(finished.read_text(encoding="utf-8"))
  with _processes.lock(job.workdir), _processes.Signals() as signals:
    use_compilation_cache(job.config.compute)
    _announce(job)
    return restore_job(job, signals)


def restore_job(job: _jobs.Job, signals: _processes.Signals, label: str = "") -> dict[str, Any]:
  """Restore the image of a job, in tiles if need be; its folder is claimed and locked.

  Raises:
    As `run`.
  """
  return (_restore_whole if job.tile is None else _restore_tiles)(job, signals, label)


def _restore_whole(job: _jobs.Job, signals, label) -> dict[str, Any]:
  outcome, = _batches.restore_batch(_batches.Batch(
      template=job, jobs=[job], generator=job.generator, frame=job.shape, framed=False,
      folder=job.workdir, mesh=parallel.image_mesh(jax.local_devices()[:1]), programs={},
      signals=signals, label=label))
  if isinstance(outcome, str):
    raise Failed(f"{job.workdir}: {outcome}")
  return outcome


def _restore_tiles(job: _jobs.Job, signals, label) -> dict[str, Any]:
  """Restore every tile in a folder of its own, as a run of its own, and blend them."""
  measured = _members.measure(job)
  overlap = job.config.compute.tile_overlap
  places = tiles.cut(measured.values.shape, job.tile, overlap)
  restored, summaries, seconds = [], [], []
  for number, place in enumerate(places):
    if signals.received:
      raise _processes.Interrupted(signals.received)
    began = time.perf_counter()
    part = _tile_job(job, number, measured.values[place],
                     None if measured.truth is None else measured.truth[place])
    print(f"tile {number + 1} of {len(places)}: rows {place[0].start} to {place[0].stop}, "
          f"columns {place[1].start} to {place[1].stop}", flush=True)
    finished = part.workdir / "summary.json"
    if finished.is_file():
      summaries.append(json.loads(finished.read_text(encoding="utf-8")))
    else:
      part.workdir.mkdir(parents=True, exist_ok=True)
      summaries.append(_restore_whole(part, signals, label))
      seconds.append(time.perf_counter() - began)
      left = sum(seconds) / len(seconds) * (len(places) - number - 1)
      print(f"tiles left: {len(places) - number - 1}, about {tqdm.tqdm.format_interval(left)}",
            flush=True)
    restored.append(np.load(part.workdir / "restored.npy"))
  image = tiles.blend(restored, places, measured.values.shape, overlap)
  return _outputs.write_tiled(job, measured, image, summaries)


def _tile_job(job: _jobs.Job, number: int, measurement, truth) -> _jobs.Job:
  """A tile is a job on a floating-point image that needs neither noise nor an intensity map."""
  picture = dataclasses.replace(
      job.picture, values=np.asarray(measurement), alpha=None, squeezed=False, suffix=".npy")
  return dataclasses.replace(job, workdir=job.workdir / "tiles" / f"{number:03d}", picture=picture,
                             truth=None if truth is None else np.asarray(truth), limits=(0.0, 1.0),
                             simulated=False, tile=None)


def _describe_measurement(job: _jobs.Job) -> str:
  """Say what is simulated, or how strong the noise of a measured image seems to be."""
  operator, model = job.config.operator.name, job.config.noise.model
  if job.simulated:
    strength = ", ".join(f"{name} {value:g}" for name, value in job.strength._asdict().items() if value)
    return f"{operator}, simulated {model} noise, {strength or 'none'}"
  if operator == "identity" and model == "gaussian":
    sigma = np.mean(restoration.estimate_sigma(intensity.to_unit(job.picture.values, job.limits), channel_axis=-1))
    return f"no noise added; its own seems to be about {sigma:.3f} of the range"
  return f"{operator}, no noise added"


def _announce(job: _jobs.Job) -> None:
  spec, shape = job.generator.spec, job.picture.values.shape
  print(f"workdir: {job.workdir}")
  print(f"image: {job.config.data.source}, {shape[0]}x{shape[1]}, {shape[2]} channels, "
        f"{job.picture.values.dtype}; values {job.limits[0]:g} to {job.limits[1]:g} map to 0 to 1; "
        + _describe_measurement(job))
  print(f"device: {jax.devices()[0].device_kind} ({jax.default_backend()}); convolutions: {job.conv}; "
        f"chunks of {job.chunk_steps} steps; about {sum(job.need) / 1e9:.1f} GB of memory")
  if job.tile is not None:
    count = len(tiles.cut(shape, job.tile, job.config.compute.tile_overlap))
    print(f"the image is cut into {count} tiles of up to {job.tile}x{job.tile} pixels, which are "
          "restored one after another and blended")
  if spec["num_scales"] < job.config.generator.num_scales:
    logging.warning("generator.num_scales=%d is lowered to %d: the deepest map of %dx%d pixels "
                    "must be at least 4 pixels wide", job.config.generator.num_scales,
                    spec["num_scales"], *(min(side, job.tile or side) for side in shape[:2]))
