"""Restore a slice from few X-ray projections. By default 60 parallel-beam angles of a CT slice (128 x 128
pixels, which pydicom ships), with noise of 3 % of what a ray collects on average.

  python -m oes_jax.main --config=configs/ct.py
"""

from oes_jax import runs


def get_config(preset: str = "quick"):
  """Return the config of a preset, preview, quick, best, oes or paper; operator.angles lie evenly over 180 degrees."""
  config = runs.make_config("tomography", preset)
  config.experiment = f"ct-{preset}"
  config.data.source = "ct_slice"
  return config
