"""Claim: masks learned at initialisation beat lottery tickets, which iterative magnitude pruning finds.

  python -m oes_jax.bench compare --config=configs/paper/lottery_tickets.py

What we found, and at which scale: README.md in this folder. `:quick`, `:answer` and `:full` as in
configs/benchmark.py; `:published` is small with rounds as in the publications: each prunes 20 % and is as long as
the weight stage.
"""

from configs import benchmark

METHODS = (
    "learned mask (OES)",
    "iterative magnitude pruning",
    "iterative magnitude pruning, at least as many as can act",
    "iterative magnitude pruning on the clean image (oracle)",
)


def get_config(preset: str = "answer"):
  """Return the config of a preset of the benchmark, restricted to the methods of this claim."""
  if preset != "published":
    return benchmark.of_methods(preset, "paper-lottery-tickets", METHODS)
  config = benchmark.of_methods("small", "paper-lottery-tickets", METHODS).unlock()
  config.experiment = "paper-lottery-tickets-published"
  # 0.8^24 = 0.5 % of the kernels: with norms and biases as many weights as the learned masks keep.
  config.mask.rounds, config.mask.round_steps = 24, None
  return config.lock()
