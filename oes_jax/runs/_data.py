"""What is read for a run: a picture or a scan, its truth, its operator, and a mask that is taken over."""

import dataclasses
from typing import Any

import numpy as np

from oes_jax import files
from oes_jax import fitting
from oes_jax import generators
from oes_jax import inspection
from oes_jax import intensity
from oes_jax import noise
from oes_jax import operators
from oes_jax.runs import _build
from oes_jax.runs import _errors
from oes_jax.runs import _planes
from oes_jax.runs._settings import Settings

_COLOURS, _MANY_CHANNELS = 4, 16  # up to which channels look like colours and alpha, and like bands


@dataclasses.dataclass(frozen=True)
class Data:
  """What was read, and what it is taken for.

  Attributes:
    picture: image as it is stored, or the first image of a scan, in its own units.
    limits: (low, high), the values that map to 0 and 1.
    truth: clean values, typed as those of the picture; or None.
    simulated: whether the picture is clean and its measurement is simulated.
    strength: strength of the noise.
    operator: forward operator.
    scan: arrays that were measured, or None where the picture was.
    loss: noise.Noise or function (predicted, measured) -> loss of every value, in place of the noise model's fit; or
      None.
    remarks: lines that say what was not read, and what looks as if it was meant otherwise.
  """
  picture: files.Picture
  limits: tuple[float, float]
  truth: np.ndarray | None
  simulated: bool
  strength: noise.Strength
  operator: operators.ForwardOperator
  scan: operators.Scan | None
  loss: Any = None
  remarks: tuple[str, ...] = ()

  @property
  def sigma(self) -> float:
    """Standard deviation of the noise; 0 where it is not known."""
    return float(self.strength.sigma or 0)


def typed_as(truth: np.ndarray, dtype: np.dtype) -> np.ndarray:
  """Return a truth in the type of its image where that is the same kind of floats, or of bytes in another order.

  Of integers, other widths are other scales: those are returned as they are.
  """
  alike = {truth.dtype.kind, dtype.kind} == {"f"} or truth.dtype == dtype.newbyteorder()
  return truth.astype(dtype) if alike else truth


def _read_truth(settings: Settings, picture: files.Picture, simulated: bool, shape):
  """Return (clean values or None, digest of their file or None, remarks)."""
  source = settings.data.truth
  if source is None:
    return picture.values if simulated else None, None, ()
  finer = shape[0] // picture.values.shape[0]  # of a measured coarse image
  crop = settings.data.crop and tuple(finer * place for place in settings.data.crop)
  clean = files.read_picture(source, crop, max_side=settings.data.max_side, key="data.truth",
                             channel_axis=settings.data.channel_axis)
  values = typed_as(clean.values, picture.values.dtype)
  if (values.shape, values.dtype) != (shape, picture.values.dtype):
    raise ValueError(f"data.truth={source!r} is {values.dtype} {values.shape}, "
                     f"the image is to be {picture.values.dtype} {shape}; allowed: the same type and shape.")
  if ".npy" in (clean.suffix, picture.suffix):  # arrays say nothing of polarity, range and units
    return values, clean.digest, ()
  if clean.is_negative != picture.is_negative:
    white = {True: "white", False: "black"}
    raise ValueError(f"data.truth={source!r} has {white[clean.is_negative]} at 0, the image {white[picture.is_negative]}, so "
                     "that one would be scored against the negative of the other; allowed: both alike.")
  for name, its, of_image in (("range", clean.full_range, picture.full_range),
                              ("rescale slope and intercept", clean.rescale, picture.rescale)):
    if its != of_image:
      raise ValueError(f"data.truth={source!r} has the {name} {its}, the image {of_image}; allowed: both alike.")
  remarks = () if None in (clean.unit, picture.unit) or clean.unit == picture.unit else (
      f"data.truth={source!r} has the unit {clean.unit}, the image {picture.unit}: it is scored as it is",)
  return values, clean.digest, remarks


def scan_picture(operator: operators.ForwardOperator, scan: operators.Scan, digest: str = "") -> files.Picture:
  """Return the first image of a scan in its own units: what stands for the file where an image would."""
  image = fitting.scan_estimate(operator, operator.init(np.random.default_rng(0)), scan)
  return files.Picture(values=image, alpha=None, squeezed=image.shape[-1] == 1, suffix=".npy", digest=digest,
                       bundled=False)


def remark_channels(picture: files.Picture, remedy: str) -> tuple[str, ...]:
  """Return a line that says how an image was read whose channels look like rows, columns or frames.

  They do where they are more than pixels along a side, or, unless it is said that they go first, many or as many as columns:
  of a movie, frames come first.

  Args:
    picture: the image.
    remedy: what to do where its channels go first.
  """
  height, width, channels = picture.values.shape
  if channels > min(height, width):
    reason = ", more than pixels along a side"
  elif picture.channel_axis != 0 and (channels > _MANY_CHANNELS or channels == width > _COLOURS):
    reason = ""
  else:
    return ()
  return (f"it is read as {height}x{width} pixels with {channels} channels{reason}; restore frames of a "
          f"movie or slices one by one; where channels go first, {remedy}",)


