"""Claim: below 3 to 4 % some masks collapse; between 5 and 95 % the density matters little.

  python -m oes_jax.bench sparsity --config=configs/paper/collapse.py

What we found, and at which scale: README.md in this folder. Presets as in configs/benchmark.py.
"""

from configs import benchmark


def get_config(preset: str = "small"):
  """Return the config of a preset of the benchmark."""
  return benchmark.of_methods(preset, "paper-collapse", ())
