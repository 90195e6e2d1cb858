"""The report of a sweep: a row for every case and ensemble on record."""

import pathlib
from typing import Any, Mapping, Sequence

import numpy as np

from oes_jax import files
from oes_jax import operators
from oes_jax.sweeps import _plot
from oes_jax.sweeps import _results

_MOST_SIDE = 512  # pixels that a thumbnail is made of
_ENSEMBLE = "ensemble-"  # before the name of its first member: its own


def write_report(folder: pathlib.Path) -> pathlib.Path:
  """Write report.html of what results.jsonl holds; return its path.

  Args:
    folder: the sweep's folder.
  """
  lines = _results.read_results(folder)
  columns = _columns(lines)
  pictures = {path.stem: path.name for path in sorted((folder / "restored").glob("*"))}
  rows, left = [], files.EMBEDDED
  for line in lines.values():
    rows.append(_row(folder, line, columns, pictures, with_thumbnail=left > 0))
    left -= rows[-1].thumbnail is not None
  files.write_sweep_report(folder, _facts(list(lines.values())), list(columns), rows,
                           plot=_plot.draw_plot(folder, list(lines.values())))
  return folder / files.REPORT


def say_plot(folder: pathlib.Path) -> str:
  """Return a line that says where the plot of a sweep lies, or why there is none.

  Args:
    folder: the sweep's folder, whose report is written.
  """
  plot = folder / _plot.PLOT
  return f"plot: {plot}" if plot.is_file() else _plot.remark_no_plot(list(_results.read_results(folder).values()))


def _facts(lines: Sequence[Mapping[str, Any]]) -> list[str]:
  failed, means = sum(line["failure"] is not None for line in lines), sum("members" in line for line in lines)
  counts = [f"{len(lines) - means} cases, {failed} of them failed", *([f"ensembles: {means}"] if means else [])]
  return ["; ".join(counts), *(["PSNR against the truth in dB."] if any(line.get("psnr") for line in lines) else [])]


def _columns(lines: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
  """Return {head of a column: function of a line that gives its value}; settings that do not vary have none.

  An ensemble's line has the settings of its first member.
  """
  setting = lambda line, name: _results.shown(lines.get(line["case"].removeprefix(_ENSEMBLE), line)).get(name)
  columns = {"seed": lambda line: line.get("seed")}
  for name in _results.SETTING:
    if len({setting(line, name) for line in lines.values() if not line["failure"]}) > 1:
      columns[name.replace("_", " ")] = lambda line, name=name: setting(line, name)
  for name in (*_results.MEASURED, "mean"):
    columns[f"{name}, dB"] = lambda line, name=name: line.get("psnr", {}).get(name)
  columns["expected of what was measured, dB"] = _expected
  columns[_results.SECONDS] = lambda line: line.get("seconds")
  return {head: read for head, read in columns.items() if any(read(line) is not None for line in lines.values())}


def _expected(line: Mapping[str, Any]) -> float | None:
  """Return the PSNR that is expected of a case, where its line says one."""
  expected = line.get("expected_psnr")
  return expected.get("psnr") if isinstance(expected, dict) else expected


def _cell(head: str, value: Any) -> tuple[str, float | None]:
  if value is None or isinstance(value, str):
    return value or "", None
  digits = ".2f" if head.endswith("dB") else ".1f" if head == _results.SECONDS else "g" if isinstance(value, float) else "d"
  return format(value, digits), float(value)


def _row(folder: pathlib.Path, line: Mapping[str, Any], columns: Mapping[str, Any], pictures: Mapping[str, str], *,
         with_thumbnail: bool) -> files.SweepRow:
  place = f"{'ensembles' if 'members' in line else 'cases'}/{line['case']}"
  picture = pictures.get(line["case"])
  members = f", mean of {line['members']}" if "members" in line else ""
  return files.SweepRow(
      name=f"{line['source']}{members}", cells=[_cell(head, read(line)) for head, read in columns.items()], failure=line["failure"],
      report=f"{place}/{files.REPORT}" if (folder / place / files.REPORT).is_file() else None,
      picture=picture and f"restored/{picture}",
      thumbnail=_thumbnail(folder / place, folder / "restored" / picture) if picture and with_thumbnail else None)


def _thumbnail(case: pathlib.Path, picture: pathlib.Path) -> np.ndarray | None:
  """Return an image [H, W, C] in (0, 1) of some of the pixels of a result; None where it cannot be read."""
  try:
    with files.reading(f"{case / 'output.npy'} cannot be shown"):
      whole = np.load(case / "output.npy", mmap_mode="r", allow_pickle=False)
      step = max(1, max(whole.shape[:2]) // _MOST_SIDE)
      image = np.asarray(whole[::step, ::step])
    negative = picture.suffix == ".dcm" and files.read_picture(str(picture)).is_negative  # its 0 is white
  except ValueError:  # the next start says what is damaged
    return None
  if (case / "complex.npy").is_file():
    image = operators.magnitude_of_unit(image)
  return 1 - image if negative else image
