"""Restore an MR image from a quarter of its k-space. By default of an MR slice (64 x 64 pixels, which pydicom ships),
four simulated coils and noise of 3 % in the image.

  python -m oes_jax.main --config=configs/mri.py
"""

from configs import denoise


def get_config():
  """Return the config; operator.acceleration, centre and coils say what is measured."""
  config = denoise.get_config("quick")
  config.experiment = "mri"
  config.data.source = "mr_slice"
  config.operator.name = "mri"
  config.noise.sigma = 0.03
  # With noise as weak as this the few weights that a mask leaves miss detail: README, "Through an operator".
  config.mask.source = "dense"
  return config
