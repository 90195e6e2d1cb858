"""The image that a network is fed with: what an operator measured, brought to the pixels of the image."""

import jax.numpy as jnp
import numpy as np

# Weight of the coarser image where the finer one sees nothing.
_LITTLE = 1e-2
# Pixels along a side that become one of the next coarser image.
_COARSER = 4


def _blur(image):
  """Blur [H, W, C] by [1, 4, 6, 4, 1] / 16 along both axes, a Gaussian of one pixel; zeros lie outside."""
  for axis in (0, 1):
    padded = jnp.pad(image, [(2, 2) if place == axis else (0, 0) for place in range(3)])
    cut = lambda start: jnp.take(padded, np.arange(start, start + image.shape[axis]), axis)  # pylint: disable=cell-var-from-loop
    image = (cut(0) + 4 * cut(1) + 6 * cut(2) + 4 * cut(3) + cut(4)) / 16
  return image


def _spread(values, weights):
  """Return the mean of the values around every pixel, from as far as it takes: [H, W, C] of sums and [H, W, 1] of weights."""
  height, width = weights.shape[:2]
  if max(height, width) <= _COARSER:
    total = weights.sum((0, 1))
    return jnp.broadcast_to(values.sum((0, 1)) / jnp.where(total > 0, total, 1), values.shape)
  rows, columns = -height % _COARSER, -width % _COARSER
  def pool(image):
    image = jnp.pad(image, ((0, rows), (0, columns), (0, 0)))
    return image.reshape(image.shape[0] // _COARSER, _COARSER, image.shape[1] // _COARSER, _COARSER, -1).sum((1, 3))
  coarse = _spread(pool(values), pool(weights))
  far = jnp.repeat(jnp.repeat(coarse, _COARSER, 0), _COARSER, 1)[:height, :width]
  return (_blur(values) + _LITTLE * far) / (_blur(weights) + _LITTLE)


def fill(values, seen=None):
  """Keep what was measured, and fill the rest with means of what lies around it (normalised convolution).

  Knutsson and Westin 1993, over ever coarser images where nothing lies near.

  Args:
    values: [H, W, C].
    seen: [H, W, 1], 1 where a value was measured, else 0; None: everywhere.
  """
  if seen is None:
    return values
  return jnp.where(seen > 0, values, _spread(values * seen, seen))


def filled_image(op_params, values, seen):
  """Return the measurement, an image, with what was not measured filled in: [H, W, C]."""
  del op_params
  return fill(values, seen)


def filled_and_known(op_params, values, seen):
  """Return the measurement with what was not measured filled in, and the channel that says so: [H, W, C + 1]."""
  del op_params
  known = jnp.ones((*values.shape[:2], 1), values.dtype) if seen is None else seen.astype(values.dtype)
  return jnp.concatenate([fill(values, seen), known], -1)
