"""Zero-Shot Noise2Noise (Mansour and Heckel 2023, arXiv 2303.11253), which prunes nothing.

A network of three convolutions learns the noise from two half-size views of one image, whose noise is
independent. Constants are those of the authors' notebook: 48 channels, 2,000 steps of Adam at 1e-3, halved
after 1,500.
"""

import functools

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import optax

_STEPS = 2000
_CHANNELS = 48


def downsample_pair(image):
  """Return the means of the two diagonals of every 2x2 block: [H, W, C] -> two [H/2, W/2, C]."""
  a, b = image[0::2, 0::2], image[0::2, 1::2]
  c, d = image[1::2, 0::2], image[1::2, 1::2]
  return (b + c) / 2, (a + d) / 2


def _convolve(image, kernel, bias):
  return lax.conv_general_dilated(image[None], kernel, (1, 1), "SAME",
                                  dimension_numbers=("NHWC", "HWIO", "NHWC"))[0] + bias


def noise_of(params, image):
  """Return what the network takes for noise in an image, both [H, W, C]."""
  for kernel, bias in params[:-1]:
    image = jax.nn.leaky_relu(_convolve(image, kernel, bias), 0.2)
  return _convolve(image, *params[-1])


def init(seed: int, channels: int):
  """Draw the network's kernels and biases from U(-b, b), b = 1 / sqrt(fan_in).

  Args:
    seed: the seed of NumPy's generator.
    channels: the image's number of channels.

  Returns:
    [(kernel [h, w, in, out], bias [1, 1, out]), ...], a pair for each of the three convolutions.
  """
  rng = np.random.default_rng(seed)
  params = []
  for size, inputs, outputs in ((3, channels, _CHANNELS), (3, _CHANNELS, _CHANNELS), (1, _CHANNELS, channels)):
    bound = (size * size * inputs) ** -0.5
    params.append((rng.uniform(-bound, bound, (size, size, inputs, outputs)).astype(np.float32),
                   rng.uniform(-bound, bound, (1, 1, outputs)).astype(np.float32)))
  return params


def objective(params, image):
  """Return the symmetric residual loss plus the consistency loss of an image [H, W, C] with even sides."""
  error = lambda a, b: jnp.mean(jnp.square(a - b))
  first, second = downsample_pair(image)
  clean_first, clean_second = first - noise_of(params, first), second - noise_of(params, second)
  residual = (error(clean_first, second) + error(clean_second, first)) / 2
  down_first, down_second = downsample_pair(image - noise_of(params, image))
  consistency = (error(clean_first, down_first) + error(clean_second, down_second)) / 2
  return residual + consistency


@functools.lru_cache(maxsize=1)
def _step():
  optimizer = optax.adam(optax.piecewise_constant_schedule(1e-3, {1500: 0.5}))
  @jax.jit
  def step(params, state, image):
    updates, state = optimizer.update(jax.grad(objective)(params, image), state)
    return optax.apply_updates(params, updates), state
  return optimizer, step


def denoise(measurement: np.ndarray, seed: int = 0) -> np.ndarray:
  """Train the network on one image and take the noise that it finds off.

  Args:
    measurement: the noisy image, [H, W, C] in [0, 1]; odd sides are trimmed by a pixel for the training alone.
    seed: the seed of the initial weights.

  Returns:
    The denoised image, [H, W, C] in [0, 1].
  """
  height, width = (side - side % 2 for side in measurement.shape[:2])
  image = jnp.asarray(measurement, jnp.float32)
  params, (optimizer, step) = init(seed, image.shape[-1]), _step()
  state = optimizer.init(params)
  for _ in range(_STEPS):  # lax.conv is slow inside a compiled loop on a CPU
    params, state = step(params, state, image[:height, :width])
  return np.clip(np.asarray(image - jax.jit(noise_of)(params, image)), 0, 1)
