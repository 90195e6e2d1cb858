"""How good a result is expected to be, without the truth: its PSNR, and a map of its error."""

import pathlib
from typing import Any, Sequence

import numpy as np

from oes_jax import files
from oes_jax import fitting
from oes_jax import operators
from oes_jax.runs._job import Job

ERROR_MAP, UNSEEN = "error_map.npy", "unseen.npy"


def is_guessed(level: operators.NoiseLevel | None) -> bool:
  """Whether what is taken for the noise is a guess: below a bound, or too low since the noise is not white."""
  return level is not None and (level.bound is not None or operators.is_correlated(level.correlation))


def expected_psnr_of(job: Job, restored: fitting.Restoration, level: operators.NoiseLevel | None) -> dict[str, Any] | None:
  """Return what summary.json says of the PSNR that a result is expected to have, and of what.

  None where it is not combined, and where its noise is only guessed, as what is expected would be.

  Args:
    job: finished job.
    restored: what came of it.
    level: level of the noise, where it was estimated.
  """
  if is_guessed(level) or job.settings.output.image != "combined" or restored.combined is None or restored.combined.error is None:
    return None
  psnr, spread = fitting.expected_psnr(restored.combined.error)
  return {"psnr": psnr, "spread": spread, "of": of_what(job)}


def of_what(job: Job) -> str:
  """Return what an expected PSNR is of: "image", or through an operator "measured values"."""
  return "image" if measures_all(job) else "measured values"


def measures_all(job: Job) -> bool:
  """Whether every pixel is measured as it is, so that nothing of the image lies outside of what is measured."""
  return job.settings.operator.name == "identity" and job.data.operator.tileable


def error_map_of(job: Job, restored: fitting.Restoration, expected: dict[str, Any] | None) -> np.ndarray | None:
  """Return the error that is expected around every pixel, [H, W] in the units of the image's file.

  None without `expected`, and through an operator: what it does not measure may be as wrong as it will.
  """
  if expected is None or expected["of"] != "image":
    return None
  low, high = job.data.limits
  return np.float32(high - low) * fitting.expected_error(restored.combined.error, expected["psnr"])


def mean_of_parts(parts: Sequence[dict[str, Any] | None]) -> dict[str, Any] | None:
  """Return the expected PSNR of tiles, or of the members of an ensemble, in the mean of squared errors."""
  if len(parts) == 1:
    return parts[0]
  if None in parts:
    return None
  error = np.mean([10 ** (-part["psnr"] / 10) for part in parts])
  return {"psnr": float(-10 * np.log10(error)), "spread": float(np.mean([part["spread"] for part in parts])),
          "of": parts[0]["of"]}


def mean_of_maps(maps: Sequence[np.ndarray | None]) -> np.ndarray | None:
  """Return the map of the members of an ensemble, the root of the mean of squares."""
  if any(one is None for one in maps):
    return None
  return np.sqrt(np.mean(np.square(np.stack(maps), dtype=np.float64), 0)).astype(np.float32)


def write_error_map(folder: pathlib.Path, job: Job, error: np.ndarray | None) -> list[str]:
  """Write the map of the expected error, and its figure with output.figures; return the names of what is relied on."""
  if error is None:
    return []
  files.write_array(folder / ERROR_MAP, error)
  if job.settings.output.figures:
    files.save_error_map(folder / "error_map.png", error)
  return [ERROR_MAP]


def write_unseen(folder: pathlib.Path, restored: fitting.Restoration) -> list[str]:
  """Write the combined image as it is without the held-out values, which score it, if there is one; return its name."""
  if restored.combined is None or restored.combined.unseen is None:
    return []
  files.write_array(folder / UNSEEN, np.asarray(restored.combined.unseen, np.float32))
  return [UNSEEN]


def read_error_map(folder: pathlib.Path) -> Any:
  """Return the map in the folder of a finished run, [H, W], or None: it has none."""
  return np.load(folder / ERROR_MAP) if (folder / ERROR_MAP).is_file() else None


def blend_maps(job: Job, maps: Sequence[np.ndarray | None], blend, level: operators.NoiseLevel | None) -> np.ndarray | None:
  """Return the map of a whole image whose tiles, in the unit range, have these, [H, W] in the units of the image's file.

  Args:
    job: job of the whole image.
    maps: [h, w] of every tile, in the unit range.
    blend: function [[h, w, C], ...] -> [H, W, C].
    level: level of the noise of the whole, where it was estimated.
  """
  if is_guessed(level) or any(one is None for one in maps):
    return None
  low, high = job.data.limits
  channels = job.shape[2]
  return np.float32(high - low) * blend([np.repeat(one[..., None], channels, -1) for one in maps])[..., 0].astype(np.float32)
