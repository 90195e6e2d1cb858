"""Image restoration with untrained, sparse generators (Optimal Eye Surgeon) in JAX."""

__version__ = "0.1.0"


def __getattr__(name: str):
  """Load the Python call where it is used: the import of the package starts no JAX."""
  if name in ("restore", "Restoration"):
    from oes_jax import api  # pylint: disable=import-outside-toplevel
    return getattr(api, name)
  raise AttributeError(f"module 'oes_jax' has no attribute {name!r}")
