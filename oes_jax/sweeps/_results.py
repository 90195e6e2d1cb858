"""One line a case in results.jsonl, and the table of means and spreads that they make."""

import csv
import fcntl
import io
import json
import os
import pathlib
import statistics
from typing import Any, Iterable, Sequence

from oes_jax import files

RESULTS_FILE = "results.jsonl"
_SETTING = ("mask", "keep_fraction", "kl_weight", "sigma")
_MEASURED = ("measurement", "last", "average", "guarded")
_COUNTED = ("kept", "can_act", "seconds")


def describe_case(case: str, config, sigma: float | None) -> dict[str, Any]:
  """Return the part of a case's line that is known before it is run.

  Args:
    case: name of its folder.
    config: of the case alone.
    sigma: of its simulated noise, None where its image could not be read.
  """
  return {"case": case, "source": config.data.source, "seed": config.seed,
          "mask": config.mask.source, "keep_fraction": config.mask.keep_fraction,
          "kl_weight": config.mask.kl_weight if config.mask.source == "learn" else None,
          "sigma": sigma}


def finished(described: dict[str, Any], summary: dict[str, Any]) -> dict[str, Any]:
  """Return the line of a case that ran to its end; a collapsed mask makes it a failure."""
  mask, quality = summary["mask"], summary["quality"] or {}
  collapse = mask["collapse"]
  return {**described, "failure": f"the mask collapsed: {collapse[0]}" if collapse else None,
          "psnr": {name: quality[name]["psnr"] for name in _MEASURED if name in quality},
          "ssim": {name: quality[name]["ssim"] for name in _MEASURED if name in quality},
          "kept": mask["kept"], "can_act": mask["acting"], "size": mask["size"],
          "seconds": sum(times["total"] for times in summary["seconds"].values())}


def failed(described: dict[str, Any], failure: str) -> dict[str, Any]:
  """Return the line of a case that could not be restored."""
  return {**described, "failure": failure}


def withdrawn(case: str) -> dict[str, Any]:
  """Return the line that takes back what was said of a case."""
  return {"case": case, "withdrawn": True}


def append_result(folder: pathlib.Path, line: dict[str, Any]) -> None:
  """Add a line to results.jsonl, safe from other processes and from a kill at any moment."""
  with open(folder / RESULTS_FILE, "a+b") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    file.seek(0)
    content = file.read()
    file.truncate(content.rfind(b"\n") + 1)  # a line that a kill has cut
    file.write(json.dumps(line).encode() + b"\n")
    file.flush()
    os.fsync(file.fileno())


def read_results(folder: pathlib.Path) -> dict[str, dict[str, Any]]:
  """Return {case: its last line}; a case that failed and was mended has one line that counts."""
  path = folder / RESULTS_FILE
  lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []
  last = {record["case"]: record for record in map(json.loads, lines)}
  return {case: record for case, record in last.items() if not record.get("withdrawn")}


def _spread(values: Sequence[float]) -> dict[str, float | None]:
  return {"mean": statistics.mean(values) if values else None,
          "sd": statistics.stdev(values) if len(values) > 1 else None}


def _row(image: str, setting: tuple, lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
  good = [line for line in lines if not line["failure"]]
  row = {"image": image, **dict(zip(_SETTING, setting)), "cases": len(lines),
         "failed": len(lines) - len(good)}
  for name in _MEASURED:
    row[f"{name} PSNR"] = _spread([line["psnr"][name] for line in good if name in line["psnr"]])
  row["average SSIM"] = _spread([line["ssim"]["average"] for line in good if "average" in line["ssim"]])
  for name in _COUNTED:
    row[name] = _spread([line[name] for line in good])
  return row


def summarise(lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
  """Return rows of mean and spread over seeds: each image under each setting, then all images.

  A case that failed, or whose mask collapsed, is counted and left out of the means. PSNR in dB, data
  range 1.
  """
  lines, rows = list(lines), []
  key = lambda line: tuple(line[name] for name in _SETTING)
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
  return file.getvalue().encode()


def _cell(name: str, value: Any) -> str:
  if not isinstance(value, dict):
    return "" if value is None else str(value)
  if value["mean"] is None:
    return ""
  digits = 3 if name.endswith("SSIM") else 2 if name.endswith("PSNR") else 0
  spread = "" if value["sd"] is None or name in _COUNTED else f" ± {value['sd']:.{digits}f}"
  return f"{value['mean']:,.{digits}f}{spread}"


def _as_cells(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
  """Header and cells, without the settings that are the same in every row."""
  names = [name for name in rows[0] if name not in _SETTING
           or len({row[name] for row in rows}) > 1]
  return files.without_empty_columns([names, *([_cell(name, row[name]) for name in names] for row in rows)])


def write_tables(folder: pathlib.Path) -> str:
  """Write results.csv and results.md of what results.jsonl holds; return the table as text.

  Ensembles have a table of their own: what the mean of the members gained over them.
  """
  lines = list(read_results(folder).values())
  rows = summarise(line for line in lines if "members" not in line)
  files.write_atomically(folder / "results.csv", _as_csv(rows))
  tables = [_as_cells(rows)] if rows else []
  ensembles = [line for line in lines if "members" in line]
  if ensembles:
    tables.append(files.without_empty_columns([
        ["ensemble", "members", "PSNR of a member", "PSNR of their mean", "gain"],
        *([line["case"], str(line["members"]),
           *(f"{line['psnr'][name]:.2f}" if line["psnr"] else "" for name in ("member", "mean", "gain"))]
          for line in ensembles)]))
  files.write_atomically(
      folder / "results.md", "\n".join(files.format_markdown(cells) for cells in tables).encode())
  failures = [f"FAILED {line['case']} ({line['source']}): {line['failure']}" for line in lines
              if line.get("failure")]
  ended = len(lines) - len(ensembles)
  return "\n\n".join([*(files.format_table(cells) for cells in tables), *failures,
                      f"cases on record: {ended}, {len(failures)} of them failed"])
