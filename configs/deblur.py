"""Sharpen a blurred image. By default a bundled photograph under a Gaussian blur of 1.6 pixels.

  python -m oes_jax.main --config=configs/deblur.py
  python -m oes_jax.main --config=configs/deblur.py --config.data.source=mine.png --config.operator.kernel=kernel.npy
"""

from configs import denoise


def get_config():
  """Return the config; operator.kernel is gaussian, motion, or a file."""
  config = denoise.get_config("quick")
  config.experiment = "deblur"
  config.operator.name = "deblurring"
  config.data.source = "astronaut_face_128"
  return config
