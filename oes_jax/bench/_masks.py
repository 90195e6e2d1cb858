"""What masks look like: density per layer, encoder against decoder, and how far masks agree."""

import pathlib
from typing import Any, NamedTuple, Sequence

import jax
import numpy as np

from oes_jax import files
from oes_jax import generators
from oes_jax import masks

PARTS = ("encoder", "decoder", "head")


class Read(NamedTuple):
  """A mask that was read: its name in tables, its tree, and the generator that it is for."""
  name: str
  mask: Any
  generator: generators.Generator


def read(path: str, num_scales: int) -> Read:
  """Read the mask/ folder of a run, or a pickle of the authors (the published RGB hourglass).

  Args:
    path: of the mask.
    num_scales: of a pickle's hourglass.

  Raises:
    ValueError, OSError: it cannot be read.
  """
  folder = pathlib.Path(path)
  spec = {"name": "hourglass", "num_scales": num_scales, "channels": None, "image_channels": 3}
  name = folder.stem
  if folder.is_dir():
    spec = files.load_mask(folder)[1]["generator"]
    name = folder.absolute().parent.name
  side = 4 * 2 ** spec["num_scales"]
  generator = generators.make_generator(
      spec["name"], image_shape=(side, side, spec["image_channels"]), num_scales=spec["num_scales"],
      channels=spec["channels"])
  params = jax.eval_shape(generator.init, jax.random.key(0))[0]
  return Read(name, files.read_mask(path, generator, params), generator)


def part_of(array: str) -> str:
  """Return which of PARTS an array belongs to, by its name; a deep decoder has no encoder."""
  return next((part for part in ("encoder", "head") if array.startswith(part)), "decoder")


def _report(one: Read) -> list[masks.LayerReport]:
  return masks.density_report(one.generator.graph, one.mask, one.generator.net_input_shape[-1])


def densities(report: Sequence[masks.LayerReport]) -> dict[str, tuple[int, int, int]]:
  """Return {part: (size, kept, able to act)}, and of all."""
  totals = {}
  for part in (*PARTS, "all"):
    mine = [row for row in report if part in ("all", part_of(row.name))]
    if mine:
      totals[part] = tuple(sum(row[i] for row in mine) for i in (1, 2, 3))
  return totals


def overlap(a, b) -> tuple[float, float]:
  """Return (IoU of two masks, IoU to expect of independent masks of the same densities per array)."""
  both = either = expected = 0.0
  for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
    x, y = np.asarray(x) != 0, np.asarray(y) != 0
    both += np.sum(x & y)
    either += np.sum(x | y)
    expected += x.mean() * y.mean() * x.size
  return both / either, expected / (both + either - expected)


def _read_all(arguments) -> list[Read]:
  found = [read(path, arguments.num_scales) for path in arguments.mask]
  for one in found[1:]:
    if one.generator.spec != found[0].generator.spec:
      raise ValueError(f"--mask {one.name} is for {one.generator.spec}, {found[0].name} for "
                       f"{found[0].generator.spec}; allowed: masks of one generator.")
  if len({one.name for one in found}) < len(found):
    found = [one._replace(name=path) for one, path in zip(found, arguments.mask)]
  return found


def run_density(arguments) -> None:
  """Print density by part, and write density.csv and density.png: every array of every mask."""
  found = _read_all(arguments)
  every = {one.name: _report(one) for one in found}
  cells = [("mask", *(f"{part}: kept, can act" for part in (*PARTS, "all")))]
  for name, report in every.items():
    totals = densities(report)
    cells.append((name, *("{:.2f} %, {:.2f} %".format(*(100 * n / totals[part][0] for n in totals[part][1:]))
                          if part in totals else "" for part in (*PARTS, "all"))))
  print(files.format_table(cells))
  path = pathlib.Path(arguments.folder) / "density.csv"
  files.write_csv(path, ("mask", "part", "array", "size", "kept", "can_act"), [
      (name, part_of(row.name), *row) for name, report in every.items() for row in report])
  files.save_densities(path.with_suffix(".png"), every)


def run_overlap(arguments) -> None:
  """Print, and write as overlap.csv and overlap.png, the IoU of every pair of masks."""
  found = _read_all(arguments)
  rows = [(a.name, b.name, *overlap(a.mask, b.mask)) for i, a in enumerate(found) for b in found[i + 1:]]
  print(files.format_table([("mask", "mask", "IoU", "if independent"), *(
      (a, b, f"{iou:.4f}", f"{expected:.4f}") for a, b, iou, expected in rows)]))
  path = pathlib.Path(arguments.folder) / "overlap.csv"
  files.write_csv(path, ("mask", "other_mask", "iou", "iou_if_independent"), rows)
  matrix = np.array([[np.nan if a is b else overlap(a.mask, b.mask)[0] for b in found] for a in found])
  names = [one.name for one in found]
  files.save_matrix(path.with_suffix(".png"), names, names, matrix, title="overlap of masks (IoU)")
