"""Time of single steps, ours against a dense PyTorch step, and what a mask leaves to compute."""

import functools
import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp

from oes_jax.bench import _flags
from oes_jax.bench import _records
from oes_jax.bench import _timed_steps
from oes_jax import files
from oes_jax import generators
from oes_jax import masks


def _seconds(function) -> float:
  began = time.perf_counter()
  function()
  return time.perf_counter() - began


def _read_mask(path: str, generator: generators.Generator, params):
  return jax.tree.map(jnp.asarray, files.read_mask(path, generator, params))


def time_step(size: int, *, rounds: int, length: int, conv: str,
              mask_path: str | None) -> dict[str, Any]:
  """Time our steps and a dense PyTorch step in turn; return medians and ratios.

  A round is `length` steps of each. Compilation and one warm-up round are not counted.
  """
  import torch  # only benchmarks need it  # pylint: disable=g-import-not-at-top
  from oes_jax.bench.peers import torch_hourglass as peer  # pylint: disable=g-import-not-at-top
  generator = generators.hourglass((size, size, 3))
  kept = mask_path and _read_mask(mask_path, generator, jax.eval_shape(generator.init, jax.random.key(0))[0])
  stages = {kind: _timed_steps.compile_steps(kind, size, length=length, kept=kept, conv=conv)
            for kind in ("dense", "mask", *(["compacted"] if kept else []))}
  net = peer.torch_hourglass(tuple(generator.spec["channels"]))
  theirs = peer.torch_weight_steps(net, 0.1 * torch.rand(1, 32, size, size),
                                    torch.rand(1, 3, size, size), 0.01)
  timed = {name: _timed_steps.runner_of(stage) for name, stage in stages.items()}
  timed["pytorch"] = functools.partial(theirs, length)
  for run in timed.values():
    run()
  times = [{name: _seconds(run) / length for name, run in timed.items()} for _ in range(rounds)]
  ratios = {name: [row[name] / row["pytorch"] for row in times] for name in stages}
  ratios["mask to dense"] = [row["mask"] / row["dense"] for row in times]
  return {
      "size": size,
      "milliseconds": {name: 1e3 * statistics.median(row[name] for row in times) for name in timed},
      "ratios": {name: {"median": statistics.median(values), "min": min(values),
                        "max": max(values)} for name, values in ratios.items()},
      "gflop": {name: stage.program.cost.flops / 1e9 for name, stage in stages.items()}}


def time_own_steps(size: int, *, num_scales: int, rounds: int = 5,
                   length: int = 20) -> dict[str, float]:
  """Return the median seconds of a dense and of a mask step, timed in turn."""
  timed = {kind: _timed_steps.runner_of(_timed_steps.compile_steps(kind, size, num_scales=num_scales, length=length))
           for kind in ("dense", "mask")}
  times = [{name: _seconds(run) / length for name, run in timed.items()} for _ in range(rounds + 1)]
  return {name: statistics.median(row[name] for row in times[1:]) for name in timed}  # one warms up


def run_step(arguments) -> None:
  """Print and record the time of a step, per size; `arguments` are the command line's."""
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
  _records.write_benchmark(arguments.output, {
      "torch": torch.__version__, "conv": arguments.conv, "mask": arguments.mask, "rows": rows})


def _multiply_adds(generator, params, net_input) -> float:
  """Of one forward pass, as XLA counts them before optimisation."""
  return jax.jit(generator.apply).lower(params, net_input).cost_analysis()["flops"] / 2


def run_compaction(arguments) -> None:
  """Print what a mask leaves of the hourglass, layer by layer and in multiply-adds."""
  generator = generators.make_generator(
      "hourglass", image_shape=(arguments.size, arguments.size, 3),
      num_scales=arguments.num_scales)
  params, net_input = jax.eval_shape(lambda key: (
      generator.init(key)[0],
      generators.sample_net_input(key, generator.net_input_shape)), jax.random.key(0))
  mask = _read_mask(arguments.mask, generator, params)
  channels = net_input.shape[-1]
  plan = masks.plan_compaction(generator.graph, mask, channels)
  report = masks.density_report(generator.graph, mask, channels)
  rows = [("layer", "channels", "alive", "kept", "can act")]
  for layer, alive in zip(generator.graph, plan.columns):
    arrays = [row for row in report if row.name.rsplit("/", 1)[0] == "/".join(layer.path)]
    width = jax.tree.leaves(masks.arrays_of(params, layer))[-1].shape[-1]
    rows.append(("/".join(layer.path), width, alive.size, sum(row.kept for row in arrays),
                 sum(row.acting for row in arrays)))
  print(files.format_table(rows))
  small = jax.tree.map(jnp.asarray, masks.compact(generator.graph, plan, mask))
  before = _multiply_adds(generator, params, net_input)
  after = _multiply_adds(generator, small, jax.ShapeDtypeStruct(
      (*net_input.shape[:2], plan.input_width), net_input.dtype))
  print(f"weights: {sum(r.size for r in report):,}; kept {sum(r.kept for r in report):,}; can act "
        f"{sum(r.acting for r in report):,}; entries left {masks.count_weights(small):,}")
  print(f"multiply-adds of a forward pass at {arguments.size}x{arguments.size}: {before / 1e9:.2f} G "
        f"-> {after / 1e9:.2f} G ({before / after:.1f} times fewer)")


def add_command(commands) -> None:
  """Add the commands `step` and `compaction` and their flags."""
  step = _flags.add_parser(commands, "step", run_step,
                           "time the steps against a dense PyTorch step (needs the extra `bench`)")
  step.add_argument("--size", type=int, nargs="+", default=[256, 512], help="image sides, pixels")
  step.add_argument("--rounds", type=int, default=9, help="rounds of each, in turn")
  step.add_argument("--length", type=int, default=4, help="steps of a round")
  step.add_argument("--conv", choices=("gemm", "lax"), default="gemm")
  step.add_argument("--output", default="runs/bench_step.json", help="JSON record")
  step.add_argument("--mask", help="also time the weight stage compacted by this mask")
  compaction = _flags.add_parser(
      commands, "compaction", run_compaction, "say what a mask leaves of the hourglass")
  compaction.add_argument("--mask", required=True, help="a run's mask/ folder or an authors' pickle")
  compaction.add_argument("--size", type=int, default=512, help="image side, pixels")
  compaction.add_argument("--num_scales", type=int, default=6)
