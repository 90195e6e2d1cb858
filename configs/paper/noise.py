"""Claim: a sparse network fits noise far more slowly than a dense one.

  python -m oes_jax.bench noise --config=configs/paper/noise.py

What we found, and at which scale: README.md in this folder. Presets as in configs/benchmark.py.
"""

from configs import benchmark


def get_config(preset: str = "small"):
  """Return the config of a preset of the benchmark."""
  return benchmark.of_methods(preset, "paper-noise", ())
