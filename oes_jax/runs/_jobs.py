"""A job: a checked config with its files read and its automatic choices made."""

import dataclasses
import functools
import json
import logging
import pathlib
import re
from typing import Any

import jax
import numpy as np

from oes_jax import files
from oes_jax import fitting
from oes_jax import generators
from oes_jax import masks
from oes_jax import noise
from oes_jax import operators
from oes_jax.runs import _forward
from oes_jax.runs import _memory
from oes_jax.runs import _validation
from oes_jax import tiles

# A chunk is about this many pixels times steps: one to two seconds on 2 CPU cores, measured
# 2026-11-24 (33 ms a dense step at 128x128). GPU and TPU: not measured, a guess of 50 times more.
_CHUNK_WORK = {"cpu": 1_000_000, "gpu": 50_000_000, "tpu": 50_000_000}


# Sides of tiles that are tried, largest first, where a whole image does not fit the memory.
_TILE_SIDES = (2048, 1024, 512, 256)


# These prune step by step, down to a density that has to be known.
_STEPWISE = ("synflow", "imp", "imp_oracle")
# Keys that may differ between the images of a batch; see `group_key`.
_PER_IMAGE = ("experiment", "seed", "data.source", "data.truth", "data.crop", "data.range",
              "data.max_side", "noise.sigma", "noise.peak", "noise.share", "noise.seed", "mask.source", "mask.path",
              "mask.keep_fraction", "mask.kl_weight")
# Of the layout of what a run stores: an unfinished run of another one cannot be resumed.
FORMAT = 7


@dataclasses.dataclass(frozen=True)
class Job:
  """What `inspect` has checked, read and chosen, before anything is compiled or written.

  `shape` is (H, W, C) of what is restored at once: one tile where the image is cut into tiles of
  side `tile`, else the image; `num_measured` counts what is measured of it. generator, keep_fraction,
  need and chunk_steps are for that.
  """
  config: Any
  workdir: pathlib.Path
  identity: dict[str, Any]
  picture: files.Picture
  limits: tuple[float, float]
  simulated: bool
  strength: noise.Strength
  operator: operators.ForwardOperator
  scan: files.Scan | None
  truth: np.ndarray | None
  tile: int | None
  shape: tuple[int, int, int]
  num_measured: int
  generator: generators.Generator
  need: _memory.Need
  given_mask: Any
  keep_fraction: float
  conv: str
  chunk_steps: int

  @property
  def sigma(self) -> float:
    """Standard deviation of the noise; 0 where it is not known."""
    return float(self.strength.sigma or 0)


def _generator_settings(config, num_scales: int | None = None) -> tuple:
  conv = generators.resolve_implementation(config.compute.conv, jax.default_backend())
  return (config.generator.name, num_scales or config.generator.num_scales,
          config.generator.channels, conv, config.compute.precision, config.compute.dtype)


@functools.lru_cache(maxsize=256)
def _make_generator(shape, settings) -> generators.Generator:
  """One generator for all jobs of its shape, so that what is compiled for it serves them all."""
  name, num_scales, channels, conv, precision, dtype = settings
  return generators.make_generator(
      name, image_shape=shape, num_scales=num_scales, channels=channels, conv=conv,
      precision=precision, dtype=None if dtype == "float32" else dtype)


@functools.lru_cache(maxsize=256)
def _estimate_need(part, whole, settings, remembered: int) -> _memory.Need:
  return _memory.estimate_memory(_make_generator(part, settings), part, whole, settings[-1], remembered)


def frame_generator(job: Job, frame: tuple[int, int, int]) -> generators.Generator:
  """Return the job's generator with the output (H, W, C) of its batch's frame."""
  return _make_generator(
      frame, _generator_settings(job.config, job.generator.spec["num_scales"]))


def _fit_memory(config, shape, stored: int | None, extra: int):
  """Return (side of the tiles or None, shape of one, its generator, its memory.Need).

  Args:
    config: of the run.
    shape: (H, W, C) of the image.
    stored: what an earlier start of the run used (0: no tiles), which stands; None at the first.
    extra: bytes that the forward operator needs.

  Raises:
    ValueError: the memory does not suffice.
  """
  free, compute, settings = _memory.available_memory(), config.compute, _generator_settings(config)
  remembered = config.weights.guard_window if config.weights.guard == "variance" else 0
  sides = (compute.tile,) if compute.tile is not None else (
      (0, *_TILE_SIDES) if config.operator.name == "identity" else (0,))
  for side in sides if stored is None else (stored,):
    rows, columns = tiles.cut(shape, side or max(shape[:2]), compute.tile_overlap)[0]
    part = (rows.stop, columns.stop, shape[2])
    generator, need = _make_generator(part, settings), _estimate_need(
        part, tuple(shape), settings, remembered)
    need = need._replace(per_image=need.per_image + extra)
    needed = need.once + need.per_image
    if stored is not None and needed > free:
      logging.warning("about %.1f GB of memory are needed, %.1f GB are free", needed / 1e9, free / 1e9)
    if needed <= free or stored is not None:
      return (side if part != shape else None), part, generator, need
  raise ValueError(
      f"{part[0]}x{part[1]} pixels need about {needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are "
      f"free (compute.tile={compute.tile}); allowed: compute.tile=None or smaller tiles, a narrower "
      "generator.channels, a smaller data.crop or operator.rows, or more free memory.")


