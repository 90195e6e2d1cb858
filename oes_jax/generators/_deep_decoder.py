"""The deep decoder: 1 x 1 convolutions and bilinear upsampling of a coarse random input."""

from typing import Any, Sequence

import flax.linen as nn

from oes_jax.generators import _convolution
from oes_jax.generators import _generator
from oes_jax.generators._blocks import Conv
from oes_jax.generators._blocks import Norm


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


def _deep_decoder_graph(num_scales: int) -> tuple[_generator.Layer, ...]:
  layers = []
  for i in range(1, num_scales + 2):
    layers.append(_generator.Layer((f"conv_{i:02d}",), "conv", (len(layers) - 1,) if layers else (), True))
    layers.append(_generator.Layer((f"norm_{i:02d}",), "norm", (len(layers) - 1,), True))
  layers.append(_generator.Layer(("head",), "conv", (len(layers) - 1,), True))
  return tuple(layers)


def deep_decoder(image_shape: Sequence[int], *, num_scales: int = 6, channels: Sequence[int] | None = None,
                 conv: str = "gemm", precision: str | None = None, dtype: str | None = None) -> _generator.Generator:
  """Build the deep decoder (Heckel and Hand 2019, arXiv 1810.03982) for one image.

  Args:
    image_shape: (H, W, C) of the image, H and W at least 16 pixels.
    num_scales: number of resolution doublings, at least 1; lowered to what the image allows.
    channels: width of every block, coarsest first, num_scales + 1 of them; None is 128 for each.
    conv: form of the convolutions, "gemm" or "lax"; see `convolve`.
    precision: precision of the matrix products ("default", "high", "highest") or None.
    dtype: type of the convolutions' factors and products, e.g. "bfloat16"; None leaves them as they are.

  Returns:
    A Generator whose network input is [H' / 2^num_scales, W' / 2^num_scales, channels[0]].

  Raises:
    ValueError: the image is too small, `num_scales` is below 1, or there are too few widths.

  Example:
    >>> from oes_jax import generators
    >>> generators.deep_decoder((64, 64, 3), num_scales=3).net_input_shape
    (8, 8, 128)
  """
  num_scales = _generator.fitting_scales(image_shape, num_scales, channels, num_scales + 1)
  widths = tuple(channels or (128,) * (num_scales + 1))[:num_scales + 1]
  module = DeepDecoder(widths, image_shape[2], {"implementation": conv, "precision": precision, "dtype": dtype})
  return _generator.from_padded_module(
      "deep_decoder", module, image_shape, num_scales=num_scales, widths=widths, input_channels=widths[0],
      factor=2 ** num_scales, graph=_deep_decoder_graph(num_scales))
