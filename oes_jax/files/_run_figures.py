"""Figures of one restoration: its curves, its mask, and how wrong it may be."""

import pathlib
from typing import Sequence

import numpy as np

from oes_jax import masks
from oes_jax.files import _drawing


def save_error_map(path: pathlib.Path, error: np.ndarray) -> None:
  """Draw the error that is expected around every pixel.

  Args:
    path: the PNG file.
    error: [H, W], in the units of the image's file.
  """
  height, width = error.shape
  figure, axis = _drawing.subplots(1, 1, figsize=(5.2, 4.2 * height / width + 0.5))
  figure.colorbar(axis.imshow(error, cmap="magma", vmin=0, interpolation="nearest"), ax=axis)
  axis.set_title("expected error around a pixel", fontsize=11)
  axis.axis("off")
  _drawing.save(figure, path)


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
  figure, axes = _drawing.subplots(1, 1 + len(maps), figsize=(4.6 * (1 + len(maps)), 4 * height / width + 0.5))
  axes[0].imshow(_drawing.viewable(mean), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
  axes[0].set_title("mean of the members", fontsize=11)
  for axis, (title, values) in zip(axes[1:], maps):
    figure.colorbar(axis.imshow(values.mean(-1), cmap="magma", vmin=0, interpolation="nearest"), ax=axis)
    axis.set_title(title, fontsize=11)
  for axis in axes:
    axis.axis("off")
  _drawing.save(figure, path)


_CURVES = (
    ("mask", "loss", {"mse": "mean squared error", "loss": "with KL term"}, "log"),
    ("mask", "KL to the prior (nats)", {"kl": "KL"}, "linear"),
    ("mask", "mean mask logit", {"mean_logit": "mean logit"}, "linear"),
    ("mask", "PSNR under relaxed gates (dB)", {"psnr": "last", "psnr_average": "averaged"}, "linear"),
    ("weights", "loss", {"mse": "mean squared error"}, "log"),
    ("weights", "PSNR (dB)", {"psnr": "last", "psnr_average": "averaged"}, "linear"),
)


def save_curves(path: pathlib.Path, stages: dict[str, dict[str, np.ndarray]], guard_step: int | None = None,
                noise_floor: float | None = None) -> None:
  """Draw loss, KL, mean logit and PSNR of both stages against the step.

  Args:
    path: the PNG file.
    stages: {stage: {metric: [steps]}}, with the steps as "step".
    guard_step: step that the guard chose, marked in the weight stage; or None.
    noise_floor: mean squared error of the clean image, as far as the noise makes it; below it noise is fitted. Or None.
  """
  panels = [(stage, label, {key: name for key, name in lines.items() if key in stages[stage]}, scale)
            for stage, label, lines, scale in _CURVES
            if stage in stages and any(key in stages[stage] for key in lines)]
  rows = -(-len(panels) // 2)
  figure, axes = _drawing.subplots(rows, 2, figsize=(10, 3 * rows), squeeze=False)
  for axis in axes.flat[len(panels):]:
    axis.axis("off")
  for axis, (stage, label, lines, scale) in zip(axes.flat, panels):
    for key, name in lines.items():
      axis.plot(stages[stage]["step"], stages[stage][key], label=name, linewidth=1)
    if stage == "weights" and guard_step is not None:
      axis.axvline(guard_step, label=f"guard's step, {guard_step:,}", linewidth=1, linestyle="--", color="0.4")
    if "mse" in lines and noise_floor is not None:
      axis.axhline(noise_floor, label=f"the clean image's: noise alone, {noise_floor:.2g}", linewidth=1, linestyle=":", color="tab:red")
    axis.set(title=f"{stage} stage", xlabel="step", ylabel=label, yscale=scale)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
  _drawing.save(figure, path)


def save_mask_figure(path: pathlib.Path, report: Sequence[masks.LayerReport]) -> None:
  """Draw the share of weights kept, and able to act, of every array of which any is kept, with their numbers."""
  shown = [row for row in report if row.kept] or list(report)
  kept, size = (sum(getattr(row, name) for row in report) for name in ("kept", "size"))
  left_out = f"; {len(report) - len(shown)} arrays of which none is kept are left out" if len(shown) < len(report) else ""
  figure, axis = _drawing.subplots(figsize=(9, max(2.5, 0.24 * len(shown) + 1.2)))
  places = np.arange(len(shown))
  axis.barh(places, [100 * row.kept / row.size for row in shown], label="kept", color="0.8")
  axis.barh(places, [100 * row.acting / row.size for row in shown], label="can act", height=0.45)
  most = max(100 * row.kept / row.size for row in shown)
  for place, row in zip(places, shown):
    axis.text(100 * row.kept / row.size + 0.01 * most, place, f"{row.kept:,} of {row.size:,}, {row.acting:,} can act", va="center",
              fontsize=7)
  axis.set_yticks(places, [row.name for row in shown], fontsize=8)
  axis.set_ylim(len(shown) - 0.4, -0.6)
  axis.set(xlim=(0, 1.35 * most or 1), xlabel="% of the array's weights",
           title=f"{kept:,} of {size:,} weights kept{left_out}")
  axis.title.set_fontsize(10)
  axis.grid(axis="x", alpha=0.3)
  axis.set_xticks([tick for tick in axis.get_xticks() if 0 <= tick <= min(100, 1.05 * most)])
  axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
  _drawing.save(figure, path)
