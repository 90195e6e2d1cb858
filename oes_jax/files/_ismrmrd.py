"""Raw data of scanners in the ISMRMRD format: the lines of Cartesian scans of slices, sorted into k-space.

The format is HDF5 (Inati et al. 2017, Magnetic Resonance in Medicine 77:411): a header in XML, and a table with a row for each
line that was measured.
"""

import contextlib
import functools
from typing import Any, Iterator, NamedTuple
from xml.etree import ElementTree

import numpy as np

from oes_jax.files import _entries
from oes_jax.files import _free_memory
from oes_jax.files import _hdf5

_GROUP = "dataset"
# Bits of a line's flags: what is no part of the image (noise, calibration alone, navigators, phase correction, feedback,
# dummies, surface coils, phase stabilisation), and a line that was read backwards.
_NO_IMAGE = sum(1 << bit for bit in (18, 19, 22, 23, 25, 26, 27, 28, 29, 30))
_REVERSED = 1 << 21
_COUNTERS = ("average", "contrast", "phase", "repetition", "set")  # of which the first, 0, is read
_MOST_LINES = 10 ** 7


class _Plan(NamedTuple):
  """How lines become k-space.

  Attributes:
    shape: (slices, coils, H, W).
    width: samples along the readout of the image; W, or fewer where it is oversampled.
    lines: numbers of the lines in the table.
    slices: slice of each of them.
    rows: row of k-space of each of them.
    heads: header of each of them.
  """
  shape: tuple[int, int, int, int]
  width: int
  lines: np.ndarray
  slices: np.ndarray
  rows: np.ndarray
  heads: np.ndarray


def _number(element, path: str, default: int | None = None) -> int:
  found = element.findtext(path, namespaces={"": "http://www.ismrm.org/ISMRMRD"})
  if found is None and default is None:
    raise ValueError(f"its XML header has no {path}")
  return default if found is None else int(found)


def _encoding_of(text: bytes | str):
  """Return the element of the first encoding of an XML header.

  Raises:
    ValueError: it has none, or its trajectory is not Cartesian.
    ElementTree.ParseError: it is damaged.
  """
  encoding = ElementTree.fromstring(text).find("encoding", {"": "http://www.ismrm.org/ISMRMRD"})
  trajectory = None if encoding is None else encoding.findtext("trajectory", namespaces={"": "http://www.ismrm.org/ISMRMRD"})
  if trajectory != "cartesian":
    raise ValueError(f"the trajectory of its first encoding is {trajectory}; allowed: cartesian")
  return encoding


def _kept_lines(heads: np.ndarray) -> np.ndarray:
  """Return whether each line is read: those of the image, of the first encoding and the first of every counter."""
  index = heads["idx"]
  kept = (heads["flags"] & np.uint64(_NO_IMAGE) == 0) & (heads["encoding_space_ref"] == 0)
  for name in _COUNTERS:
    kept &= index[name] == 0
  return kept


