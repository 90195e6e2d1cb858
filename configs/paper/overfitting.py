"""Claim: a dense deep image prior overfits to the noise, with or without Langevin noise; a sparse one, learned
at initialisation, does not.

  python -m oes_jax.bench compare --config=configs/paper/overfitting.py

What we found, and at which scale: README.md in this folder. `:quick`, `:answer` and `:full` as in
configs/benchmark.py.
"""

from configs import benchmark

METHODS = (
    "learned mask (OES)",
    "learned mask, plain mean",
    "dense (deep image prior)",
    "dense, plain mean",
    "dense, SGLD, posterior mean",
    "dense, SGLD, a quarter of its noise",
    "learned mask, 5 % of the pixels held out",
    "dense, 5 % of the pixels held out",
)


def get_config(preset: str = "answer"):
  """Return the config of a preset of the benchmark, restricted to the methods of this claim."""
  return benchmark.of_methods(preset, "paper-overfitting", METHODS)
