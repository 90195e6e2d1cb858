"""Figures of arrays and rows, as PNG files.

Matplotlib is imported where a figure is drawn, as that takes a third of a second.
"""

import io
import pathlib
from typing import Sequence

import numpy as np
from PIL import Image

from oes_jax import masks
from oes_jax.files import _atomic


def _viewable(image: np.ndarray) -> np.ndarray:
  """Clip [H, W, C] to [0, 1]; other than 1 or 3 channels become their mean, in grey."""
  image = np.clip(image, 0, 1)
  return image if image.shape[-1] == 3 else image.mean(-1)


def save_preview(path: pathlib.Path, image: np.ndarray) -> None:
  """Write an image [H, W, C] of the unit range as an 8-bit PNG, whole at any moment that it is looked at."""
  stream = io.BytesIO()
  Image.fromarray(np.uint8(np.round(255 * _viewable(image)))).save(stream, "png")
  _atomic.write_atomically(path, stream.getvalue())


def _new_figure(width: float, height: float):
  """Return an empty figure; not by pyplot: the caller's backend and figures are its own."""
  from matplotlib import figure as figures  # pylint: disable=import-outside-toplevel
  return figures.Figure(figsize=(width, height))


def _subplots(*args, figsize, squeeze: bool = True):
  """As pyplot.subplots, without pyplot."""
  figure = _new_figure(*figsize)
  return figure, figure.subplots(*args, squeeze=squeeze)


def _colour(number: int):
  """Return the colour of a line; there are twenty."""
  from matplotlib import colormaps  # pylint: disable=import-outside-toplevel
  return colormaps["tab20"](number % 20)


def _save(figure, path: pathlib.Path) -> None:
  figure.tight_layout()
  figure.savefig(path, dpi=120, bbox_inches="tight")


