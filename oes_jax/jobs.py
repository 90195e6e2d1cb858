"""A job: a checked config with its files read and its automatic choices made."""

import dataclasses
import pathlib
from typing import Any

import jax
import numpy as np

from oes_jax import compaction
from oes_jax import convolution
from oes_jax import generators
from oes_jax import images
from oes_jax import masks
from oes_jax import restoration
from oes_jax import validation

# A chunk is about this many pixels times steps: one to two seconds on 2 CPU cores, measured
# 2026-11-24 (33 ms a dense step at 128x128). GPU and TPU: not measured, a guess of 50 times more.
_CHUNK_WORK = {"cpu": 1_000_000, "gpu": 50_000_000, "tpu": 50_000_000}


@dataclasses.dataclass(frozen=True)
class Job:
  """What `prepare` has checked, read and chosen, before anything is compiled or written."""
  config: Any
  workdir: pathlib.Path
  identity: dict[str, Any]
  picture: images.Picture
  limits: tuple[float, float]
  sigma: float
  truth: np.ndarray | None
  generator: generators.Generator
  given_mask: Any
  keep_fraction: float
  conv: str
  chunk_steps: int


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
  backend = jax.default_backend()
  conv = convolution.resolve_implementation(config.compute.conv, backend)
  generator = generators.make_generator(
      config.generator.name, image_shape=picture.values.shape,
      num_scales=config.generator.num_scales, channels=config.generator.channels, conv=conv,
      precision=config.compute.precision)
  params = jax.eval_shape(generator.init, jax.random.key(0))[0]
  size = masks.count_weights(params)
  keep_fraction = config.mask.keep_fraction
  if keep_fraction is None:
    keep_fraction = restoration.automatic_keep_fraction(picture.values.size, size)
  masks.keep_count(keep_fraction, size)
  work = _CHUNK_WORK.get(backend, _CHUNK_WORK["gpu"])
  pixels = picture.values.shape[0] * picture.values.shape[1]
  given_mask = validation.read_mask(config.mask, generator, params)
  identity = {"config": validation.plain(config),
              "inputs": {"source": picture.digest, "truth": truth_digest,
                         "mask": validation.mask_digest(config.mask)}}
  folder = validation.claim_workdir(workdir, config.experiment, identity)  # last: it writes
  return Job(
      config=config, workdir=folder, identity=identity, picture=picture, limits=limits,
      sigma=float(sigma), truth=truth, generator=generator, given_mask=given_mask,
      keep_fraction=keep_fraction, conv=conv,
      chunk_steps=config.compute.chunk_steps or int(np.clip(work // pixels, 1, 1000)))


def density_report(job: Job, mask) -> list[compaction.LayerReport]:
  """Kept and acting weights of every array of the job's generator."""
  return compaction.density_report(job.generator.graph, mask, job.generator.net_input_shape[-1])
