"""The report of a sweep: a table that a browser sorts, with a thumbnail of every case."""

import dataclasses
import pathlib
from typing import Any, Sequence
import urllib.parse

import numpy as np

from oes_jax.files import _page

EMBEDDED = 200  # thumbnails that a report holds; further cases have links to their pictures
_SIDE = 96  # of a thumbnail, in pixels


@dataclasses.dataclass(frozen=True)
class SweepRow:
  """A case, or the mean of an ensemble.

  Attributes:
    name: text that leads to its report.
    cells: text of every column, and the number that it is sorted by, or None: by the text.
    report: path of its report from the sweep's folder; None where it has none.
    picture: path of its picture, likewise.
    thumbnail: image [H, W, C] in (0, 1), or None.
    failure: line that says why it has no result, or None.
  """
  name: str
  cells: Sequence[tuple[str, float | None]]
  report: str | None = None
  picture: str | None = None
  thumbnail: np.ndarray | None = None
  failure: str | None = None


def write_sweep_report(folder: pathlib.Path, facts: Sequence[str], columns: Sequence[str], rows: Sequence[SweepRow], *,
                       plot: pathlib.Path | None = None) -> None:
  """Write report.html of a sweep.

  Args:
    folder: the sweep's folder.
    facts: lines that say what it is.
    columns: heads of the cells.
    rows: cases and ensembles; those beyond the first EMBEDDED thumbnails have a link in place of one.
    plot: PNG file in the folder that is shown above the table and linked, or None.
  """
  drawn = plot and {"name": plot.name, "url": _page.as_url(plot.read_bytes())}
  _page.write_page(folder / _page.REPORT, "sweep.html", {
      "title": folder.name, "facts": facts, "columns": list(columns), "rows": _as_values(rows), "plot": drawn,
      "failure": ["failure"] if any(row.failure for row in rows) else []})


def _as_values(rows: Sequence[SweepRow]) -> list[dict[str, Any]]:
  values, left = [], EMBEDDED
  for row in rows:
    url = None
    if row.thumbnail is not None and left:
      left -= 1
      url = _page.as_url(_page.encode_images([row.thumbnail], side=_SIDE, most_bytes=_SIDE ** 2 * 4)[0])
    values.append({"name": row.name, "cells": row.cells, "failure": row.failure, "thumbnail": url,
                   "report": row.report and urllib.parse.quote(row.report),
                   "picture": row.picture and urllib.parse.quote(row.picture)})
  return values
