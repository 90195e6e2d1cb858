"""Claim: the authors' published masks transfer to other images and initial weights.

  python -m oes_jax.main --config=configs/paper/published_masks.py --config.data.source=lena.png --config.mask.path=official_mask_pepper.pkl
  python -m oes_jax.main --config=configs/paper/published_masks.py --config.data.source=pepper.png --config.mask.path=official_mask_lena.pkl

Images and masks are the authors' and not ours to ship. 512x512 pixels; some 240 ms a step on 2 CPU cores. What we
found: README.md in this folder.
"""

from oes_jax import runs


def get_config():
  """Return the config: the authors' constants, 1,000 weight steps under a given mask."""
  config = runs.make_config(preset="paper")
  config.experiment = "paper-published-masks"
  config.noise.sigma = 0.1
  config.mask.source = "file"
  config.weights.num_steps = 1000
  return config
