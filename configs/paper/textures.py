"""Claim: none of the paper: where the prior towards low frequencies should fail, at strong noise and on textures.

  python -m oes_jax.bench limits --config=configs/paper/textures.py

What we found, and at which scale: README.md in this folder. Presets as in configs/benchmark.py.
"""

from configs import benchmark


def get_config(preset: str = "small"):
  """Return the config of a preset of the benchmark."""
  return benchmark.of_methods(preset, "paper-textures", ())
