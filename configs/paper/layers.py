"""Claims: the encoder is pruned more than the decoder; the masked, untrained network is a low-pass image of the truth.

  python -m oes_jax.main --config=configs/paper/layers.py --workdir=runs/paper-layers
  python -m oes_jax.bench density --mask runs/paper-layers/mask
  python -m oes_jax.bench spectrum --run runs/paper-layers

What we found, and at which scale: README.md in this folder.
"""

from configs import denoise


def get_config():
  """Return the config of one restoration with the constants of the default run."""
  config = denoise.get_config("quick")
  config.experiment = "paper-layers"
  return config