def _read_truth(config, picture, simulated: bool, shape):
  """Return (clean values or None, digest of their file or None)."""
  if config.data.truth is None:
    return picture.values if simulated else None, None
  finer = shape[0] // picture.values.shape[0]  # of a measured coarse image
  crop = config.data.crop and tuple(finer * place for place in config.data.crop)
  clean = files.read_picture(config.data.truth, crop, max_side=config.data.max_side, key="data.truth")
  if (clean.values.shape, clean.values.dtype) != (shape, picture.values.dtype):
    raise ValueError(f"data.truth={config.data.truth!r} is {clean.values.dtype} {clean.values.shape}, "
                     f"the image is to be {picture.values.dtype} {shape}; allowed: the same type and shape.")
  return clean.values, clean.digest


def _strength(config, simulated: bool) -> noise.Strength:
  """Return the strength of the noise.

  Raises:
    ValueError: the data fit needs to know it, and it is not given.
  """
  found = _forward.strength(config, simulated)
  for name in noise.NOISE_MODELS[config.noise.model].fits_with:
    if not getattr(found, name):
      raise ValueError(f"noise.model={config.noise.model!r} needs noise.{name}={getattr(found, name)} above 0: its "
                       "data fit depends on it.")
  return found


def case_name(source: str, seed: int, identity: dict[str, Any]) -> str:
  """Return the folder name of one case: what is restored, its seed, and a hash of all that it is."""
  path, page = files.split_page(source)
  stem = source if files.is_bundled(source) else pathlib.PurePath(path).stem
  stem = stem if page is None else f"{stem}-page{page}"
  stem = re.sub(r"[^\w.-]+", "_", source if source.startswith("tfds:") else stem)
  return f"{stem}-seed{seed}-{_validation.digest_of(identity)}"


def stage_steps(config) -> dict[str, int]:
  """Return the steps of every stage of a restoration, in order; the last one is "weights"."""
  mask = config.mask
  making = {"learn": ["mask"], "imp": [f"round_{i + 1}" for i in range(mask.rounds)]}
  making["imp_oracle"] = making["imp"]
  steps = mask.num_steps
  if mask.source in ("imp", "imp_oracle"):
    steps = config.weights.num_steps if mask.round_steps is None else mask.round_steps
  return {**dict.fromkeys(making.get(mask.source, []), steps), "weights": config.weights.num_steps}


