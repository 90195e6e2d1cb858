"""Denoise the frames of a stack: python denoise_a_stack.py [STEPS]

All frames are one compiled batch. Without steps of your own, 600 for every frame.
"""

import sys

import numpy as np
from skimage import data
import tifffile

import oes_jax
from oes_jax import metrics

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 600
coins = data.coins()[100:228:2, 20:212:2] / 255
clean = np.stack([np.roll(coins, 4 * frame, axis=1) for frame in range(3)])  # [frames, H, W]
photons = np.random.default_rng(0).poisson(40 * clean)
tifffile.imwrite("noisy_stack.tif", np.uint16(100 * photons), photometric="minisblack")

noisy = tifffile.imread("noisy_stack.tif")
camera = {"noise.model": "poisson", "noise.peak": 40.0}  # 40 photons at the end of the range; inspect tells
restored = oes_jax.restore_stack(noisy, settings={"data.range": (0.0, 4000.0), "weights.num_steps": steps, **camera})
stack = restored.image  # restored.pages has what else is known of each
tifffile.imwrite("restored_stack.tif", stack, photometric="minisblack")
scores = [metrics.psnr(np.float32(image / 4000), np.float32(clean)) for image in (noisy, stack)]
print(f"written: restored_stack.tif; PSNR {scores[0]:.2f} -> {scores[1]:.2f} dB")
