"""Figures: each is a PNG file, and Matplotlib is loaded by none but them."""

import pathlib
import subprocess
import sys

import numpy as np
from PIL import Image as PillowImage
import pytest

from oes_jax.files import _before_after
from oes_jax.files import _figures as figures
from oes_jax.files import _run_figures as run_figures
from oes_jax import masks

ROOT = pathlib.Path(__file__).parents[2]
IMAGE = np.random.default_rng(0).random((6, 8, 3))
LARGE = np.random.default_rng(1).random((48, 50, 2))
STEPS = np.arange(1, 5)
REPORT = [masks.LayerReport(name=f"a/{name}", size=10, kept=4, acting=3) for name in ("kernel", "bias")]
DRAWN = {
    "before and after": lambda path: _before_after.save_before_after(path, IMAGE, IMAGE[::-1], titles=("a", "b")),
    "with a part enlarged": lambda path: _before_after.save_before_after(
        path, LARGE, LARGE[::-1], titles=("a", "b"), truth=LARGE, noise_level=0.1, errors=[("error", LARGE[..., 0])], unit=255),
    "uncertainty": lambda path: run_figures.save_uncertainty(path, IMAGE, IMAGE / 9, None),
    "uncertainty with an error": lambda path: run_figures.save_uncertainty(path, IMAGE, IMAGE / 9, IMAGE / 5),
    "curves": lambda path: run_figures.save_curves(path, {"weights": {"step": STEPS, "mse": 1 / STEPS, "psnr": STEPS}}),
    "mask": lambda path: run_figures.save_mask_figure(path, REPORT),
    "traces": lambda path: figures.save_traces(path, {"a": 1 / STEPS, "b": STEPS}),
    "lines": lambda path: figures.save_lines(path, {"a": [(1, 2, False), (2, 3, True)]}, xlabel="x", ylabel="y"),
    "spectra": lambda path: figures.save_spectra(path, {"a": IMAGE}, {"a": (STEPS / 8, 1 / STEPS)}),
    "densities": lambda path: figures.save_densities(path, {"one": REPORT, "two": REPORT}),
    "matrix": lambda path: figures.save_matrix(path, ["r"], ["c", "d"], np.array([[1, np.nan]]), title="t"),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_is_a_png_with_something_on_it(tmp_path, name):
  DRAWN[name](tmp_path / "figure.png")
  with PillowImage.open(tmp_path / "figure.png") as picture:
    assert picture.format == "PNG" and min(picture.size) > 100
    assert len(np.unique(np.asarray(picture.convert("L")))) > 10


def test_files_are_imported_without_the_packages_of_single_parts():
  code = ("import logging, sys\nfrom oes_jax import files\n"
          "print({'matplotlib', 'pydicom', 'tensorboardX', 'tensorflow_datasets', 'astropy', 'h5py', 'shtab'} & set(sys.modules))\n"
          "assert not logging.root.handlers, 'with that of absl, the command line would say all warnings twice'\n")
  result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
  assert result.stdout == "set()\n", result.stderr


def test_the_part_that_is_enlarged_has_the_most_detail():
  image = np.zeros((64, 80))
  image[40:52, 60:72] = np.random.default_rng(0).random((12, 12))
  rows, columns = _before_after._find_part(image)
  assert rows.start <= 40 and rows.stop >= 52 and columns.start <= 60 and columns.stop >= 72
  assert _before_after._find_part(image[:40]) is None


def test_the_figure_of_a_mask_leaves_out_what_keeps_nothing_and_says_the_numbers(monkeypatch):
  drawn = []
  monkeypatch.setattr(run_figures._drawing, "save", lambda figure, path: drawn.append(figure))
  report = [*REPORT, masks.LayerReport(name="a/empty", size=20, kept=0, acting=0)]
  run_figures.save_mask_figure(None, report)
  axis = drawn[0].axes[0]
  assert [label.get_text() for label in axis.get_yticklabels()] == ["a/kernel", "a/bias"]
  assert [text.get_text() for text in axis.texts] == ["4 of 10, 3 can act"] * 2
  assert axis.get_title() == "8 of 40 weights kept; 1 arrays of which none is kept are left out"


def test_curves_mark_the_step_of_the_guard_and_the_noise(monkeypatch):
  drawn = []
  monkeypatch.setattr(run_figures._drawing, "save", lambda figure, path: drawn.append(figure))
  run_figures.save_curves(None, {"weights": {"step": STEPS, "mse": 1 / STEPS, "psnr": STEPS}}, 3, 0.01)
  loss, psnr = drawn[0].axes
  assert [line.get_label() for line in loss.lines] == ["mean squared error", "guard's step, 3", "the clean image's: noise alone, 0.01"]
  assert [line.get_label() for line in psnr.lines] == ["last", "guard's step, 3"]


def test_what_was_taken_off_is_compared_with_the_noise():
  figure = _before_after.draw_before_after(LARGE, LARGE + 0.1 * (np.indices(LARGE.shape).sum(0) % 2 - 0.5), titles=("a", "b"),
                                           noise_level=0.06, unit=255)
  assert "standard deviation 12.8; noise 15.3" in figure.axes[2].get_title()
  assert figure._repr_png_()[:4] == b"\x89PNG"
