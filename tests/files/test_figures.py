"""Figures: each is a PNG file, and Matplotlib is loaded by none but them."""

import pathlib
import subprocess
import sys

import numpy as np
from PIL import Image as PillowImage
import pytest

from oes_jax.files import _figures as figures
from oes_jax import masks

ROOT = pathlib.Path(__file__).parents[2]
IMAGE = np.random.default_rng(0).random((6, 8, 3))
STEPS = np.arange(1, 5)
REPORT = [masks.LayerReport(name=f"a/{name}", size=10, kept=4, acting=3) for name in ("kernel", "bias")]
DRAWN = {
    "comparison": lambda path: figures.save_comparison(path, [("grey", IMAGE[..., :1]), ("two", IMAGE[..., :2])]),
    "uncertainty": lambda path: figures.save_uncertainty(path, IMAGE, IMAGE / 9, None),
    "uncertainty with an error": lambda path: figures.save_uncertainty(path, IMAGE, IMAGE / 9, IMAGE / 5),
    "curves": lambda path: figures.save_curves(path, {"weights": {"step": STEPS, "mse": 1 / STEPS, "psnr": STEPS}}),
    "mask": lambda path: figures.save_mask_figure(path, REPORT),
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
  code = ("import sys\nfrom oes_jax import files\n"
          "print({'matplotlib', 'pydicom', 'tensorboardX', 'tensorflow_datasets', 'astropy', 'h5py', 'shtab'} & set(sys.modules))\n")
  result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
  assert result.stdout == "set()\n", result.stderr
