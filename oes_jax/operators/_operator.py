"""Forward operators: what a measurement is of an image.

An operator is a pair (init, apply) of one image, without a batch axis: `apply(op_params, image)` maps
[H, W, C] to the measurement, and `op_params` is a pytree, so that it may differ from image to image under
vmap. Operators of one kind and shape share one `apply`, so that what is compiled for one serves all. Complex values are
two real channels at the end of an array.
"""

import functools
import math
from typing import Any, Callable, NamedTuple, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from oes_jax.operators import _first_image


def _same(values):
  return values


class ForwardOperator(NamedTuple):
  """What is measured of an image.

  Attributes:
    init: function (NumPy random generator) -> op_params, NumPy arrays; what is random in them is drawn there.
    apply: function (op_params, image [H, W, C]) -> measurement.
    seen: function op_params -> which values of the measurement were made, [..., 1] of 0 and 1; or None: all.
    estimate: function (op_params, measurement) -> a first image [H, W, C], to show and to compare with.
    image_shape: shape (H, W, C) of the image; None where it does not matter.
    unit: change of a measured value that weighs as one of 1 in the image: 1 where a measured value is a
      mean of pixels, the norm of its row where it is a sum with random signs.
    num_bytes: bytes of memory that its parameters and its gradient need, where that is much.
    measures_image: whether the measurement is itself an image, in the unit range.
    tileable: whether each pixel is measured by itself, so that an image may be cut into tiles or framed.
    is_complex: whether the image's two channels are the parts of a complex one, symmetric about 0.5.
    first_image: function (op_params, measurement, seen) -> image [H, W, K] to feed a network with, traceable; of `seen`,
      [..., 1] of 0 and 1, only what is 1 may be used, None is all. None: `estimate` of what is seen.
    split_axes: axes of the measurement along which parts can be left out of what a network is fed with, each across all
      other axes: the lines of k-space, the angles of a sinogram, pixels. (): none.
    split_share: share of these parts that a network is fed with where none is asked for.
    noise_level: function (op_params, measurement) -> standard deviation of the noise of measured values, or None: it
      cannot be told; the function itself is None where it is told from the image that is measured, or not at all.
    plug_and_play: (weight of the denoised image, last noise level that is taken off, in standard deviations of the noise)
      of a plug-and-play estimate; those of DPIR (Zhang et al. 2021) where the operator mixes pixels.
  """
  init: Callable[[np.random.Generator], Any]
  apply: Callable[[Any, Any], Any]
  seen: Callable[[Any], Any]
  estimate: Callable[[Any, Any], Any]
  image_shape: tuple[int, int, int] | None = None
  unit: float = 1.0
  num_bytes: int = 0
  measures_image: bool = False
  tileable: bool = False
  is_complex: bool = False
  first_image: Callable[[Any, Any, Any], Any] | None = None
  split_axes: tuple[int, ...] = ()
  split_share: float = 1.0
  noise_level: Callable[[Any, Any], float | None] | None = None
  plug_and_play: tuple[float, float] = (0.23, 1.0)

  def bind(self, op_params):
    """Return the function image -> measurement, a pytree whose leaves are `op_params`: a Problem's `forward`."""
    return jax.tree_util.Partial(self.apply, op_params)

  def bind_first_image(self, op_params):
    """Return the function (measurement, seen) -> first image, a pytree: a Problem's `first_image`."""
    return jax.tree_util.Partial(_first_image_of(self), op_params)


def _first_image_of(operator: ForwardOperator):
  return operator.first_image or _estimate_of_seen(operator.estimate)


@functools.lru_cache(maxsize=None)  # one function object for one of an operator's
def _estimate_of_seen(estimate):
  def first_image(op_params, measurement, seen):
    if seen is not None:
      measurement = measurement * (seen[..., 0] if jnp.iscomplexobj(measurement) else seen)
    return estimate(op_params, measurement)
  return first_image


def adjoint(apply: Callable[[Any, Any], Any], op_params, measurement, image_shape):
  """Apply the exact transpose: <A x, y> = <x, adjoint(y)> for all x and y.

  Args:
    apply: function (op_params, image) -> measurement of a linear operator A.
    op_params: parameters of A.
    measurement: array y, shaped as A gives it.
    image_shape: shape (H, W, C) of x.
  """
  image = jax.ShapeDtypeStruct(tuple(image_shape), jnp.result_type(float))
  forward = lambda x: apply(op_params, x)
  values = jnp.asarray(measurement, jax.eval_shape(forward, image).dtype)
  return jax.linear_transpose(forward, image)(values)[0]


