"""Claim: a mask learned on one image restores others, from other initial weights.

  python -m oes_jax.bench transfer --config=configs/paper/transfer.py

What we found, and at which scale: README.md in this folder. Presets as in configs/benchmark.py.
"""

from configs import benchmark


def get_config(preset: str = "quick"):
  """Return the config of a preset of the benchmark."""
  return benchmark.of_methods(preset, "paper-transfer", ())
