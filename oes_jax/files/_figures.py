"""Figures of arrays and rows, as PNG files."""

import io
import pathlib
from typing import Sequence

import numpy as np
from PIL import Image

from oes_jax import masks
from oes_jax.files import _atomic
from oes_jax.files import _drawing


def as_png(image: np.ndarray) -> bytes:
  """Return an image [H, W, C] of the unit range as the content of an 8-bit PNG file."""
  stream = io.BytesIO()
  Image.fromarray(np.uint8(np.round(255 * _drawing.viewable(image)))).save(stream, "png")
  return stream.getvalue()


def save_preview(path: pathlib.Path, image: np.ndarray) -> None:
  """Write an image [H, W, C] of the unit range as an 8-bit PNG, whole at any moment that it is looked at."""
  _atomic.write_atomically(path, as_png(image))


def save_traces(path: pathlib.Path, traces: dict[str, np.ndarray], *,
                ylabel: str = "PSNR of the output, dB") -> None:
  """Draw a value of every weight step, a line for every method."""
  figure, axis = _drawing.subplots(figsize=(10, 6))
  for i, (name, trace) in enumerate(traces.items()):
    axis.plot(np.arange(1, trace.size + 1), trace, label=name, linewidth=0.8, color=_drawing.colour(i))
  axis.set(xlabel="weight step", ylabel=ylabel, xscale="log")
  axis.grid(alpha=0.3)
  axis.legend(fontsize=7)
  _drawing.save(figure, path)


def save_lines(path: pathlib.Path, lines: dict[str, Sequence[tuple[float, float, bool]]], *, xlabel: str,
               ylabel: str) -> None:
  """Draw lines of (x, y, whether a mask has collapsed there), x in logarithms; a cross marks a collapse."""
  figure, axis = _drawing.subplots(figsize=(9, 5.5))
  for i, (name, points) in enumerate(lines.items()):
    x, y, collapsed = (np.asarray(values) for values in zip(*points))
    axis.plot(x, y, label=name, marker="o", markersize=4, linewidth=1, color=_drawing.colour(i))
    axis.plot(x[collapsed], y[collapsed], "kx", markersize=9)
  axis.set(xlabel=xlabel, ylabel=ylabel, xscale="log")
  axis.grid(alpha=0.3)
  axis.legend(fontsize=8)
  _drawing.save(figure, path)


def save_sweep(path: pathlib.Path, curves: dict[str, Sequence[tuple[float | str, float, float]]], levels: dict[str, float], *,
               xlabel: str, ylabel: str, logarithmic: bool) -> None:
  """Draw lines of (x, mean, standard deviation), x a number or a name, and dashed levels that have no x."""
  figure, axis = _drawing.subplots(figsize=(7.5, 4.8))
  for i, (name, points) in enumerate(curves.items()):
    x, mean, spread = zip(*points)
    axis.errorbar(x, mean, spread, label=name, marker="o", markersize=4, linewidth=1, capsize=3, color=_drawing.colour(2 * i),
                  linestyle="none" if isinstance(x[0], str) else "-")
    for place, value in zip(x, mean):
      axis.annotate(f"{value:.1f}", (place, value), (4, 4), textcoords="offset points", fontsize=7)
  for i, (name, level) in enumerate(levels.items()):
    axis.axhline(level, label=f"{name}, {level:.1f}", linestyle="--", linewidth=1, color=_drawing.colour(2 * i + 1))
  axis.set(xlabel=xlabel, ylabel=ylabel, **({"xscale": "log"} if logarithmic else {}))
  places = sorted({place for points in curves.values() for place, _, _ in points if not isinstance(place, str)})
  if places:
    axis.set_xticks(places, [f"{place:g}" for place in places], minor=False)
    axis.set_xticks([], minor=True)
  axis.margins(x=0.08, y=0.15)
  axis.grid(alpha=0.3)
  if any(axis.get_legend_handles_labels()[1]):
    axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
  _drawing.save(figure, path)


