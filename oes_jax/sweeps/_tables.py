"""The table of means and spreads that the lines of results.jsonl make."""

import csv
import io
import pathlib
import statistics
from typing import Any, Iterable, Sequence

from oes_jax import files
from oes_jax.sweeps import _results

_UNREADABLE = "backslashreplace"  # bytes of a file's name that are no text
_COUNTED = ("kept", "can_act", "seconds")


def _spread(values: Sequence[float]) -> dict[str, float | None]:
  return {"mean": statistics.mean(values) if values else None,
          "sd": statistics.stdev(values) if len(values) > 1 else None}


def _row(image: str, setting: tuple, lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
  good = [line for line in lines if not line["failure"]]
  row = {"image": image, **dict(zip(_results.SETTING, setting)), "cases": len(lines),
         "failed": len(lines) - len(good)}
  for name in _results.MEASURED:
    row[f"{name} PSNR"] = _spread([line["psnr"][name] for line in good if name in line["psnr"]])
  row["expected PSNR of what was measured"] = _spread([line["expected_psnr"] for line in good if "expected_psnr" in line])
  row["average SSIM"] = _spread([line["ssim"]["average"] for line in good if "average" in line["ssim"]])
  for name in _COUNTED:
    row[name] = _spread([line[name] for line in good])
  return row


def summarise(lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
  """Return rows of mean and spread over seeds: each image under each setting, then all images.

  A case that failed, or whose mask collapsed, is counted and left out of the means. PSNR in dB, data
  range 1.

  Args:
    lines: last lines of cases, as `_results.read_results` gives them; no ensemble's.
  """
  lines, rows = list(lines), []
  key = lambda line: tuple(line.get(name) for name in _results.SETTING)
  for setting in dict.fromkeys(map(key, lines)):
    mine = [line for line in lines if key(line) == setting]
    sources = list(dict.fromkeys(line["source"] for line in mine))
    rows += [_row(source, setting, [line for line in mine if line["source"] == source])
             for source in sources]
    if len(sources) > 1:
      rows.append(_row("all images", setting, mine))
  return rows


def _as_csv(rows: Sequence[dict[str, Any]]) -> bytes:
  flat = [{name if part is None else f"{name} {part}": number for name, value in row.items()
           for part, number in (value.items() if isinstance(value, dict) else [(None, value)])}
          for row in rows]
  file = io.StringIO()
  writer = csv.DictWriter(file, list(flat[0]) if flat else [])
  writer.writeheader()
  writer.writerows(flat)
  return file.getvalue().encode(errors=_UNREADABLE)


def _cell(name: str, value: Any) -> str:
  if not isinstance(value, dict):
    return "" if value is None else str(value)
  if value["mean"] is None:
    return ""
  digits = 3 if name.endswith("SSIM") else 2 if "PSNR" in name else 0
  spread = "" if value["sd"] is None or name in _COUNTED else f" ± {value['sd']:.{digits}f}"
  return f"{value['mean']:,.{digits}f}{spread}"


def _as_cells(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
  """Header and cells, without the settings that are the same in every row."""
  rows = list(map(_results.shown, rows))
  names = [name for name in rows[0] if name not in _results.SETTING or len({row[name] for row in rows}) > 1]
  heads = [_results.SECONDS if name == "seconds" else name for name in names]
  return files.without_empty_columns([heads, *([_cell(name, row[name]) for name in names] for row in rows)])


def _ensemble_cells(lines: Sequence[dict[str, Any]]) -> list[list[str]]:
  """Header and cells of what the mean of the members gained over them."""
  names = ("member", "mean", "gain")
  return files.without_empty_columns([
      ["ensemble", "members", "PSNR of a member", "PSNR of their mean", "gain"],
      *([line["case"], str(line["members"]), *(f"{line['psnr'][name]:.2f}" if line["psnr"] else "" for name in names)]
        for line in lines)])


def _varying(line: dict[str, Any], lines: Sequence[dict[str, Any]]) -> list[str]:
  """Return what tells a line apart from the others, in words: its seed, and those of its settings that vary."""
  names = [name for name in ("seed", *_results.SETTING) if len({other.get(name) for other in lines}) > 1]
  own = _results.shown(line)
  return [f"{name.replace('_', ' ')} {own[name]}" for name in names if own.get(name) is not None]


def write_tables(folder: pathlib.Path) -> str:
  """Write results.csv and results.md of what results.jsonl holds; return the table as text.

  Ensembles have a table of their own: what the mean of the members gained over them.

  Args:
    folder: the sweep's folder.
  """
  lines = list(_results.read_results(folder, warn=True).values())
  ensembles = [line for line in lines if "members" in line]
  rows = summarise(line for line in lines if "members" not in line)
  files.write_atomically(folder / "results.csv", _as_csv(rows))
  tables = ([_as_cells(rows)] if rows else []) + ([_ensemble_cells(ensembles)] if ensembles else [])
  files.write_atomically(
      folder / "results.md", "\n".join(files.format_markdown(cells) for cells in tables).encode(errors=_UNREADABLE))
  failures = [f"FAILED {line['case']} ({', '.join([line['source'], *_varying(line, lines)])}): {line['failure']}" for line in lines
              if line.get("failure")]
  return "\n\n".join([*(files.format_table(cells) for cells in tables), *failures,
                      f"cases on record: {len(lines) - len(ensembles)}, {len(failures)} of them failed"])
