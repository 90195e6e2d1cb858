"""Figures leave the caller's backend alone; the rules of the house follow."""

import ast
import pathlib

PACKAGE = pathlib.Path(__file__).parent.parent / "oes_jax"


def test_figures_leave_the_callers_backend_alone():
  for path in PACKAGE.rglob("*.py"):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
      if isinstance(node, ast.ImportFrom):
        assert "pyplot" not in (node.module, *(alias.name for alias in node.names)), path
      elif isinstance(node, ast.Import):
        assert not {"matplotlib", "matplotlib.pyplot"} & {alias.name for alias in node.names}, path