def _remark_strength(settings: Settings) -> tuple[str, ...]:
  """Return a line for every strength of noise that is given of a measurement, but by a preset, and that nothing reads."""
  preset = fitting.OPERATOR_PRESETS.get(settings.operator.name, {})
  own = {"sigma": ", which fit.sigma says"} if settings.noise.model == "gaussian" else {}
  return tuple(
      f"noise.{name}={value} is not used: it is of noise that is added to a clean image, and this is a measurement with noise of "
      f"its own{own.get(name, '')}" for name in _build.unread_strengths(settings)
      if (value := getattr(settings.noise, name)) != preset.get(f"noise.{name}"))


def _remark_mask(settings: Settings) -> tuple[str, ...]:
  """Return a line where a density is asked for and a stored mask has its own."""
  source, asked = settings.mask.source, settings.learn.keep_fraction
  return () if source != "file" or asked is None else (
      f"mask.keep_fraction={asked} is not used: mask.source='file' keeps the weights that the stored mask keeps",)


def choose_limits(settings: Settings, values: np.ndarray, name: str, *, is_complex: bool,
                  known: tuple[float, float] | None = None, computed: bool = False) -> tuple[float, float]:
  """Return (low, high), the values that map to 0 and 1.

  Args:
    settings: all settings.
    values: [H, W, C], in their own units.
    name: what the values are called in messages.
    is_complex: whether they are the magnitude of a complex image.
    known: range that their file has, where no other is asked for; None: that of their type, or of themselves.
    computed: whether they are the first image of a scan.

  Raises:
    ValueError: the values or the range asked for are not allowed.
  """
  model = settings.noise.model
  with _errors.named("data", {"the measurement": name, f"noise model {model!r}": f"noise.model={model!r}",
                              "a complex image": f"operator.name={settings.operator.name!r}"}):
    return fitting.choose_range(values, settings.data.range or known, model=model, is_complex=is_complex,
                                computed=computed)


def remark_scan(scan: operators.Scan, values: np.ndarray, limits: tuple[float, float]) -> tuple[str, ...]:
  """Return lines on a sinogram with its axis elsewhere, and on values of a first image beyond limits, which no result has."""
  axis = inspection.remark_axis(scan.values, scan.given["angles"]) if "angles" in scan.given else ()
  beyond = intensity.find_beyond(values, limits)
  return axis if beyond is None else (
      *axis,
      f"{100 * beyond[0]:.3g} % of the values of its first image, as far as {beyond[1]:.4g}, lie outside {limits[0]:g} to "
      f"{limits[1]:g}, which the result does not leave; set data.range wider to keep them",)


def lose(settings: Settings, picture: files.Picture):
  """Return (picture with its lost pixels filled, mask [H, W] that is 0 there or None, remarks)."""
  mask = _build.read_planes(settings).get("mask")
  remarks = () if mask is None else _planes.remark_mask(mask)
  if mask is not None or settings.operator.mask is None:  # else it names a simulated damage, which is refused
    mask, said = _build.mark_nan(picture, mask, f"data.source={settings.data.source!r}")
    remarks += said
  return picture if mask is None else _build.fill_lost(settings, picture, mask), mask, remarks


def read_data(settings: Settings) -> tuple[Data, tuple[int, int, int], dict[str, Any]]:
  """Return (data, shape of the image, checksums of what was read)."""
  read = _build.read_scan(settings)
  simulated = _build.is_simulated(settings, files.is_bundled(settings.data.source))
  lost, mask, remarks = _build.loses_measured_pixels(settings, simulated), None, ()
  if read is not None:
    remarks = read[0].remarks
    operator = _build.make_operator(settings, read[0].image_shape, False, read[0])
    picture = scan_picture(operator, *read)
  else:
    picture = files.read_picture(
        settings.data.source, settings.data.crop, max_side=settings.data.max_side, finite=not lost,
        channel_axis=settings.data.channel_axis)
    remarks = picture.remarks + remark_channels(picture, "set data.channel_axis=0")
    if lost:
      picture, mask, said = lose(settings, picture)
      remarks += said
    elif _build.family_of(settings).loses_pixels:
      mask = _build.read_planes(settings).get("mask")
      remarks += () if mask is None else _planes.remark_mask(mask)
  remarks += (() if simulated else _remark_strength(settings)) + _remark_mask(settings)
  limits = choose_limits(settings, picture.values, f"data.source={settings.data.source!r}",
                         is_complex=_build.family_of(settings).is_complex, known=picture.full_range,
                         computed=read is not None)
  remarks += () if read is None else remark_scan(read[0], picture.values, limits)
  whole = _build.image_shape(settings, picture.values.shape, simulated)
  if picture.alpha is not None and whole[:2] != picture.values.shape[:2]:
    remarks += ("its transparency (alpha) is left out of the result, which has another size",)
  truth, truth_digest, said = _read_truth(settings, picture, simulated, (*whole[:2], picture.values.shape[2]))
  remarks += said
  if read is None:
    operator = _build.make_operator(settings, whole, simulated, mask=mask)
  data = Data(picture, limits, truth, simulated, _build.strength(settings, simulated), operator, read and read[0],
              remarks=remarks)
  return data, whole, {
      "source": picture.digest, "truth": truth_digest, "operator": _build.operator_digest(settings),
      "mask": files.mask_file_digest(settings.mask.source, settings.mask.path)}


def read_given_mask(settings: Settings, generator: generators.Generator, params):
  """Return the mask that is taken over, or None."""
  if settings.mask.path is not None:
    return files.read_mask(settings.mask.path, generator, params)
  return files.read_bundled_mask(generator, params)[0] if settings.mask.source == "bundled" else None
