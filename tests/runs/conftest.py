"""What tests of runs share."""

import pytest
from runs import tiny_run


@pytest.fixture(autouse=True)
def _run_in_an_empty_folder(monkeypatch, tmp_path):
  monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session", name="whole")
def fixture_whole(tmp_path_factory):
  """An uninterrupted run, (folder, summary); no test changes it."""
  folder = tmp_path_factory.mktemp("whole") / "run"
  return folder, tiny_run.restore(folder)
