"""A job: a checked config with its files read and its automatic choices made."""

import dataclasses
import logging
import math
import pathlib
from typing import Any

import jax
import numpy as np

from oes_jax import compaction
from oes_jax import convolution
from oes_jax import generators
from oes_jax import images
from oes_jax import masks
from oes_jax import memory
from oes_jax import restoration
from oes_jax import tiles
from oes_jax import validation

# A chunk is about this many pixels times steps: one to two seconds on 2 CPU cores, measured
# 2026-11-24 (33 ms a dense step at 128x128). GPU and TPU: not measured, a guess of 50 times more.
_CHUNK_WORK = {"cpu": 1_000_000, "gpu": 50_000_000, "tpu": 50_000_000}


# Sides of tiles that are tried, largest first, where a whole image does not fit the memory.
_TILE_SIDES = (2048, 1024, 512, 256)


@dataclasses.dataclass(frozen=True)
class Job:
  """What `prepare` has checked, read and chosen, before anything is compiled or written.

  `tile` is the side of the tiles that the image is cut into, or None; generator, keep_fraction,
  needed_bytes and chunk_steps are those of one tile then.
  """
  config: Any
  workdir: pathlib.Path
  identity: dict[str, Any]
  picture: images.Picture
  limits: tuple[float, float]
  sigma: float
  truth: np.ndarray | None
  tile: int | None
  generator: generators.Generator
  needed_bytes: int
  given_mask: Any
  keep_fraction: float
  conv: str
  chunk_steps: int


def _fit_memory(make_generator, shape, compute, stored: int | None):
  """Return (side of the tiles or None, shape of one, its generator, bytes it needs).

  Args:
    make_generator: shape -> Generator.
    shape: (H, W, C) of the image.
    compute: config.compute.
    stored: what an earlier start of the run used (0: no tiles), which stands; None at the first.

  Raises:
    ValueError: the memory does not suffice.
  """
  free = memory.available()
  sides = (0, *_TILE_SIDES) if compute.tile is None else (compute.tile,)
  for side in sides if stored is None else (stored,):
    rows, columns = tiles.cut(shape, side or max(shape[:2]), compute.tile_overlap)[0]
    part = (rows.stop, columns.stop, shape[2])
    generator = make_generator(part)
    needed = memory.estimate(generator, part, shape, compute.dtype)
    if stored is not None and needed > free:
      logging.warning("about %.1f GB of memory are needed, %.1f GB are free", needed / 1e9, free / 1e9)
    if needed <= free or stored is not None:
      return (side if part != shape else None), part, generator, needed
  raise ValueError(
      f"{part[0]}x{part[1]} pixels need about {needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are "
      f"free (compute.tile={compute.tile}); allowed: compute.tile=None or smaller tiles, a narrower "
      "generator.channels, a smaller data.crop, or more free memory.")


def prepare(config, workdir: str | None = None) -> Job:
  """Check the config and its files, choose what is automatic, and make the run's folder.

  Raises:
    ValueError, OSError: with one line that names the value, what is allowed and the config key.
  """
  validation.check_config(config)
  picture = images.read_picture(config.data.source, config.data.crop)
  limits = images.intensity_range(picture.values, config.data.range)
  sigma = config.noise.sigma if config.noise.sigma is not None else 0.1 * picture.bundled
  truth, truth_digest = picture.values if sigma > 0 else None, None
  if config.data.truth is not None:
    clean = images.read_picture(config.data.truth, config.data.crop, key="data.truth")
    truth, truth_digest = clean.values, clean.digest
    if (truth.shape, truth.dtype) != (picture.values.shape, picture.values.dtype):
      raise ValueError(f"data.truth={config.data.truth!r} is {truth.dtype} {truth.shape}, data.source "
                       f"{picture.values.dtype} {picture.values.shape}; allowed: the same type and "
                       "shape.")
  identity = {"config": validation.plain(config),
              "inputs": {"source": picture.digest, "truth": truth_digest,
                         "mask": validation.mask_digest(config.mask)}}
  folder, choices = validation.find_workdir(workdir, config.experiment, identity)
  backend = jax.default_backend()
  conv = convolution.resolve_implementation(config.compute.conv, backend)
  make_generator = lambda shape: generators.make_generator(
      config.generator.name, image_shape=shape, num_scales=config.generator.num_scales,
      channels=config.generator.channels, conv=conv, precision=config.compute.precision,
      dtype=None if config.compute.dtype == "float32" else config.compute.dtype)
  tile, shape, generator, needed = _fit_memory(
      make_generator, picture.values.shape, config.compute, choices.get("tile"))
  params = jax.eval_shape(generator.init, jax.random.key(0))[0]
  size = masks.count_weights(params)
  keep_fraction = config.mask.keep_fraction
  if keep_fraction is None:
    keep_fraction = restoration.automatic_keep_fraction(math.prod(shape), size)
  masks.keep_count(keep_fraction, size)
  work = _CHUNK_WORK.get(backend, _CHUNK_WORK["gpu"])
  given_mask = None
  if config.mask.source == "file":
    given_mask = validation.read_mask(config.mask.path, generator, params)
  if config.mask.source == "bundled":
    given_mask, learned_on = validation.read_bundled_mask(generator, params)
    if learned_on in images.BUNDLED_CROPS.get(config.data.source, (config.data.source,)):
      logging.warning("the shipped mask was learned on the clean %s: its score here says nothing "
                      "about other images", learned_on)
  validation.claim_workdir(folder, identity, {"tile": tile or 0})  # last: it writes
  return Job(
      config=config, workdir=folder, identity=identity, picture=picture, limits=limits,
      sigma=float(sigma), truth=truth, tile=tile, generator=generator, needed_bytes=needed,
      given_mask=given_mask, keep_fraction=keep_fraction, conv=conv,
      chunk_steps=config.compute.chunk_steps or int(np.clip(work // (shape[0] * shape[1]), 1, 1000)))


def density_report(job: Job, mask) -> list[compaction.LayerReport]:
  """Kept and acting weights of every array of the job's generator."""
  return compaction.density_report(job.generator.graph, mask, job.generator.net_input_shape[-1])
