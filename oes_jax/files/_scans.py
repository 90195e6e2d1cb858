"""Measured data that are no image: k-space and sinograms in NPZ files."""

import hashlib
import io
import pathlib
from typing import Any, NamedTuple
import zipfile
import zlib

import numpy as np


class Scan(NamedTuple):
  """What a scanner measured.

  Attributes:
    values: k-space [coils, H, W, 2] or sinogram [detectors, angles, C], float32.
    shape: (H, W) of the image.
    given: what the operator is made with: coils and sampling, or angles.
    digest: sha256 of the file.
  """
  values: np.ndarray
  shape: tuple[int, int]
  given: dict[str, Any]
  digest: str


def _mri(arrays) -> tuple[np.ndarray, tuple[int, int], dict[str, Any]]:
  """kspace [coils, H, W] and coil_maps [coils, H, W], complex; sampling [H, W] or [W], else what is not 0."""
  space, maps = arrays["kspace"], arrays["coil_maps"]
  if space.ndim != 3 or maps.shape != space.shape:
    raise ValueError(f"kspace is {space.shape}, coil_maps {maps.shape}; allowed: the same [coils, H, W]")
  sampling = arrays.get("sampling", np.any(space != 0, 0))
  values = np.stack([space.real, space.imag], -1).astype(np.float32)
  return values, space.shape[1:], {"coils": maps.astype(np.complex64), "sampling": sampling}


def _tomography(arrays) -> tuple[np.ndarray, tuple[int, int], dict[str, Any]]:
  """sinogram [detectors, angles] or [detectors, angles, C], angles [angles] in degrees, shape (H, W)."""
  sinogram, angles = arrays["sinogram"], arrays["angles"]
  height, width = (int(side) for side in arrays["shape"])
  if sinogram.ndim not in (2, 3) or angles.ndim != 1 or np.iscomplexobj(sinogram):
    raise ValueError(f"sinogram is {sinogram.dtype} {sinogram.shape}, angles {angles.shape}; allowed: real [detectors, "
                     "angles] or [detectors, angles, C], and [angles]")
  values = sinogram[..., None] if sinogram.ndim == 2 else sinogram
  detectors = int(np.ceil(np.sqrt(2) * max(height, width)))
  if values.shape[:2] != (detectors, angles.size):
    raise ValueError(f"sinogram is {sinogram.shape}; allowed for an image of {height}x{width}, with {angles.size} "
                     f"angles: [{detectors}, {angles.size}], as radon(image, angles, circle=False) gives")
  return values.astype(np.float32), (height, width), {"angles": angles}


SCAN_READERS = {"mri": (_mri, ("kspace", "coil_maps")), "tomography": (_tomography, ("sinogram", "angles", "shape"))}


def read_arrays(path: str) -> tuple[dict[str, np.ndarray], str]:
  """Return (arrays by name, sha256 of the file) of an NPZ file of finite values.

  Raises:
    ValueError: it does not exist, is no NPZ file, is damaged, or holds NaN, infinite values or no numbers.
  """
  if not pathlib.Path(path).is_file():
    raise ValueError(f"data.source={path!r} does not exist or is not a file.")
  data = pathlib.Path(path).read_bytes()
  try:
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
      arrays = {name: file[name] for name in file.files}
    for name, array in arrays.items():
      if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinite values")
  except (ValueError, TypeError, AttributeError, OSError, EOFError, NotImplementedError, zipfile.BadZipFile,
          zlib.error) as error:
    raise ValueError(f"data.source={path!r} cannot be read as a scan: {error}.") from error
  return arrays, hashlib.sha256(data).hexdigest()


def read_scan(path: str, operator: str) -> Scan:
  """Read an NPZ file as a scan.

  Args:
    path: the file.
    operator: a name of SCAN_READERS, whose functions' docstrings give the layouts.

  Raises:
    ValueError: there is none, it is no NPZ file or lacks an array, or shapes or values are faulty.
  """
  if operator not in SCAN_READERS:
    raise ValueError(f"data.source={path!r} holds measured arrays, which operator.name={operator!r} does not read; "
                     f"allowed: {', '.join(SCAN_READERS)}.")
  arrays, digest = read_arrays(path)
  reader, needed = SCAN_READERS[operator]
  try:
    missing = [name for name in needed if name not in arrays]
    if missing:
      raise ValueError(f"it has no array {missing[0]!r}; allowed: {', '.join(needed)}")
    values, shape, given = reader(arrays)
  except (ValueError, TypeError, AttributeError) as error:
    raise ValueError(f"data.source={path!r} cannot be read as a scan: {error}.") from error
  return Scan(values, tuple(shape), given, digest)
