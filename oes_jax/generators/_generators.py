"""Untrained image generators G(params, net_input), for one image without a batch axis.

A generator is pure functions around a linen module. It also exposes its channel graph: the list
of its conv and norm layers, from which the effect of a mask can be worked out without knowing
the network (see `compaction`). The order of the graph is the order in which PyTorch registers
the same layers, so it also orders the authors' flat masks.
"""

import math
from typing import Any, Callable, Literal, NamedTuple, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from oes_jax.generators import _convolution
from oes_jax import random


class Layer(NamedTuple):
  """One conv or norm of a generator's channel graph.

  Attributes:
    path: keys of its arrays in the params tree, e.g. ("encoder_01", "conv_a").
    kind: "conv" (arrays kernel and perhaps bias) or "norm" (arrays scale and offset).
    source: index in the graph of the layer that feeds it; None is the net input.
    constants_pass: conv: whether a spatially constant input or bias changes the image (False
      where a norm follows before any nonlinearity, and removes it). Norm: whether a nonlinearity
      follows, so that the offset of a varying channel acts.
  """
  path: tuple[str, ...]
  kind: Literal["conv", "norm"]
  source: int | None
  constants_pass: bool


class Generator(NamedTuple):
  """A generator of one image.

  Attributes:
    init: key -> (params, mask_logits), two trees with one treedef.
    apply: (params, net_input) -> image [H, W, C] in (0, 1). The widths are those of `params`,
      so a compacted tree with its compacted input works too.
    net_input_shape: (h, w, c) of the fixed random input.
    padded_shape: (H, W) at which the net runs; its output is cropped to the image.
    graph: its layers, in order of evaluation.
    spec: what a mask of this generator depends on: name, num_scales, channels, image_channels.
  """
  init: Callable[[Any], tuple[Any, Any]]
  apply: Callable[[Any, Any], Any]
  net_input_shape: tuple[int, int, int]
  padded_shape: tuple[int, int]
  graph: tuple[Layer, ...]
  spec: dict[str, Any]


def sample_net_input(key, shape):
  """Draw the fixed network input 0.1 * U[0, 1) [authors' code]."""
  return 0.1 * jax.random.uniform(key, shape)


