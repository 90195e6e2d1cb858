"""The command line of the benchmarks."""

import importlib
import pathlib

import pytest

from oes_jax.bench import __main__


def test_faults_are_one_line(monkeypatch):
  monkeypatch.setattr("sys.argv", ["bench", "bundle", "/nowhere"])
  with pytest.raises(SystemExit, match="error: .*/nowhere"):
    __main__.main()


def test_every_benchmark_is_a_command():
  folder = pathlib.Path(__main__.__file__).parent
  modules = [importlib.import_module(f"oes_jax.bench.{path.stem}") for path in folder.glob("_[a-z]*.py")]
  assert {module for module in modules if hasattr(module, "add_command")} == set(__main__._BENCHMARKS)