def save_comparison(path: pathlib.Path, panels: Sequence[tuple[str, np.ndarray]]) -> None:
  """Draw images [H, W, C] in (0, 1) side by side, each under its title."""
  height, width = panels[0][1].shape[:2]
  figure, axes = _subplots(1, len(panels), squeeze=False,
                           figsize=(4 * len(panels), 4 * height / width + 0.5))
  for axis, (title, image) in zip(axes[0], panels):
    axis.imshow(_viewable(image), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axis.set_title(title, fontsize=11)
    axis.axis("off")
  _save(figure, path)


def save_error_map(path: pathlib.Path, error: np.ndarray) -> None:
  """Draw the error that is expected around every pixel.

  Args:
    path: the PNG file.
    error: [H, W], in the units of the image's file.
  """
  height, width = error.shape
  figure, axis = _subplots(1, 1, figsize=(5.2, 4.2 * height / width + 0.5))
  figure.colorbar(axis.imshow(error, cmap="magma", vmin=0, interpolation="nearest"), ax=axis)
  axis.set_title("expected error around a pixel", fontsize=11)
  axis.axis("off")
  _save(figure, path)


def save_uncertainty(path: pathlib.Path, mean: np.ndarray, spread: np.ndarray,
                     error: np.ndarray | None) -> None:
  """Draw an ensemble's mean, the spread of its members, and the absolute error where it is known.

  Args:
    path: the PNG file.
    mean: [H, W, C] in (0, 1).
    spread: [H, W, C] standard deviations, unit range; drawn as the mean over channels, as is `error`.
    error: [H, W, C] absolute differences from the clean image, unit range; None where there is none.
  """
  maps = [("spread of the members", spread)] + ([] if error is None else [("absolute error", error)])
  height, width = mean.shape[:2]
  figure, axes = _subplots(1, 1 + len(maps), figsize=(4.6 * (1 + len(maps)), 4 * height / width + 0.5))
  axes[0].imshow(_viewable(mean), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
  axes[0].set_title("mean of the members", fontsize=11)
  for axis, (title, values) in zip(axes[1:], maps):
    figure.colorbar(axis.imshow(values.mean(-1), cmap="magma", vmin=0, interpolation="nearest"), ax=axis)
    axis.set_title(title, fontsize=11)
  for axis in axes:
    axis.axis("off")
  _save(figure, path)


_CURVES = (
    ("mask", "loss", {"mse": "mean squared error", "loss": "with KL term"}, "log"),
    ("mask", "KL to the prior (nats)", {"kl": "KL"}, "linear"),
    ("mask", "mean mask logit", {"mean_logit": "mean logit"}, "linear"),
    ("mask", "PSNR under relaxed gates (dB)", {"psnr": "last", "psnr_average": "averaged"}, "linear"),
    ("weights", "loss", {"mse": "mean squared error"}, "log"),
    ("weights", "PSNR (dB)", {"psnr": "last", "psnr_average": "averaged"}, "linear"),
)


def save_curves(path: pathlib.Path, stages: dict[str, dict[str, np.ndarray]], guard_step: int | None = None) -> None:
  """Draw loss, KL, mean logit and PSNR of both stages against the step; those of the weight stage mark the guard's."""
  panels = [(stage, label, {key: name for key, name in lines.items() if key in stages[stage]}, scale)
            for stage, label, lines, scale in _CURVES
            if stage in stages and any(key in stages[stage] for key in lines)]
  rows = -(-len(panels) // 2)
  figure, axes = _subplots(rows, 2, figsize=(10, 3 * rows), squeeze=False)
  for axis in axes.flat[len(panels):]:
    axis.axis("off")
  for axis, (stage, label, lines, scale) in zip(axes.flat, panels):
    for key, name in lines.items():
      axis.plot(stages[stage]["step"], stages[stage][key], label=name, linewidth=1)
    if stage == "weights" and guard_step is not None:
      axis.axvline(guard_step, label="guard's step", linewidth=1, linestyle="--", color="0.4")
    axis.set(title=f"{stage} stage", xlabel="step", ylabel=label, yscale=scale)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
  _save(figure, path)


def save_mask_figure(path: pathlib.Path, report: Sequence[masks.LayerReport]) -> None:
  """Draw the share of weights kept, and able to act, of every array."""
  figure, axis = _subplots(figsize=(max(6, 0.22 * len(report)), 4.5))
  positions = np.arange(len(report))
  axis.bar(positions, [100 * row.kept / row.size for row in report], label="kept", color="0.75")
  axis.bar(positions, [100 * row.acting / row.size for row in report], label="can act", width=0.5)
  axis.set_xticks(positions, [row.name for row in report], rotation=90, fontsize=6)
  axis.set(ylabel="% of the array's weights", title="density per layer")
  axis.margins(x=0.01)
  axis.grid(axis="y", alpha=0.3)
  axis.legend()
  _save(figure, path)


def save_traces(path: pathlib.Path, traces: dict[str, np.ndarray], *,
                ylabel: str = "PSNR of the output, dB") -> None:
  """Draw a value of every weight step, a line for every method."""
  figure, axis = _subplots(figsize=(10, 6))
  for i, (name, trace) in enumerate(traces.items()):
    axis.plot(np.arange(1, trace.size + 1), trace, label=name, linewidth=0.8, color=_colour(i))
  axis.set(xlabel="weight step", ylabel=ylabel, xscale="log")
  axis.grid(alpha=0.3)
  axis.legend(fontsize=7)
  _save(figure, path)


def save_lines(path: pathlib.Path, lines: dict[str, Sequence[tuple[float, float, bool]]], *, xlabel: str,
               ylabel: str) -> None:
  """Draw lines of (x, y, whether a mask has collapsed there), x in logarithms; a cross marks a collapse."""
  figure, axis = _subplots(figsize=(9, 5.5))
  for i, (name, points) in enumerate(lines.items()):
    x, y, collapsed = (np.asarray(values) for values in zip(*points))
    axis.plot(x, y, label=name, marker="o", markersize=4, linewidth=1, color=_colour(i))
    axis.plot(x[collapsed], y[collapsed], "kx", markersize=9)
  axis.set(xlabel=xlabel, ylabel=ylabel, xscale="log")
  axis.grid(alpha=0.3)
  axis.legend(fontsize=8)
  _save(figure, path)


def save_scatter(path: pathlib.Path, points: dict[str, Sequence[tuple[float, float]]], *, xlabel: str, ylabel: str) -> None:
  """Draw points of (x, y), of several kinds, and the line on which both are the same."""
  figure, axis = _subplots(figsize=(7, 6))
  for i, (name, pairs) in enumerate(points.items()):
    axis.plot(*zip(*pairs), "o", label=name, markersize=4, color=_colour(i))
  ends = [min(axis.get_xlim()[0], axis.get_ylim()[0]), max(axis.get_xlim()[1], axis.get_ylim()[1])]
  axis.plot(ends, ends, color="grey", linewidth=1)
  axis.set(xlabel=xlabel, ylabel=ylabel)
  axis.grid(alpha=0.3)
  axis.legend(fontsize=8)
  _save(figure, path)


def save_noise(path: pathlib.Path, values: Sequence[float], variances: Sequence[float], line: tuple[float, float]) -> None:
  """Draw the variance of the noise against brightness, as points, and the line (slope, intercept) that was fitted to it."""
  figure, axis = _subplots(figsize=(7, 4.5))
  ends = np.array([min(0, *values), max(values)])
  axis.plot(values, variances, "o", markersize=4, label="measured in flat places")
  axis.plot(ends, line[0] * ends + line[1], linewidth=1, label=f"{line[0]:.4g} x value {line[1]:+.4g}")
  axis.set(xlabel="value", ylabel="variance of the noise", ylim=(0, None))
  axis.grid(alpha=0.3)
  axis.legend(fontsize=8)
  _save(figure, path)


def save_spectra(path: pathlib.Path, images: dict[str, np.ndarray],
                 spectra: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
  """Draw images in a row, and under them the share of power against spatial frequency."""
  figure = _new_figure(2.6 * len(images), 6)
  for i, (name, image) in enumerate(images.items()):
    axis = figure.add_subplot(2, len(images), i + 1)
    axis.imshow(_viewable(image), cmap="gray", vmin=0, vmax=1)
    axis.set_title(name, fontsize=9)
    axis.axis("off")
  axis = figure.add_subplot(2, 1, 2)
  for name, (frequencies, shares) in spectra.items():
    axis.plot(frequencies, shares, label=name, linewidth=1)
  axis.set(xlabel="cycles per pixel", ylabel="share of power", yscale="log")
  axis.grid(alpha=0.3)
  axis.legend(fontsize=8)
  _save(figure, path)


def save_densities(path: pathlib.Path, reports: dict[str, Sequence[masks.LayerReport]]) -> None:
  """Draw the share of weights kept of every array, a line for every mask."""
  names = [row.name for row in next(iter(reports.values()))]
  figure, axis = _subplots(figsize=(max(6, 0.22 * len(names)), 4.5))
  for name, report in reports.items():
    axis.plot([100 * row.kept / row.size for row in report], marker=".", linewidth=1, label=name)
  axis.set_xticks(np.arange(len(names)), names, rotation=90, fontsize=6)
  axis.set(ylabel="% of the array's weights", title="kept, per array")
  axis.margins(x=0.01)
  axis.grid(alpha=0.3)
  axis.legend(fontsize=8)
  _save(figure, path)


def save_matrix(path: pathlib.Path, rows: Sequence[str], columns: Sequence[str], matrix: np.ndarray, *,
                title: str) -> None:
  """Draw a matrix [rows, columns] as coloured cells with their values; where it is NaN nothing is shown."""
  from matplotlib import patheffects  # pylint: disable=import-outside-toplevel
  figure, axis = _subplots(figsize=(1.2 * len(columns) + 3, 0.5 * len(rows) + 2))
  axis.imshow(matrix, aspect="auto")
  for (row, column), value in np.ndenumerate(matrix):
    if np.isfinite(value):
      axis.text(column, row, f"{value:.3g}", ha="center", va="center", color="w", fontsize=8,
                path_effects=[patheffects.withStroke(linewidth=1.5, foreground="0.2")])
  axis.set_xticks(np.arange(len(columns)), columns, rotation=90, fontsize=8)
  axis.set_yticks(np.arange(len(rows)), rows, fontsize=8)
  axis.set_title(title)
  _save(figure, path)
