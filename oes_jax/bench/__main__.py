"""Benchmarks: python -m oes_jax.bench COMMAND; see --help."""

import argparse
import sys

from oes_jax.bench import _auto
from oes_jax.bench import _batch
from oes_jax.bench import _bundle
from oes_jax.bench import _compare
from oes_jax.bench import _density
from oes_jax.bench import _device
from oes_jax.bench import _expected
from oes_jax.bench import _guards
from oes_jax.bench import _inverse
from oes_jax.bench import _limits
from oes_jax.bench import _noise
from oes_jax.bench import _overlap
from oes_jax.bench import _pages
from oes_jax.bench import _pod
from oes_jax.bench import _recorrupted_masks
from oes_jax.bench import _schedule
from oes_jax.bench import _shipped_mask
from oes_jax.bench import _sparsity
from oes_jax.bench import _spectrum
from oes_jax.bench import _steps
from oes_jax.bench import _time_to_quality
from oes_jax.bench import _transfer
from oes_jax import runs

# In the order of --help.
_BENCHMARKS = (_steps, _schedule, _shipped_mask, _bundle, _time_to_quality, _compare, _transfer, _sparsity, _limits,
               _inverse, _noise, _density, _overlap, _spectrum, _pages, _batch,
               _recorrupted_masks, _expected, _auto, _guards, _device, _pod)


def main(argv: list[str] | None = None, prog: str = "python -m oes_jax.bench") -> None:
  """Parse the command line and run one benchmark.

  Args:
    argv: arguments; None: those of the command line.
    prog: what the program is called in its help.
  """
  parser = argparse.ArgumentParser(prog=prog, description=__doc__)
  commands = parser.add_subparsers(required=True, metavar="command")
  for benchmark in _BENCHMARKS:
    benchmark.add_command(commands)
  arguments = parser.parse_args(argv)
  try:
    arguments.function(arguments)
  except (ValueError, OSError, runs.Failed, runs.Busy, runs.Interrupted) as error:
    sys.exit(f"error: {error}")


if __name__ == "__main__":
  runs.drop_output_that_nobody_takes()
  runs.end_at_once_by_ctrl_c()
  main()
