"""Claim: masks learned at initialisation beat other pruning at initialisation at the same density.

  python -m oes_jax.bench compare --config=configs/paper/pruning_at_initialisation.py

What we found, and at which scale: README.md in this folder. `:quick`, `:answer` and `:full` as in
configs/benchmark.py.
"""

from configs import benchmark

METHODS = (
    "learned mask (OES)",
    "random",
    "random, layer-wise",
    "magnitude",
    "SNIP",
    "GraSP",
    "SynFlow",
)


def get_config(preset: str = "answer"):
  """Return the config of a preset of the benchmark, restricted to the methods of this claim."""
  return benchmark.of_methods(preset, "paper-pruning-at-initialisation", METHODS)
