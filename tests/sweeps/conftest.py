"""The sweep that several files of tests compare with."""

import pytest

from oes_jax.sweeps import _sweep as sweep
import tiny_sweep


@pytest.fixture(scope="session", name="whole")
def fixture_whole(tmp_path_factory):
  """Two images, one after another; no test changes it."""
  folder = tmp_path_factory.mktemp("sweep") / "run"
  assert sweep.run_all(tiny_sweep.config(), str(folder)) == (folder, True)
  return folder
