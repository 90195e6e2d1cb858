"""Reports as pages: self-contained, escaped, and alive in a browser."""

import io
import re

import numpy as np
from PIL import Image
import pytest

from oes_jax import files
from oes_jax import masks
import pages

HOSTILE = "\"><script>alert('x')</script><img src=http://x/y onerror=alert(1)>&amp;\udcff"
RNG = np.random.default_rng(0)
IMAGE = RNG.uniform(size=(12, 20, 1))
CURVE = io.BytesIO()
Image.new("RGB", (40, 30), "white").save(CURVE, "PNG")


def _report(**changes):
  return files.Report(**{"title": "frame.png", "facts": ["a fact"], "before": IMAGE, "after": IMAGE / 2,
                         "labels": ("measurement", "restored"), "preset": "configs/denoise.py:quick", **changes})


def test_the_images_are_the_result_and_what_was_measured(tmp_path):
  files.write_report(tmp_path, _report())
  before, after = pages.pictures(pages.read(tmp_path))
  np.testing.assert_array_equal(before, np.rint(255 * IMAGE[..., 0]))
  np.testing.assert_array_equal(after, np.rint(127.5 * IMAGE[..., 0]))


SECTIONS = {
    "Noise": {"noise": [("standard deviation", "0.0312")]}, "Curves": {"figures": [("Curves", "", CURVE.getvalue())]},
    "Mask": {"mask": [("kept", "312 of 999")], "layers": [masks.LayerReport("decoder_7", 100, 31, 22)]},
    "Time": {"seconds": [("stage", "total, s"), ("weights", "312.5")]}, "Made of": {"parts": [("tile 1", "tiles/000/report.html")]},
    "Methods": {"candidates": [("method", "share"), ("BM3D", "41 %"), ("OES", "left out: no time")]}}
ALWAYS = ["frame.png", "Result", "Settings that differ from configs/denoise.py:quick", "Command that repeats it"]


@pytest.mark.parametrize("heading", SECTIONS)
def test_a_section_is_there_with_its_data_alone(tmp_path, heading):
  files.write_report(tmp_path, _report())
  assert pages.read(tmp_path).headings == ALWAYS
  files.write_report(tmp_path, _report(**SECTIONS[heading]))
  page = pages.read(tmp_path)
  assert sorted(page.headings) == sorted([*ALWAYS, heading])
  for text in {"Noise": ["0.0312"], "Mask": ["312 of 999", "decoder_7", "31.0 %", "22.0 %"], "Time": ["312.5"],
               "Made of": ["tile 1"], "Curves": [], "Methods": ["BM3D 41 %", "OES left out: no time"]}[heading]:
    assert text in page.text
  assert page.links == (["tiles/000/report.html"] if heading == "Made of" else [])
  assert len(page.images) == (3 if heading == "Curves" else 2)


def test_what_is_scored_and_remarked_is_said(tmp_path):
  files.write_report(tmp_path, _report())
  assert "nothing is scored" in pages.read(tmp_path).text and "remarks" not in (tmp_path / "report.html").read_text().split("</style>")[-1]
  files.write_report(tmp_path, _report(
      done="a mix of two", remarks=["the noise is not white"], quality=[("image", "PSNR"), ("last", "21.00"), ("average", "22.00")],
      quality_result="average", result=[("expected PSNR", "21.5")], settings=[("seed", "3", "0")], command="run it"))
  text = (tmp_path / "report.html").read_text()
  assert re.search(r'<tr class="result"><td>average</td>', text) and text.count('<tr class="result">') == 1
  page = pages.read(tmp_path).text
  assert "nothing is scored" not in page and all(
      said in page for said in ("a mix of two", "the noise is not white", "expected PSNR 21.5", "seed 3 0", "run it"))


