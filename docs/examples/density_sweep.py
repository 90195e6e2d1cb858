"""PSNR against the share of the weights that is kept, and its plot: python density_sweep.py [STEPS]"""

import sys

import jax
from matplotlib import pyplot
import numpy as np
from skimage import data

import oes_jax
from oes_jax import generators, masks, metrics

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 600
clean = np.float32(data.chelsea()[90:154, 130:194] / 255)
noisy = clean + 0.1 * np.random.default_rng(0).standard_normal(clean.shape, np.float32)
generator, problem = generators.hourglass(clean.shape, num_scales=4), oes_jax.Problem(noisy)
params, _ = generator.init(jax.random.key(0))
score = lambda image: {"psnr": metrics.psnr(image, clean)}
logits, _ = jax.jit(lambda key: oes_jax.learn_mask(generator, params, problem, key))(jax.random.key(1))
train = jax.jit(lambda mask, key: oes_jax.train_weights(  # compiled once for all densities
    generator, params, mask, problem, key, oes_jax.TrainWeights(num_steps=steps), score=score))
for percent in (0.5, 1, 2, 5, 20, 100):
  restored = train(masks.threshold(logits, percent / 100), jax.random.key(2))
  pyplot.plot(restored.traces["weights"]["psnr_average"], label=f"{percent} %")
  print(f"{percent} % kept: {restored.traces['weights']['psnr_average'][-1]:.2f} dB")
pyplot.xlabel("weight step"), pyplot.ylabel("PSNR of the averaged output, dB"), pyplot.legend()
pyplot.savefig("densities.png")
print("written: densities.png")
