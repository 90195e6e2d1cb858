"""Files and folders that are whole or are not used: atomic writes, and manifests of folders."""

import contextlib
import hashlib
import io
import json
import os
import pathlib
import re
import secrets
import shutil
import socket
import time
from typing import Any, Iterable, Sequence

import numpy as np

from oes_jax.files import _sealed

TEMPORARY = ".*.tmp"  # a pattern
MANIFEST = "manifest.json"
_WRITER = re.compile(r"\.(?P<host>[0-9a-f]{6})-(?P<pid>[0-9]{1,9})-[0-9a-f]{8}\.tmp")
_ORBAX_TEMPORARY = "*.orbax-checkpoint-tmp*"
_FORGOTTEN_SECONDS = 86400  # after these, what a process of another host was writing is left over


def _host() -> str:
  return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]


def _sync_folder(folder: pathlib.Path) -> None:
  """Make the names in a folder durable, where the file system can."""
  with contextlib.suppress(OSError):
    descriptor = os.open(folder, os.O_RDONLY)
    try:
      os.fsync(descriptor)
    finally:
      os.close(descriptor)


def write_atomically(path: pathlib.Path, data: bytes) -> None:
  """Write a file so that a kill or a power cut at any moment leaves the old content or the new.

  Several processes may write one file at once: the last one's content stands. What a kill leaves
  beside it is named `TEMPORARY`.
  """
  temporary = path.with_name(f".{path.name}.{_host()}-{os.getpid()}-{secrets.token_hex(4)}.tmp")
  try:
    with open(temporary, "wb") as file:
      file.write(data)
      file.flush()
      os.fsync(file.fileno())
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)  # of a write that failed
  _sync_folder(path.parent)


def write_sealed(path: pathlib.Path, record: dict[str, Any]) -> None:
  """Write a record of JSON values with its checksum, for `_sealed.read_sealed`."""
  write_atomically(path, json.dumps(_sealed.seal(record), indent=2).encode())


def write_array(path: pathlib.Path, array: np.ndarray) -> None:
  """Write one array as an NPY file, as `write_atomically` does.

  Args:
    path: path of the file, its suffix included.
    array: an array of any shape and type but objects.
  """
  stream = io.BytesIO()
  np.save(stream, array, allow_pickle=False)
  write_atomically(path, stream.getvalue())


def _runs_here(pid: int) -> bool:
  try:
    os.kill(pid, 0)
  except ProcessLookupError:
    return False
  except PermissionError:
    pass
  return True


def _is_left_over(path: pathlib.Path) -> bool:
  """Whether the process that was writing a temporary file is gone; one of another host is, after a day."""
  writer = _WRITER.search(path.name)
  if writer and writer["host"] == _host():
    return not _runs_here(int(writer["pid"]))
  return time.time() - path.stat().st_mtime > _FORGOTTEN_SECONDS


def remove_temporaries(folder: pathlib.Path, *, locked: bool = True) -> None:
  """Remove what killed processes were just writing into a folder.

  Args:
    folder: folder, of which the subfolders are left alone.
    locked: whether no other process writes masks into it.
  """
  for path in folder.glob(TEMPORARY):
    with contextlib.suppress(FileNotFoundError):
      if path.is_file() and _is_left_over(path):
        path.unlink()
  for path in folder.glob(_ORBAX_TEMPORARY) if locked else ():
    shutil.rmtree(path, ignore_errors=True)


def _describe(file: pathlib.Path, name: str, durable: bool) -> dict[str, Any]:
  with open(file, "rb") as stream:
    digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if durable:
      os.fsync(stream.fileno())
    return {"path": name, "size": os.fstat(stream.fileno()).st_size, "sha256": digest}


def write_manifest(folder: pathlib.Path, names: Iterable[str] | None = None) -> None:
  """Write the path, size and sha256 of files of `folder` into its manifest, once they are safe on disk.

  Args:
    folder: folder that is finished with it.
    names: paths of the files within it, or of folders of which every file counts; None: every file.
  """
  found = [file for name in (["."] if names is None else names) for file in _files_of(folder / name)]
  found = sorted(file for file in found if file != folder / MANIFEST)
  entries = [_describe(file, str(file.relative_to(folder)), durable=True) for file in found]
  for parent in {file.parent for file in found}:
    _sync_folder(parent)
  write_atomically(folder / MANIFEST, json.dumps(entries, indent=1).encode())
  _sync_folder(folder.parent)


def _files_of(path: pathlib.Path) -> Sequence[pathlib.Path]:
  return [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]


def _is_entry(entry: Any) -> bool:
  """Whether an entry of a manifest says what a file inside its folder is."""
  if not isinstance(entry, dict) or not isinstance(entry.get("path"), str):
    return False
  path = pathlib.PurePath(entry["path"])
  return (not path.is_absolute() and ".." not in path.parts and "\0" not in entry["path"]
          and type(entry.get("size")) is int and isinstance(entry.get("sha256"), str))


def read_manifest(folder: pathlib.Path) -> dict[str, dict[str, Any]]:
  """Return {path: its entry} of a folder's manifest; {}: it has none, or none that can be one."""
  try:
    entries = _sealed.read_json(folder / MANIFEST)
  except ValueError:
    return {}
  if not isinstance(entries, list) or not all(map(_is_entry, entries)):
    return {}
  return {entry["path"]: entry for entry in entries}


def is_as_described(file: pathlib.Path, entry: dict[str, Any]) -> bool:
  """Whether a file is what an entry of a manifest says, wherever it lies."""
  try:
    return file.is_file() and file.stat().st_size == entry["size"] and _describe(
        file, entry["path"], durable=False) == entry
  except OSError:  # it cannot be read
    return False


def find_damage(folder: pathlib.Path) -> str | None:
  """Return the path within a folder of a file that is not what the manifest says; None: all are.

  A folder without a readable manifest has that one damaged.
  """
  entries = read_manifest(folder)
  if not entries:
    return MANIFEST
  return next((path for path, entry in entries.items() if not is_as_described(folder / path, entry)), None)


def has_valid_manifest(folder: pathlib.Path) -> bool:
  """Whether every file of `folder` is as its manifest says."""
  return find_damage(folder) is None
