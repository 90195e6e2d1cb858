"""The table of a sweep that a browser sorts."""

import re

import numpy as np
import pytest

from oes_jax import sweeps
from oes_jax.sweeps import _plot
from oes_jax.sweeps import _results as results
import pages

LINE = {"source": "a.png", "seed": 0, "mask": "dense", "keep_fraction": None, "kl_weight": None, "sigma": 0.1, "failure": None,
        "psnr": {"average": 30.0}, "ssim": {"average": 0.9}, "kept": 9, "can_act": 9, "size": 9, "seconds": 1.25}


def _rows(folder):
  """Return the texts of every row's cells, the head's first."""
  text = (folder / "report.html").read_text(encoding="utf-8")
  return [[pages.Page(cell).text for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)]
          for row in re.findall(r"<tr>(.*?)</tr>", text, re.DOTALL)]


def test_a_row_says_what_is_on_record_of_a_case(tmp_path):
  results.append_result(tmp_path, {**LINE, "case": "a"})
  results.append_result(tmp_path, {**LINE, "case": "b", "seed": 7, "keep_fraction": 0.25, "expected_psnr": {"psnr": 29.5, "spread": 1.0}})
  results.append_result(tmp_path, {"case": "c", "source": "<b>c", "seed": 0, "mask": "dense", "keep_fraction": None,
                                   "kl_weight": None, "sigma": None, "failure": "it is <no> image"})
  results.append_result(tmp_path, {"case": "ensemble-b", "source": "a.png", "failure": None, "members": 2,
                                   "psnr": {"member": 30.0, "mean": 31.0, "gain": 1.0}})
  assert sweeps.write_report(tmp_path) == tmp_path / "report.html"
  assert _rows(tmp_path) == [
      ["restored", "case", "seed", "keep fraction", "average, dB", "mean, dB", "expected of what was measured, dB",
       "seconds, compilation included", "failure"],
      ["", "a.png", "0", "", "30.00", "", "", "1.2", ""], ["", "a.png", "7", "0.25", "30.00", "", "29.50", "1.2", ""],
      ["", "<b>c", "0", "", "", "", "", "", "it is <no> image"], ["", "a.png, mean of 2", "", "0.25", "", "31.00", "", "", ""]]
  page = pages.read(tmp_path)
  assert "3 cases, 1 of them failed; ensembles: 1" in page.text and not page.links and not page.images


def test_a_sweep_without_a_case_has_an_empty_table(tmp_path):
  sweeps.write_report(tmp_path)
  assert "0 cases" in pages.read(tmp_path).text


def test_thumbnails_are_the_results(whole, tmp_path):
  (tmp_path / "run").mkdir()
  for name in ("cases", "restored"):
    (tmp_path / "run" / name).symlink_to(whole / name)
  (tmp_path / "run" / "results.jsonl").write_bytes((whole / "results.jsonl").read_bytes())
  sweeps.write_report(tmp_path / "run")
  page = pages.read(tmp_path / "run")
  assert len(page.images) == 2 and not page.links  # output.figures=False: cases have no reports
  case, = (whole / "cases").glob("camera*")
  sides = np.load(case / "output.npy").shape
  assert pages.pictures(page)[0].size == (sides[1], sides[0])
  np.testing.assert_array_equal(pages.pictures(page)[0], np.rint(255 * np.clip(np.load(case / "output.npy")[..., 0], 0, 1)))


def _swept(folder, *settings):
  for number, (mask, keep_fraction, psnr) in enumerate(settings):
    results.append_result(folder, {**LINE, "case": str(number), "mask": mask, "keep_fraction": keep_fraction, "psnr": {"average": psnr}})
  sweeps.write_report(folder)
  return pages.read(folder)


def test_the_plot_shows_the_swept_value_and_what_has_none_as_a_level(tmp_path, monkeypatch):
  drawn = []
  monkeypatch.setattr(_plot.files, "save_sweep", lambda path, *args, **options: (path.write_bytes(b"png"), drawn.append((args, options))))
  page = _swept(tmp_path, ("learn", 0.01, 29.0), ("learn", 0.1, 30.0), ("learn", 0.1, 31.0), ("dense", None, 28.0))
  (curves, levels), options = drawn[0]
  assert curves == {"mask learn": [(0.01, 29.0, 0.0), (0.1, 30.5, pytest.approx(0.5 ** 0.5))]} and levels == {"mask dense": 28.0}
  assert options == {"xlabel": "keep fraction", "ylabel": "PSNR of average, dB", "logarithmic": True}
  assert page.links == ["psnr.png"]


