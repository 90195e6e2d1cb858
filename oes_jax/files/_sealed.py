"""JSON of the project's own records: read behind the boundary, and sealed, so that a changed one is not believed."""

import hashlib
import json
import pathlib
from typing import Any

from oes_jax.files import _boundary

_SEAL = "checksum"


def _checksum(record: dict[str, Any]) -> str:
  return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:16]


def seal(record: dict[str, Any]) -> dict[str, Any]:
  """Return a record of JSON values with its checksum, as it is read again."""
  record = json.loads(json.dumps(record))
  return {**record, _SEAL: _checksum(record)}


def read_json(path: pathlib.Path) -> Any:
  """Return the value of a JSON file.

  Raises:
    ValueError: it cannot be read, in one line that names it.
  """
  with _boundary.reading(f"{path} cannot be read"):  # deep nesting raises RecursionError
    return json.loads(path.read_bytes().decode())


def _open(sealed: Any) -> tuple[dict[str, Any], bool]:
  if not isinstance(sealed, dict):
    raise ValueError(f"it holds a {type(sealed).__name__}, not the keys of a record")
  record = {key: value for key, value in sealed.items() if key != _SEAL}
  return record, sealed.get(_SEAL) == _checksum(record)


def unseal(sealed: bytes, name: str) -> tuple[dict[str, Any], bool]:
  """Return (record without its checksum, whether that is right) of JSON text.

  Args:
    sealed: JSON text, in UTF-8.
    name: what messages call it.

  Raises:
    ValueError: it is no record, in one line.
  """
  with _boundary.reading(f"{name} cannot be read"):
    return _open(json.loads(sealed.decode()))


def read_sealed(path: pathlib.Path) -> dict[str, Any]:
  """Return the record of a file, without its checksum.

  Raises:
    ValueError: it is gone, cut or changed, in one line that names it.
  """
  with _boundary.reading(f"{path} cannot be read"):
    record, whole = _open(json.loads(path.read_bytes().decode()))
    if not whole:
      raise ValueError("it was changed since it was written")
    return record
