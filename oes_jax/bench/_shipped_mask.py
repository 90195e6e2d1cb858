"""The shipped mask against learned, random and no masks."""

import pathlib

from oes_jax.bench import _denoising
from oes_jax.bench import _flags

# Images that no shipped mask was learned on.
_CROPS = {"chelsea": (60, 100, 128, 128), "coffee": (100, 200, 128, 128), "rocket": (120, 260, 128, 128)}
_METHODS = {"bundled": {"mask.source": "bundled"}, "learned on the image": {},
            "random, 50 %": {"mask.source": "random", "mask.keep_fraction": 0.5},
            "dense": {"mask.source": "dense"}}


def run_masks(arguments) -> None:
  """Compare the shipped mask with a mask learned on the image, a random half, and all weights."""
  rows = _denoising.run_methods(pathlib.Path(arguments.folder), _METHODS, _CROPS, range(arguments.seeds),
                                {"generator.num_scales": 5})
  _denoising.finish(arguments.output, rows, crops=_CROPS)


def add_command(commands) -> None:
  """Add the command `masks` and its flags."""
  parser = _flags.add_parser(
      commands, "masks", run_masks, "compare the shipped mask with learned, random and no masks, 128x128")
  _flags.add_folder_and_output(parser, "masks")
  _flags.add_seeds(parser, 2)
