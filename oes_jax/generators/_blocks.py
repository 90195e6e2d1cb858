"""Layers of the generators, in linen: a convolution in one of the exact forms, and a norm of one image."""

import math
from typing import Any, Callable

import flax.linen as nn
import jax.numpy as jnp

from oes_jax import random
from oes_jax.generators import _convolution


def _uniform_fan_in(key, shape, fan_in):
  """PyTorch's Conv2d default: U(-b, b), b = 1 / sqrt(fan_in), for kernels and biases alike."""
  # Not jax.random: 86 threefry draws take 8 s to compile, these 2 s (2 cores, 2026-11-24).
  uniform = random.uniform(key, 0, shape, jnp.result_type(float))
  return (2 * uniform - 1) / math.sqrt(fan_in)


def _param(module: nn.Module, name: str, init, shape, *args):
  """A parameter that is drawn with `shape`, and read with whatever shape it is given.

  Linen would insist on `shape`; a compacted tree (see `compaction`) has fewer channels.
  """
  if module.has_variable("params", name):
    return module.get_variable("params", name)
  return module.param(name, init, shape, *args)


class Conv(nn.Module):
  """A convolution with one of the forms of `convolution` (conv, conv_then_pool, ...), of all the images it takes."""
  features: int
  size: int
  form: Callable[..., Any]
  options: dict[str, Any]
  use_bias: bool = True

  @nn.compact
  def __call__(self, *images):
    shape = (self.size, self.size, sum(image.shape[-1] for image in images), self.features)
    fan_in = math.prod(shape[:3])
    kernel = _param(self, "kernel", _uniform_fan_in, shape, fan_in)
    x = self.form(*images, kernel, **self.options)
    if self.use_bias:
      x = x + _param(self, "bias", _uniform_fan_in, shape[-1:], fan_in)[None, None]
    return x


def _scale_and_offset(module: nn.Module, channels: int):
  return (_param(module, "scale", lambda _, shape: jnp.ones(shape), (channels,)),
          _param(module, "offset", lambda _, shape: jnp.zeros(shape), (channels,)))


class Norm(nn.Module):
  """Per-channel normalisation over the pixels of one image; no running statistics exist."""

  @nn.compact
  def __call__(self, x):
    return _convolution.normalise_channels(x, *_scale_and_offset(self, x.shape[-1]))


class ConcatenatedNorm(nn.Module):
  """The norm of two images' concatenated channels; the images stay apart, and may differ in their pixels."""

  @nn.compact
  def __call__(self, first, second):
    channels = first.shape[-1]
    scale, offset = _scale_and_offset(self, channels + second.shape[-1])
    return (_convolution.normalise_channels(first, scale[:channels], offset[:channels]),
            _convolution.normalise_channels(second, scale[channels:], offset[channels:]))


def leaky_relu(x):
  """Return x where it is above 0, else 0.2 x."""
  return nn.leaky_relu(x, 0.2)
