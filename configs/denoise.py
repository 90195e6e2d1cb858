"""Denoise one image. Presets: `:quick` (default) and `:paper` (the constants of OES).

  python -m oes_jax.main --config=configs/denoise.py
  python -m oes_jax.main --config=configs/denoise.py:paper --config.data.source=astronaut
"""

from configs import default

PRESETS = ("quick", "paper")


def get_config(preset: str = "quick"):
  """Return the config of a preset."""
  if preset not in PRESETS:
    raise ValueError(f"preset {preset!r} is unknown; allowed: {', '.join(PRESETS)}.")
  config = default.get_config()
  config.experiment = f"denoise-{preset}"
  if preset == "quick":
    # 160 x 160 pixels, so that the first run takes minutes on two cores.
    config.data.source = "astronaut_face"
  else:
    # The whole 512 x 512 photograph with the constants of the authors' code.
    config.mask.keep_fraction = 0.05
    config.mask.num_steps = 60_000
    config.mask.learning_rate = 0.01
    config.mask.schedule = "constant"
    config.mask.kl_weight = 1e-9
    config.mask.temperature = 0.2
    config.weights.num_steps = 40_000
  return config
