"""Benchmarks: python -m oes_jax.bench step --size 256 512."""

import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import time

import jax

from oes_jax import checkpoints
from oes_jax import generators
from oes_jax import objectives
from oes_jax import restoration


def _dense_stage(size: int, length: int, conv: str) -> restoration.Stage:
  """One dense weight stage of the default hourglass on a size x size RGB image of noise."""
  generator = generators.make_generator(
      "hourglass", image_shape=(size, size, 3), num_scales=6, conv=conv)
  params, _ = generator.init(restoration.stream_key(0, "params"))
  net_input = generators.sample_net_input(
      restoration.stream_key(0, "net_input"), generator.net_input_shape)
  measurement = jax.random.uniform(restoration.stream_key(0, "noise"), (size, size, 3))
  return restoration.make_weight_stage(
      generator, params, restoration.dense_mask(params), objectives.Problem(net_input, measurement),
      seed=0, num_steps=10 ** 9, learning_rate=0.01, length=length, use_scan=conv != "lax")


def _seconds(function) -> float:
  began = time.perf_counter()
  function()
  return time.perf_counter() - began


def time_step(size: int, *, rounds: int, length: int, conv: str) -> dict[str, float]:
  """Time a dense weight step of ours and of PyTorch in turn; return medians and their ratio.

  A round is `length` steps of each. Compilation and one warm-up round are not counted.
  """
  import torch  # only benchmarks need it  # pylint: disable=g-import-not-at-top
  from oes_jax import peers  # pylint: disable=g-import-not-at-top
  stage = _dense_stage(size, length, conv)
  state = stage.state
  def ours():
    nonlocal state
    state, record = stage.chunk(state, length, *stage.args)
    jax.block_until_ready(record)
  channels = (16, 32, 64, 128, 128, 128)[:generators.max_num_scales((size, size))]
  net = peers.torch_hourglass(channels)
  theirs = peers.torch_weight_steps(net, 0.1 * torch.rand(1, 32, size, size),
                                    torch.rand(1, 3, size, size), 0.01)
  ours(), theirs(length)
  times = [(_seconds(ours) / length, _seconds(lambda: theirs(length)) / length)
           for _ in range(rounds)]
  mine, other = (statistics.median(column) for column in zip(*times))
  return {"size": size, "ours_ms": 1e3 * mine, "pytorch_ms": 1e3 * other,
          "ratio": statistics.median(a / b for a, b in times),
          "ratio_min": min(a / b for a, b in times), "ratio_max": max(a / b for a, b in times),
          "gflop": stage.flops / 1e9}


def _step(arguments) -> None:
  rows = []
  for size in arguments.size:
    row = time_step(size, rounds=arguments.rounds, length=arguments.length, conv=arguments.conv)
    rows.append(row)
    print(f"{size}x{size}: ours {row['ours_ms']:.0f} ms, PyTorch {row['pytorch_ms']:.0f} ms, "
          f"ratio: {row['ratio']:.2f} (rounds {row['ratio_min']:.2f} to {row['ratio_max']:.2f}), "
          f"{row['gflop']:.1f} GFLOP a step by XLA's count", flush=True)
  import torch  # pylint: disable=g-import-not-at-top
  record = {"date": datetime.date.today().isoformat(), "cores": os.cpu_count(),
            "device": jax.devices()[0].device_kind, "machine": platform.machine(),
            "versions": {"jax": jax.__version__, "torch": torch.__version__},
            "conv": arguments.conv, "rows": rows}
  path = pathlib.Path(arguments.output)
  path.parent.mkdir(parents=True, exist_ok=True)
  checkpoints.write_atomically(path, json.dumps(record, indent=2).encode())
  print(f"written: {path}")


def main() -> None:
  parser = argparse.ArgumentParser(prog="python -m oes_jax.bench", description=__doc__)
  commands = parser.add_subparsers(required=True, metavar="command")
  step = commands.add_parser(
      "step", help="time one dense weight step against PyTorch (needs the extra `bench`)")
  step.add_argument("--size", type=int, nargs="+", default=[256, 512], help="image sides, pixels")
  step.add_argument("--rounds", type=int, default=9, help="rounds of each, in turn")
  step.add_argument("--length", type=int, default=4, help="steps of a round")
  step.add_argument("--conv", choices=("gemm", "lax"), default="gemm")
  step.add_argument("--output", default="runs/bench_step.json", help="JSON record")
  step.set_defaults(function=_step)
  arguments = parser.parse_args()
  arguments.function(arguments)


if __name__ == "__main__":
  main()
