"""What is given in memory: arrays and objects, each checked alone."""

import os
from typing import Any, Mapping, NamedTuple

import numpy as np

from oes_jax import files
from oes_jax import generators
from oes_jax import noise
from oes_jax import operators

_ORIENTATION = 274  # of EXIF
# What arrays with labels or units have (xarray, pandas, pint, unyt, astropy), and plain ones do not.
_MORE_THAN_NUMBERS = ("dims", "columns", "units", "unit")


class Given(NamedTuple):
  """What is given in memory.

  Attributes:
    measurement: array that was measured; or {name: array} of a scan.
    truth: clean image, only ever scored; or None.
    arrays: arrays of the operator's settings: "mask" [H, W] or "kernel" [k, l].
    operator: forward operator in place of the one that the settings name, or None.
    generator: generator in place of the one that the settings name, or None.
    loss: noise.Noise or a function (predicted, measured) -> loss of every value, in place of the noise model's
      fit; or None.
    place: text behind the names of measurement and truth in messages, such as "[2]" of a list.
  """
  measurement: Any
  truth: Any = None
  arrays: Mapping[str, np.ndarray] = {}
  operator: operators.ForwardOperator | None = None
  generator: generators.Generator | None = None
  loss: Any = None
  place: str = ""

  @property
  def name(self) -> str:
    """Name of the measurement in messages."""
    return f"measurement{self.place}"


def check_objects(given: Given) -> None:
  """Raise a ValueError where an object is none of its kind."""
  if given.generator is not None and not isinstance(given.generator, generators.Generator):
    raise ValueError(f"generator is a {type(given.generator).__name__}; allowed: a Generator of oes_jax.generators, "
                     "such as that of generators.from_apply.")
  if given.loss is not None and not (isinstance(given.loss, noise.Noise) or callable(given.loss)):
    raise ValueError(f"loss is a {type(given.loss).__name__}; allowed: noise.Noise, or a function (predicted, "
                     "measured) -> loss of every value.")


_INTENSITIES = ("1", "L", "RGB", "I", "F", "I;16", "I;16L", "I;16B")  # modes of Pillow


def _check_container(value: Any, name: str) -> None:
  """Raise a ValueError where a path is given for an array, or one that holds more than its numbers, which would be lost."""
  if isinstance(value, (str, bytes, os.PathLike)):
    raise ValueError(f"{name}={value!r} is a {type(value).__name__}; allowed: an array, as numpy.load or skimage.io.imread "
                     "reads it.")
  if hasattr(value, "convert") and getattr(value, "mode", "L") not in _INTENSITIES:  # of PIL
    raise ValueError(f"{name} is an image of mode {value.mode}, whose channels are not all intensities; allowed: "
                     "convert('RGB') or convert('L') of it.")
  if hasattr(value, "convert") and getattr(value, "n_frames", 1) > 1:
    raise ValueError(f"{name} is an image file of {value.n_frames} frames, of which one would be read; allowed: one of "
                     "them, as image.seek(0) and image.copy() give it.")
  kind = f"{name} is a {type(value).__module__}.{type(value).__name__}"
  if isinstance(value, np.ma.MaskedArray):
    if np.ma.is_masked(value):
      raise ValueError(f"{kind} of which {np.ma.count_masked(value)} values are masked; allowed: a plain array, with "
                       "operator='inpainting' and a mask that is 0 there.")
  elif isinstance(value, np.ndarray) and type(value) not in (np.ndarray, np.memmap) or any(
      hasattr(value, attribute) for attribute in _MORE_THAN_NUMBERS):
    raise ValueError(f"{kind}, whose units, labels or axes would be lost; allowed: numpy.asarray of it, where its numbers are "
                     "meant, rows and columns first and channels last.")


def _check_orientation(value: Any, name: str) -> None:
  """Raise a ValueError where an image of Pillow, which is loaded, is to be turned as its EXIF entry says."""
  orientation = value.getexif().get(_ORIENTATION, 1) if hasattr(value, "getexif") else 1
  if orientation != 1:
    raise ValueError(f"{name} is an image whose EXIF orientation {orientation} is not applied; allowed: "
                     "PIL.ImageOps.exif_transpose of it, or numpy.asarray of it, as it is stored.")


def as_array(value: Any, name: str, *, kinds: str = "biuf") -> np.ndarray:
  """Return an argument as an array.

  Raises:
    ValueError: it is no array, its values are of another kind, or it holds more than its numbers.
  """
  _check_container(value, name)
  try:
    array = np.asarray(value)
  except ValueError as error:  # rows of several lengths
    raise ValueError(f"{name} is no array ({error}); allowed: an array.") from error
  _check_orientation(value, name)  # Pillow turns TIFF files while it loads them
  if array.dtype.kind not in kinds:
    raise ValueError(f"{name} is a {type(value).__name__} of {array.dtype} values; allowed: an array of boolean, "
                     f"integer or real{' or complex' if 'c' in kinds else ''} numbers.")
  if array.size == 0:
    raise ValueError(f"{name} has shape {array.shape}; allowed: one or more values.")
  return array


def as_picture(value: Any, name: str, *, finite: bool = True, hint: str = "", channel_axis: int = -1) -> files.Picture:
  """Return an array [H, W] or [H, W, C], or [C, H, W] where its channels go first, as a picture."""
  values = as_array(value, name)
  if values.ndim not in (2, 3):
    nested = "; a nested list is taken for a list of measurements, and np.asarray makes it one"
    raise ValueError(f"{name} has shape {values.shape}; allowed: [H, W] or [H, W, C]"
                     f"{nested if values.ndim == 1 and isinstance(value, (list, tuple)) else ''}.")
  if finite and not np.isfinite(values).all():
    raise ValueError(f"{name} holds {np.size(values) - np.isfinite(values).sum()} NaN or infinite values; allowed: "
                     f"finite ones{hint}.")
  squeezed = values.ndim == 2
  return files.Picture(values=values[..., None] if squeezed else np.moveaxis(values, channel_axis, -1), alpha=None,
                       squeezed=squeezed, suffix=".npy", digest="", bundled=False, channel_axis=channel_axis)
