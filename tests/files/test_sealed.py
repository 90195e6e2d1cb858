"""Records with a checksum: what was changed, cut or crafted is named in one line."""

import json

import pytest

from oes_jax import files

RECORD = {"cases": ["a", "é"], "sigma": 0.1, "none": None, "pair": (1, 2), "infinite": float("inf")}


def test_a_record_comes_back_without_its_checksum(tmp_path):
  files.write_sealed(tmp_path / "a.json", RECORD)
  assert files.read_sealed(tmp_path / "a.json") == {**RECORD, "pair": [1, 2]}
  (tmp_path / "a.json").write_text(json.dumps(json.loads((tmp_path / "a.json").read_text())))  # other spaces
  assert files.read_sealed(tmp_path / "a.json")["sigma"] == 0.1


@pytest.mark.parametrize("change", [
    lambda text: text.replace("0.1", "0.2"), lambda text: text.replace('"a"', '"b"'), lambda text: text[:-5], lambda text: "",
    lambda text: "[1]", lambda text: "null", lambda text: "[" * 100_000, lambda text: "9" * 5000, lambda text: '{"cases": []}',
    lambda text: text.replace('"checksum": "', '"checksum": "0')])
def test_a_changed_record_is_named(tmp_path, change):
  path = tmp_path / "a.json"
  files.write_sealed(path, RECORD)
  path.write_text(change(path.read_text()))
  with pytest.raises(ValueError, match="a.json cannot be read") as raised:
    files.read_sealed(path)
  assert "\n" not in str(raised.value)


def test_a_missing_record_and_bytes_that_are_no_text_are_named(tmp_path):
  (tmp_path / "a.json").write_bytes(b'{"a": "\xff"}')
  for name in ("a.json", "b.json"):
    with pytest.raises(ValueError, match=f"{name} cannot be read"):
      files.read_sealed(tmp_path / name)
