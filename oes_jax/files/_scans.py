"""Measured arrays in NPZ files."""

import hashlib
import io
import pathlib
import zipfile
import zlib

import numpy as np


def read_arrays(path: str) -> tuple[dict[str, np.ndarray], str]:
  """Return (arrays by name, sha256 of the file) of an NPZ file.

  Raises:
    ValueError: it does not exist, is no NPZ file, or is damaged.
  """
  if not pathlib.Path(path).is_file():
    raise ValueError(f"data.source={path!r} does not exist or is not a file.")
  data = pathlib.Path(path).read_bytes()
  try:
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
      arrays = {name: file[name] for name in file.files}
  except (ValueError, TypeError, AttributeError, OSError, EOFError, NotImplementedError, zipfile.BadZipFile,
          zlib.error) as error:
    raise ValueError(f"data.source={path!r} cannot be read as a scan: {error}.") from error
  return arrays, hashlib.sha256(data).hexdigest()