@functools.lru_cache(maxsize=None)
def adjoint_of(apply: Callable[[Any, Any], Any], image_shape: tuple[int, int, int]) -> Callable[[Any, Any], Any]:
  """Return the function (op_params, measurement) -> image of `adjoint`, one object for all operators of a kind and shape."""
  return lambda op_params, measurement: adjoint(apply, op_params, measurement, image_shape)


def is_linear(operator: ForwardOperator) -> bool:
  """Whether the measurement of a sum of two images is, to rounding, the sum of their measurements; tried on random ones."""
  rng = np.random.default_rng(0)
  op_params, images = operator.init(rng), rng.random((2, *operator.image_shape)).astype(np.float32)
  parts = [np.asarray(operator.apply(op_params, image)) for image in (*images, images[0] / 2 + images[1] / 4)]
  return np.allclose(parts[2], parts[0] / 2 + parts[1] / 4, rtol=1e-3, atol=1e-3 * np.max(np.abs(parts[:2])))


def count_measured(operator: ForwardOperator, image_shape: Sequence[int]) -> int:
  """Return how many real values are measured; at most as many as the image (H, W, C) has."""
  op_params = operator.init(np.random.default_rng(0))
  measured = jax.eval_shape(operator.apply, op_params, jax.ShapeDtypeStruct(tuple(image_shape), np.float32))
  seen = operator.seen(op_params)
  parts = 2 if jnp.issubdtype(measured.dtype, jnp.complexfloating) else 1
  count = parts * math.prod(measured.shape) if seen is None else int(np.sum(seen)) * measured.shape[-1]
  return min(count, math.prod(image_shape))


def count_first_image_channels(operator: ForwardOperator, image_shape: Sequence[int]) -> int:
  """Return the channels of the first image that an operator feeds a network with, of an image (H, W, C)."""
  op_params = operator.init(np.random.default_rng(0))
  def first_image(image):
    return operator.bind_first_image(op_params)(operator.apply(op_params, image), None)
  return jax.eval_shape(first_image, jax.ShapeDtypeStruct(tuple(image_shape), np.float32)).shape[-1]


def chain(*operators: ForwardOperator) -> ForwardOperator:
  """Return the operator that applies all, the first one to the image; op_params is their tuple.

  What is measured is what the last one says.
  """
  last = operators[-1]
  def init(rng):
    return tuple(operator.init(rng) for operator in operators)
  def estimate(op_params, measurement):
    for operator, params in zip(reversed(operators), reversed(op_params), strict=True):
      measurement = operator.estimate(params, measurement)
    return measurement
  return ForwardOperator(
      init, _chained(tuple(operator.apply for operator in operators)), lambda op_params: last.seen(op_params[-1]),
      estimate, operators[0].image_shape, math.prod(operator.unit for operator in operators),
      sum(operator.num_bytes for operator in operators), all(operator.measures_image for operator in operators),
      all(operator.tileable for operator in operators), operators[0].is_complex,
      first_image=_chained_back(tuple(_first_image_of(operator) for operator in operators)), split_axes=last.split_axes,
      split_share=last.split_share,
      noise_level=last.noise_level and (lambda op_params, measurement: last.noise_level(op_params[-1], measurement)),
      plug_and_play=max(operator.plug_and_play for operator in operators))


@functools.lru_cache(maxsize=None)
def _chained(applies):
  def apply(op_params, image):
    for function, params in zip(applies, op_params, strict=True):
      image = function(params, image)
    return image
  return apply


@functools.lru_cache(maxsize=None)
def _chained_back(first_images):
  def first_image(op_params, image, seen):
    for function, params in zip(reversed(first_images), reversed(op_params), strict=True):
      image, seen = function(params, image, seen), None
    return image
  return first_image


def all_seen(op_params) -> None:
  """Say that every value of the measurement was made."""
  del op_params


def _measured(op_params, image):
  del op_params
  return image


def identity(image_shape: Sequence[int] | None = None) -> ForwardOperator:
  """Return the operator that measures the image itself.

  Args:
    image_shape: shape (H, W, C) of the image, or None: any.
  """
  return ForwardOperator(lambda rng: (), _measured, all_seen, lambda op_params, measurement: measurement,
                         image_shape and tuple(image_shape), measures_image=True, tileable=True,
                         first_image=_first_image.filled_image, plug_and_play=(0.03, 1.0))


def shape_of(operator: ForwardOperator, op_params) -> tuple[int, ...]:
  """Return the shape of what an operator measures of an image of its shape."""
  image = jax.ShapeDtypeStruct(operator.image_shape, jnp.result_type(float))
  return jax.eval_shape(operator.apply, op_params, image).shape
