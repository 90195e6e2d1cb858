"""Tables: columns are aligned, Markdown and CSV hold the cells, and empty columns are dropped."""

from oes_jax.files import _tables as tables

ROWS = [["name", "psnr", "note"], ["a", 27.5, ""], ["longer", 8, ""]]


def test_text_is_aligned():
  assert tables.format_table(ROWS).split("\n") == ["name    psnr  note", "a       27.5      ", "longer     8      "]


def test_markdown_has_a_header():
  assert tables.format_markdown(ROWS) == (
      "| name | psnr | note |\n| --- | --- | --- |\n| a | 27.5 |  |\n| longer | 8 |  |\n")


def test_a_column_with_nothing_but_its_header_is_dropped():
  assert tables.without_empty_columns([["name", "note", "failed"], ["a", "", "1"], ["b", "", ""]]) == [
      ["name", "failed"], ["a", "1"], ["b", ""]]


def test_csv_is_written_where_the_figure_lies(tmp_path, capsys):
  tables.write_csv(tmp_path / "new" / "a.csv", ROWS[0], ROWS[1:])
  assert (tmp_path / "new" / "a.csv").read_text() == "name,psnr,note\na,27.5,\nlonger,8,\n"
  assert "a.png" in capsys.readouterr().out
