"""Fill in lost pixels: python docs/examples/inpaint_with_my_mask.py [image.png mask.png]

The mask is 0 where a pixel is lost. Without files, a bundled photograph loses what lies under lines of text.
"""

import sys

import numpy as np
from skimage import data
from skimage import io

import oes_jax
from oes_jax import operators

if len(sys.argv) > 2:
  image, mask = io.imread(sys.argv[1]), io.imread(sys.argv[2], as_gray=True) > 0
else:
  image = data.chelsea()[90:186, 130:226]
  mask = operators.text_damage(image.shape)
  image = image * mask[..., None]
  io.imsave("damaged.png", image, check_contrast=False)

restored = oes_jax.restore(image, operator={"name": "inpainting", "mask": np.uint8(mask)})
io.imsave("filled.png", restored.image, check_contrast=False)
print("written: filled.png")
