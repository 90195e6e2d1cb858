"""A job: checked settings with their files read and their automatic choices made."""

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
from oes_jax import noise
from oes_jax import operators
from oes_jax import tiles
from oes_jax.runs import _build
from oes_jax.runs import _check
from oes_jax.runs import _errors
from oes_jax.runs import _folder
from oes_jax.runs import _memory
from oes_jax.runs._settings import Settings

# A chunk is about this many pixels times steps: one to two seconds on 2 CPU cores, measured
# 2026-11-24 (33 ms a dense step at 128x128). GPU and TPU: not measured, a guess of 50 times more.
_CHUNK_WORK = {"cpu": 1_000_000, "gpu": 50_000_000, "tpu": 50_000_000}
# Sides of tiles that are tried, largest first, where a whole image does not fit the memory.
_TILE_SIDES = (2048, 1024, 512, 256)
# Keys that may differ between the images of a batch; see `group_key`.
_PER_IMAGE = ("experiment", "seed", "data.source", "data.truth", "data.crop", "data.range",
              "data.max_side", "noise.sigma", "noise.peak", "noise.share", "noise.seed", "mask.source", "mask.path",
              "mask.keep_fraction", "mask.kl_weight")
# Of the layout of what a run stores: an unfinished run of another one cannot be resumed.
FORMAT = 8


@dataclasses.dataclass(frozen=True)
class Data:
  """What was read, and what it is taken for.

  Attributes:
    picture: image as it is stored, or the first image of a scan, in its own units.
    limits: (low, high), the values that map to 0 and 1.
    truth: clean values, typed as those of the picture; or None.
    simulated: whether the picture is clean and its measurement is simulated.
    strength: how strong the noise is.
    operator: forward operator.
    scan: what was measured, or None where the picture was.
  """
  picture: files.Picture
  limits: tuple[float, float]
  truth: np.ndarray | None
  simulated: bool
  strength: noise.Strength
  operator: operators.ForwardOperator
  scan: operators.Scan | None

  @property
  def sigma(self) -> float:
    """Standard deviation of the noise; 0 where it is not known."""
    return float(self.strength.sigma or 0)


@dataclasses.dataclass(frozen=True)
class Job:
  """What `inspect` has checked, read and chosen, before anything is compiled or written.

  Attributes:
    settings: all settings.
    workdir: folder of the run.
    identity: what makes this run this run: config and checksums of its files.
    data: what was read.
    tile: side of the tiles that the image is cut into, or None.
    shape: (H, W, C) of what is restored at once: one tile, or the image. The attributes below are for that.
    num_measured: number of real values that are measured of it.
    generator: Generator of it.
    need: bytes of memory.
    density: how many weights the mask keeps.
    given_mask: mask that is taken over, or None.
    chunk_steps: steps of a chunk.
  """
  settings: Settings
  workdir: pathlib.Path
  identity: dict[str, Any]
  data: Data
  tile: int | None
  shape: tuple[int, int, int]
  num_measured: int
  generator: generators.Generator
  need: _memory.Need
  density: fitting.Density
  given_mask: Any
  chunk_steps: int

  @property
  def conv(self) -> str:
    """Form of the convolutions."""
    return generators.resolve_implementation(self.settings.compute.conv, jax.default_backend())

  def loss(self) -> noise.Noise:
    """Return the noise whose data fit explains the measurement, with its strength where the fit depends on it."""
    model = self.settings.noise.model
    strength = noise.Strength(*(np.asarray(value or 0, jax.numpy.result_type(float)) for value in self.data.strength))
    return noise.Noise(model, strength if noise.NOISE_MODELS[model].fits_with else ())


def _generator_options(settings: Settings, num_scales: int | None = None) -> tuple:
  compute, asked = settings.compute, settings.generator
  conv = generators.resolve_implementation(compute.conv, jax.default_backend())
  return (asked.name, num_scales or asked.num_scales, asked.channels, conv, compute.precision, compute.dtype)


@functools.lru_cache(maxsize=256)
def _make_generator(shape, options) -> generators.Generator:
  """One generator for all jobs of its shape, so that what is compiled for it serves them all."""
  name, num_scales, channels, conv, precision, dtype = options
  with _errors.named("generator"):
    return generators.make_generator(
        name, image_shape=shape, num_scales=num_scales, channels=channels, conv=conv,
        precision=precision, dtype=None if dtype == "float32" else dtype)


@functools.lru_cache(maxsize=256)
def _estimate_need(part, whole, options, remembered: int) -> _memory.Need:
  return _memory.estimate_memory(_make_generator(part, options), part, whole, options[-1], remembered)


