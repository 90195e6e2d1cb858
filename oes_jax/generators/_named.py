"""Generators by name."""

from typing import Any, Sequence

from oes_jax.generators import _deep_decoder
from oes_jax.generators import _generator
from oes_jax.generators import _hourglass
from oes_jax.generators import _skip_hourglass

GENERATORS = {"hourglass": _hourglass.hourglass, "deep_decoder": _deep_decoder.deep_decoder,
              "skip_hourglass": _skip_hourglass.skip_hourglass}


def make_generator(name: str, *, image_shape: Sequence[int], **options: Any) -> _generator.Generator:
  """Build the generator of a name for one image.

  Args:
    name: a key of GENERATORS, "hourglass", "deep_decoder" or "skip_hourglass".
    image_shape: (H, W, C) of the image.
    **options: options of that function: num_scales, channels, conv, precision, dtype, of the hourglasses input_channels,
      and of skip_hourglass skip_channels.

  Raises:
    ValueError: the name is unknown, or the function refuses the options.
  """
  if name not in GENERATORS:
    raise ValueError(f"name={name!r} is unknown; allowed: {', '.join(GENERATORS)}.")
  return GENERATORS[name](image_shape, **options)
