"""Denoise an image file: python docs/examples/denoise_my_file.py [noisy.png]

Without a file, a noisy crop of a bundled photograph is written and taken.
"""

import sys

import numpy as np
from skimage import data
from skimage import io

import oes_jax

if len(sys.argv) > 1:
  noisy = io.imread(sys.argv[1])
else:
  clean = data.coffee()[100:196, 250:346] / 255
  noisy = np.uint8(255 * np.clip(clean + 0.1 * np.random.default_rng(0).standard_normal(clean.shape), 0, 1))
  io.imsave("noisy.png", noisy)

restored = oes_jax.restore(noisy)
io.imsave("restored.png", restored.image, check_contrast=False)
print("written: restored.png;", f"{restored.summary['mask']['acting']:,} weights were trained")
