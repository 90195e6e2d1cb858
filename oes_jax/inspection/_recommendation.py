"""What to do with what was found: an operator, a noise model and other settings, each with its reason."""

import shlex
from typing import Any, Mapping, NamedTuple

import numpy as np

from oes_jax import operators
from oes_jax.inspection import _defects
from oes_jax.inspection import _k_space
from oes_jax.inspection import _noise
from oes_jax.inspection import _sinogram
from oes_jax.inspection import _values

# Noise, in the unit range, below which an image is nearly clean, and from which what it depends on is told.
NEARLY_CLEAN, TOLD = 0.01, 0.015
# Share of impulses that needs their model; share of values outside of the range that is set by hand; read noise, in the unit range,
# that is none.
_MANY_IMPULSES, _OUTSIDE, _NO_READ_NOISE = 0.005, 0.005, 1e-3
# Ranges of most values that all of them reach over, from which some are no noise.
_FAR = 4
# Noise, in the unit range, that is none but rounding; fewest pixels along a side that are restored.
_ROUNDING, LEAST_SIDE = 1e-6, 16
WITH_LOST = ("identity", "inpainting")  # operators whose measurement may have lost pixels
# Names of the shipped configs by their operators; the command of oes-jax has the same name but for one.
CONFIGS = {"identity": "denoise", "inpainting": "inpaint", "super_resolution": "super_resolution", "deblurring": "deblur",
           "mri": "mri", "tomography": "ct"}


class Recommendation(NamedTuple):
  """What to restore with.

  Attributes:
    operator: name of the operator.
    preset: "quick", or "oes" where the noise cannot be drawn anew.
    settings: values of a config by their dotted names, beside the operator's name, that differ from the preset.
    needs_mask: whether a mask of lost pixels has to be written first, `Findings.mask`.
    reasons: a sentence for each choice.
  """
  operator: str
  preset: str
  settings: dict[str, Any]
  needs_mask: bool
  reasons: tuple[str, ...]

  def command(self, source: str, mask: str = "lost.npy", program: str = "oes-jax") -> str:
    """Return the command line that restores a file.

    Args:
      source: path of the file.
      mask: path of the mask of lost pixels, where one is needed.
      program: how the program is called.
    """
    name = {"super_resolution": "upscale"}.get(self.operator, CONFIGS[self.operator])
    options = [*([] if self.preset == "quick" else [f"--preset={self.preset}"]), *([f"--mask={mask}"] if self.needs_mask else []),
               *(f"--config.{key}={value}" for key, value in self.settings.items())]
    return shlex.join([*program.split(), name, source, *options])

  def call(self) -> str:
    """Return the call that restores an array."""
    operator = f"{{'name': {self.operator!r}, 'mask': findings.mask}}" if self.needs_mask else repr(self.operator)
    parts = [] if operator == "'identity'" else [f"operator={operator}"]
    return f"oes_jax.restore({', '.join(['array', *parts, *([f'settings={self.settings}'] if self.settings else [])])})"


def _rounded(value: float) -> float:
  return float(f"{value:.4g}")


def _is_correlated(noise: _noise.Noise) -> bool:
  """Whether noise is strong enough to tell, and that of neighbours is correlated."""
  return noise.sigma >= NEARLY_CLEAN and operators.is_correlated(noise.correlation)


def has_noise(noise: _noise.Noise | None) -> bool:
  """Whether noise was found that is more than the rounding of numbers."""
  return noise is not None and noise.sigma > _ROUNDING


def depends_on_brightness(noise: _noise.Noise) -> bool:
  """Whether noise is strong enough to tell, and grows with brightness."""
  return noise.sigma >= TOLD and noise.brightness is not None and noise.brightness.is_significant


def _photon_noise(values: _values.Values, defects: _defects.Defects, noise: _noise.Noise) -> tuple[dict[str, Any], str]:
  """Return (settings, reason) of noise that grows along a line with brightness; no settings where the model does not fit."""
  found = noise.brightness
  if values.low.value < 0:
    return {}, ("the noise grows with brightness, but values below 0 do not go with noise.model=poisson_gaussian: where they "
                "are black with read noise, set them to 0 and look again")
  if found.black_level > 0.02 * values.high.value:
    return {}, (f"the noise grows with brightness from a black level of about {found.black_level:.4g} or more: subtract the "
                "camera's, and look again")
  high = values.limits[1]
  told, peak = {}, high / found.gain
  if _by_hand(values, defects):
    high = values.high.value
    told, peak = {"data.range": (0.0, float(high))}, high / found.gain
  read = found.read_noise / high
  counted = found.intercept < 2 * found.intercept_error or read < _NO_READ_NOISE
  told = {"noise.model": "poisson" if counted else "poisson_gaussian", "noise.peak": _rounded(peak), **told}
  if not counted:
    told["noise.sigma"] = _rounded(read)
  return told, (f"the variance of the noise grows with the value: {peak:.3g} photons at the value {high:.4g}, which is 1 in "
                f"the unit range, {'and no read noise that shows' if counted else f'and read noise of {read:.3g}'}")


