"""Denoise one image. Presets: `:preview` (a picture within seconds), `:quick` (default), `:best` (the mean of four of these),
`:oes` (Optimal Eye Surgeon with a short schedule) and `:paper` (the whole 512 x 512 photograph, the authors' constants).

  python -m oes_jax.main --config=configs/denoise.py
  python -m oes_jax.main --config=configs/denoise.py:paper --config.data.source=astronaut
"""

from oes_jax import runs


def get_config(preset: str = "quick"):
  """Return the config of a preset."""
  config = runs.make_config("identity", preset)
  config.experiment = f"denoise-{preset}"
  if preset != "paper":
    # 160 x 160 pixels, so that the first run takes minutes on two cores.
    config.data.source = "astronaut_face"
  return config
