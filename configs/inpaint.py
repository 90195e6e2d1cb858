"""Fill in lost pixels. By default of a bundled photograph of which half the pixels are measured, at random.

  python -m oes_jax.main --config=configs/inpaint.py
  python -m oes_jax.main --config=configs/inpaint.py --config.data.source=mine.png --config.operator.mask=measured.png
  python -m oes_jax.main --config=configs/inpaint.py --config.data.source=frame.fits  # its NaN and BLANK pixels
  python -m oes_jax.main --config=configs/inpaint.py --config.operator.mask=text
"""

from oes_jax import runs


def get_config(preset: str = "quick"):
  """Return the config of a preset, preview, quick, best, oes or paper; pixels are lost where the image operator.mask is 0."""
  config = runs.make_config("inpainting", preset)
  config.experiment = f"inpaint-{preset}"
  config.data.source = "astronaut_face_128"
  return config
