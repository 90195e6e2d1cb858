"""Another loss and another optimiser: outliers under an absolute error, optax.adamw. python own_loss_and_optimiser.py [STEPS]"""

import sys

import jax.numpy as jnp
import numpy as np
import optax
from skimage import data

import oes_jax
from oes_jax import metrics

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
clean = np.float32(data.coffee()[100:164, 250:314] / 255)
rng = np.random.default_rng(0)
noisy = np.where(rng.random((64, 64, 1)) < 0.2, rng.integers(0, 2, (64, 64, 1)), clean).astype(np.float32)


def absolute(predicted, measured):
  return jnp.abs(predicted - measured)


for name, loss in (("squared error", None), ("absolute error", absolute)):
  restored = oes_jax.restore(noisy, loss=loss, settings={"data.range": (0.0, 1.0), "fit.objective": "plain"},
                             mask=oes_jax.LearnMask(num_steps=max(1, steps // 3)),
                             weights=oes_jax.TrainWeights(num_steps=steps, optimizer=optax.adamw(0.01, weight_decay=1e-3)))
  print(f"{name}: PSNR {metrics.psnr(noisy, clean):.2f} -> {metrics.psnr(restored.image, clean):.2f} dB")