def test_hostile_text_stays_text(tmp_path):
  rows = [(HOSTILE, HOSTILE), (HOSTILE, HOSTILE)]
  files.write_report(tmp_path, _report(
      title=HOSTILE, facts=[HOSTILE], done=HOSTILE, candidates=rows, preset=HOSTILE, labels=(HOSTILE, HOSTILE), remarks=[HOSTILE], result=rows, quality=rows,
      quality_result=HOSTILE, figures=[(HOSTILE, HOSTILE, CURVE.getvalue())], noise=rows, mask=rows,
      layers=[masks.LayerReport(HOSTILE, 9, 3, 2)], seconds=rows, machine=[HOSTILE], settings=[(HOSTILE,) * 3], command=HOSTILE,
      parts=[(HOSTILE, "tiles/" + HOSTILE.encode(errors="replace").decode())]))
  text = (tmp_path / "report.html").read_text()
  page = pages.Page(text)
  assert page.tags.count("script") == 1 and "onerror" not in page.attributes and page.tags.count("img") == 3
  assert "alert('x')" in page.text and all(link.startswith("tiles/%22%3E") for link in page.links)


def test_a_large_image_is_scaled_down_and_that_is_said(tmp_path):
  noisy = RNG.uniform(size=(900, 1000, 3))
  files.write_report(tmp_path, _report(before=noisy, after=noisy))
  assert (tmp_path / "report.html").stat().st_size < 1.6e6
  page = pages.read(tmp_path)
  before, after = pages.pictures(page)
  assert before.size == after.size and 400 < before.width < 800 and abs(before.width / before.height - 1000 / 900) < 0.01
  assert f"Shown at {before.width / 10:.0f} % of 1000 × 900 pixels" in page.text


def _sweep(folder, rows):
  files.write_sweep_report(folder, ["3 cases"], ["seed", "average, dB"], rows)


def _row(name, seed, psnr, **options):
  return files.SweepRow(name, [(str(seed), seed), (f"{psnr:.2f}", psnr)], **options)


def test_a_sweep_has_thumbnails_links_and_failures(tmp_path, monkeypatch):
  monkeypatch.setattr("oes_jax.files._sweep_report.EMBEDDED", 1)
  thumbnail = RNG.uniform(size=(200, 300, 3))
  _sweep(tmp_path, [
      _row("a", 0, 20.0, thumbnail=thumbnail, report="cases/a b#/report.html", picture="restored/a.png"),
      _row("b", 1, 9.5, thumbnail=thumbnail, picture="restored/b c.png"), _row(HOSTILE, 2, 30.0, failure=HOSTILE)])
  page = pages.Page((tmp_path / "report.html").read_text())
  assert page.links == ["cases/a%20b%23/report.html", "restored/b%20c.png"]
  assert pages.pictures(page)[0].size == (96, 64) and len(page.images) == 1
  assert page.tags.count("script") == 1 and "onerror" not in page.attributes and page.text.count("alert('x')") == 2
  _sweep(tmp_path, [_row("a", 0, 20.0)])
  assert "failure" not in pages.read(tmp_path).text


def test_a_browser_moves_the_slider(tmp_path):
  files.write_report(tmp_path, _report())
  shown = pages.open_in_browser(tmp_path / "report.html", """
      const slider = document.querySelector("input"), upper = document.querySelectorAll(".compare img")[1];
      const at = () => getComputedStyle(upper).clipPath;
      const said = [at()];
      slider.value = 20; slider.dispatchEvent(new Event("input")); said.push(at());
      document.title = said.join(" | ") + " | " + [...document.images].every((image) => image.complete && image.naturalWidth > 0)""")
  assert "<title>inset(0px 0px 0px 50%) | inset(0px 0px 0px 20%) | true</title>" in shown


def test_a_browser_sorts_a_sweep(tmp_path):
  _sweep(tmp_path, [_row("a10", 2, 9.5), _row("a9", 0, 20.0), _row("b", 1, 100.0, failure="no <b>"),
                    files.SweepRow("c", [("3", 3), ("", None)])])
  shown = pages.open_in_browser(tmp_path / "report.html", """
      const said = [], names = () => [...document.querySelectorAll("#cases tbody tr")].map((row) => row.cells[1].textContent).join(",");
      for (const place of [1, 2, 3, 3]) { document.querySelectorAll("#cases th button")[place - 1].click(); said.push(names()); }
      document.title = said.join(" | ") + " | " + document.querySelectorAll("#cases th")[3].getAttribute("aria-sort")""")
  assert "<title>a9,a10,b,c | a9,b,a10,c | a10,a9,b,c | b,a9,a10,c | descending</title>" in shown
