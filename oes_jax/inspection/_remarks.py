"""What makes a restoration of what was found worse, or needs something done first."""

from oes_jax import operators
from oes_jax.inspection import _defects
from oes_jax.inspection import _noise
from oes_jax.inspection import _recommendation
from oes_jax.inspection import _sinogram
from oes_jax.inspection import _values

# Correlation of the channels' noise that is said; share of the noise in the tails that is heavy.
_SHARED, _HEAVY = 0.3, 3e-3


def _remarks_on_ends(values: _values.Values) -> list[str]:
  """Return lines that say where values were cut off."""
  wrong = ((values.low, "lowest", "what was darker is cut off, and its noise with it, so that black comes out too bright; or there is "
            "nothing in them: then set them to NaN, or give a mask"),
           (values.high, "highest", "they are saturated, and what was brighter is lost"))
  return [f"{100 * end.share:.3g} % of the values are {end.value:g}, the {name} one"
          f"{', and that of the type' if end.of_type else ''}: {text}"
          for end, name, text in wrong if end.is_cut]


def remarks_on_image(values: _values.Values, defects: _defects.Defects | None, noise: _noise.Noise | None,
                     ) -> tuple[str, ...]:
  """Return lines that say what of an image makes its restoration worse, or needs something done first."""
  if values.is_blank:
    return (f"all values are {values.low.value:g}: there is nothing to restore",)
  found = _remarks_on_ends(values)
  if values.outside and _recommendation.is_far_outside(values):
    found.append(f"{100 * values.outside:.2g} % of the values lie far outside of the others, from {values.low.value:g} to "
                 f"{values.high.value:g}: where they are fill values or defects, set them to NaN, or give a mask, and look again")
  if _recommendation.is_too_small(values):
    least = _recommendation.LEAST_SIDE
    found.append(f"it has {values.shape[0]}x{values.shape[1]} pixels; {least}x{least} and more are restored")
  if not _recommendation.has_noise(noise):
    return (*found, "no noise is found: there is nothing to remove")
  if noise.sigma < _recommendation.NEARLY_CLEAN:
    found.append(f"the image is nearly clean, its noise {100 * noise.sigma:.2g} % of the range: little is gained, and detail "
                 "may be lost; fine texture is taken for noise here")
  else:
    found += operators.noise_warnings(operators.NoiseLevel(noise.sigma, noise.correlation, 0.0))
    if noise.tails and noise.tails > _HEAVY and not defects.impulses and not _recommendation.depends_on_brightness(noise):
      found.append(f"{100 * noise.tails:.2g} % of the noise lies beyond 4 standard deviations (of normal noise 0.006 %): a "
                   "robust fit may do better, configs/denoise.py:oes with --config.noise.model=salt_and_pepper")
    if noise.between_channels is not None and abs(noise.between_channels) > _SHARED:
      found.append(f"the noise of the channels is correlated ({noise.between_channels:.2f}), and is taken to be independent")
  for name, size in (("rows", defects.rows), ("columns", defects.columns)):
    if size:
      found.append(f"whole {name} are offset by {100 * size:.2g} % of the range: stripes, which are kept as detail; subtract "
                   f"from the {name} their offset to those beside them first")
  if defects.jpeg is not None:
    found.append(f"it has the 8x8 blocks of JPEG, from row {defects.jpeg[0]} and column {defects.jpeg[1]} on: its noise is "
                 "neither white nor all there; restore the image as it was before the compression, if there is one")
  return tuple(found)


def remarks_on_operator(operator: str, values: _values.Values, defects: _defects.Defects) -> tuple[str, ...]:
  """Return lines that say what does not go with the operator that was told."""
  if operator not in _recommendation.WITH_LOST and (values.lost or defects.hot + defects.dead):
    return (f"{operator} reads no mask: fill in pixels that are lost, dead or hot first, as a run with inpainting does",)
  if operator == "inpainting" and not (values.lost or defects.hot + defects.dead):
    return ("no pixel is lost: inpainting needs a mask, or NaN where one is",)
  return ()


def remarks_on_sinogram(found: _sinogram.Sinogram) -> tuple[str, ...]:
  """Return lines that say what of a sinogram makes its restoration worse, or needs something done first."""
  said = ()
  if _sinogram.is_offset(found):
    said += (f"the axis of rotation lies {found.offset:.2f} +- {found.offset_error:.2f} detectors beside the middle one: shift "
             f"the detectors by {-found.offset:.2f} first",)
  return said
