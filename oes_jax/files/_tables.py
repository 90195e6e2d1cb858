"""Tables as aligned text, Markdown and CSV."""

import csv
import pathlib
from typing import Any, Sequence

from oes_jax import fitting


def write_csv(path: pathlib.Path, header: Sequence[str], rows) -> None:
  """Write the numbers of a figure, whose file has the same name."""
  path.parent.mkdir(parents=True, exist_ok=True)
  with open(path, "w", encoding="utf-8", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(header)
    writer.writerows(rows)
  print(f"written: {path}, {path.with_suffix('.png')}")


def format_table(rows: Sequence[Sequence[Any]]) -> str:
  """Align rows of cells into columns: the first to the left, the others to the right."""
  cells = [[str(cell) for cell in row] for row in rows]
  widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
  return "\n".join("  ".join(
      cell.ljust(width) if i == 0 else cell.rjust(width)
      for i, (cell, width) in enumerate(zip(row, widths))) for row in cells)


def without_empty_columns(table: Sequence[Sequence[str]]) -> list[list[str]]:
  """Drop the columns of which only the header, in the first row, holds anything."""
  full = [i for i, _ in enumerate(table[0]) if any(line[i] for line in table[1:])]
  return [[line[i] for i in full] for line in table]


def format_markdown(rows: Sequence[Sequence[Any]]) -> str:
  """Return rows of cells, the first one the header, as a Markdown table."""
  lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
  plain = lambda cell: str(cell).replace("|", "\\|").replace("\n", " ")
  return "".join(f"| {' | '.join(map(plain, line))} |\n" for line in lines)


def closing_table(summary: dict[str, Any]) -> str:
  """Return what a run ends with: quality, density and time, a line each."""
  lines = []
  if summary["truth"] is not None:
    quality = summary["quality"]
    lines = [("", "PSNR, SSIM (data range 1)")]
    names = {"measurement": summary.get("compared_with", "measurement")}
    lines += [(names.get(name, name), f"{quality[name]['psnr']:.2f} dB  {quality[name]['ssim']:.3f}")
              for name in ("measurement", "average", "last", "guarded", "estimate", "combined") if name in quality]
    if "best" in quality:  # tiles have no common step
      best = quality["best"]
      lines.append((f"best iterate (oracle, step {best['step']})", f"{best['psnr']:.2f} dB       "))
  if summary.get("expected_psnr"):
    lines.append(("expected without a truth", fitting.say_expected_psnr(summary["expected_psnr"])))
  if summary.get("guard"):
    final = "" if summary["guard"]["stopped"] else ", still the best at the end"
    lines.append(("guard's step", f"{summary['guard']['step']}{final}"))
  if summary.get("combined"):
    lines.append(("generator's share", f"{100 * summary['combined']['share']:.0f} % of the mix"))
  for one in summary.get("candidates", ()):
    scored = f", {one['quality']['psnr']:.2f} dB" if one["quality"] else ""
    lines.append((one["name"], f"{100 * one['share']:.0f} % of the mix, {one['seconds']:.0f} s{scored}"))
  lines += [(name, f"left out: {why}") for name, why in summary.get("left_out", {}).items()]
  mask = summary["mask"]
  if mask["size"]:
    lines.append(("weights kept / can act / all", f"{mask['kept']:,} / {mask['acting']:,} / {mask['size']:,}"))
  for stage, times in summary["seconds"].items():
    lines.append((f"{stage} stage", f"{times['total']:.0f} s ({times['per_step'] * 1e3:.0f} ms a step, "
                                    f"compilation {times['compile']:.0f} s)"))
  return format_table(lines)
