"""Settings and fixtures that all tests share."""

import gc
import importlib.metadata
import os
import pathlib
import tempfile

# Compilation is most of the tests' time. Set before jax starts, and inherited by the programs
# that tests start; the slow tests' programs drop the first two again.
_CACHE = tempfile.TemporaryDirectory(prefix="oes_jax_tests_")
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# One object file a program; and where jaxlib knows the flag (it ends at an unknown one), loops written as LLVM's code without
# the passes of MLIR. Together they halve the CPU time of compiling: of 240 single operations and both stages of a small network
# from 15.4 s to 8.0 s (jaxlib 0.10.2, November 2026).
_QUICK = ["--xla_cpu_parallel_codegen_split_count=1"]
if tuple(map(int, importlib.metadata.version("jaxlib").split(".")[:2])) < (0, 11):
  _QUICK.append("--xla_cpu_use_fusion_emitters=false")
os.environ.setdefault("XLA_FLAGS", " ".join(_QUICK))
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", _CACHE.name)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

# pylint: disable=wrong-import-position
import jax
import pytest

# [H, W, 1] against [H, W, C] is broadcasting on purpose; [C] against [H, W, C] may be an accident.
jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_collection_finish():
  """Keep the garbage collector from what lives to the end: it took a tenth of the tests' CPU time."""
  gc.collect()
  gc.freeze()
  gc.set_threshold(50_000, 20, 20)


@pytest.fixture
def x64():
  """Enable float64 for one test."""
  with jax.enable_x64(True):
    yield


@pytest.fixture
def reference_data():
  """Folder with the authors' published masks (official_mask_lena.pkl, official_mask_pepper.pkl)."""
  folder = os.environ.get("OES_REFERENCE_DATA")
  if not folder:
    pytest.skip("the environment variable OES_REFERENCE_DATA is unset")
  return pathlib.Path(folder)
