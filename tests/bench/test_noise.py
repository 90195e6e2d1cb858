"""Noise alone."""

import json

import pytest

from oes_jax.bench import _noise


@pytest.mark.slow
def test_the_analysis_writes_csv_figure_and_record(tmp_path, arguments):
  _noise.run_noise(arguments)
  assert json.loads((tmp_path / "record.json").read_text())["table"].count("\n") > 3
  for suffix in ("csv", "png"):
    assert (tmp_path / "runs" / f"noise.{suffix}").stat().st_size > 100
