"""The range of values of one page of a stack."""

from typing import Any, NamedTuple

import numpy as np

from oes_jax import files
from oes_jax.runs import _build
from oes_jax.runs import _check
from oes_jax.runs import _data


class PageRange(NamedTuple):
  """What a page tells of the range of its stack.

  Attributes:
    limits: (low, high), the values that would map to 0 and 1.
    kind: type and number of channels, which pages of one range have in common.
  """
  limits: tuple[float, float]
  kind: tuple[Any, ...]


def range_of_page(config) -> PageRange | None:
  """Return the range of the page that a config names; None where it cannot be read or tells none: its case says why.

  Args:
    config: config of one restoration.
  """
  settings = _check.check_config(config)
  try:
    picture = files.read_picture(settings.data.source, settings.data.crop, max_side=settings.data.max_side, finite=False,
                                 channel_axis=settings.data.channel_axis)
    if _build.loses_measured_pixels(settings, bool(settings.operator.simulate)):
      picture, _, _ = _data.lose(settings, picture)
    values = picture.values
    if values.dtype.kind == "f" and not np.isfinite(values).all():
      values = np.where(np.isfinite(values), values, np.nanmedian(np.where(np.isfinite(values), values, np.nan)))
    limits = _data.choose_limits(settings, values, settings.data.source, is_complex=_build.family_of(settings).is_complex,
                                 known=picture.full_range)
  except ValueError:
    return None
  return PageRange(limits, (str(values.dtype), values.shape[-1]))
