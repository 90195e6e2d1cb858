"""Files and folders that are whole or are not used: atomic writes, and manifests of folders."""

import hashlib
import io
import json
import os
import pathlib
import secrets
from typing import Any

import numpy as np

TEMPORARY = ".*.tmp"  # a pattern
MANIFEST = "manifest.json"


def write_atomically(path: pathlib.Path, data: bytes) -> None:
  """Write a file so that a kill at any moment leaves the old content or the new.

  Several processes may write one file at once: the last one's content stands. What a kill leaves
  beside it is named `TEMPORARY`.
  """
  temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
  with open(temporary, "wb") as file:
    file.write(data)
    file.flush()
    os.fsync(file.fileno())
  os.replace(temporary, path)


def write_array(path: pathlib.Path, array: np.ndarray) -> None:
  """Write one array as an NPY file, as `write_atomically` does.

  Args:
    path: path of the file, its suffix included.
    array: an array of any shape and type but objects.
  """
  stream = io.BytesIO()
  np.save(stream, array, allow_pickle=False)
  write_atomically(path, stream.getvalue())


def _describe(folder: pathlib.Path) -> list[dict[str, Any]]:
  files = sorted(f for f in folder.rglob("*") if f.is_file() and f.name != MANIFEST)
  return [{"path": str(f.relative_to(folder)), "size": f.stat().st_size,
           "sha256": hashlib.sha256(f.read_bytes()).hexdigest()} for f in files]


def write_manifest(folder: pathlib.Path) -> None:
  """Write the path, size and sha256 of every file of `folder` into its manifest."""
  write_atomically(folder / MANIFEST, json.dumps(_describe(folder), indent=1).encode())


def has_valid_manifest(folder: pathlib.Path) -> bool:
  """Whether every file of `folder` is as its manifest says."""
  try:
    written = json.loads((folder / MANIFEST).read_bytes())
  except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError, UnicodeDecodeError):
    return False
  if not isinstance(written, list) or not written:
    return False
  found = {entry["path"]: entry for entry in _describe(folder)}
  return all(found.get(entry["path"]) == entry for entry in written)
