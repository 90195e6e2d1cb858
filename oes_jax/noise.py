"""Noise models: how a measurement strays from what it measures, and how well a prediction explains it.

All values are in the unit range. Every data fit is scaled so that small residuals weigh, on average, as much as in
a mean squared error: the KL term of the mask stage keeps its meaning whatever the noise.
"""

import dataclasses
import functools
from typing import Any, Callable, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from oes_jax import settings

# Smallest prediction and variance that a fit divides by.
_FLOOR = 1e-3
# Residual from which the robust fit grows linearly.
_HUBER = 0.05


class Strength(NamedTuple):
  """How strong the noise is; a model reads what its definition names.

  Attributes:
    sigma: standard deviation.
    peak: expected counts at the value 1.
    share: share of the pixels.
  """
  sigma: Any
  peak: Any
  share: Any


class NoiseModel(NamedTuple):
  """A model of noise.

  Attributes:
    add: (key, image, Strength) -> noisy image.
    loss: (predicted, measured, Strength, average) -> loss of every value; `average` takes the mean over
      the values that were measured.
    reads: fields of Strength that `add` needs.
    fits_with: fields of Strength that `loss` needs.
    from_zero: whether the unit range has to start where nothing is measured.
  """
  add: Callable[..., Any]
  loss: Callable[..., Any]
  reads: tuple[str, ...]
  fits_with: tuple[str, ...] = ()
  from_zero: bool = False


def _add_gaussian(key, image, strength):
  """Add noise; of complex values to their real and their imaginary part, each as strong as that of a real one."""
  drawn = jax.random.normal(key, image.shape, image.dtype)  # complex: as strong in both parts together
  return image + strength.sigma * (np.sqrt(2).astype(drawn.real.dtype) * drawn if jnp.iscomplexobj(drawn) else drawn)


def _squared_error(predicted, measured, strength, average):
  del strength, average
  return jnp.square(predicted - measured)


def _add_poisson(key, image, strength):
  counts = jax.random.poisson(key, strength.peak * jnp.maximum(image, 0), image.shape)
  return counts.astype(image.dtype) / strength.peak


def _poisson_deviance(predicted, measured, strength, average):
  """Twice the log-likelihood ratio of Poisson counts, m log(m / p) - m + p, times the mean measurement.

  The number of counts at 1 scales the likelihood as a whole, and drops out of its minimum.
  """
  del strength
  p, m = jnp.maximum(predicted, _FLOOR), jnp.maximum(measured, 0)
  log_ratio = jnp.log(jnp.maximum(m, _FLOOR * _FLOOR)) - jnp.log(p)
  return 2 * average(m) * (jnp.where(m > 0, m * log_ratio, 0) - m + p)


def _weighed(predicted, measured, variance, average):
  """Squared error over the variance, which is taken as known, times its mean."""
  variance = jax.lax.stop_gradient(jnp.maximum(variance, _FLOOR ** 2))
  return jnp.square(predicted - measured) / variance / average(1 / variance)


def _add_poisson_gaussian(key, image, strength):
  counting, reading = jax.random.split(key)
  return _add_gaussian(reading, _add_poisson(counting, image, strength), strength)


def _poisson_gaussian(predicted, measured, strength, average):
  """Squared error over the variance p / peak + sigma^2 (Foi et al. 2008, IEEE TIP 17:1737)."""
  variance = jnp.maximum(predicted, 0) / strength.peak + strength.sigma ** 2
  return _weighed(predicted, measured, variance, average)


def _add_salt_and_pepper(key, image, strength):
  place, colour = jax.random.split(key)
  lost = jax.random.uniform(place, (*image.shape[:-1], 1)) < strength.share
  return jnp.where(lost, jax.random.bernoulli(colour, 0.5, lost.shape).astype(image.dtype), image)


def _huber(predicted, measured, strength, average):
  """Squared error up to a residual of 0.05, and linear beyond it."""
  del strength, average
  residual = jnp.abs(predicted - measured)
  return jnp.where(residual < _HUBER, jnp.square(residual), _HUBER * (2 * residual - _HUBER))


def _add_speckle(key, image, strength):
  return image * (1 + strength.sigma * jax.random.normal(key, image.shape, image.dtype))


def _speckle(predicted, measured, strength, average):
  """Squared error over the squared prediction: the noise is a factor."""
  del strength
  return _weighed(predicted, measured, jnp.square(jnp.maximum(predicted, 0.05)), average)


def _add_rician(key, image, strength):
  noise = strength.sigma * jax.random.normal(key, (2, *image.shape), image.dtype)
  return jnp.hypot(image + noise[0], noise[1])


def _rician(predicted, measured, strength, average):
  """Minus the Rician log-likelihood times 2 sigma^2 (Gudbjartsson and Patz 1995, MRM 34:910).

  p^2 + m^2 - 2 sigma^2 log I0(p m / sigma^2), which nears the squared error where the signal is strong.
  """
  del average
  z = jnp.maximum(predicted, 0) * measured / strength.sigma ** 2
  log_bessel = z + jnp.log(jax.scipy.special.i0e(z))
  return jnp.square(predicted) + jnp.square(measured) - 2 * strength.sigma ** 2 * log_bessel


