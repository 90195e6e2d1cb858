"""Restore a slice from few X-ray projections. By default 60 parallel-beam angles of a CT slice (128 x 128
pixels, which pydicom ships), with noise of 3 % of what a ray collects on average.

  python -m oes_jax.main --config=configs/ct.py
"""

from configs import denoise


def get_config():
  """Return the config; operator.angles lie evenly over 180 degrees."""
  config = denoise.get_config("quick")
  config.experiment = "ct"
  config.data.source = "ct_slice"
  config.noise.sigma = 0.03
  config.operator.name = "tomography"
  # With noise as weak as this the few weights that a mask leaves miss detail: README, "Through an operator".
  config.mask.source = "dense"
  return config
