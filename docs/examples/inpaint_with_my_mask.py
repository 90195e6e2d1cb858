"""Fill in lost pixels: python docs/examples/inpaint_with_my_mask.py [image.png mask.png]

The mask is 0 where a pixel is lost. Without files, a bundled photograph loses its text-like lines and a tenth of
its pixels.
"""

import sys

import numpy as np
from skimage import data
from skimage import io

import oes_jax

if len(sys.argv) > 2:
  image, mask = io.imread(sys.argv[1]), io.imread(sys.argv[2], as_gray=True) > 0
else:
  image = data.chelsea()[90:186, 130:226]
  mask = np.random.default_rng(0).random(image.shape[:2]) > 0.1
  mask[20::24, 8:-8] = mask[21::24, 8:-8] = False
  image = image * mask[..., None].astype(np.uint8)
  io.imsave("damaged.png", image, check_contrast=False)

restored = oes_jax.restore(image, operator={"name": "inpainting", "mask": mask.astype(np.uint8)})
io.imsave("filled.png", restored.image, check_contrast=False)
print("written: filled.png")
