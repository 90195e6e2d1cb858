"""Claim: masks learned at initialisation beat lottery tickets, which iterative magnitude pruning finds.

  python -m oes_jax.bench compare --config=configs/paper/lottery_tickets.py

What we found, and at which scale: README.md in this folder. `:quick`, `:answer` and `:full` as in
configs/benchmark.py.
"""

from configs import benchmark

METHODS = (
    "learned mask (OES)",
    "iterative magnitude pruning",
    "iterative magnitude pruning on the clean image (oracle)",
)


def get_config(preset: str = "answer"):
  """Return the config of a preset of the benchmark, restricted to the methods of this claim."""
  return benchmark.of_methods(preset, "paper-lottery-tickets", METHODS)
