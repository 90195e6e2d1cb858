"""The configs of the paper's claims."""

import pathlib
import runpy

import pytest

from oes_jax.bench import _cases
from oes_jax import runs

ROOT = pathlib.Path(__file__).parents[2]
PAPER = sorted(path for path in (ROOT / "configs" / "paper").glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_every_claim_has_its_command_and_its_line(path):
  text = path.read_text(encoding="utf-8")
  command = f"--config=configs/paper/{path.name}"
  assert text.startswith('"""Claim') and command in text
  assert f"({path.name})" in (path.parent / "README.md").read_text(encoding="utf-8")
  config = runpy.run_path(str(path))["get_config"]()
  if "benchmark" in config:
    assert _cases.read_config(str(path)).experiment == config.experiment
  else:
    assert runs.plain(config)["weights"]["num_steps"] > 0
