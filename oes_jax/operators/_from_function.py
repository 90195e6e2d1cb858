"""An operator of any function: adjoint, unit and first estimate are derived."""

import functools
from typing import Any, Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from oes_jax.operators import _operator


@functools.lru_cache(maxsize=None)  # one function object for one of the caller's: what is compiled for it serves again
def _without_params(apply):
  return lambda op_params, image: apply(image)


def from_function(apply: Callable[[Any], Any], image_shape: Sequence[int]) -> _operator.ForwardOperator:
  """Make an operator of any function of the image, linear or not, with a real or complex result.

  The unit is derived as the change of the measured values, in the root mean square, where a grey image changes by 1
  everywhere or by +-1 at random, whichever is larger. The estimate is the adjoint (of a nonlinear function: that of
  its derivative at a grey image), scaled so that it explains the measurement best.

  Args:
    apply: function image [H, W, C], in the unit range -> measurement, built of JAX operations.
    image_shape: shape (H, W, C) of the image.

  Raises:
    ValueError: `apply` gives no array of one or more values.

  Example:
    >>> import jax.numpy as jnp
    >>> from oes_jax import operators
    >>> magnitude = operators.from_function(lambda image: jnp.abs(jnp.fft.fft2(image, axes=(0, 1))), (16, 16, 1))
    >>> magnitude.bind(()) (jnp.ones((16, 16, 1))).shape
    (16, 16, 1)
  """
  shape = tuple(image_shape)
  grey = jnp.full(shape, 0.5, jnp.result_type(float))
  given = jax.eval_shape(apply, grey)
  if not isinstance(given, jax.ShapeDtypeStruct) or given.size == 0:
    raise ValueError(f"apply gives {given}; allowed: an array of one or more values.")
  signs = np.random.default_rng(0).choice([-1.0, 1.0], shape).astype(grey.dtype)
  change = jax.jit(lambda direction: jax.jvp(apply, (grey,), (direction,))[1])
  sizes = [float(np.sqrt(np.mean(np.square(np.abs(change(direction)))))) for direction in (jnp.ones_like(grey), signs)]

  def estimate(op_params, measurement):
    del op_params
    back = jax.vjp(apply, grey)[1](jnp.conj(jnp.asarray(measurement, given.dtype)))[0]
    ahead = jax.jvp(apply, (grey,), (back,))[1]
    power = jnp.sum(jnp.square(jnp.abs(ahead)))
    explained = jnp.sum(jnp.real(jnp.conj(ahead) * measurement))
    return back * jnp.where(power > 0, explained / jnp.where(power > 0, power, 1), 0)
  return _operator.ForwardOperator(lambda rng: (), _without_params(apply), _operator.all_seen, estimate, shape,
                                   max(sizes) or 1.0)
