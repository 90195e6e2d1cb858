"""Sharpen a blurred image. By default a bundled photograph under a Gaussian blur of 1.6 pixels.

  python -m oes_jax.main --config=configs/deblur.py
  python -m oes_jax.main --config=configs/deblur.py --config.data.source=mine.png --config.operator.kernel=kernel.npy
"""

from oes_jax import runs


def get_config(preset: str = "quick"):
  """Return the config of a preset, preview, quick, best, oes or paper; operator.kernel is gaussian, motion, or a file."""
  config = runs.make_config("deblurring", preset)
  config.experiment = f"deblur-{preset}"
  config.data.source = "astronaut_face_128"
  return config
