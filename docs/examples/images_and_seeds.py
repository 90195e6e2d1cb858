"""Eight images times two seeds under vmap, over two virtual devices: python images_and_seeds.py [STEPS]"""

import os
import sys
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")  # before jax starts
import jax
import jax.numpy as jnp
import numpy as np
from skimage import data
import oes_jax
from oes_jax import generators, metrics, parallel

settings = oes_jax.TrainWeights(num_steps=int(sys.argv[1]) if len(sys.argv) > 1 else 400)
clean = np.stack([data.astronaut()[32 * i:32 * i + 32, 200:232] / 255 for i in range(8)]).astype(np.float32)
noisy = clean + 0.1 * np.random.default_rng(0).standard_normal(clean.shape, np.float32)
generator = generators.hourglass((32, 32, 3), num_scales=3)


def restore(measurement, key):  # of one image and one seed
  problem = oes_jax.Problem(measurement, net_input=generator.sample_input(jax.random.fold_in(key, 0)))
  params, _ = generator.init(jax.random.fold_in(key, 1))
  return oes_jax.train_weights(generator, params, None, problem, key, settings).image


seeds = jax.random.key_data(jax.random.split(jax.random.key(0), 2))
both = lambda image: jax.vmap(lambda key: restore(image, jax.random.wrap_key_data(key)))(seeds)
restored = parallel.over_images(both, parallel.image_mesh())(jnp.asarray(noisy))  # [image, seed, H, W, C]
print(f"{jax.device_count()} devices, {restored.shape[:2]}: PSNR {metrics.psnr(noisy, clean):.2f} ->",
      f"{metrics.psnr(restored, clean[:, None]):.2f} dB, mean of the seeds {metrics.psnr(restored.mean(1), clean):.2f} dB")