def steps_of_chunk(config, shape) -> int:
  """Return the steps of a chunk of one image (H, W, C), so that it lasts a second or two."""
  work = _CHUNK_WORK.get(jax.default_backend(), _CHUNK_WORK["gpu"])
  return config.compute.chunk_steps or int(np.clip(work // (shape[0] * shape[1]), 1, 1000))


def inspect(config, workdir: str | None = None, *, parent: pathlib.Path | None = None,
            tile: int | None = None) -> Job:
  """Check the config and its files, and choose what is automatic; nothing is written.

  Args:
    config: of one restoration.
    workdir: folder of the run; None: runs/<experiment>-<hash>, or a folder of its own in `parent`.
    parent: where cases have their folders.
    tile: side of the tiles where it was chosen before (0: none), else None.

  Raises:
    ValueError, OSError: with one line that names the value, what is allowed and the config key.
  """
  _validation.check_config(config)
  scan = _forward.read_scan(config)
  simulated = _forward.is_simulated(config, files.is_bundled(config.data.source))
  lost = config.operator.name == "inpainting" and not simulated and _forward.is_mask_file(config)
  picture = _forward.picture_of(config, scan) if scan else files.read_picture(
      config.data.source, config.data.crop, max_side=config.data.max_side, finite=not lost)
  if lost:
    picture = _forward.fill_lost(config, picture)
  limits = _forward.intensity_range(config, picture.values)
  whole = _forward.image_shape(config, picture.values.shape, simulated)
  truth, truth_digest = _read_truth(config, picture, simulated, (*whole[:2], picture.values.shape[2]))
  identity = {"format": FORMAT, "config": _validation.plain(config),
              "inputs": {"source": picture.digest, "truth": truth_digest,
                         "mask": files.mask_file_digest(config.mask.source, config.mask.path),
                         "operator": _forward.operator_digest(config)}}
  if parent is not None:
    workdir = str(parent / case_name(config.data.source, config.seed, identity))
  folder, choices = _validation.find_workdir(workdir, config.experiment, identity)
  operator = _forward.make_operator(config, whole, simulated, scan)
  tile, shape, generator, need = _fit_memory(config, whole, choices.get("tile", tile), operator.num_bytes)
  params = jax.eval_shape(generator.init, jax.random.key(0))[0]
  size = masks.count_weights(params)
  num_measured = operators.count_measured(operator, shape)
  keep_fraction = config.mask.keep_fraction
  spared = masks.count_spared(params, masks.is_spared(config.mask, params))
  if keep_fraction is None:
    keep_fraction = fitting.automatic_keep_fraction(num_measured, size)
    if config.mask.source in _STEPWISE:  # what is not pruned, and fewer kernels than should be able to act
      count = spared + fitting.acting_target(num_measured) / 2
      keep_fraction = min(count / size, fitting.LARGEST_AUTO_FRACTION)
  kept = masks.keep_count(keep_fraction, size)
  if config.mask.source in masks.SCORED and config.mask.keep_fraction is not None and kept <= spared:
    raise ValueError(f"mask.keep_fraction={keep_fraction!r} keeps {kept:,} of {size:,} weights, but {spared:,} are norms' and "
                     f"biases, which mask.source={config.mask.source!r} does not prune; allowed: more than "
                     f"{spared / size:.3g}, or mask.prune='all'.")
  if config.mask.source == "imp_oracle" and (truth is None or scan):
    raise ValueError("mask.source='imp_oracle' prunes on the clean image; allowed: with data.truth, or with "
                     "noise.sigma above 0.")
  given_mask = None
  if config.mask.path is not None:
    given_mask = files.read_mask(config.mask.path, generator, params)
  if config.mask.source == "bundled":
    given_mask, learned_on = files.read_bundled_mask(generator, params)
    if learned_on in files.BUNDLED_CROPS.get(config.data.source, (config.data.source,)):
      logging.warning("the shipped mask was learned on the clean %s: its score here says nothing "
                      "about other images", learned_on)
  return Job(
      config=config, workdir=folder, identity=identity, picture=picture, limits=limits,
      simulated=simulated, strength=_strength(config, simulated),
      operator=operator, scan=scan, truth=truth, tile=tile, shape=shape, num_measured=num_measured,
      generator=generator, need=need,
      given_mask=given_mask, keep_fraction=keep_fraction,
      conv=generators.resolve_implementation(config.compute.conv, jax.default_backend()),
      chunk_steps=steps_of_chunk(config, shape))


def claim(job: Job) -> None:
  """Make the job's folder with its config.json.

  Raises:
    OSError: it cannot be made or written.
  """
  _validation.claim_workdir(job.workdir, job.identity, {"tile": job.tile or 0})


def prepare(config, workdir: str | None = None) -> Job:
  """Inspect a config and claim its folder."""
  job = inspect(config, workdir)
  claim(job)
  return job


def group_key(job: Job) -> str:
  """Return what must be alike in all images of a batch: everything static, as text."""
  static = _validation.plain_without(job.config, _PER_IMAGE)
  tiled = str(job.workdir) if job.tile is not None else None  # tiles fill the memory alone
  shape = None if job.config.operator.name == "identity" else job.shape  # no frame around it then
  shape = (shape, job.scan.values.shape) if job.scan else shape
  return json.dumps([static, job.generator.spec, job.generator.net_input_shape, tiled, shape, job.identity["inputs"]["operator"],
                     job.truth is not None, list(stage_steps(job.config)),
                     job.config.mask.source == "imp_oracle"], sort_keys=True)


def make_fit(job: Job) -> fitting.Fit:
  """Return how an image explains the job's measurement."""
  return fitting.Fit(
      job.operator.apply, noise.NOISE_MODELS[job.config.noise.model].loss, job.operator.unit,
      functools.partial(_forward.to_view, job.config))


def density_report(job: Job, mask) -> list[masks.LayerReport]:
  """Kept and acting weights of every array of the job's generator."""
  return masks.density_report(job.generator.graph, mask, job.generator.net_input_shape[-1])
