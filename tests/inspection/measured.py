"""Images and scans whose noise and defects are known, made of photographs of scikit-image."""

import functools

import numpy as np
from skimage import data
from skimage import transform

from oes_jax import operators

PHOTOGRAPHS = ("camera", "astronaut", "chelsea", "coffee", "retina", "coins", "moon", "brick", "text")


@functools.lru_cache(maxsize=None)
def photograph(name="camera", side=128, colour=False):
  """Return the middle [side, side, 1] of a photograph, in (0, 1); in colour [side, side, 3]."""
  image = getattr(data, name)() / 255
  image = image[..., None] if image.ndim == 2 else image if colour else image.mean(-1, keepdims=True)
  top, left = ((length - side) // 2 for length in image.shape[:2])
  return image[top:top + side, left:left + side]


def normal(shape, seed=0):
  """Return white normal noise of standard deviation 1."""
  return np.random.default_rng(seed).standard_normal(shape)


def noisy(name="camera", sigma=0.05, seed=0):
  """Return a photograph with white noise."""
  return photograph(name) + sigma * normal(photograph(name).shape, seed)


def photons(peak, name="camera", gain=1.0, read=0.0, seed=0):
  """Return a photograph of `peak` photons at 1, each counted as `gain` units, with read noise in these units."""
  image = photograph(name)
  return gain * np.random.default_rng(seed).poisson(peak * image) + read * normal(image.shape, seed + 1)


def eight_bit(image):
  """Return an image as bytes, cut off at 0 and 1."""
  return np.uint8(np.clip(np.rint(255 * image), 0, 255))


@functools.lru_cache(maxsize=None)
def scene(side=64):
  """Return a whole photograph [side, side], grey."""
  return transform.resize(data.astronaut().mean(-1) / 255, (side, side), anti_aliasing=True)


def k_space(lines=None, *, coils=4, sigma=0.01, corner=False):
  """Return the arrays of a scan of a scene, of which `lines` was sampled."""
  image, maps = scene(), operators.simulated_coils((64, 64), coils)
  space = np.asarray(operators.centred_fft(maps * image * np.exp(1j * operators.smooth_phase(image.shape))))
  space = (space + sigma * (normal(space.shape) + 1j * normal(space.shape, 1))) * (1 if lines is None else lines)
  arrays = {"kspace": np.complex64(space), "coil_maps": maps}
  return {key: np.fft.ifftshift(value, (-2, -1)) for key, value in arrays.items()} if corner else arrays


@functools.lru_cache(maxsize=None)
def _projections(angles):
  return transform.radon(scene(), np.linspace(0, 180, angles, endpoint=False), circle=False)


def sinogram(angles=60, *, sigma=0.3, unit=1.0):
  """Return the arrays of a scan of a scene, its angles in degrees times `unit`."""
  values = _projections(angles)
  return {"sinogram": values + sigma * normal(values.shape), "angles": unit * np.linspace(0, 180, angles, endpoint=False),
          "shape": np.array([64, 64])}