def frame_generator(job: Job, frame: tuple[int, int, int]) -> generators.Generator:
  """Return the job's generator with the output (H, W, C) of its batch's frame."""
  return _make_generator(frame, _generator_options(job.settings, job.generator.spec["num_scales"]))


def _fit_memory(settings: Settings, shape, stored: int | None, operator: operators.ForwardOperator):
  """Return (side of the tiles or None, shape of one, its generator, its Need).

  Args:
    settings: all settings.
    shape: (H, W, C) of the image.
    stored: side that an earlier start of the run used (0: no tiles), which stands; None at the first.
    operator: forward operator.

  Raises:
    ValueError: the memory does not suffice.
  """
  free, compute, options = _memory.available_memory(), settings.compute, _generator_options(settings)
  remembered = settings.weights.guard_window if settings.weights.guard == "variance" else 0
  sides = (compute.tile,) if compute.tile is not None else ((0, *_TILE_SIDES) if operator.tileable else (0,))
  for side in sides if stored is None else (stored,):
    rows, columns = tiles.cut(shape, side or max(shape[:2]), compute.tile_overlap)[0]
    part = (rows.stop, columns.stop, shape[2])
    generator = _make_generator(part, options)
    need = _estimate_need(part, tuple(shape), options, remembered)
    need = need._replace(per_image=need.per_image + operator.num_bytes)
    needed = need.once + need.per_image
    if stored is not None and needed > free:
      logging.warning("about %.1f GB of memory are needed, %.1f GB are free", needed / 1e9, free / 1e9)
    if needed <= free or stored is not None:
      return (side if part != shape else None), part, generator, need
  raise ValueError(
      f"{part[0]}x{part[1]} pixels need about {needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are "
      f"free (compute.tile={compute.tile}); allowed: compute.tile=None or smaller tiles, a narrower "
      "generator.channels, a smaller data.crop or operator.rows, or more free memory.")


def _read_truth(settings: Settings, picture: files.Picture, simulated: bool, shape):
  """Return (clean values or None, digest of their file or None)."""
  source = settings.data.truth
  if source is None:
    return picture.values if simulated else None, None
  finer = shape[0] // picture.values.shape[0]  # of a measured coarse image
  crop = settings.data.crop and tuple(finer * place for place in settings.data.crop)
  clean = files.read_picture(source, crop, max_side=settings.data.max_side, key="data.truth")
  if (clean.values.shape, clean.values.dtype) != (shape, picture.values.dtype):
    raise ValueError(f"data.truth={source!r} is {clean.values.dtype} {clean.values.shape}, "
                     f"the image is to be {picture.values.dtype} {shape}; allowed: the same type and shape.")
  return clean.values, clean.digest


def _scan_picture(settings: Settings, scan: operators.Scan, digest: str):
  """Return (operator of a scan, its first image in its own units: what stands for the file where an image would)."""
  operator = _build.make_operator(settings, scan.image_shape, False, scan)
  image = fitting.scan_estimate(operator, operator.init(np.random.default_rng(0)), scan)
  return operator, files.Picture(values=image, alpha=None, squeezed=image.shape[-1] == 1, suffix=".npy", digest=digest,
                                 bundled=False)


def _read_data(settings: Settings) -> tuple[Data, tuple[int, int, int], dict[str, Any]]:
  """Return (data, shape of the image, checksums of what was read)."""
  read = _build.read_scan(settings)
  simulated = _build.is_simulated(settings, files.is_bundled(settings.data.source))
  lost = _build.loses_measured_pixels(settings, simulated)
  if read is not None:
    operator, picture = _scan_picture(settings, *read)
  else:
    picture = files.read_picture(
        settings.data.source, settings.data.crop, max_side=settings.data.max_side, finite=not lost)
    picture = _build.fill_lost(settings, picture) if lost else picture
  with _errors.named("data"):
    limits = fitting.choose_range(picture.values, settings.data.range, model=settings.noise.model,
                                  is_complex=_build.family_of(settings).is_complex)
  whole = _build.image_shape(settings, picture.values.shape, simulated)
  truth, truth_digest = _read_truth(settings, picture, simulated, (*whole[:2], picture.values.shape[2]))
  if read is None:
    operator = _build.make_operator(settings, whole, simulated)
  data = Data(picture, limits, truth, simulated, _build.strength(settings, simulated), operator, read and read[0])
  return data, whole, {
      "source": picture.digest, "truth": truth_digest, "operator": _build.operator_digest(settings),
      "mask": files.mask_file_digest(settings.mask.source, settings.mask.path)}