NOISE_MODELS = {
    "gaussian": NoiseModel(_add_gaussian, _squared_error, ("sigma",)),
    "poisson": NoiseModel(_add_poisson, _poisson_deviance, ("peak",), from_zero=True),
    "poisson_gaussian": NoiseModel(
        _add_poisson_gaussian, _poisson_gaussian, ("peak", "sigma"), ("peak", "sigma"), from_zero=True),
    "salt_and_pepper": NoiseModel(_add_salt_and_pepper, _huber, ("share",)),
    "speckle": NoiseModel(_add_speckle, _speckle, ("sigma",), from_zero=True),
    "rician": NoiseModel(_add_rician, _rician, ("sigma",), ("sigma",), from_zero=True),
}


@functools.partial(jax.tree_util.register_dataclass, data_fields=("strength",), meta_fields=("model",))
@dataclasses.dataclass(frozen=True)
class Noise:
  """Noise of a model and a strength: what a Problem takes as its loss. A pytree whose leaves are the strength.

  Attributes:
    model: a key of NOISE_MODELS.
    strength: Strength, unit range; or () where the data fit does not depend on it.
  """
  model: str
  strength: Any = ()

  def add(self, key, image):
    """Return a noisy image.

    Args:
      key: PRNG key.
      image: array of any shape, in the unit range.
    """
    return NOISE_MODELS[self.model].add(key, image, self.strength)

  def loss(self, predicted, measured, average):
    """Return how badly a prediction explains every measured value, an array like `measured`.

    Args:
      predicted: what would be measured without noise.
      measured: what was measured.
      average: function that takes the mean of an array over the values that count.
    """
    return NOISE_MODELS[self.model].loss(predicted, measured, self.strength, average)


def _noise(model: str, **given: Any) -> Noise:
  for name in NOISE_MODELS[model].fits_with:
    value = given[name]
    if isinstance(value, (int, float)) and not value > 0:
      raise ValueError(f"{name}={value!r} is not allowed for {model} noise; allowed: a number above 0.")
  return Noise(model, Strength(**{name: given.get(name, 0.0) for name in Strength._fields}))


def gaussian(sigma=0.0) -> Noise:
  """Return Gaussian noise of standard deviation `sigma`; its data fit, the squared error, does not depend on it.

  Example:
    >>> import jax, jax.numpy as jnp
    >>> from oes_jax import noise
    >>> noise.gaussian(0.1).add(jax.random.key(0), jnp.full((8, 8, 1), 0.5)).shape
    (8, 8, 1)
  """
  return _noise("gaussian", sigma=sigma)


def poisson(peak=0.0) -> Noise:
  """Return Poisson noise of `peak` expected counts at the value 1; its data fit does not depend on it."""
  return _noise("poisson", peak=peak)


def poisson_gaussian(peak, sigma) -> Noise:
  """Return Poisson noise of `peak` expected counts at the value 1, and Gaussian noise of standard deviation `sigma`."""
  return _noise("poisson_gaussian", peak=peak, sigma=sigma)


def salt_and_pepper(share=0.0) -> Noise:
  """Return noise that makes a `share` of the pixels 0 or 1; its data fit, a robust one, does not depend on it."""
  return _noise("salt_and_pepper", share=share)


def speckle(sigma=0.0) -> Noise:
  """Return Gaussian noise that multiplies, of standard deviation `sigma`; its data fit does not depend on it."""
  return _noise("speckle", sigma=sigma)


def rician(sigma) -> Noise:
  """Return the noise of a magnitude whose two parts have Gaussian noise of standard deviation `sigma`."""
  return _noise("rician", sigma=sigma)


@dataclasses.dataclass(frozen=True)
class NoiseSettings(settings.Settings):
  """Settings of the noise: its model, and how strong it is. "OES" is the authors' code of arXiv 2406.05288."""
  model: str = settings.setting(
      "gaussian", "Model of the noise: gaussian, poisson, poisson_gaussian, salt_and_pepper, speckle or rician. The "
      "data fit is that of the model (gaussian: mean squared error [OES]; salt_and_pepper: robust; poisson_gaussian "
      "and rician read the strength below, which a measured file needs then).", choices=NOISE_MODELS)
  sigma: float | None = settings.setting(
      None, "Standard deviation, in the (0, 1) range (speckle: of the factor; an operator that sums pixels: of such a "
      "sum to one pixel); a noisy image is clipped to the range [OES]. None: 0.1 where noise is simulated, 0.02 with "
      "deblurring and super_resolution. 0: none. Set for a file it makes that the clean image, and noise is added: "
      "leave it None for a file that is noisy already, but with rician and poisson_gaussian, whose fit reads it.",
      kind=float, allowed="a number in [0, 1] (of the unit range), or None", test=lambda v: 0 <= v <= 1)
  peak: float | None = settings.setting(
      None, "Expected counts at the value 1, of poisson and poisson_gaussian; of a measured file `oes-jax inspect FILE` prints "
      "it. None: 100 where noise is simulated.",
      kind=float, allowed="a number > 0 (counts at the value 1), or None", test=lambda v: 0 < v < float("inf"))
  share: float | None = settings.setting(
      None, "Share of the pixels that become 0 or 1, of salt_and_pepper. None: 0.1 where noise is simulated.",
      kind=float, allowed="a number in [0, 1), or None", test=lambda v: 0 <= v < 1)
  seed: int | None = settings.setting(
      None, "Seed of the simulated noise. None: the config's seed.",
      kind=int, allowed="a whole number from 0 to 2^31 - 1, or None for seed", test=lambda v: 0 <= v < 2 ** 31)
