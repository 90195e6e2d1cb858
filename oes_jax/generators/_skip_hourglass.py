"""The skip hourglass: an hourglass whose every decoder scale also sees what its encoder scale saw, through few channels."""

from typing import Any, Sequence

import flax.linen as nn

from oes_jax.generators import _convolution
from oes_jax.generators import _generator
from oes_jax.generators import _hourglass
from oes_jax.generators._blocks import ConcatenatedNorm
from oes_jax.generators._blocks import Conv
from oes_jax.generators._blocks import leaky_relu
from oes_jax.generators._blocks import Norm


class SkipHourglass(nn.Module):
  """Encoder-decoder with a skip branch beside every scale."""
  channels: tuple[int, ...]
  skip_channels: int
  image_channels: int
  options: dict[str, Any]

  @nn.compact
  def __call__(self, x):
    skips = []
    for i, width in enumerate(self.channels, start=1):
      skips.append(_Skip(self.skip_channels, self.options, name=f"skip_{i:02d}")(x))
      x = _hourglass.EncoderScale(width, self.options, name=f"encoder_{i:02d}")(x)
    for i, width in reversed(list(enumerate(self.channels, start=1))):
      x = _DecoderScale(width, self.options, name=f"decoder_{i:02d}")(skips[i - 1], x)
    x = Conv(self.image_channels, 1, _convolution.conv, self.options, name="head")(x)
    return nn.sigmoid(x)


class _Skip(nn.Module):
  width: int
  options: dict[str, Any]

  @nn.compact
  def __call__(self, x):
    x = Conv(self.width, 1, _convolution.conv, self.options, name="conv")(x)
    return leaky_relu(Norm(name="norm")(x))


class _DecoderScale(nn.Module):
  width: int
  options: dict[str, Any]

  @nn.compact
  def __call__(self, skip, deeper):
    # The authors upsample the deeper one first; nearest upsampling leaves a norm's statistics unchanged.
    skip, deeper = ConcatenatedNorm(name="norm_in")(skip, deeper)
    x = Conv(self.width, 3, _convolution.concatenate_then_conv, self.options, name="conv")(skip, deeper)
    return leaky_relu(Norm(name="norm_out")(x))


def skip_hourglass(image_shape: Sequence[int], *, num_scales: int = 6, channels: Sequence[int] | None = None,
                   skip_channels: int = 4, input_channels: int = 32, conv: str = "gemm", precision: str | None = None,
                   dtype: str | None = None) -> _generator.Generator:
  """Build the hourglass with skip branches of the deep image prior (Ulyanov et al. 2018, arXiv 1711.10925) for one image.

  It is the `hourglass` and beside every scale a branch: a 1 x 1 convolution of what enters the encoder scale, whose
  output is concatenated with that of the deeper scales, upsampled, where it enters the decoder scale.

  Args:
    image_shape: (H, W, C) of the image, H and W at least 16 pixels.
    num_scales: number of resolution halvings, at least 1. It is lowered to what the image allows (the deepest map
      stays 4 pixels wide); `spec["num_scales"]` says what was used.
    channels: width of every scale, finest first; None is 32, 64, 128, 128, 128, 128.
    skip_channels: channels of every skip branch, at least 1.
    input_channels: channels of the network input, at least 1.
    conv: form of the convolutions, "gemm" or "lax"; see `convolve`.
    precision: precision of the matrix products ("default", "high", "highest") or None.
    dtype: type of the convolutions' factors and products, e.g. "bfloat16"; None leaves them as they are.

  Returns:
    A Generator whose network input is [H', W', input_channels], H' and W' the padded sides.

  Raises:
    ValueError: the image is too small, `num_scales`, `skip_channels` or `input_channels` is below 1, or there are too
      few widths.

  Example:
    >>> import jax
    >>> from oes_jax import generators
    >>> generator = generators.skip_hourglass((32, 48, 3), num_scales=1)
    >>> params, mask_logits = generator.init(jax.random.key(0))
    >>> params["decoder_01"]["conv"]["kernel"].shape
    (3, 3, 36, 32)
  """
  num_scales = _generator.fitting_scales(image_shape, num_scales, channels, num_scales)
  if skip_channels < 1:
    raise ValueError(f"skip_channels={skip_channels} is not allowed; allowed: 1 or more.")
  widths = tuple(channels or ((32, 64) + (128,) * max(0, num_scales - 2)))[:num_scales]
  module = SkipHourglass(widths, skip_channels, image_shape[2],
                         {"implementation": conv, "precision": precision, "dtype": dtype})
  return _generator.from_padded_module(
      "skip_hourglass", module, image_shape, num_scales=num_scales, widths=widths, input_channels=input_channels, factor=1,
      graph=_hourglass.channel_graph(num_scales, skips=True),
      own_spec={"skip_channels": skip_channels, **_hourglass.input_spec(input_channels)})
