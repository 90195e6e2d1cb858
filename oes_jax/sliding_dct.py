"""A classical denoiser: thresholds for the cosine transforms of all 8 x 8 blocks. Of values in any range, traceable."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import fft

# Pixels along a side of a block.
_SIDE = 8
# Threshold of a coefficient, in standard deviations of its noise.
_THRESHOLD = 2.7
_BASIS = fft.dct(np.eye(_SIDE), axis=0, norm="ortho")
# Colour as one brightness and two differences, orthonormal, so that the noise stays white.
_OPPONENT = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])


def _per_block(function, padded, blocks, *others):
  """Average what a function makes of the coefficients of all blocks, over the 64 places where their grid can lie.

  Args:
    function: function (coefficients [C, n, 8, m, 8], those of the others) -> (new coefficients, weight of every block).
    padded: [C, H, W], 7 pixels more along either side than the blocks of a place take.
    blocks: (n, m).
    *others: more arrays like `padded`.
  """
  basis = jnp.asarray(_BASIS, padded.dtype)
  shape = (padded.shape[0], blocks[0] * _SIDE, blocks[1] * _SIDE)
  split = (shape[0], blocks[0], _SIDE, blocks[1], _SIDE)

  def add(total, place):
    start = (0, place // _SIDE, place % _SIDE)
    transform = lambda image: jnp.einsum("cnamb,ka,lb->cnkml", jax.lax.dynamic_slice(image, start, shape).reshape(split),
                                         basis, basis)
    coefficients, weight = function(*map(transform, (padded, *others)))
    new = weight * jnp.einsum("cnkml,ka,lb->cnamb", coefficients, basis, basis)
    weight = jnp.broadcast_to(weight, split)
    return tuple(
        jax.lax.dynamic_update_slice(sums, jax.lax.dynamic_slice(sums, start, shape) + part.reshape(shape), start)
        for sums, part in zip(total, (new, weight))), None

  zeros = jnp.zeros_like(padded)
  (values, weights), _ = jax.lax.scan(add, (zeros, zeros), jnp.arange(_SIDE * _SIDE))
  return values / jnp.where(weights > 0, weights, 1)


def denoise(image, sigma):
  """Take white noise off an image: hard thresholds for the cosine transforms of all blocks, then a Wiener filter.

  The mean over all blocks that hold a pixel, of 8 x 8 pixels: first of those whose coefficients below 2.7 sigma are
  dropped, then of those that are weighted by their power in the first result; their means stay as they are (Yu and Sapiro 2011, doi
  10.5201/ipol.2011.ys-dct; the second step as in BM3D, Dabov et al. 2007). Of three channels brightness and two colour
  differences are filtered.

  Args:
    image: [H, W, C], H and W at least 16.
    sigma: standard deviation of the noise, a number above 0 or a traced scalar.

  Example:
    >>> import jax, jax.numpy as jnp
    >>> from oes_jax import sliding_dct
    >>> noisy = 0.5 + 0.1 * jax.random.normal(jax.random.key(0), (32, 32, 1))
    >>> bool(jnp.std(sliding_dct.denoise(noisy, 0.1)) < 0.02)
    True
  """
  height, width, channels = image.shape
  colours = jnp.asarray(_OPPONENT if channels == 3 else np.eye(channels), image.dtype)
  sigma = jnp.asarray(sigma, image.dtype)
  blocks = tuple(-(-(side + _SIDE - 1) // _SIDE) for side in (height, width))
  before = _SIDE - 1
  after = [count * _SIDE - side for count, side in zip(blocks, (height, width))]
  inside = (slice(None), slice(before, before + height), slice(before, before + width))
  pad = lambda planes: jnp.pad(planes, [(0, 0), *((before, end) for end in after)], mode="reflect")

  def threshold(coefficients):
    kept = (jnp.abs(coefficients) > _THRESHOLD * sigma).at[:, :, 0, :, 0].set(True)
    return kept * coefficients, 1 / kept.sum((2, 4), keepdims=True).astype(image.dtype)

  def shrink(coefficients, pilot):
    gain = (pilot ** 2 / (pilot ** 2 + sigma ** 2)).at[:, :, 0, :, 0].set(1)
    return gain * coefficients, 1 / (gain ** 2).sum((2, 4), keepdims=True)

  padded = pad(jnp.einsum("kc,hwc->khw", colours, image))
  first = _per_block(threshold, padded, blocks)[inside]
  second = _per_block(shrink, padded, blocks, pad(first))[inside]
  return jnp.einsum("kc,khw->hwc", colours, second)
