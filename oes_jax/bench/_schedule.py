"""What the short default schedule of the mask stage costs in quality, against a long one."""

import pathlib

from oes_jax.bench import _denoising
from oes_jax.bench import _flags
from oes_jax import runs

# 64 x 64 crops, the size at which masks of many steps are affordable.
_CROPS = {"astronaut": (60, 190, 64, 64), "chelsea": (90, 130, 64, 64), "coffee": (100, 250, 64, 64)}
_LONGER = 10  # how many times more steps the masks have that ours are held against


def run_schedule(arguments) -> None:
  """Compare masks of the default schedule with masks of ten times its steps."""
  config = runs.make_config(preset="oes")
  steps = config.mask.num_steps
  methods = {f"default schedule, {steps:,} steps": {"mask.num_steps": steps},
             f"{_LONGER} times longer, {_LONGER * steps:,} steps": {"mask.num_steps": _LONGER * steps}}
  common = {"generator.num_scales": 4, "weights.num_steps": 1000}
  rows = _denoising.run_methods(
      pathlib.Path(arguments.folder), methods, _CROPS, range(arguments.seeds), common)
  _denoising.finish(arguments.output, rows, mask=config.mask.to_dict(), crops=_CROPS, **common)


def add_command(commands) -> None:
  """Add the command `schedule` and its flags."""
  parser = _flags.add_parser(
      commands, "schedule", run_schedule,
      "compare the default mask schedule with one of ten times the steps, 64x64")
  _flags.add_folder_and_output(parser, "schedule")
  _flags.add_seeds(parser, 2)
