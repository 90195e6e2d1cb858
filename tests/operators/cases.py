"""One operator of every kind, for the properties that all of them have."""

import numpy as np

from oes_jax import operators

SHAPE = (12, 16, 3)
COILS = operators.simulated_coils((12, 16), 3)


def make_cases():
  """Return {name: operator}, made anew."""
  return {
      "identity": operators.identity(SHAPE),
      "inpainting": operators.inpainting(SHAPE, kept=0.4),
      "downsampling": operators.downsampling(SHAPE, factor=4),
      "bicubic downsampling": operators.downsampling(SHAPE, factor=2, kernel="bicubic"),
      "blur": operators.blur(SHAPE, kernel=np.random.default_rng(0).random((3, 5))),
      "mri": operators.mri((12, 16, 2), coils=COILS),
      "tomography": operators.tomography(SHAPE, angles=np.array([0.0, 30.0, 90.0, 145.0])),
      "gaussian rows": operators.gaussian_rows(SHAPE, share=0.3),
      "fourier rows": operators.fourier_rows(SHAPE, share=0.3),
      "chain": operators.chain(operators.blur(SHAPE, kernel=operators.gaussian_kernel(0.8)),
                               operators.downsampling(SHAPE, factor=2),
                               operators.inpainting((6, 8, 3), kept=0.5)),
  }


CASES = make_cases()
