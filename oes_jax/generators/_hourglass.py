"""The hourglass: an encoder and a decoder without skip channels, the default generator of OES."""

from typing import Any, Sequence

import flax.linen as nn

from oes_jax.generators import _convolution
from oes_jax.generators import _generator
from oes_jax.generators._blocks import Conv
from oes_jax.generators._blocks import leaky_relu
from oes_jax.generators._blocks import Norm


class Hourglass(nn.Module):
  """Encoder-decoder without skip channels."""
  channels: tuple[int, ...]
  image_channels: int
  options: dict[str, Any]

  @nn.compact
  def __call__(self, x):
    for i, width in enumerate(self.channels, start=1):
      x = EncoderScale(width, self.options, name=f"encoder_{i:02d}")(x)
    for i, width in reversed(list(enumerate(self.channels, start=1))):
      x = _DecoderScale(width, self.options, name=f"decoder_{i:02d}")(x)
    x = Conv(self.image_channels, 1, _convolution.conv, self.options, name="head")(x)
    return nn.sigmoid(x)


class EncoderScale(nn.Module):
  """Two 5 x 5 convolutions to `width` channels, the first with a 2 x 2 average pool: half the pixels along each side."""
  width: int
  options: dict[str, Any]

  @nn.compact
  def __call__(self, x):
    x = Conv(self.width, 5, _convolution.conv_then_pool, self.options, name="conv_a")(x)
    x = leaky_relu(Norm(name="norm_a")(x))
    x = Conv(self.width, 5, _convolution.conv, self.options, name="conv_b")(x)
    return leaky_relu(Norm(name="norm_b")(x))


class _DecoderScale(nn.Module):
  width: int
  options: dict[str, Any]

  @nn.compact
  def __call__(self, x):
    # The authors upsample first; nearest upsampling leaves a norm's statistics unchanged.
    x = Norm(name="norm_in")(x)
    x = Conv(self.width, 3, _convolution.upsample_then_conv, self.options, name="conv")(x)
    return leaky_relu(Norm(name="norm_out")(x))


def channel_graph(num_scales: int, *, skips: bool) -> tuple[_generator.Layer, ...]:
  """Return the graph of an hourglass, with or without a skip branch beside every scale."""
  layers, branches, last = [], [], ()
  def add(path, kind, sources, constants_pass) -> tuple[int, ...]:
    layers.append(_generator.Layer(path, kind, sources, constants_pass))
    return (len(layers) - 1,)
  def add_conv_and_norm(scale, ending, sources):
    sources = add((scale, f"conv{ending}"), "conv", sources, False)
    return add((scale, f"norm{ending}"), "norm", sources, True)
  for i in range(1, num_scales + 1):
    branches.append(add_conv_and_norm(f"skip_{i:02d}", "", last) if skips else ())
    for ending in ("_a", "_b"):
      last = add_conv_and_norm(f"encoder_{i:02d}", ending, last)
  for i in range(num_scales, 0, -1):
    last = add((f"decoder_{i:02d}", "norm_in"), "norm", branches[i - 1] + last, False)
    last = add((f"decoder_{i:02d}", "conv"), "conv", last, False)
    last = add((f"decoder_{i:02d}", "norm_out"), "norm", last, True)
  add(("head",), "conv", last, True)
  return tuple(layers)


def input_spec(input_channels: int) -> dict[str, int]:
  """Return what a spec says of the network input: nothing where it has the published 32 channels.

  Raises:
    ValueError: it has none.
  """
  if input_channels < 1:
    raise ValueError(f"input_channels={input_channels} is not allowed; allowed: 1 or more.")
  return {} if input_channels == 32 else {"input_channels": input_channels}


def hourglass(image_shape: Sequence[int], *, num_scales: int = 6, channels: Sequence[int] | None = None,
              input_channels: int = 32, conv: str = "gemm", precision: str | None = None,
              dtype: str | None = None) -> _generator.Generator:
  """Build the hourglass of Optimal Eye Surgeon (Ghosh et al. 2024, arXiv 2406.05288) for one image.

  Each of `num_scales` encoder scales convolves 5 x 5, pools 2 x 2, and convolves 5 x 5 again; each decoder scale
  doubles the pixels and convolves 3 x 3; a 1 x 1 convolution and a sigmoid end it. The net runs at the next multiples
  of 2^num_scales and its output is cropped (centre) to H x W.

  Args:
    image_shape: (H, W, C) of the image, H and W at least 16 pixels.
    num_scales: number of resolution halvings, at least 1. It is lowered to what the image allows (the deepest map
      stays 4 pixels wide); `spec["num_scales"]` says what was used.
    channels: width of every scale, finest first; None is the published 16, 32, 64, 128, 128, 128.
    input_channels: channels of the network input, at least 1.
    conv: form of the convolutions, "gemm" or "lax"; see `convolve`.
    precision: precision of the matrix products ("default", "high", "highest") or None.
    dtype: type of the convolutions' factors and products, e.g. "bfloat16"; None leaves them as they are.

  Returns:
    A Generator whose network input is [H', W', input_channels], H' and W' the padded sides.

  Raises:
    ValueError: the image is too small, `num_scales` or `input_channels` is below 1, or there are too few widths.

  Example:
    >>> import jax
    >>> from oes_jax import generators
    >>> generator = generators.hourglass((32, 48, 3), num_scales=1)
    >>> params, mask_logits = generator.init(jax.random.key(0))
    >>> generator.apply(params, generator.sample_input(jax.random.key(1))).shape
    (32, 48, 3)
  """
  num_scales = _generator.fitting_scales(image_shape, num_scales, channels, num_scales)
  widths = tuple(channels or ((16, 32, 64) + (128,) * max(0, num_scales - 3)))[:num_scales]
  module = Hourglass(widths, image_shape[2], {"implementation": conv, "precision": precision, "dtype": dtype})
  return _generator.from_padded_module(
      "hourglass", module, image_shape, num_scales=num_scales, widths=widths, input_channels=input_channels, factor=1,
      graph=channel_graph(num_scales, skips=False), own_spec=input_spec(input_channels))
