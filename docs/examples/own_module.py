"""A network of your own, a Flax module: python own_module.py [STEPS]"""

import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from skimage import data
import oes_jax
from oes_jax import generators, metrics


class Net(nn.Module):
  @nn.compact
  def __call__(self, x):
    for _ in range(3):
      x = nn.GroupNorm(num_groups=8)(nn.leaky_relu(nn.Conv(32, (3, 3))(x)))
      x = jax.image.resize(x, (2 * x.shape[0], 2 * x.shape[1], 32), "bilinear")
    return nn.sigmoid(nn.Conv(3, (1, 1))(x))


steps = int(sys.argv[1]) if len(sys.argv) > 1 else 500
clean = np.float32(data.chelsea()[90:154, 130:194] / 255)
noisy = np.clip(clean + 0.1 * np.random.default_rng(0).standard_normal(clean.shape, np.float32), 0, 1)
generator = generators.from_apply(lambda key: Net().init(key, jnp.zeros((8, 8, 32)))["params"],
                                  lambda params, z: Net().apply({"params": params}, z), net_input_shape=(8, 8, 32))
restored = oes_jax.restore(np.uint8(255 * noisy), generator=generator, mask=None,
                           weights=oes_jax.TrainWeights(num_steps=steps))
print(f"PSNR {metrics.psnr(noisy, clean):.2f} -> {metrics.psnr(restored.image / 255, clean):.2f} dB")
