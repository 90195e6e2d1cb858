"""What oes_jax.restore returns: a Restoration that can be looked at."""

from typing import Any, Callable, Sequence

import numpy as np

from oes_jax import files
from oes_jax import fitting
from oes_jax import intensity
from oes_jax.runs import _candidates
from oes_jax.runs import _expected
from oes_jax.runs import _outputs
from oes_jax.runs import _remarks
from oes_jax.runs._job import Job
from oes_jax.runs._measure import Measurement


def _as_shown(values: Any, like: np.ndarray) -> np.ndarray:
  """Return values as [H, W, C]; channels go first where the image's last axis is no colour and its first one is."""
  values = np.asarray(values, np.float64)
  if values.ndim == 2:
    return values[..., None]
  first = like.shape[0] < min(like.shape[1:])
  return np.moveaxis(values, 0, -1) if first else values


class Restored(fitting.Restoration):
  """A Restoration of `restore`, in the layout, type and range of the measurement."""
  __slots__ = ()

  def plot(self, truth: Any = None):
    """Draw the measurement, the result, what was taken off, and how wrong the result is or is expected to be.

    Args:
      truth: clean image of the layout and range of `image`, which is drawn too; its difference from the result takes the place of
        the error that is expected. None: without it.

    Returns:
      A figure of Matplotlib, which a notebook shows; figure.savefig("figure.png") writes it.

    Raises:
      ValueError: the truth has another shape than the image, or there is no measurement to draw: a plain Restoration has none.
    """
    if self.before is None:
      raise ValueError("before is None, and plot draws it; allowed: what oes_jax.restore returned.")
    if truth is not None and np.shape(truth) != np.shape(self.image):
      raise ValueError(f"truth has shape {np.shape(truth)}; allowed: that of the image, {np.shape(self.image)}.")
    low, high = self.summary["limits"]
    image, before = (_as_shown(values, self.image) for values in (self.image, self.before))
    clean = None if truth is None else _as_shown(truth, self.image)
    unit = lambda values: None if values is None else (values - low) / (high - low)
    errors = []
    if clean is not None:
      errors = [("absolute error", np.abs(image - clean))]
    elif self.error is not None:
      errors = [("expected error around a pixel", self.error)]
    if self.spread is not None:
      errors.append(("spread of the members", _as_shown(self.spread, self.image)))
    level, expected = self.summary.get("noise_level"), self.summary.get("expected_psnr")
    known = level and expected and expected["of"] == "image"  # else the level is of what an operator measures
    return files.draw_before_after(
        unit(before), unit(image), titles=self._titles(), truth=unit(clean), errors=errors, unit=high - low,
        noise_level=level["sigma"] if known else None)

  def _titles(self) -> tuple[str, str]:
    titles, quality, expected = [self.summary["compared_with"], "restored"], self.summary.get("quality"), self.summary.get("expected_psnr")
    if quality:
      for number, name in enumerate(("measurement", self.summary["output_image"])):
        titles[number] += f"\n{quality[name]['psnr']:.2f} dB, SSIM {quality[name]['ssim']:.3f}"
    elif expected:
      titles[1] += f"\nexpected {fitting.say_expected_psnr(expected)}"
    return tuple(titles)


def as_given(job: Job, measurement: Measurement, members: Sequence[fitting.Restoration], warn: Callable[[str], None]) -> Restored:
  """Return the mean of an ensemble's members, or the one there is, as the measurement was given."""
  data, first, asked = job.data, members[0], job.settings.output.image
  mixes = _candidates.candidates_of_parts([member.summary for member in members]) if len(members) > 1 else {}
  view, summary, spread = fitting.view_of(data.operator), {**first.summary, **mixes, "members": len(members)}, None
  findings = dict.fromkeys(finding for member in members for finding in member.summary["mask"]["collapse"])
  if findings:
    warn(_remarks.remark_collapse(job, findings))
  outputs = np.stack([np.asarray(_outputs.image_of(job, member)) for member in members])
  mean = outputs[0] if len(members) == 1 else outputs.astype(np.float64).mean(0)
  for text in _remarks.remark_result(job, measurement, mean, summary):
    warn(f"{job.settings.data.source}: {text}")
  squeeze = lambda values: values[..., 0] if data.picture.squeezed else np.moveaxis(values, -1, data.picture.channel_axis)
  stored = lambda image: squeeze(intensity.from_unit(view(image), data.limits, data.picture.values.dtype))
  if len(members) > 1:
    shown = np.stack([view(output) for output in outputs.astype(np.float64)])
    for text in () if findings else _remarks.remark_same_members(shown):
      warn(f"{job.settings.data.source}: {text}")
    spread = squeeze((shown.std(0, ddof=1) * (data.limits[1] - data.limits[0])).astype(np.float32))
    if summary["quality"] is not None:
      summary["quality"] = {**summary["quality"], asked: _outputs.quality_of(view(mean), view(measurement.truth))}
  maps = [_expected.error_map_of(job, member, member.summary["expected_psnr"]) if member.error is None else member.error
          for member in members]
  summary["expected_psnr"] = _expected.mean_of_parts([member.summary["expected_psnr"] for member in members])
  guarded = first.guarded and first.guarded._replace(output=stored(first.guarded.output))
  combined = first.combined and first.combined._replace(
      output=stored(first.combined.output), estimate=stored(first.combined.estimate), share=float(first.combined.share),
      error=None, unseen=None)
  return Restored(*first._replace(
      image=stored(mean), last=stored(first.last), guarded=guarded, combined=combined, spread=spread,
      error=_expected.mean_of_maps(maps), summary=summary, before=stored(measurement.estimate)))
