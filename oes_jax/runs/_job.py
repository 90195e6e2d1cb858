"""A job: checked settings with their files read and their automatic choices made."""

import dataclasses
import json
import pathlib
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from oes_jax import backends
from oes_jax import files
from oes_jax import fitting
from oes_jax import generators
from oes_jax import noise
from oes_jax import operators
from oes_jax.runs import _data
from oes_jax.runs import _errors
from oes_jax.runs import _folder
from oes_jax.runs import _memory
from oes_jax.runs import _size
from oes_jax.runs._settings import Settings

# Keys that may differ between the images of a batch; see `group_key`.
_PER_IMAGE = ("experiment", "seed", "data.source", "data.truth", "data.crop", "data.range",
              "data.max_side", "fit.sigma", "noise.sigma", "noise.peak", "noise.share", "noise.seed", "mask.source",
              "mask.path", "mask.keep_fraction", "mask.kl_weight")
# Seeds of an ensemble's members lie this far apart, so that they meet no other seed of a sweep.
SEED_STRIDE = 1_000_003
_LONGEST_STEM = 150  # bytes: file systems allow 255 for a name, of which seed, hash and suffixes take some
# Of the layout of what a run stores: an unfinished run of another one cannot be resumed.
FORMAT = 11


@dataclasses.dataclass(frozen=True)
class Job:
  """What was checked, read and chosen, before anything is compiled or written.

  Attributes:
    settings: all settings.
    workdir: folder of the run; None where nothing is written.
    identity: JSON values that tell this run from every other: config and checksums of its files.
    data: data that were read.
    tile: side of the tiles that the image is cut into, or None.
    shape: (H, W, C) of what is restored at once: one tile, or the image. The attributes below are for that.
    num_measured: number of real values that are measured of it.
    generator: Generator of it.
    need: bytes of memory.
    density: number of weights that the mask keeps, or that are to act.
    given_mask: mask that is taken over, or None.
    chunk_steps: steps of a chunk.
    measured: Measurement of it where that is known already, or None.
  """
  settings: Settings
  workdir: pathlib.Path | None
  identity: dict[str, Any]
  data: _data.Data
  tile: int | None
  shape: tuple[int, int, int]
  num_measured: int
  generator: generators.Generator
  need: _memory.Need
  density: fitting.Density
  given_mask: Any
  chunk_steps: int
  measured: Any = None

  @property
  def is_alone(self) -> bool:
    """Whether it is restored on its own and not in a batch: it has tiles or candidates, one after another."""
    return self.tile is not None or self.settings.experiment.method == "auto"

  @property
  def conv(self) -> str:
    """Form of the convolutions."""
    return generators.resolve_implementation(self.settings.compute.conv, jax.default_backend())

  def loss(self) -> Any:
    """Return what explains the measurement: a loss of its own, or the noise, with the strength that its fit needs."""
    if self.data.loss is not None:
      return self.data.loss
    model = self.settings.noise.model
    strength = noise.Strength(*(np.asarray(value or 0, jnp.result_type(float)) for value in self.data.strength))
    return noise.Noise(model, strength if noise.NOISE_MODELS[model].fits_with else ())


def case_name(source: str, seed: int, identity: dict[str, Any]) -> str:
  """Return the folder name of one case: what is restored, its seed, and a hash of all that it is."""
  path, page = files.split_page(source)
  stem = source if files.is_bundled(source) else pathlib.PurePath(path).stem
  stem = stem if page is None else f"{stem}-page{source[len(path) + 1:]}"
  stem = re.sub(r"[^\w.-]+", "_", source if source.startswith("tfds:") else stem)
  stem = stem.encode()[:_LONGEST_STEM].decode(errors="ignore")  # the hash tells apart what this makes alike
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
  work = backends.choices_of(jax.default_backend()).chunk_work
  return settings.compute.chunk_steps or int(np.clip(work // (shape[0] * shape[1]), 1, 1000))


def make_job(settings: Settings, folder: pathlib.Path | None, identity: dict[str, Any], data: _data.Data, whole,
             tile: int | None = None, generator: generators.Generator | None = None) -> Job:
  """Return the job of what was read, with its automatic choices made.

  Args:
    settings: all settings.
    folder: folder of the run; None where nothing is written.
    identity: JSON values that tell this run from every other.
    data: data that were read.
    whole: (H, W, C) of the image.
    tile: side of the tiles where it was chosen before (0: none), else None.
    generator: generator of the image, in place of the one that the settings name; then there are no tiles.

  Raises:
    ValueError: the memory does not suffice, or a density or a mask does not go with the generator.
  """
  if generator is None:
    tile, shape, generator, need = _size.fit_memory(settings, whole, tile, data.operator)
  else:
    tile, shape = None, tuple(whole)
    need = _size.need_of(generator, whole, settings, data.operator)
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
      given_mask=_data.read_given_mask(settings, generator, params), chunk_steps=steps_of_chunk(settings, shape))


def claim(job: Job) -> None:
  """Make the job's folder with its config.json.

  Raises:
    OSError: it cannot be made or written.
  """
  _folder.claim_workdir(job.workdir, job.identity, {"tile": job.tile or 0})


def frame_generator(job: Job, frame: tuple[int, int, int]) -> generators.Generator:
  """Return the job's generator with the output (H, W, C) of its batch's frame."""
  return _size.make_generator(job.settings, frame, job.data.operator, job.generator.spec["num_scales"])


def group_key(job: Job) -> str:
  """Return what must be alike in all images of a batch: everything static, as text."""
  static = _folder.without(job.identity["config"], _PER_IMAGE)
  alone = str(job.workdir) if job.is_alone else None
  fed = job.settings.fit.objective == "recorrupted" or job.settings.generator.input == "measurement"
  # No frame around it then: it would change what is drawn and what lies beyond the edges.
  shape = None if job.data.operator.tileable and not fed else job.shape
  shape = (shape, job.data.scan.values.shape) if job.data.scan else shape
  return json.dumps([static, job.generator.spec, job.generator.net_input_shape, alone, shape,
                     job.identity["inputs"]["operator"], job.data.truth is not None, list(stage_steps(job.settings)),
                     job.settings.mask.source == "imp_oracle"], sort_keys=True)
