"""The report of one restoration, as a page for a browser."""

import dataclasses
import pathlib
from typing import Any, Sequence
import urllib.parse

import numpy as np

from oes_jax import masks
from oes_jax.files import _page

_SIDE, _MOST_BYTES = 800, 1_000_000  # of the two images that are compared
_FIGURE_SIDE = 1200
_SHOWN = 640  # pixels of the screen that a small image is enlarged to, at most

Rows = Sequence[Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Report:
  """What a report says; what is empty is left out.

  Attributes:
    title: name of what was restored.
    facts: lines that say what it is.
    done: a sentence that says how the result was made.
    before: image [H, W, C] in (0, 1) that was measured, or the first one made of it.
    after: the result, likewise.
    labels: what is said of each of the two.
    remarks: lines that the user should know of.
    result: (name, value) of the result, such as the PSNR that is expected of it.
    quality: rows of a table, the first one its head: every image and what it scores.
    quality_result: first cell of the row that is the result's.
    candidates: rows of a table, the first one its head: the methods that were mixed, and those that were left out.
    figures: (heading, explanation, content of a PNG file).
    noise: (name, value) of what is known of the noise.
    mask: (name, value) of the mask as a whole.
    layers: weights kept of every array.
    seconds: rows of a table, the first one its head: the time of every stage.
    machine: lines that say what it ran on.
    preset: the config that the settings are compared with.
    settings: (key, value, that config's) of every setting that differs from it.
    command: what repeats the restoration on a command line.
    parts: (name, path from the report's folder) of reports of what this one is made of.
  """
  title: str
  facts: Sequence[str]
  before: np.ndarray
  after: np.ndarray
  labels: tuple[str, str]
  done: str = ""
  remarks: Sequence[str] = ()
  result: Rows = ()
  quality: Rows = ()
  quality_result: str = ""
  candidates: Rows = ()
  figures: Sequence[tuple[str, str, bytes]] = ()
  noise: Rows = ()
  mask: Rows = ()
  layers: Sequence[masks.LayerReport] = ()
  seconds: Rows = ()
  machine: Sequence[str] = ()
  preset: str = ""
  settings: Rows = ()
  command: str = ""
  parts: Rows = ()


def _compared(report: Report) -> dict[str, Any]:
  """Return the two images for the page, the share of their sides that it shows, and the width on the screen."""
  height, width = report.after.shape[:2]
  encoded = _page.encode_images((report.before, report.after), side=_SIDE, most_bytes=_MOST_BYTES)
  shown = int.from_bytes(encoded[0][16:20])  # a PNG file has its width there
  enlarged = max(1, _SHOWN // max(height, width))
  return {"images": [_page.as_url(png) for png in encoded], "scale": shown / width, "height": height, "width": width,
          "screen": shown * enlarged}


def write_report(folder: pathlib.Path, report: Report) -> None:
  """Write report.html, which a browser shows without anything beside it.

  Args:
    folder: folder of the restoration.
    report: what it says.
  """
  figures = [(heading, text, _page.as_url(_page.shrink_png(png, _FIGURE_SIDE))) for heading, text, png in report.figures]
  values = {field.name: getattr(report, field.name) for field in dataclasses.fields(report)}
  parts = [(name, urllib.parse.quote(path)) for name, path in report.parts]
  _page.write_page(folder / _page.REPORT, "report.html", {**values, **_compared(report), "figures": figures, "parts": parts})
