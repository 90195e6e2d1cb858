"""How far masks agree, and how far independent masks of their densities would."""

import pathlib

import jax
import numpy as np

from oes_jax.bench import _flags
from oes_jax.bench import _stored_masks
from oes_jax import files


def overlap(a, b) -> tuple[float, float]:
  """Return (IoU of two masks, IoU to expect of independent masks of the same densities per array).

  Args:
    a: a mask, a tree of arrays; what is not 0 is kept.
    b: another mask of the same structure and shapes.
  """
  both = either = expected = 0.0
  for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
    x, y = np.asarray(x) != 0, np.asarray(y) != 0
    both += np.sum(x & y)
    either += np.sum(x | y)
    expected += x.mean() * y.mean() * x.size
  return both / either, expected / (both + either - expected)


def run_overlap(arguments) -> None:
  """Print, and write as overlap.csv and overlap.png, the IoU of every pair of masks."""
  found = _stored_masks.read_masks(arguments.mask, arguments.num_scales)
  rows = [(a.name, b.name, *overlap(a.mask, b.mask)) for i, a in enumerate(found) for b in found[i + 1:]]
  print(files.format_table([("mask", "mask", "IoU", "if independent"), *(
      (a, b, f"{iou:.4f}", f"{expected:.4f}") for a, b, iou, expected in rows)]))
  path = pathlib.Path(arguments.folder) / "overlap.csv"
  files.write_csv(path, ("mask", "other_mask", "iou", "iou_if_independent"), rows)
  matrix = np.array([[np.nan if a is b else overlap(a.mask, b.mask)[0] for b in found] for a in found])
  names = [stored.name for stored in found]
  files.save_matrix(path.with_suffix(".png"), names, names, matrix, title="overlap of masks (IoU)")


def add_command(commands) -> None:
  """Add the command `overlap` and its flags."""
  parser = _flags.add_parser(
      commands, "overlap", run_overlap, "IoU of masks, and of independent ones of their densities")
  _stored_masks.add_flags(parser, "overlap")
