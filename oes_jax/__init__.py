"""Image restoration with untrained, sparse generators (Optimal Eye Surgeon) in JAX."""

import importlib
from typing import Any

__version__ = "0.1.0"

# Public name: the module that holds it, loaded where it is used: the import of the package starts no JAX.
_PUBLIC = {
    "restore": "api", "restore_stack": "stacks", "learn_mask": "fitting", "train_weights": "fitting", "Problem": "fitting",
    "LearnMask": "fitting", "TrainWeights": "fitting", "Restoration": "fitting",
}
_MODULES = ("fitting", "generators", "inspect", "inspection", "intensity", "masks", "metrics", "noise", "operators", "parallel",
            "random", "recorruption", "runs", "sliding_dct", "sweeps", "tiles")


def __getattr__(name: str) -> Any:
  if name in _PUBLIC:
    return getattr(importlib.import_module(f"oes_jax.{_PUBLIC[name]}"), name)
  if name in _MODULES:
    return importlib.import_module(f"oes_jax.{name}")
  raise AttributeError(f"module 'oes_jax' has no attribute {name!r}")


def __dir__() -> list[str]:
  return sorted([*_PUBLIC, *_MODULES, "__version__"])
