"""A CT image from a sinogram: python ct_from_a_sinogram.py [STEPS]

scan.npz holds sinogram [detectors, angles], angles in degrees and shape (H, W), as scikit-image's radon has them.
"""

import sys

import numpy as np
from skimage import data, io, transform

import oes_jax
from oes_jax import metrics

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 600
clean = transform.resize(data.shepp_logan_phantom(), (96, 96), anti_aliasing=True)
angles = np.linspace(0, 180, 60, endpoint=False)
sinogram = transform.radon(clean, angles, circle=False)
sinogram += 0.01 * sinogram.max() * np.random.default_rng(0).standard_normal(sinogram.shape)
np.savez("scan.npz", sinogram=sinogram, angles=angles, shape=clean.shape)

back_projected = transform.iradon(sinogram, angles, output_size=96, circle=False)
restored = oes_jax.restore(dict(np.load("scan.npz")), operator="tomography",
                           settings={"data.range": (0.0, 1.0), "weights.num_steps": steps}).image
io.imsave("ct_image.png", np.uint8(255 * np.clip(restored, 0, 1)), check_contrast=False)
for name, image in (("filtered back-projection", back_projected), ("restored", restored)):
  print(f"{name}: PSNR {metrics.psnr(np.float32(image), np.float32(clean)):.2f} dB")