def test_masks_of_one_density_are_drawn_by_their_names_and_a_sweep_of_images_has_no_plot(tmp_path):
  (tmp_path / "masks").mkdir()
  page = _swept(tmp_path / "masks", ("learn", 0.1, 30.0), ("random", 0.1, 28.0))
  assert page.links == ["psnr.png"] and (tmp_path / "masks" / "psnr.png").read_bytes()[1:4] == b"PNG"
  (tmp_path / "images").mkdir()
  assert not _swept(tmp_path / "images", ("learn", 0.1, 30.0), ("learn", 0.1, 28.0)).links
  assert not (tmp_path / "images" / "psnr.png").exists()
  assert sweeps.say_plot(tmp_path / "masks") == f"plot: {tmp_path / 'masks' / 'psnr.png'}"
  assert sweeps.say_plot(tmp_path / "images") == "no plot: among the 2 cases with a PSNR only images and seeds vary; 0 cases failed"


def test_it_is_said_what_a_plot_lacks_and_which_case_failed(tmp_path):
  results.append_result(tmp_path, {**LINE, "case": "a", "sigma": 0.0, "keep_fraction": 0.01, "failure": "the mask collapsed"})
  results.append_result(tmp_path, {**LINE, "case": "b", "sigma": 0.0, "keep_fraction": 0.2, "psnr": {}, "ssim": {}})
  assert sweeps.say_plot(tmp_path) == "no plot: no case has a PSNR, which needs a truth or an expected one; 1 cases failed"
  said = sweeps.write_tables(tmp_path)
  assert "FAILED a (a.png, keep fraction 0.01): the mask collapsed" in said
  assert "sigma" not in said and "seconds, compilation included" in said


def test_expected_psnr_has_decimals_in_the_table(tmp_path):
  for seed, psnr in enumerate((29.5, 29.9)):
    results.append_result(tmp_path, {**LINE, "case": str(seed), "seed": seed, "psnr": {}, "ssim": {}, "expected_psnr": psnr})
  assert "29.70 ± 0.28" in sweeps.write_tables(tmp_path)


def test_what_is_expected_is_not_averaged_with_what_was_scored(tmp_path, monkeypatch):
  drawn = []
  monkeypatch.setattr(_plot.files, "save_sweep", lambda path, *args, **options: drawn.append((args[0], options["ylabel"])))
  line = lambda mask, **more: {**LINE, "mask": mask, **more}
  scored = [line(mask, psnr={"combined": 30.0, "average": 29.0}, expected_psnr=34.0) for mask in ("learn", "random")]
  measured = [line(mask, psnr={}, expected_psnr=38.0) for mask in ("learn", "random")]
  _plot.draw_plot(tmp_path, scored + measured)
  _plot.draw_plot(tmp_path, scored)
  plain = [line(mask, psnr={"average": 20.0}) for mask in ("learn", "random")]
  _plot.draw_plot(tmp_path, scored + measured + plain[:1])
  (mixed, label), (all_scored, scored_label), (_, partly) = drawn
  assert [values[1] for values in mixed[""]] == [36.0, 36.0] and label == "expected PSNR of what was measured, dB"
  assert [values[1] for values in all_scored[""]] == [30.0, 30.0] and scored_label == "PSNR of combined, dB"
  assert partly == "expected PSNR of what was measured, dB (4 of 5 cases)"


def test_a_file_with_noise_of_its_own_is_not_taken_for_one_without_noise(tmp_path):
  for case, sigma, failure in (("a", 0.1, None), ("b", 0.0, None), ("c", 0.0, "it is no image")):
    results.append_result(tmp_path, {**LINE, "case": case, "source": case, "sigma": sigma, "failure": failure})
  sweeps.write_report(tmp_path)
  assert sweeps.say_plot(tmp_path) == "no plot: among the 2 cases with a PSNR only images and seeds vary; 1 cases failed"
  assert "FAILED c (c): it is no image" in sweeps.write_tables(tmp_path)
  assert "0.1" in (tmp_path / "results.md").read_text() and " 0.0 |" not in (tmp_path / "results.md").read_text()
  head, *rows = _rows(tmp_path)
  assert [row[head.index("sigma")] for row in rows] == ["0.1", "", ""]
