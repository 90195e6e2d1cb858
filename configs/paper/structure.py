"""Claim: the mask matters, and not only how much every layer keeps.

  python -m oes_jax.bench compare --config=configs/paper/structure.py

What we found, and at which scale: README.md in this folder. `:quick`, `:answer` and `:full` as in
configs/benchmark.py.
"""

from configs import benchmark

METHODS = (
    "learned mask (OES)",
    "learned mask shuffled inside arrays",
    "random, kernels only, layer-wise",
    "random, 50 %",
)


def get_config(preset: str = "answer"):
  """Return the config of a preset of the benchmark, restricted to the methods of this claim."""
  return benchmark.of_methods(preset, "paper-structure", METHODS)