def _plan(heads: np.ndarray, encoding) -> _Plan:
  """Return how the lines of a table become k-space.

  Raises:
    ValueError: no line is left, or they are read backwards, in three dimensions, or do not fit the matrix.
  """
  kept = _kept_lines(heads)
  lines, heads = np.flatnonzero(kept), heads[kept]
  if not lines.size:
    raise ValueError("it holds no line of an image")
  width, height = (_number(encoding, f"encodedSpace/matrixSize/{axis}") for axis in "xy")
  limits = "encodingLimits/kspace_encoding_step_1"
  centre = _number(encoding, f"{limits}/center", height // 2)
  rows = heads["idx"]["kspace_encode_step_1"].astype(int) - centre + height // 2
  starts = width // 2 - heads["center_sample"].astype(int)
  coils, samples = (np.unique(heads[name]) for name in ("active_channels", "number_of_samples"))
  if np.any(heads["flags"] & np.uint64(_REVERSED)) or np.any(heads["trajectory_dimensions"]):
    raise ValueError("its lines are read backwards in part, or along a trajectory; allowed: lines in one direction")
  if np.any(heads["idx"]["kspace_encode_step_2"] != heads["idx"]["kspace_encode_step_2"][0]):
    raise ValueError("it is encoded in three dimensions; allowed: slices of two")
  if (coils.size > 1 or samples.size > 1 or rows.min() < 0 or rows.max() >= height or starts.min() < 0
      or np.any(starts + samples[0] > width)):
    raise ValueError(f"its lines do not fit a matrix of {height}x{width} samples, of one number of coils")
  slices = heads["idx"]["slice"].astype(int)
  shape = (int(slices.max()) + 1, int(coils[0]), height, width)
  _free_memory.check_size(6 * 8 * shape[1] * height * width)
  narrow = _number(encoding, "reconSpace/matrixSize/x", width)
  whole = samples[0] == width and 0 < narrow < width
  return _Plan(shape, narrow if whole else width, lines, slices, rows, heads)


def _without_oversampling(space: np.ndarray, width: int) -> np.ndarray:
  """Return k-space [..., W] of the `width` pixels in the middle of the readout."""
  before = space.shape[-1] // 2 - width // 2
  image = np.fft.fftshift(np.fft.ifft(np.fft.ifftshift(space, -1), norm="ortho"), -1)[..., before:before + width]
  return np.fft.fftshift(np.fft.fft(np.fft.ifftshift(image, -1), norm="ortho"), -1).astype(np.complex64)


def _sort(table, plan: _Plan, number: int) -> tuple[np.ndarray, np.ndarray]:
  """Return (k-space [coils, H, W], sampling [H, W]) of a slice; of a line that was measured twice the first counts."""
  _, coils, height, width = plan.shape
  space, seen = np.zeros((coils, height, width), np.complex64), np.zeros((height, width), bool)
  for line, row, head in zip(*(array[plan.slices == number] for array in (plan.lines, plan.rows, plan.heads))):
    if not seen[row].any():
      count, start = int(head["number_of_samples"]), width // 2 - int(head["center_sample"])
      part = slice(int(head["discard_pre"]), count - int(head["discard_post"]))
      values = np.asarray(table[int(line)]["data"], np.float32).view(np.complex64).reshape(coils, count)
      space[:, row, start:start + count][:, part] = values[:, part]
      seen[row, start:start + count][part] = True
  if plan.width < width:
    space, seen = _without_oversampling(space, plan.width), np.broadcast_to(seen.any(1)[:, None], (height, plan.width))
  return space, seen


def _contents_of(group: Any) -> _entries.Contents:
  table = group["data"]
  if not (len(table.shape) == 1 and 0 < table.shape[0] <= _MOST_LINES and {"head", "data"} <= set(table.dtype.names or ())
          and _hdf5.has_plain_type(table)):
    raise ValueError("its data are no table of acquisitions")
  _hdf5.check_chunks(table, (slice(0, table.shape[0]),), table.nbytes)
  if not (group["xml"].shape == (1,) and _hdf5.is_text(group["xml"])):
    raise ValueError("its XML header is no text")
  for name in ("data", "xml"):
    _hdf5.check_lengths(group[name])
  heads = table.fields("head")[:]
  plan = _plan(heads, _encoding_of(group["xml"][0]))
  sort = functools.lru_cache(maxsize=1)(lambda number: _sort(table, plan, number))
  slices, coils, height, width = plan.shape
  remarks = [f"{len(plan.lines)} of its {len(heads)} acquisitions are lines of the image, and of the first average, contrast, "
             "phase, repetition and set; the others are not read"] if len(plan.lines) < len(heads) else []
  if plan.width < width:
    remarks.append(f"the oversampling of its readout is removed: {plan.width} of {width} samples, as its header says")
  shape = (slices, coils, height, plan.width)
  return _entries.Contents({
      "kspace": _entries.Entry(shape, True, lambda number: sort(number)[0]),
      "sampling": _entries.Entry((slices, height, plan.width), False, lambda number: sort(number)[1])}, remarks=tuple(remarks))


@contextlib.contextmanager
def opened(path: str) -> Iterator[_entries.Contents]:
  """Give the arrays of an HDF5 file; those of ISMRMRD's raw data are the k-space and sampling that their lines make.

  Raises:
    ValueError: it is raw data of another kind than lines of slices.
    Exception: whatever h5py raises of a damaged file; read behind `_boundary.reading`.
  """
  with _hdf5.opened(path) as contents:
    group = contents.groups.get(_GROUP)
    if group is None or not {"xml", "data"} <= set(group):
      yield contents
      return
    for name in ("xml", "data"):
      _hdf5.check_inside(group, name)
    yield _contents_of(group)
