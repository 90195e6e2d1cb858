"""The sweep that several files of tests compare with."""

import pytest

import tiny_sweep


@pytest.fixture(scope="session", name="whole")
def fixture_whole(tmp_path_factory):
  """Two images, one after another; no test changes it."""
  folder = tmp_path_factory.mktemp("sweep") / "run"
  assert tiny_sweep.run(tiny_sweep.config(), folder) == (folder, True)
  return folder
