"""Restore an MR image from k-space: python docs/examples/mri_from_k_space.py [scan.npz]

The file holds kspace and coil_maps, complex [coils, H, W]. Without one, a third of the k-space of four simulated
coils is taken from the MR slice that pydicom ships.
"""

import sys

import numpy as np
import pydicom
from pydicom.data import get_testdata_file
from skimage import io
import oes_jax
from oes_jax import operators

if len(sys.argv) > 1:
  scan = dict(np.load(sys.argv[1]))
else:
  image = pydicom.dcmread(get_testdata_file("MR_small.dcm")).pixel_array.astype(float)
  coils = operators.simulated_coils(image.shape, 4)
  rng = np.random.default_rng(0)
  lines = operators.cartesian_lines(image.shape[1], acceleration=3, centre=0.1, rng=rng)
  noise = 20 * (rng.standard_normal(coils.shape) + 1j * rng.standard_normal(coils.shape))
  scan = {"kspace": (np.asarray(operators.centred_fft(coils * image)) + noise) * lines, "coil_maps": coils,
          "sampling": lines}

restored = oes_jax.restore(scan, operator="mri")
np.save("mr_image.npy", restored.image)
io.imsave("mr_image.png", np.uint8(255 * np.clip(restored.image / restored.image.max(), 0, 1)), check_contrast=False)
print("written: mr_image.npy and mr_image.png, a magnitude in the units of the scan")
