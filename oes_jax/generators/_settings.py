"""What a generator is made from, by name."""

import dataclasses

from oes_jax import settings
from oes_jax.generators import _named


@dataclasses.dataclass(frozen=True)
class GeneratorSettings(settings.Settings):
  """Settings of the generator. "OES" is the authors' code of arXiv 2406.05288."""
  name: str = settings.setting(
      "hourglass", "Network that makes the image: hourglass [OES default], deep_decoder [Heckel and Hand 2019] or "
      "skip_hourglass [the authors' other generator, 4 skip channels a scale].", choices=_named.GENERATORS)
  num_scales: int = settings.setting(
      6, "Resolution halvings; lowered where the deepest map would be under 4 pixels wide. OES: 6.",
      allowed="1 or more", test=lambda v: v >= 1)
  input: str = settings.setting(
      "noise", "What the network is fed with: noise, drawn once [OES]; or measurement, the operator's first image of what "
      "was measured, and where there are lost pixels the channel that says so.", choices=("noise", "measurement"))
  channels: tuple[int, ...] | None = settings.setting(
      None, "Widths, finest scale first (the hourglasses: num_scales of them). None: the published widths, 16, 32, 64, 128, "
      "128, 128 for the hourglass.", kind=tuple, allowed="a tuple of whole widths, or None",
      test=lambda v: all(isinstance(width, int) for width in v))
  skip_channels: int = settings.setting(
      4, "Channels of every skip branch, of skip_hourglass. OES: 4.", allowed="1 or more", test=lambda v: v >= 1)
