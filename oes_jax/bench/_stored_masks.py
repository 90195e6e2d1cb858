"""Masks that are read from files, to be looked at."""

import argparse
import pathlib
from typing import Any, NamedTuple, Sequence

import jax

from oes_jax.bench import _flags
from oes_jax import files
from oes_jax import generators


class StoredMask(NamedTuple):
  """A mask that was read from a file.

  Attributes:
    name: its name in tables.
    mask: its tree, with the generator's parameters for a structure.
    generator: the generator that it is for.
  """
  name: str
  mask: Any
  generator: generators.Generator


def read_mask(path: str, num_scales: int) -> StoredMask:
  """Read the mask/ folder of a run, or a pickle of the authors (the published RGB hourglass).

  Args:
    path: the folder or the pickle.
    num_scales: the number of scales of a pickle's hourglass; a folder says its own.

  Raises:
    ValueError, OSError: the mask cannot be read.
  """
  folder = pathlib.Path(path)
  spec = {"name": "hourglass", "num_scales": num_scales, "channels": None, "image_channels": 3}
  name = folder.stem
  if folder.is_dir():
    spec = files.load_mask(folder)[1]["generator"]
    name = folder.absolute().parent.name
  side = 4 * 2 ** spec["num_scales"]
  options = {key: value for key, value in spec.items() if key not in ("name", "image_channels")}
  generator = generators.make_generator(spec["name"], image_shape=(side, side, spec["image_channels"]), **options)
  params = jax.eval_shape(generator.init, jax.random.key(0))[0]
  return StoredMask(name, files.read_mask(path, generator, params), generator)


def read_masks(paths: Sequence[str], num_scales: int) -> list[StoredMask]:
  """Read masks of one generator; where two have one name, all are named by their paths.

  Args:
    paths: the masks' folders and pickles.
    num_scales: the number of scales of the pickles' hourglass.

  Raises:
    ValueError, OSError: a mask cannot be read, or is for another generator than the first one.
  """
  found = [read_mask(path, num_scales) for path in paths]
  for one in found[1:]:
    if one.generator.spec != found[0].generator.spec:
      raise ValueError(f"--mask {one.name} is for {one.generator.spec}, {found[0].name} for "
                       f"{found[0].generator.spec}; allowed: masks of one generator.")
  if len({one.name for one in found}) < len(found):
    found = [one._replace(name=path) for one, path in zip(found, paths)]
  return found


def add_flags(parser: argparse.ArgumentParser, name: str) -> None:
  """Add the flags of a command that looks at masks: --mask, --num_scales and --folder."""
  parser.add_argument("--mask", required=True, nargs="+", help="runs' mask/ folders, authors' pickles")
  parser.add_argument("--num_scales", type=_flags.positive, default=6, help="of the authors' pickles")
  parser.add_argument("--folder", default=f"runs/bench_{name}", help="where CSV and figure go")