def centre(frame: Sequence[int], size: Sequence[int]) -> tuple[slice, slice]:
  """Return the (rows, columns) of an image of `size` (H, W, ...) in the middle of a `frame`."""
  return tuple(slice((outer - inner) // 2, (outer - inner) // 2 + inner)
               for outer, inner in zip(frame[:2], size[:2]))


def max_num_scales(image_shape: Sequence[int]) -> int:
  """Most scales for an H x W image: the deepest map stays at least 4 pixels wide."""
  return int(math.log2(min(image_shape[:2]) / 4))


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
  """A convolution with one of the forms of `convolution` (conv, conv_then_pool, ...)."""
  features: int
  size: int
  form: Callable[..., Any]
  options: dict[str, Any]
  use_bias: bool = True

  @nn.compact
  def __call__(self, x):
    shape = (self.size, self.size, x.shape[-1], self.features)
    fan_in = math.prod(shape[:3])
    kernel = _param(self, "kernel", _uniform_fan_in, shape, fan_in)
    x = self.form(x, kernel, **self.options)
    if self.use_bias:
      x = x + _param(self, "bias", _uniform_fan_in, shape[-1:], fan_in)[None, None]
    return x


class Norm(nn.Module):
  """Per-channel normalisation over the pixels of one image; no running statistics exist."""

  @nn.compact
  def __call__(self, x):
    scale = _param(self, "scale", lambda _, shape: jnp.ones(shape), x.shape[-1:])
    offset = _param(self, "offset", lambda _, shape: jnp.zeros(shape), x.shape[-1:])
    return _convolution.normalise_channels(x, scale, offset)


def _leaky_relu(x):
  return nn.leaky_relu(x, 0.2)


class Hourglass(nn.Module):
  """Encoder-decoder without skip channels: the authors' default generator."""
  channels: tuple[int, ...]
  image_channels: int
  options: dict[str, Any]

  @nn.compact
  def __call__(self, x):
    for i, width in enumerate(self.channels, start=1):
      x = _EncoderScale(width, self.options, name=f"encoder_{i:02d}")(x)
    for i, width in reversed(list(enumerate(self.channels, start=1))):
      x = _DecoderScale(width, self.options, name=f"decoder_{i:02d}")(x)
    x = Conv(self.image_channels, 1, _convolution.conv, self.options, name="head")(x)
    return nn.sigmoid(x)


class _EncoderScale(nn.Module):
  width: int
  options: dict[str, Any]

  @nn.compact
  def __call__(self, x):
    x = Conv(self.width, 5, _convolution.conv_then_pool, self.options, name="conv_a")(x)
    x = _leaky_relu(Norm(name="norm_a")(x))
    x = Conv(self.width, 5, _convolution.conv, self.options, name="conv_b")(x)
    return _leaky_relu(Norm(name="norm_b")(x))


class _DecoderScale(nn.Module):
  width: int
  options: dict[str, Any]

  @nn.compact
  def __call__(self, x):
    # The authors upsample first; nearest upsampling leaves a norm's statistics unchanged.
    x = Norm(name="norm_in")(x)
    x = Conv(self.width, 3, _convolution.upsample_then_conv, self.options, name="conv")(x)
    return _leaky_relu(Norm(name="norm_out")(x))


def _hourglass_graph(num_scales: int) -> tuple[Layer, ...]:
  layers = []
  def add(path, kind, constants_pass):
    layers.append(Layer(path, kind, len(layers) - 1 if layers else None, constants_pass))
  for i in range(1, num_scales + 1):
    for half in "ab":
      add((f"encoder_{i:02d}", f"conv_{half}"), "conv", False)
      add((f"encoder_{i:02d}", f"norm_{half}"), "norm", True)
  for i in range(num_scales, 0, -1):
    add((f"decoder_{i:02d}", "norm_in"), "norm", False)
    add((f"decoder_{i:02d}", "conv"), "conv", False)
    add((f"decoder_{i:02d}", "norm_out"), "norm", True)
  add(("head",), "conv", True)
  return tuple(layers)


class DeepDecoder(nn.Module):
  """Deep decoder (Heckel and Hand 2019, arXiv 1810.03982): 1 x 1 convs, bilinear x2, ReLU, norm."""
  channels: tuple[int, ...]
  image_channels: int
  options: dict[str, Any]

  @nn.compact
  def __call__(self, x):
    last = len(self.channels) - 1  # the last block does not upsample
    for i, width in enumerate(self.channels):
      x = Conv(width, 1, _convolution.conv, self.options, use_bias=False, name=f"conv_{i + 1:02d}")(x)
      if i < last:
        x = _convolution.upsample_bilinear(x)
      x = Norm(name=f"norm_{i + 1:02d}")(nn.relu(x))
    x = Conv(self.image_channels, 1, _convolution.conv, self.options, use_bias=False, name="head")(x)
    return nn.sigmoid(x)


def _deep_decoder_graph(num_scales: int) -> tuple[Layer, ...]:
  layers = []
  for i in range(1, num_scales + 2):
    layers.append(Layer((f"conv_{i:02d}",), "conv", len(layers) - 1 if layers else None, True))
    layers.append(Layer((f"norm_{i:02d}",), "norm", len(layers) - 1, True))
  layers.append(Layer(("head",), "conv", len(layers) - 1, True))
  return tuple(layers)


def _hourglass_layout(num_scales, channels):
  default = (16, 32, 64) + (128,) * max(0, num_scales - 3)
  return (channels or default)[:num_scales], 32, 1


def _deep_decoder_layout(num_scales, channels):
  widths = channels or (128,) * (num_scales + 1)
  return widths[:num_scales + 1], widths[0], 2 ** num_scales


class _Architecture(NamedTuple):
  module: type[nn.Module]
  graph: Callable[[int], tuple[Layer, ...]]
  layout: Callable[[int, Any], tuple[tuple[int, ...], int, int]]  # widths, input channels, factor
  extra_widths: int  # how many widths beyond num_scales it needs


def make_generator(name: str, *, image_shape: Sequence[int], num_scales: int,
                   channels: Sequence[int] | None = None, conv: str = "gemm",
                   precision: str | None = None, dtype: str | None = None) -> Generator:
  """Build a generator for one image.

  The net runs at the next multiples of 2^num_scales and its output is cropped (centre) to H x W,
  so a loss sees only real pixels. `num_scales` is lowered to `max_num_scales(image_shape)` where
  it exceeds that; `spec["num_scales"]` says what was used.

  Args:
    name: a key of GENERATORS.
    image_shape: (H, W, C), H and W >= 16.
    num_scales: resolution halvings (hourglass) or doublings (deep decoder), >= 1.
    channels: widths per scale, finest first for the hourglass; None is the published widths.
    conv: "gemm" or "lax" (see `convolution.convolve`).
    precision: matrix product precision ("default", "high", "highest") or None.
    dtype: type of the convolutions' factors and products, e.g. "bfloat16"; None leaves them as they
      are. Params, norms and the image keep their own type.

  Raises:
    ValueError: unknown name, too small an image, or too few widths.
  """
  if name not in GENERATORS:
    raise ValueError(f"generator.name={name!r} is unknown; allowed: {', '.join(GENERATORS)}.")
  height, width, image_channels = image_shape
  if min(height, width) < 16 or image_channels < 1:
    raise ValueError(f"an image of {height}x{width} pixels and {image_channels} channels is too "
                     "small; allowed: at least 16x16 with 1 channel (data.source, data.crop).")
  if num_scales < 1:
    raise ValueError(f"generator.num_scales={num_scales} is not allowed; allowed: 1 or more.")
  architecture = GENERATORS[name]
  needed = num_scales + architecture.extra_widths
  if channels is not None and (len(channels) < needed or min(channels) < 1):
    raise ValueError(f"generator.channels={tuple(channels)} is not allowed; allowed: at least "
                     f"{needed} widths >= 1 for generator.num_scales={num_scales}.")
  num_scales = min(num_scales, max_num_scales(image_shape))
  widths, input_channels, factor = architecture.layout(num_scales, tuple(channels or ()))
  multiple = 2 ** num_scales
  padded_h, padded_w = (-(-size // multiple) * multiple for size in (height, width))
  net_input_shape = (padded_h // factor, padded_w // factor, input_channels)
  options = {"implementation": conv, "precision": precision, "dtype": dtype}
  module = architecture.module(widths, image_channels, options)
  rows, columns = centre((padded_h, padded_w), (height, width))

  @jax.jit
  def init(key):
    # jit drops the forward pass: only the draws are computed.
    params = module.init(key, jnp.zeros(net_input_shape))["params"]
    return params, jax.tree.map(jnp.zeros_like, params)

  def apply(params, net_input):
    image = module.apply({"params": params}, net_input)
    return image[rows, columns]

  spec = {"name": name, "num_scales": num_scales, "channels": list(widths),
          "image_channels": image_channels}
  return Generator(init, apply, net_input_shape, (padded_h, padded_w), architecture.graph(num_scales), spec)


GENERATORS = {
    "hourglass": _Architecture(Hourglass, _hourglass_graph, _hourglass_layout, 0),
    "deep_decoder": _Architecture(DeepDecoder, _deep_decoder_graph, _deep_decoder_layout, 1),
}
