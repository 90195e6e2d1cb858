"""Restore a finer image from a coarse one. By default a bundled photograph at a quarter of its sides.

  python -m oes_jax.main --config=configs/super_resolution.py
  python -m oes_jax.main --config=configs/super_resolution.py --config.data.source=mine.png --config.operator.factor=2
"""

from configs import denoise


def get_config():
  """Return the config; operator.factor and operator.downsampling say how a measured pixel is made."""
  config = denoise.get_config("quick")
  config.experiment = "super-resolution"
  config.operator.name = "super_resolution"
  # A coarse image says nothing of how a fine one varies between its pixels. The hourglass fills that with noise, and
  # a sparse one most of all; the deep decoder, which only interpolates and mixes channels, cannot.
  config.generator.name = "deep_decoder"
  config.mask.source = "dense"
  config.data.source = "astronaut_face_128"
  return config
