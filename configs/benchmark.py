"""The comparison of methods. Presets: `:quick` (1 seed) and `:answer` (3 seeds), 3 images of 64 x 64 pixels.

  python -m oes_jax.bench compare --config=configs/benchmark.py:quick
"""

from ml_collections import config_dict

from configs import denoise

PRESETS = ("quick", "answer")
# (top, left, height, width) of bundled images; a crop of 64 pixels makes 5,000 steps affordable.
CROPS = (("astronaut", (60, 190, 64, 64)), ("chelsea", (90, 130, 64, 64)), ("coffee", (100, 250, 64, 64)))


def get_config(preset: str = "quick"):
  """Return the config of a preset; everything but `benchmark` is common to all methods."""
  if preset not in PRESETS:
    raise ValueError(f"preset {preset!r} is unknown; allowed: {', '.join(PRESETS)}.")
  config = denoise.get_config("quick")
  config.unlock()
  config.experiment = f"benchmark-{preset}"
  config.generator.num_scales = 4
  config.weights.num_steps = 1500 if preset == "quick" else 5000
  config.weights.guard = "variance"  # one more output; changes nothing else
  config.checkpoint.every_steps = 5000
  config.benchmark = config_dict.ConfigDict()
  # Images, and the part of each that is restored.
  config.benchmark.crops = CROPS
  config.benchmark.seeds = (0,) if preset == "quick" else (0, 1, 2)
  return config.lock()