def save_scatter(path: pathlib.Path, points: dict[str, Sequence[tuple[float, float]]], *, xlabel: str, ylabel: str) -> None:
  """Draw points of (x, y), of several kinds, and the line on which both are the same."""
  figure, axis = _drawing.subplots(figsize=(7, 6))
  for i, (name, pairs) in enumerate(points.items()):
    axis.plot(*zip(*pairs), "o", label=name, markersize=4, color=_drawing.colour(i))
  ends = [min(axis.get_xlim()[0], axis.get_ylim()[0]), max(axis.get_xlim()[1], axis.get_ylim()[1])]
  axis.plot(ends, ends, color="grey", linewidth=1)
  axis.set(xlabel=xlabel, ylabel=ylabel)
  axis.grid(alpha=0.3)
  axis.legend(fontsize=8)
  _drawing.save(figure, path)


def save_noise(path: pathlib.Path, values: Sequence[float], variances: Sequence[float], line: tuple[float, float]) -> None:
  """Draw the variance of the noise against brightness, as points, and the line (slope, intercept) that was fitted to it."""
  figure, axis = _drawing.subplots(figsize=(7, 4.5))
  ends = np.array([min(0, *values), max(values)])
  axis.plot(values, variances, "o", markersize=4, label="measured in flat places")
  axis.plot(ends, line[0] * ends + line[1], linewidth=1, label=f"{line[0]:.4g} x value {line[1]:+.4g}")
  axis.set(xlabel="value", ylabel="variance of the noise", ylim=(0, None))
  axis.grid(alpha=0.3)
  axis.legend(fontsize=8)
  _drawing.save(figure, path)


def save_spectra(path: pathlib.Path, images: dict[str, np.ndarray],
                 spectra: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
  """Draw images in a row, and under them the share of power against spatial frequency."""
  figure = _drawing.new_figure(2.6 * len(images), 6)
  for i, (name, image) in enumerate(images.items()):
    axis = figure.add_subplot(2, len(images), i + 1)
    axis.imshow(_drawing.viewable(image), cmap="gray", vmin=0, vmax=1)
    axis.set_title(name, fontsize=9)
    axis.axis("off")
  axis = figure.add_subplot(2, 1, 2)
  for name, (frequencies, shares) in spectra.items():
    axis.plot(frequencies, shares, label=name, linewidth=1)
  axis.set(xlabel="cycles per pixel", ylabel="share of power", yscale="log")
  axis.grid(alpha=0.3)
  axis.legend(fontsize=8)
  _drawing.save(figure, path)


def save_densities(path: pathlib.Path, reports: dict[str, Sequence[masks.LayerReport]]) -> None:
  """Draw the share of weights kept of every array, a line for every mask."""
  names = [row.name for row in next(iter(reports.values()))]
  figure, axis = _drawing.subplots(figsize=(max(6, 0.22 * len(names)), 4.5))
  for name, report in reports.items():
    axis.plot([100 * row.kept / row.size for row in report], marker=".", linewidth=1, label=name)
  axis.set_xticks(np.arange(len(names)), names, rotation=90, fontsize=6)
  axis.set(ylabel="% of the array's weights", title="kept, per array")
  axis.margins(x=0.01)
  axis.grid(alpha=0.3)
  axis.legend(fontsize=8)
  _drawing.save(figure, path)


def save_matrix(path: pathlib.Path, rows: Sequence[str], columns: Sequence[str], matrix: np.ndarray, *,
                title: str) -> None:
  """Draw a matrix [rows, columns] as coloured cells with their values; where it is NaN nothing is shown."""
  from matplotlib import patheffects  # pylint: disable=import-outside-toplevel
  figure, axis = _drawing.subplots(figsize=(1.2 * len(columns) + 3, 0.5 * len(rows) + 2))
  axis.imshow(matrix, aspect="auto")
  for (row, column), value in np.ndenumerate(matrix):
    if np.isfinite(value):
      axis.text(column, row, f"{value:.3g}", ha="center", va="center", color="w", fontsize=8,
                path_effects=[patheffects.withStroke(linewidth=1.5, foreground="0.2")])
  axis.set_xticks(np.arange(len(columns)), columns, rotation=90, fontsize=8)
  axis.set_yticks(np.arange(len(rows)), rows, fontsize=8)
  axis.set_title(title)
  _drawing.save(figure, path)
