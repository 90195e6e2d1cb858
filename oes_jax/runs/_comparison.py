"""What is drawn of a result beside its measurement, and the noise that both are compared with."""

import pathlib
from typing import Any, Mapping

import numpy as np

from oes_jax import files
from oes_jax import fitting
from oes_jax.runs import _expected
from oes_jax.runs import _measure
from oes_jax.runs._job import Job
from oes_jax.runs._measure import Measurement


# What the first image is that is made of a scan.
_FIRST_IMAGES = {"tomography": "filtered back-projection", "mri": "zero-filled image"}


def name_of_estimate(job: Job) -> str:
  """Return what the image is called that a result is compared with: the measurement, or the first image made of it."""
  if job.data.operator.measures_image:
    return "measurement"
  return _FIRST_IMAGES.get(job.settings.operator.name, "first image")


def noise_of(job: Job, measurement: Measurement) -> float | None:
  """Return the standard deviation of Gaussian noise in a measured image, in the unit range; None where it is not known."""
  if job.settings.noise.model != "gaussian" or not job.data.operator.measures_image:
    return None
  if _expected.is_guessed(measurement.noise_level):
    return None
  recorruption = _measure.recorruption_of(job, measurement)
  sigma = job.data.sigma if recorruption is None else float(recorruption.noise.strength.sigma)
  return sigma or None


def noise_floor_of(job: Job, measurement: Measurement) -> float | None:
  """Return the mean squared error that the clean image has, of noise alone, where it is known; None else.

  Of R2R the target has noise of sigma^2 (1 + 1 / alpha^2).
  """
  sigma, recorruption = noise_of(job, measurement), _measure.recorruption_of(job, measurement)
  if sigma is None or job.data.loss is not None or recorruption is not None and recorruption.axes:
    return None
  return sigma ** 2 if recorruption is None else sigma ** 2 * (1 + 1 / float(recorruption.alpha) ** 2)


def save_comparison(path: pathlib.Path, job: Job, measurement: Measurement, restored: np.ndarray,
                    quality: Mapping[str, Any] | None) -> None:
  """Draw before_after.png.

  Args:
    path: the PNG file.
    job: job of the image.
    measurement: its measurement.
    restored: the result as it is shown, [H, W, C] in the unit range.
    quality: scores to print above the images, or None.
  """
  view, negative = fitting.view_of(job.data.operator), job.data.picture.is_negative  # the file's 0 is white
  shown = lambda image: 1 - np.asarray(image) if negative else np.asarray(image)
  titles = [name_of_estimate(job), "restored"]
  if quality is not None:
    for number, entry in enumerate(("measurement", job.settings.output.image)):
      titles[number] += f"\n{quality[entry]['psnr']:.2f} dB, SSIM {quality[entry]['ssim']:.3f}"
  files.save_before_after(
      path, shown(view(measurement.estimate)), shown(restored), titles=tuple(titles), noise_level=noise_of(job, measurement),
      truth=None if measurement.truth is None else shown(view(measurement.truth)),
      unit=job.data.limits[1] - job.data.limits[0])
