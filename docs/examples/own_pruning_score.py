"""A pruning score of your own, against a learned mask of as many weights: python own_pruning_score.py [STEPS]"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
from skimage import data

import oes_jax
from oes_jax import fitting, generators, masks, metrics

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 600
clean = np.float32(data.astronaut()[60:124, 190:254] / 255)
noisy = clean + 0.1 * np.random.default_rng(0).standard_normal(clean.shape, np.float32)
generator = generators.hourglass(clean.shape, num_scales=4)
params, _ = generator.init(jax.random.key(0))
problem = fitting.with_input(oes_jax.Problem(noisy), generator)
loss = lambda weights: fitting.data_fit(generator.apply(weights, problem.net_input), problem, None)
squared_gradient = jax.tree.map(jnp.square, jax.jit(jax.grad(loss))(params))  # a Fisher score
learned, _ = jax.jit(lambda key: oes_jax.learn_mask(generator, params, problem, key))(jax.random.key(1))
for name, scores in (("gradient^2", squared_gradient), ("learned", learned)):
  mask = masks.choose_mask(generator, scores, params, problem.net_input, keep_fraction=0.02).mask
  train = jax.jit(lambda mask, key: oes_jax.train_weights(
      generator, params, mask, problem, key, oes_jax.TrainWeights(num_steps=steps)))
  print(f"{name}: PSNR {metrics.psnr(train(mask, jax.random.key(2)).image, clean):.2f} dB")
