"""The sliding cosine transform: against a plain loop over blocks, and what it leaves alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import fft

from oes_jax import sliding_dct


def _plainly(image, sigma):
  """The same of one channel, block by block, with SciPy's transforms."""
  padded = np.pad(image, [(7, 14), (7, 14)], mode="reflect")
  def filtered(source, gains_of):
    values, weights = np.zeros_like(padded), np.zeros_like(padded)
    # Every block that a grid at one of the 64 places holds; those off the image's pixels change none of them.
    for top in range(image.shape[0] + 7):
      for left in range(image.shape[1] + 7):
        place = np.s_[top:top + 8, left:left + 8]
        gains, weight = gains_of(fft.dctn(source[place], norm="ortho"))
        values[place] += weight * fft.idctn(gains * fft.dctn(padded[place], norm="ortho"), norm="ortho")
        weights[place] += weight
    return (values / np.where(weights > 0, weights, 1))[7:-14, 7:-14]
  def threshold(coefficients):
    kept = np.abs(coefficients) > 2.7 * sigma
    kept[0, 0] = True
    return kept, 1 / kept.sum()
  def wiener(coefficients):
    gains = coefficients ** 2 / (coefficients ** 2 + sigma ** 2)
    gains[0, 0] = 1
    return gains, 1 / np.sum(gains ** 2)
  first = filtered(padded, threshold)
  return filtered(np.pad(first, [(7, 14), (7, 14)], mode="reflect"), wiener)


@pytest.mark.parametrize("shape", [(16, 24), (19, 17)])
def test_it_is_the_mean_over_all_blocks(x64, shape):
  image = np.random.default_rng(0).normal(0.5, 0.3, shape)
  np.testing.assert_allclose(sliding_dct.denoise(jnp.asarray(image[..., None]), 0.2)[..., 0], _plainly(image, 0.2), atol=1e-12)


def test_colours_keep_what_has_no_noise_and_lose_noise_of_all_channels(x64):
  clean = jnp.broadcast_to(jnp.asarray([0.2, 0.5, 0.7]), (32, 32, 3))
  np.testing.assert_allclose(sliding_dct.denoise(clean, 0.1), clean, atol=1e-12)
  noisy = clean + 0.1 * jax.random.normal(jax.random.key(0), clean.shape)
  left = sliding_dct.denoise(noisy, 0.1) - clean
  assert jnp.all(left.std((0, 1)) < 0.02)


def test_a_traced_strength_and_a_batch_are_those_alone(x64):
  images = jax.random.uniform(jax.random.key(0), (2, 16, 16, 2))
  together = jax.jit(jax.vmap(sliding_dct.denoise))(images, jnp.asarray([0.1, 0.3]))
  for image, sigma, one in zip(images, (0.1, 0.3), together):
    np.testing.assert_allclose(sliding_dct.denoise(image, sigma), one, atol=1e-12)
