"""The report of what was found, as text."""

import shlex
import textwrap
from typing import Any

from oes_jax.inspection import _recommendation

_WIDTH, _INDENT = 120, 12
_TASKS = {"identity": "denoising", "mri": "magnetic resonance imaging"}


def _line(name: str, text: str) -> str:
  return textwrap.fill(text, _WIDTH, initial_indent=name.ljust(_INDENT), subsequent_indent=_INDENT * " ",
                       break_long_words=False, break_on_hyphens=False)


def _about_values(values) -> list[str]:
  height, width, channels = values.shape
  image = f"{height}x{width} pixels, {channels} channel{'s' if channels > 1 else ''}, {values.dtype}"
  text = f"{values.low.value:.6g} to {values.high.value:.6g}, {values.levels} level{'s' if values.levels > 1 else ''}"
  if values.levels > 1:
    text += (f", the closest {values.step:.3g} apart; {100 * values.low.share:.2g} % are lowest, "
             f"{100 * values.high.share:.2g} % highest")
  if values.limits is not None:
    text += (f"; mapped to 0 and 1: {values.limits[0]:.6g} and {values.limits[1]:.6g}"
             + (f", with {100 * values.outside:.2g} % beyond" if values.outside else ""))
  lost = "none" if not values.lost else f"{100 * values.lost:.3g} % of the pixels hold no data" + (
      f", {100 * values.nan:.3g} % NaN" if values.nan else "") + (
          f"; {values.fill:g} lies far from all other values" if values.fill is not None else "")
  return [_line("image", image), _line("values", text), _line("lost", lost)]


def _about_defects(defects) -> str:
  found = [f"{defects.hot} hot and {defects.dead} dead pixels" if defects.hot + defects.dead else "no dead or hot pixels",
           f"impulses {100 * defects.impulses:.3g} %" if defects.impulses else "no impulses"]
  sizes = (("rows", defects.rows), ("columns", defects.columns))
  stripes = [f"{name} by {100 * size:.2g} %" for name, size in sizes if size]
  found += [f"stripes: {' and '.join(stripes)} of the range" if stripes else "no stripes",
            "no JPEG blocks" if defects.jpeg is None else "JPEG blocks"]
  return _line("defects", ", ".join(found))


def _about_noise(noise) -> list[str]:
  if noise is None:
    return [_line("noise", "cannot be told: too few pixels")]
  text = f"standard deviation {noise.sigma:.3g} of the range, {noise.sigma_value:.4g} in the image's units"
  white = "cannot be told" if noise.correlation is None else f"{noise.correlation:.2f}"
  text += f"; correlation of neighbours {white}"
  if noise.between_channels is not None:
    text += f", of channels {noise.between_channels:.2f}"
  if noise.tails is not None:
    text += f"; {100 * noise.tails:.2g} % beyond 4 standard deviations"
  lines, found = [_line("noise", text)], noise.brightness
  if found is None:
    return [*lines, _line("brightness", "its effect on the noise cannot be told")]
  if not _recommendation.depends_on_brightness(noise):
    weak = noise.sigma < _recommendation.TOLD
    text = "its effect on so little noise is not told" if weak else "has no effect on the noise that shows"
    return [*lines, _line("brightness", text)]
  if found.factor:
    return [*lines, _line("brightness", f"standard deviation = {found.factor:.3g} x value: speckle")]
  black = f"; 0 at the value {found.black_level:.4g}, so that black lies there or above" if found.black_level else (
      f"; read noise {found.read_noise:.3g}")
  return [*lines, _line(
      "brightness", f"variance = {found.gain:.4g} (+- {found.gain_error:.2g}) x value {found.intercept:+.4g} "
      f"(+- {found.intercept_error:.2g}): gain {found.gain:.4g} units a photon{black}")]


def _about_k_space(found) -> list[str]:
  given = "given" if found.has_maps else "not given"
  text = (f"{found.coils} coil{'s' if found.coils > 1 else ''} of {found.shape[0]}x{found.shape[1]} samples, sensitivities "
          f"{given}")
  sampled = {"nothing": "everything was measured"}.get(
      found.pattern, f"acceleration {found.acceleration:.3g}: {found.pattern} were left out, the {found.central_lines} around "
      f"the middle measured{f', others {found.spacing} apart' if found.spacing else ''}")
  return [_line("k-space", text), _line("peak", f"in the {found.peak}"), _line("sampling", sampled),
          _line("noise", f"standard deviation {found.sigma:.3g} of the image's range, {found.sigma_value:.4g} in kspace")]


def _about_sinogram(found) -> list[str]:
  text = (f"{found.detectors} detectors, {found.angles} angles from {found.first:.4g} to {found.last:.4g} degrees, given in "
          f"{found.unit}")
  axis = "cannot be told" if found.offset is None else (
      f"{found.offset:.2f} +- {found.offset_error:.2f} detectors from the middle one")
  share = "" if found.sigma is None else f", {found.sigma:.3g} of the image's range"
  noise = "cannot be told" if found.sigma_value is None else (
      f"standard deviation {found.sigma_value:.4g} in the sinogram{share}")
  return [_line("sinogram", text), _line("values", "counted photons" if found.counts else "line integrals"),
          _line("axis", axis), _line("noise", noise)]


def describe(findings: Any, source: str | None = None, mask: str | None = None, program: str = "oes-jax") -> str:
  """Return the report of findings.

  Args:
    findings: Findings.
    source: file that was looked at; None: an array.
    mask: path of the mask of lost pixels that was written, or None.
    program: how the program is called.
  """
  lines = [] if findings.values is None else _about_values(findings.values)
  if findings.defects is not None:
    lines += [_about_defects(findings.defects), *_about_noise(findings.noise)]
  lines += [] if findings.k_space is None else _about_k_space(findings.k_space)
  lines += [] if findings.sinogram is None else _about_sinogram(findings.sinogram)
  lines += [_line("note", text) for text in findings.remarks]
  found = findings.recommendation
  if found is None:
    return "\n".join([*lines, "", "Nothing to run yet: see the notes."])
  why = f": {'; '.join(found.reasons)}" if found.reasons else ""
  lines += ["", textwrap.fill(f"Recommended: {_TASKS.get(found.operator, found.operator)}{why}.", _WIDTH)]
  if source is None:
    return "\n".join([*lines, f"  {found.call()}"])
  if found.needs_mask and mask is None:
    lines.append(f"  {program} inspect {shlex.quote(source)} --mask=lost.npy   # writes the mask of these pixels")
  command = found.command(source, mask or "lost.npy", program)
  several = [f"  {command} --method=auto   # several methods, mixed: some five times as long"] if found.preset == "quick" else []
  return "\n".join([*lines, f"  {command}", *several])
