"""Density of masks, layer by layer and encoder against decoder."""

import pathlib
from typing import Sequence

from oes_jax.bench import _flags
from oes_jax.bench import _stored_masks
from oes_jax import files
from oes_jax import masks

PARTS = ("encoder", "decoder", "head")


def part_of(array: str) -> str:
  """Return which of PARTS an array belongs to, by its name; a deep decoder has no encoder."""
  return next((part for part in ("encoder", "head") if array.startswith(part)), "decoder")


def report_of(stored: _stored_masks.StoredMask) -> list[masks.LayerReport]:
  """Return how many weights of every array a stored mask keeps, and how many of those can act."""
  generator = stored.generator
  return masks.density_report(generator.graph, stored.mask, generator.net_input_shape[-1])


def densities(report: Sequence[masks.LayerReport]) -> dict[str, tuple[int, int, int]]:
  """Return {part: (size, kept, able to act)} for the PARTS that a mask has, and for "all"."""
  totals = {}
  for part in (*PARTS, "all"):
    mine = [row for row in report if part in ("all", part_of(row.name))]
    if mine:
      totals[part] = tuple(sum(row[i] for row in mine) for i in (1, 2, 3))
  return totals


def run_density(arguments) -> None:
  """Print density by part, and write density.csv and density.png: every array of every mask."""
  reports = {stored.name: report_of(stored)
             for stored in _stored_masks.read_masks(arguments.mask, arguments.num_scales)}
  cells = [("mask", *(f"{part}: kept, can act" for part in (*PARTS, "all")))]
  for name, report in reports.items():
    totals = densities(report)
    cells.append((name, *("{:.2f} %, {:.2f} %".format(*(100 * n / totals[part][0] for n in totals[part][1:]))
                          if part in totals else "" for part in (*PARTS, "all"))))
  print(files.format_table(cells))
  path = pathlib.Path(arguments.folder) / "density.csv"
  files.write_csv(path, ("mask", "part", "array", "size", "kept", "can_act"), [
      (name, part_of(row.name), *row) for name, report in reports.items() for row in report])
  files.save_densities(path.with_suffix(".png"), reports)


def add_command(commands) -> None:
  """Add the command `density` and its flags."""
  parser = _flags.add_parser(
      commands, "density", run_density, "density of masks per layer, encoder against decoder")
  _stored_masks.add_flags(parser, "density")
