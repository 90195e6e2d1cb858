"""Cross images, seeds, densities and mask sources, and tabulate the results.

  python -m oes_jax.main --config=configs/sweep.py --workdir=runs/sweep
  python -m oes_jax.main --config=configs/sweep.py --workdir=runs/sweep --summarise
"""

from oes_jax import runs


def get_config():
  """Return the config of the sweep: 3 images x 3 seeds x (learned and random at 2 densities, dense)."""
  config = runs.make_config(preset="oes")
  config.experiment = "sweep"
  config.data.source = "astronaut,chelsea,coffee"
  config.data.max_side = 64
  config.sweep.seeds = (0, 1, 2)
  config.sweep.mask_sources = ("learn", "random", "dense")
  config.sweep.keep_fractions = (0.01, 0.5)
  config.weights.num_steps = 1000
  return config
