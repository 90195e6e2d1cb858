"""Claim: masks learned at initialisation beat other pruning at initialisation at the same density.

  python -m oes_jax.bench compare --config=configs/paper/pruning_at_initialisation.py

What we found, and at which scale: README.md in this folder. `:quick`, `:answer` and `:full` as in
configs/benchmark.py.
"""

from configs import benchmark

METHODS = (
    "learned mask (OES)",
    "learned mask, kernels only",
    "random",
    "random, kernels only",
    "random, kernels only, layer-wise",
    "random, kernels only, at least as many as can act",
    "magnitude",
    "magnitude, at least as many as can act",
    "SNIP",
    "SNIP, at least as many as can act",
    "GraSP",
    "GraSP, at least as many as can act",
    "SynFlow",
    "SynFlow, at least as many as can act",
)


def get_config(preset: str = "answer"):
  """Return the config of a preset of the benchmark, restricted to the methods of this claim."""
  return benchmark.of_methods(preset, "paper-pruning-at-initialisation", METHODS)
