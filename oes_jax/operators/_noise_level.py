"""Stub, to be replaced."""
from typing import NamedTuple
class NoiseLevel(NamedTuple):
  sigma: float
  correlation: float | None
  clipped: float
