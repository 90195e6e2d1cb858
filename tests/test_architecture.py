"""Modules import only from floors below their own; each third-party package has its place."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).parent.parent / "oes_jax"
FLOORS = [
    {"convolution", "draws", "metrics", "parallel", "peers", "tiles", "zs_n2n", "operators", "noise", "dicom", "intensity", "scans",
     "damage", "kernels"},
    {"masks", "generators", "classical", "inverse_peers"},
    {"compaction", "objectives", "guards", "methods"},
    {"engine", "pruning"},
    {"restoration"},
    {"checkpoints", "images", "reports", "interop", "memory", "bundled", "processes"},
    {"forward", "records", "results"},
    {"validation"},
    {"jobs", "cases"},
    {"outputs", "members", "plans"},
    {"batches", "ensembles"},
    {"run", "bench_steps", "bench_masks", "bench_spectrum"},
    {"sweep"},
    {"bench_batch", "bench_cases", "main", "api"},
    {"bench_compare", "bench_transfer", "bench_analyses", "bench_inverse", "bench_quality"},
    {"bench"},
]
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}
ONLY_IN = {
    "flax": {"generators"},
    "orbax": {"checkpoints"},
    "ml_collections": {"main"},
    "absl": {"main"},
    "torch": {"peers", "bench_steps"},
    "matplotlib": {"reports"},
    "pydicom": {"dicom"},
}
MODULES = sorted(p.stem for p in PACKAGE.glob("*.py") if p.stem != "__init__")


def _imports(module: str):
  """Yield the dotted names that a module imports anywhere in its text."""
  tree = ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_figures_leave_the_callers_backend_alone():
  assert not [name for module in MODULES for name in _imports(module) if "pyplot" in name or name == "matplotlib"]


def test_every_module_has_a_floor():
  assert set(MODULES) == set(FLOOR)


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_down(module):
  for name in _imports(module):
    parts = name.split(".")
    if parts[0] == "oes_jax" and len(parts) > 1 and parts[1] in FLOOR:
      assert FLOOR[parts[1]] < FLOOR[module], (
          f"{module} imports {parts[1]} of its own floor or a higher one")


@pytest.mark.parametrize("module", MODULES)
def test_packages_stay_in_their_module(module):
  for name in _imports(module):
    owners = ONLY_IN.get(name.split(".")[0])
    assert owners is None or module in owners, f"{module} imports {name}"


@pytest.mark.parametrize("module", ["convolution", "draws", "masks", "generators", "objectives", "tiles",
                                    "metrics", "parallel", "compaction", "engine", "restoration"])
def test_lower_floors_do_no_logging_and_no_io(module):
  text = (PACKAGE / f"{module}.py").read_text(encoding="utf-8")
  called = {n.func.id for n in ast.walk(ast.parse(text))
            if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
  assert not called & {"print", "open"}
  assert not {"logging", "pathlib", "os"} & {name.split(".")[0] for name in _imports(module)}


def test_no_file_outgrows_its_reader():
  for path in PACKAGE.glob("*.py"):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path.name
