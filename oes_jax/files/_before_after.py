"""A measurement beside what was made of it, and what was taken off."""

import pathlib
from typing import Sequence

import numpy as np
from scipy import ndimage

from oes_jax.files import _drawing

_SMALLEST = 48  # pixels along the shorter side from which on a part is shown enlarged
_SHARE, _LEAST = 4, 16  # the part is as wide as that share of the shorter side, and at least as many pixels
_SPREADS = 3  # standard deviations of a difference, to either side, that its colours span

Panels = Sequence[tuple[str, np.ndarray, dict]]


def _find_part(image: np.ndarray) -> tuple[slice, slice] | None:
  """Return the square with the most detail of an image [H, W], or None of a small one."""
  side = min(image.shape)
  if side < _SMALLEST:
    return None
  width = max(_LEAST, side // _SHARE)
  detail = ndimage.uniform_filter(np.hypot(*np.gradient(ndimage.gaussian_filter(image, 1))), width, mode="constant")
  inside = tuple(slice(width // 2, length - width + width // 2 + 1) for length in image.shape)
  centre = np.unravel_index(np.argmax(detail[inside]), detail[inside].shape)
  return tuple(slice(int(first), int(first) + width) for first in centre)


def _as_map(values: np.ndarray) -> np.ndarray:
  return values.mean(-1) if values.ndim == 3 else values


def _draw(panels: Panels):
  """Draw panels of (title, values, options of imshow) in a row and, below, the part of each with the most detail, enlarged."""
  shape = panels[0][1].shape[:2]
  part = _find_part(_as_map(panels[1][1]))
  rows = 1 if part is None else 2
  ratio = shape[0] / shape[1]
  figure = _drawing.new_shown_figure(3.6 * len(panels), 3.4 * ratio + 0.6 + (rows - 1) * 3.2)
  axes = figure.subplots(rows, len(panels), squeeze=False, height_ratios=[ratio, 1][:rows])
  for column, (title, values, options) in zip(axes.T, panels):
    drawn = column[0].imshow(values, interpolation="nearest", **options)
    column[0].set_title(title, fontsize=10)
    if options["cmap"] != "gray":
      figure.colorbar(drawn, ax=column[0], fraction=0.045, pad=0.02)
    if part is not None:
      corner, width = (part[1].start - 0.5, part[0].start - 0.5), part[0].stop - part[0].start
      column[0].add_patch(_drawing.rectangle(corner, width))
      column[1].imshow(values[part], interpolation="nearest", **options)
    for axis in column:
      axis.axis("off")
  if part is not None:
    axes[1, 0].set_title(f"rows {part[0].start} to {part[0].stop}, columns {part[1].start} to {part[1].stop}", fontsize=9)
  figure.tight_layout()
  return figure


def draw_before_after(before: np.ndarray, after: np.ndarray, *, titles: tuple[str, str], noise_level: float | None = None,
                      truth: np.ndarray | None = None, errors: Sequence[tuple[str, np.ndarray]] = (), unit: float = 1):
  """Draw a measurement, the result, the truth where there is one, what the result took off, and maps of its error.

  Args:
    before: [H, W, C] in the unit range, as `after` and `truth`.
    after: the result.
    titles: of the two.
    noise_level: standard deviation of the noise in the unit range, to compare with what was taken off; None: unknown.
    truth: clean image, or None.
    errors: (title, [H, W] or [H, W, C]) of maps of the error, in the units of the file.
    unit: width of the unit range in the units of the file.

  Returns:
    A figure of Matplotlib, which a notebook shows.
  """
  grey = {"cmap": "gray", "vmin": 0, "vmax": 1}
  panels = [(title, _drawing.viewable(image), grey) for title, image in zip((*titles, "truth"), (before, after, truth))
            if image is not None]
  residual = unit * _as_map(before.astype(np.float64) - after)
  spread = float(np.std(unit * (before.astype(np.float64) - after)))
  widest = _SPREADS * (spread or 1)
  said = "" if noise_level is None else f"; noise {unit * noise_level:.3g}"
  panels.append((f"before \N{MINUS SIGN} after\nstandard deviation {spread:.3g}{said}", residual,
                 {"cmap": "RdBu_r", "vmin": -widest, "vmax": widest}))
  panels += [(title, _as_map(np.asarray(error)), {"cmap": "magma", "vmin": 0, "vmax": float(np.max(error)) or 1})
             for title, error in errors]
  return _draw(panels)


def save_before_after(path: pathlib.Path, before: np.ndarray, after: np.ndarray, **options) -> None:
  """Draw what `draw_before_after` draws into a PNG file."""
  _drawing.save(draw_before_after(before, after, **options), path)
