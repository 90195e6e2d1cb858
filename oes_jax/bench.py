"""Benchmarks: python -m oes_jax.bench step --size 256 512, and others; see --help."""

import argparse
import datetime
import functools
import json
import os
import pathlib
import platform
import statistics
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from oes_jax import checkpoints
from oes_jax import compaction
from oes_jax import generators
from oes_jax import masks
from oes_jax import objectives
from oes_jax import reports
from oes_jax import restoration
from oes_jax import validation


class _Bench(NamedTuple):
  """A default hourglass on a size x size RGB image of noise, and its initial trees."""
  generator: generators.Generator
  params: Any
  mask_logits: Any
  problem: objectives.Problem


def _make_bench(size: int, conv: str) -> _Bench:
  generator = generators.make_generator(
      "hourglass", image_shape=(size, size, 3), num_scales=6, conv=conv)
  params, mask_logits = generator.init(restoration.stream_key(0, "params"))
  net_input = generators.sample_net_input(
      restoration.stream_key(0, "net_input"), generator.net_input_shape)
  measurement = jax.random.uniform(restoration.stream_key(0, "noise"), (size, size, 3))
  return _Bench(generator, params, mask_logits, objectives.Problem(net_input, measurement))


def _make_stages(bench: _Bench, *, length: int, use_scan: bool, mask) -> dict[str, Any]:
  """The stages whose steps are timed: dense, mask, and compacted where a mask is given."""
  common = {"seed": 0, "num_steps": 10 ** 9, "length": length, "use_scan": use_scan}
  def weights(params, mask, problem):
    return restoration.make_weight_stage(
        bench.generator, params, mask, problem, learning_rate=0.01, **common)
  stages = {
      "dense": weights(bench.params, restoration.dense_mask(bench.params), bench.problem),
      "mask": restoration.make_mask_stage(
          bench.generator, bench.params, bench.mask_logits, bench.problem, keep_fraction=0.05,
          kl_weight=1e-9, temperature=0.2, learning_rate=0.01, schedule="constant", **common),
  }
  if mask is not None:
    small = restoration.compact_problem(bench.generator, bench.params, mask, bench.problem)
    stages["compacted"] = weights(small.params, small.mask, small.problem)
  return stages


def _seconds(function) -> float:
  began = time.perf_counter()
  function()
  return time.perf_counter() - began


def _read_mask(path: str, generator: generators.Generator, params):
  return jax.tree.map(jnp.asarray, validation.read_mask(path, generator, params))


def time_step(size: int, *, rounds: int, length: int, conv: str,
              mask_path: str | None) -> dict[str, Any]:
  """Time our steps and a dense PyTorch step in turn; return medians and ratios.

  A round is `length` steps of each. Compilation and one warm-up round are not counted.
  """
  import torch  # only benchmarks need it  # pylint: disable=g-import-not-at-top
  from oes_jax import peers  # pylint: disable=g-import-not-at-top
  bench = _make_bench(size, conv)
  mask = _read_mask(mask_path, bench.generator, bench.params) if mask_path else None
  stages = _make_stages(bench, length=length, use_scan=conv != "lax", mask=mask)
  states = {name: stage.state for name, stage in stages.items()}
  def ours(name):
    states[name], record = stages[name].chunk(states[name], length, *stages[name].args)
    jax.block_until_ready(record)
  net = peers.torch_hourglass((16, 32, 64, 128, 128, 128)[:bench.generator.spec["num_scales"]])
  theirs = peers.torch_weight_steps(net, 0.1 * torch.rand(1, 32, size, size),
                                    torch.rand(1, 3, size, size), 0.01)
  runs = {name: functools.partial(ours, name) for name in stages}
  runs["pytorch"] = functools.partial(theirs, length)
  for run in runs.values():
    run()
  times = [{name: _seconds(run) / length for name, run in runs.items()} for _ in range(rounds)]
  ratios = {name: [row[name] / row["pytorch"] for row in times] for name in stages}
  ratios["mask to dense"] = [row["mask"] / row["dense"] for row in times]
  return {
      "size": size,
      "milliseconds": {name: 1e3 * statistics.median(row[name] for row in times) for name in runs},
      "ratios": {name: {"median": statistics.median(values), "min": min(values),
                        "max": max(values)} for name, values in ratios.items()},
      "gflop": {name: stage.flops / 1e9 for name, stage in stages.items()}}


