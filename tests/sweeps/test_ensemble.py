"""Means of several restorations of one measurement."""

import json

import numpy as np
import pytest

from oes_jax import sweeps
from oes_jax.sweeps import _tables as tables
import pages
import tiny_sweep


@pytest.mark.slow
def test_an_ensemble_is_the_mean_of_its_members(tmp_path):
  folder, _ = tiny_sweep.run(tiny_sweep.config(data__source="camera", ensemble=2, output__figures=True), tmp_path / "run")
  ensemble, = (folder / "ensembles").iterdir()
  members = [np.load(path / "output.npy") for path in (folder / "cases").iterdir()]
  mean, spread = np.load(ensemble / "output.npy"), np.load(ensemble / "spread.npy")
  np.testing.assert_allclose(mean, np.mean(members, 0), atol=1e-6)
  np.testing.assert_allclose(spread, 255 * np.std(members, 0, ddof=1), rtol=1e-3, atol=1e-3)
  measured = [path.read_bytes() for path in (folder / "cases").rglob("measurement.png")]
  assert measured[0] == measured[1]
  quality = json.loads((ensemble / "summary.json").read_text())["quality"]
  assert quality["gain"] == pytest.approx(quality["average"]["psnr"] - np.mean(quality["members"]))
  assert (ensemble / "uncertainty.png").is_file() and (ensemble / "restored.png").is_file()
  assert "PSNR of their mean" in tables.write_tables(folder)
  page = pages.read(ensemble)
  assert {(ensemble / link).resolve() for link in page.links} == {path / "report.html" for path in (folder / "cases").iterdir()}
  assert all((ensemble / link).is_file() for link in page.links) and "Uncertainty" in page.headings
  assert "--config.ensemble=2" in page.text and "--config.seed" not in page.text and "members 2" in page.text
  sweeps.write_report(folder)
  assert len(pages.read(folder).links) == 3
