"""An operator of your own, nonlinear: an image from the magnitudes of its Fourier transform, python phase_retrieval.py [STEPS]

The magnitudes cannot tell an image from itself turned by 180 degrees: the better of the two is scored.
"""

import sys

import jax.numpy as jnp
import numpy as np
from skimage import data, io

import oes_jax
from oes_jax import metrics, operators

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
clean = np.float32(data.camera()[60:124, 180:244, None] / 255)


def magnitudes(image):  # of the image with as many zeros around it: without them the phases are lost
  return jnp.abs(jnp.fft.fft2(image, (128, 128), axes=(0, 1), norm="ortho"))


measured = magnitudes(clean) + 0.005 * np.random.default_rng(0).standard_normal((128, 128, 1), np.float32)
restored = oes_jax.restore(np.asarray(measured), operator=operators.from_function(magnitudes, clean.shape), mask=None,
                           weights=oes_jax.TrainWeights(num_steps=steps, learning_rate=0.01)).image[..., None]
scores = {turns: float(metrics.psnr(np.rot90(restored, turns), clean)) for turns in (0, 2)}
best = np.rot90(restored, max(scores, key=scores.get))
io.imsave("retrieved.png", np.uint8(255 * np.clip(best[..., 0], 0, 1)), check_contrast=False)
print(f"written: retrieved.png; PSNR {max(scores.values()):.2f} dB")