def case_name(source: str, seed: int, identity: dict[str, Any]) -> str:
  """Return the folder name of one case: what is restored, its seed, and a hash of all that it is."""
  path, page = files.split_page(source)
  stem = source if files.is_bundled(source) else pathlib.PurePath(path).stem
  stem = stem if page is None else f"{stem}-page{page}"
  stem = re.sub(r"[^\w.-]+", "_", source if source.startswith("tfds:") else stem)
  return f"{stem}-seed{seed}-{_folder.digest_of(identity)}"


def stage_steps(settings: Settings) -> dict[str, int]:
  """Return the steps of every stage of a restoration, in order; the last one is "weights"."""
  mask, steps = settings.mask, settings.weights.num_steps
  making = {}
  if mask.source == "learn":
    making = {"mask": settings.learn.num_steps}
  elif mask.source in ("imp", "imp_oracle"):
    making = {f"round_{i + 1}": mask.round_steps or steps for i in range(mask.rounds)}
  return {**making, "weights": steps}


def steps_of_chunk(settings: Settings, shape) -> int:
  """Return the steps of a chunk of one image (H, W, C), so that it lasts a second or two."""
  work = _CHUNK_WORK.get(jax.default_backend(), _CHUNK_WORK["gpu"])
  return settings.compute.chunk_steps or int(np.clip(work // (shape[0] * shape[1]), 1, 1000))


def _read_given_mask(settings: Settings, generator: generators.Generator, params):
  """Return the mask that is taken over, or None."""
  if settings.mask.path is not None:
    return files.read_mask(settings.mask.path, generator, params)
  if settings.mask.source != "bundled":
    return None
  mask, learned_on = files.read_bundled_mask(generator, params)
  source = settings.data.source
  if learned_on in files.BUNDLED_CROPS.get(source, (source,)):
    logging.warning("the shipped mask was learned on the clean %s: its score here says nothing "
                    "about other images", learned_on)
  return mask


def inspect(config, workdir: str | None = None, *, parent: pathlib.Path | None = None,
            tile: int | None = None) -> Job:
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
  data, whole, inputs = _read_data(settings)
  identity = {"format": FORMAT, "config": _folder.plain(config), "inputs": inputs}
  if parent is not None:
    workdir = str(parent / case_name(settings.data.source, settings.experiment.seed, identity))
  folder, choices = _folder.find_workdir(workdir, settings.experiment.experiment, identity)
  tile, shape, generator, need = _fit_memory(settings, whole, choices.get("tile", tile), data.operator)
  params = jax.eval_shape(generator.init, jax.random.key(0))[0]
  num_measured = operators.count_measured(data.operator, shape)
  with _errors.named("mask"):
    density = fitting.choose_density(settings.mask.source, settings.learn, params, num_measured)
  if settings.mask.source == "imp_oracle" and (data.truth is None or data.scan):
    raise ValueError("mask.source='imp_oracle' prunes on the clean image; allowed: with data.truth, or with "
                     "noise.sigma above 0.")
  return Job(
      settings=settings, workdir=folder, identity=identity, data=data, tile=tile, shape=shape,
      num_measured=num_measured, generator=generator, need=need, density=density,
      given_mask=_read_given_mask(settings, generator, params), chunk_steps=steps_of_chunk(settings, shape))


def prepare(config, workdir: str | None = None) -> Job:
  """Inspect a config and claim its folder."""
  job = inspect(config, workdir)
  claim(job)
  return job


def claim(job: Job) -> None:
  """Make the job's folder with its config.json.

  Raises:
    OSError: it cannot be made or written.
  """
  _folder.claim_workdir(job.workdir, job.identity, {"tile": job.tile or 0})


def group_key(job: Job) -> str:
  """Return what must be alike in all images of a batch: everything static, as text."""
  static = _folder.without(job.identity["config"], _PER_IMAGE)
  tiled = str(job.workdir) if job.tile is not None else None  # tiles fill the memory alone
  shape = None if job.data.operator.tileable else job.shape  # no frame around it then
  shape = (shape, job.data.scan.values.shape) if job.data.scan else shape
  return json.dumps([static, job.generator.spec, job.generator.net_input_shape, tiled, shape,
                     job.identity["inputs"]["operator"], job.data.truth is not None, list(stage_steps(job.settings)),
                     job.settings.mask.source == "imp_oracle"], sort_keys=True)
