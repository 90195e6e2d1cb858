"""Fill in lost pixels. By default of a bundled photograph of which half the pixels are measured, at random.

  python -m oes_jax.main --config=configs/inpaint.py
  python -m oes_jax.main --config=configs/inpaint.py --config.data.source=mine.png --config.operator.mask=measured.png
  python -m oes_jax.main --config=configs/inpaint.py --config.operator.mask=text
"""

from configs import denoise


def get_config():
  """Return the config; pixels are lost where the image operator.mask is 0."""
  config = denoise.get_config("quick")
  config.experiment = "inpaint"
  config.operator.name = "inpainting"
  config.data.source = "astronaut_face_128"
  return config
