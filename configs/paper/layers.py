"""Claims: the encoder is pruned more than the decoder; the masked, untrained network is a low-pass image of the truth.

  python -m oes_jax.main --config=configs/paper/layers.py --workdir=runs/paper-layers
  python -m oes_jax.bench density --mask runs/paper-layers/mask
  python -m oes_jax.bench spectrum --run runs/paper-layers

What we found, and at which scale: README.md in this folder.
"""

from configs import benchmark
from oes_jax import runs


def get_config():
  """Return the config of one of the restorations of configs/benchmark.py, but for its noise draw."""
  config = runs.make_config()
  config.experiment = "paper-layers"
  config.data.source, config.data.crop = benchmark.CROPS[0]
  config.generator.num_scales = 4
  return config
