"""What all figures are drawn with.

Matplotlib is imported where a figure is drawn, as that takes a third of a second.
"""

import io
import pathlib

import numpy as np


def viewable(image: np.ndarray) -> np.ndarray:
  """Clip [H, W, C] to [0, 1]; other than 1 or 3 channels become their mean, in grey."""
  image = np.clip(image, 0, 1)
  return image if image.shape[-1] == 3 else image.mean(-1)


def new_figure(width: float, height: float):
  """Return an empty figure; not by pyplot: the caller's backend and figures are its own."""
  from matplotlib import figure as figures  # pylint: disable=import-outside-toplevel
  return figures.Figure(figsize=(width, height))


def new_shown_figure(width: float, height: float):
  """Return an empty figure that a notebook shows, whether or not pyplot has been loaded."""
  from matplotlib import figure as figures  # pylint: disable=import-outside-toplevel

  class Shown(figures.Figure):

    def _repr_png_(self) -> bytes:
      stream = io.BytesIO()
      self.savefig(stream, format="png", dpi=100, bbox_inches="tight")
      return stream.getvalue()

  return Shown(figsize=(width, height))


def rectangle(corner: tuple[float, float], width: float):
  """Return the outline of a square, to be added to axes."""
  from matplotlib import patches  # pylint: disable=import-outside-toplevel
  return patches.Rectangle(corner, width, width, fill=False, edgecolor="tab:orange", linewidth=1.2)


def subplots(*args, figsize, squeeze: bool = True):
  """As pyplot.subplots, without pyplot."""
  figure = new_figure(*figsize)
  return figure, figure.subplots(*args, squeeze=squeeze)


def colour(number: int):
  """Return the colour of a line; there are twenty."""
  from matplotlib import colormaps  # pylint: disable=import-outside-toplevel
  return colormaps["tab20"](number % 20)


def save(figure, path: pathlib.Path) -> None:
  figure.tight_layout()
  figure.savefig(path, dpi=120, bbox_inches="tight")