def _noise_model(values: _values.Values, defects: _defects.Defects, noise: _noise.Noise):
  """Return (preset, settings, reasons) of the noise of an image."""
  if defects.impulses > _MANY_IMPULSES:
    return "oes", {"noise.model": "salt_and_pepper"}, (
        f"{100 * defects.impulses:.3g} % of the values are lost to single lowest and highest ones",)
  if _is_correlated(noise):
    return "quick", {"fit.sigma": _rounded(min(noise.sigma_apart, 1.0))}, (
        "the noise of neighbours is correlated: its strength is told from pixels three apart",)
  if depends_on_brightness(noise):
    if noise.brightness.factor and values.low.value >= 0:
      return "oes", {"noise.model": "speckle"}, (
          f"the noise is a factor of the value, by a standard deviation of {noise.brightness.factor:.3g}",)
    told, reason = _photon_noise(values, defects, noise)
    if told:
      return "quick", told, (reason,)
    return "quick", _by_hand(values, defects), (reason,)
  told = noise.brightness is not None and noise.sigma >= TOLD
  return "quick", _by_hand(values, defects), (
      "the noise is the same at every brightness" if told else "the noise is taken to be the same at every brightness",)


def _by_hand(values: _values.Values, defects: _defects.Defects) -> dict[str, Any]:
  """Return the range of all values where the automatic one cuts off many that are no defects."""
  if values.outside > _OUTSIDE and not defects.hot + defects.dead and not is_far_outside(values):
    low, high = values.low.value, values.high.value
    step = 10.0 ** np.floor(np.log10(high - low) - 2)  # three digits and more of their distance, outwards
    return {"data.range": tuple(float(f"{end:.12g}") for end in (step * np.floor(low / step), step * np.ceil(high / step)))}
  return {}


def is_far_outside(values: _values.Values) -> bool:
  """Whether values lie so far outside of the automatic range that noise does not explain them."""
  low, high = values.limits
  return values.high.value - values.low.value > _FAR * (high - low)


def is_too_small(values: _values.Values) -> bool:
  """Whether an image is smaller than generators make them."""
  return min(values.shape[:2]) < LEAST_SIDE


def recommend_for_image(operator: str, told: Mapping[str, Any], values: _values.Values, defects: _defects.Defects | None,
                        noise: _noise.Noise | None, given_mask: bool) -> Recommendation | None:
  """Return what to restore an image with; None where there is nothing to restore.

  Args:
    operator: name of the operator that was told.
    told: its other settings, by their dotted names.
    values: what the values are.
    defects: defects of the image, or None of one value.
    noise: what the noise is, or None where it cannot be told.
    given_mask: whether a mask of lost pixels was given.
  """
  if values.is_blank or is_too_small(values) or not has_noise(noise):
    return None
  preset, settings, reasons = _noise_model(values, defects, noise)
  singles = defects.hot + defects.dead
  if operator == "inpainting" and not (values.lost or singles) or operator not in WITH_LOST and values.lost:
    return None
  needs_mask = values.fill is not None or singles > 0 or given_mask
  if operator in WITH_LOST and (values.lost or singles):
    operator = "inpainting"
    what = [f"{100 * values.lost:.3g} % of the pixels hold no data"] if values.lost else []
    what += [f"{defects.hot} hot and {defects.dead} dead pixels stand alone"] if singles else []
    reasons = (" and ".join(what), *reasons)
  return Recommendation(operator, preset, {**told, **settings}, needs_mask and operator == "inpainting", reasons)


def recommend_for_k_space(found: _k_space.KSpace) -> Recommendation:
  """Return what to restore a scan of magnetic resonance imaging with."""
  settings, reasons = {}, ()
  if found.peak == "corner":
    settings["operator.centred"] = False
    reasons += ("the zero frequency lies in the corner of kspace",)
  if found.coil_axis:
    settings["operator.coil_axis"] = found.coil_axis
    reasons += ("the coils are on the last axis",)
  return Recommendation("mri", "quick", settings, False, reasons)


def recommend_for_sinogram(found: _sinogram.Sinogram) -> Recommendation | None:
  """Return what to restore a scan of computed tomography with; None where it has to be made into line integrals first."""
  if found.counts:
    return None
  radians = found.unit == "radians"
  return Recommendation("tomography", "quick", {"operator.angle_unit": "radians"} if radians else {}, False,
                        ("the angles seem to be in radians",) if radians else ())
