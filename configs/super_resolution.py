"""Restore a finer image from a coarse one. By default a bundled photograph at a quarter of its sides.

  python -m oes_jax.main --config=configs/super_resolution.py
  python -m oes_jax.main --config=configs/super_resolution.py --config.data.source=mine.png --config.operator.factor=2
"""

from oes_jax import runs


def get_config(preset: str = "quick"):
  """Return the config of a preset, preview, quick, best, oes or paper.

  operator.factor and operator.downsampling say how a measured pixel is made.
  """
  config = runs.make_config("super_resolution", preset)
  config.experiment = f"super-resolution-{preset}"
  config.data.source = "astronaut_face_128"
  return config
