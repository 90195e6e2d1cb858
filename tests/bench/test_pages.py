"""Recorded tables on the pages."""

import json
import pathlib

import pytest

from oes_jax.bench import _records

ROOT = pathlib.Path(__file__).parents[2]
RECORDS = ROOT / "docs" / "records"


def test_the_pages_show_the_recorded_tables():
  pages = [(ROOT / name).read_text(encoding="utf-8") for name in ("docs/results.md", "docs/pruning.md", "docs/many_machines.md")]
  assert [_records.fill_tables(page, RECORDS) for page in pages] == pages
  assert "<!-- compare_answer.json: table -->" in pages[1]
  for name in ("operators", "transfer_quick", "sparsity_small", "limits_small", "noise_small"):
    assert f"<!-- {name}.json: table -->" in pages[0]
  for record in RECORDS.glob("compare_*.json"):
    stored = json.loads(record.read_text(encoding="utf-8"))
    assert stored.get("tuned table", stored["table"]) in "".join(pages), record.name


def test_recorded_tables_go_to_their_places(tmp_path):
  (tmp_path / "a.json").write_text(json.dumps({"table": "| x |\n| --- |\n| 2 |\n"}))
  text = "before\n<!-- a.json: table -->\n| x |\n| 1 |\n\nafter | 1 |\n"
  filled = _records.fill_tables(text, tmp_path)
  assert filled == "before\n<!-- a.json: table -->\n| x |\n| --- |\n| 2 |\n\nafter | 1 |\n"
  assert _records.fill_tables(filled, tmp_path) == filled
  with pytest.raises(ValueError, match="a.json has no entry 'tuned table'; it has table"):
    _records.fill_tables("<!-- a.json: tuned table -->\n", tmp_path)