def _step(arguments) -> None:
  rows = []
  for size in arguments.size:
    row = time_step(size, rounds=arguments.rounds, length=arguments.length, conv=arguments.conv,
                    mask_path=arguments.mask)
    rows.append(row)
    ratio, milliseconds = row["ratios"], row["milliseconds"]
    print(f"{size}x{size}: PyTorch dense {milliseconds['pytorch']:.0f} ms", flush=True)
    for name in ("dense", "compacted", "mask"):
      if name in ratio:
        print(f"  {name}: {milliseconds[name]:.0f} ms, ratio: {ratio[name]['median']:.2f} "
              f"(rounds {ratio[name]['min']:.2f} to {ratio[name]['max']:.2f}), "
              f"{row['gflop'][name]:.1f} GFLOP by XLA's count")
    print(f"  mask step to dense step: {ratio['mask to dense']['median']:.2f}", flush=True)
  import torch  # pylint: disable=g-import-not-at-top
  _write_record(arguments.output, {
      "versions": {"jax": jax.__version__, "torch": torch.__version__}, "conv": arguments.conv,
      "mask": arguments.mask, "rows": rows})


def _write_record(path: str, record: dict[str, Any]) -> None:
  record = {"date": datetime.date.today().isoformat(), "cores": os.cpu_count(),
            "device": jax.devices()[0].device_kind, "machine": platform.machine(), **record}
  file = pathlib.Path(path)
  file.parent.mkdir(parents=True, exist_ok=True)
  checkpoints.write_atomically(file, json.dumps(record, indent=2).encode())
  print(f"written: {file}")


def _multiply_adds(generator, params, net_input) -> float:
  """Of one forward pass, as XLA counts them before optimisation."""
  return jax.jit(generator.apply).lower(params, net_input).cost_analysis()["flops"] / 2


def _compaction(arguments) -> None:
  generator = generators.make_generator(
      "hourglass", image_shape=(arguments.size, arguments.size, 3),
      num_scales=arguments.num_scales)
  params, net_input = jax.eval_shape(lambda key: (
      generator.init(key)[0],
      generators.sample_net_input(key, generator.net_input_shape)), jax.random.key(0))
  mask = _read_mask(arguments.mask, generator, params)
  channels = net_input.shape[-1]
  plan = compaction.plan_compaction(generator.graph, mask, channels)
  report = compaction.density_report(generator.graph, mask, channels)
  rows = [("layer", "channels", "alive", "kept", "can act")]
  for layer, alive in zip(generator.graph, plan.columns):
    arrays = [row for row in report if row.name.rsplit("/", 1)[0] == "/".join(layer.path)]
    width = jax.tree.leaves(compaction.arrays_of(params, layer))[-1].shape[-1]
    rows.append(("/".join(layer.path), width, alive.size, sum(row.kept for row in arrays),
                 sum(row.acting for row in arrays)))
  print(reports.format_table(rows))
  small = jax.tree.map(jnp.asarray, compaction.compact(generator.graph, plan, mask))
  before = _multiply_adds(generator, params, net_input)
  after = _multiply_adds(generator, small, jax.ShapeDtypeStruct(
      (*net_input.shape[:2], plan.input_width), net_input.dtype))
  print(f"weights: {sum(r.size for r in report):,}; kept {sum(r.kept for r in report):,}; can act "
        f"{sum(r.acting for r in report):,}; entries left {masks.count_weights(small):,}")
  print(f"multiply-adds of a forward pass at {arguments.size}x{arguments.size}: {before / 1e9:.2f} G "
        f"-> {after / 1e9:.2f} G ({before / after:.1f} times fewer)")


def main() -> None:
  parser = argparse.ArgumentParser(prog="python -m oes_jax.bench", description=__doc__)
  commands = parser.add_subparsers(required=True, metavar="command")
  step = commands.add_parser(
      "step", help="time the steps against a dense PyTorch step (needs the extra `bench`)")
  step.add_argument("--size", type=int, nargs="+", default=[256, 512], help="image sides, pixels")
  step.add_argument("--rounds", type=int, default=9, help="rounds of each, in turn")
  step.add_argument("--length", type=int, default=4, help="steps of a round")
  step.add_argument("--conv", choices=("gemm", "lax"), default="gemm")
  step.add_argument("--output", default="runs/bench_step.json", help="JSON record")
  step.add_argument("--mask", help="also time the weight stage compacted by this mask")
  step.set_defaults(function=_step)
  compact = commands.add_parser("compaction", help="say what a mask leaves of the hourglass")
  compact.add_argument("--mask", required=True, help="a run's mask/ folder or an authors' pickle")
  compact.add_argument("--size", type=int, default=512, help="image side, pixels")
  compact.add_argument("--num_scales", type=int, default=6)
  compact.set_defaults(function=_compaction)
  arguments = parser.parse_args()
  arguments.function(arguments)


if __name__ == "__main__":
  main()
