"""How much of an image is restored at once, and by which generator: what the memory allows."""

import functools
import logging

import jax

from oes_jax import backends
from oes_jax import generators
from oes_jax import operators
from oes_jax import tiles
from oes_jax.runs import _errors
from oes_jax.runs import _memory
from oes_jax.runs._settings import Settings

# Sides of tiles that are tried, largest first, where a whole image does not fit the memory.
_TILE_SIDES = (2048, 1024, 512, 256)


def _dtype_of(settings: Settings) -> str:
  asked = settings.compute.dtype
  return backends.choices_of(jax.default_backend()).dtype if asked == "auto" else asked


def _generator_options(settings: Settings, shape, operator: operators.ForwardOperator,
                       num_scales: int | None = None) -> tuple:
  compute, asked = settings.compute, settings.generator
  conv = generators.resolve_implementation(compute.conv, jax.default_backend())
  more = (("skip_channels", asked.skip_channels),) if asked.name == "skip_hourglass" else ()
  if asked.input == "measurement":
    more += (("input_channels", operators.count_first_image_channels(operator, shape)),)
  return (asked.name, num_scales or asked.num_scales, asked.channels, more, conv, compute.precision,
          _dtype_of(settings))


@functools.lru_cache(maxsize=256)
def _make_generator(shape, options) -> generators.Generator:
  """One generator for all jobs of its shape, so that what is compiled for it serves them all."""
  name, num_scales, channels, more, conv, precision, dtype = options
  with _errors.named("generator"):
    return generators.make_generator(
        name, image_shape=shape, num_scales=num_scales, channels=channels, conv=conv,
        precision=precision, dtype=None if dtype == "float32" else dtype, **dict(more))


@functools.lru_cache(maxsize=256)
def _estimate_need(part, whole, options, remembered: int) -> _memory.Need:
  return _memory.estimate_memory(_make_generator(part, options), part, whole, options[-1], remembered)


def make_generator(settings: Settings, shape: tuple[int, int, int], operator: operators.ForwardOperator,
                   num_scales: int | None = None) -> generators.Generator:
  """Return the generator of settings for an image (H, W, C); with another number of scales, where one is given."""
  return _make_generator(tuple(shape), _generator_options(settings, shape, operator, num_scales))


def fit_memory(settings: Settings, shape, stored: int | None, operator: operators.ForwardOperator):
  """Return (side of the tiles or None, shape of one, its generator, its Need).

  Args:
    settings: all settings.
    shape: (H, W, C) of the image.
    stored: side that an earlier start of the run used (0: no tiles), which stands; None at the first.
    operator: forward operator.

  Raises:
    ValueError: the memory does not suffice.
  """
  free, compute, options = _memory.available_memory(), settings.compute, _generator_options(settings, shape, operator)
  sides = (compute.tile,) if compute.tile is not None else ((0, *_TILE_SIDES) if operator.tileable else (0,))
  if stored is not None and stored not in (0 if side >= max(shape[:2]) else side for side in sides):
    raise ValueError(f"config.json of the folder says choices.tile={stored}, which compute.tile={compute.tile} does not "
                     f"choose for {shape[0]}x{shape[1]} pixels; allowed: a new --workdir.")
  for side in sides if stored is None else (stored,):
    rows, columns = tiles.cut(shape, side or max(shape[:2]), compute.tile_overlap)[0]
    part = (rows.stop, columns.stop, shape[2])
    generator = _make_generator(part, options)
    need = _estimate_need(part, tuple(shape), options, settings.weights.remembered_outputs)
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


def need_of(generator: generators.Generator, shape, settings: Settings,
            operator: operators.ForwardOperator) -> _memory.Need:
  """Return the bytes that a run of a generator needs for a whole image (H, W, C)."""
  need = _memory.estimate_memory(generator, shape, shape, _dtype_of(settings), settings.weights.remembered_outputs)
  return need._replace(per_image=need.per_image + operator.num_bytes)
