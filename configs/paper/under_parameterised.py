"""Claim: sparse hourglasses beat networks that have few weights by design, such as the deep decoder.

  python -m oes_jax.bench compare --config=configs/paper/under_parameterised.py

What we found, and at which scale: README.md in this folder. `:quick`, `:answer` and `:full` as in
configs/benchmark.py.
"""

from configs import benchmark

METHODS = (
    "learned mask (OES)",
    "deep decoder, dense",
    "narrow deep decoder, as many weights as kept",
    "narrow dense, as many weights as kept",
    "narrow dense, as many weights as can act",
)


def get_config(preset: str = "answer"):
  """Return the config of a preset of the benchmark, restricted to the methods of this claim."""
  return benchmark.of_methods(preset, "paper-under-parameterised", METHODS)
