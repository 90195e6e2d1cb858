"""Image restoration with untrained, sparse generators (Optimal Eye Surgeon) in JAX."""

__version__ = "0.1.0"
