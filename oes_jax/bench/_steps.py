"""Time of single steps, ours against a dense PyTorch step, and what a mask leaves to compute."""

import functools
import statistics
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from oes_jax.bench import _flags
from oes_jax.bench import _records
from oes_jax import files
from oes_jax import fitting
from oes_jax import generators
from oes_jax import masks
from oes_jax import parallel
from oes_jax import random


class _Bench(NamedTuple):
  """A default hourglass on a size x size RGB image of noise, and its initial trees."""
  generator: generators.Generator
  params: Any
  mask_logits: Any
  problem: fitting.Problem


class _Timed(NamedTuple):
  """A compiled stage, its state before the first step and the arguments of its chunks."""
  program: fitting.Program
  state: Any
  args: tuple


def _make_bench(size: int, conv: str, num_scales: int = 6) -> _Bench:
  generator = generators.hourglass((size, size, 3), num_scales=num_scales, conv=conv)
  params, mask_logits = generator.init(random.stream_key(0, "params"))
  net_input = generator.sample_input(random.stream_key(0, "net_input"))
  measurement = jax.random.uniform(random.stream_key(0, "noise"), (size, size, 3))
  return _Bench(generator, params, mask_logits, fitting.Problem(measurement, net_input=net_input))


def _make_stages(bench: _Bench, *, length: int, use_scan: bool, mask) -> dict[str, _Timed]:
  """The stages whose steps are timed: dense, mask, and compacted where a mask is given."""
  mesh = parallel.image_mesh(jax.local_devices()[:1])
  def compiled(stage, trainable, frozen, problem):
    key_data = jax.random.key_data(random.stream_key(0, stage.name))
    trainable, *args = map(parallel.as_batch, (trainable, frozen, problem, key_data))
    args = (*args[:2], None, args[2])
    program = fitting.compile_stage(stage._replace(num_steps=10 ** 9), trainable, args, mesh=mesh, length=length,
                                    use_scan=use_scan)
    return _Timed(program, program.init(trainable), args)
  def weights(params, kept, problem):
    stage = fitting.weight_stage(bench.generator, fitting.TrainWeights(learning_rate=0.01))
    return compiled(stage, masks.apply_mask(params, kept), kept, problem)
  asked = fitting.LearnMask(temperature=0.2, learning_rate=0.01, schedule="constant")
  stages = {
      "dense": weights(bench.params, masks.dense_mask(bench.params), bench.problem),
      "mask": compiled(fitting.mask_stage(bench.generator, asked), bench.mask_logits,
                       (bench.params, jnp.float32(0.05), jnp.float32(1e-9)), bench.problem),
  }
  if mask is not None:
    plan = fitting.plan_compaction(bench.generator, mask, bench.problem)
    stages["compacted"] = weights(*fitting.compact(bench.generator, plan, bench.params, mask, bench.problem))
  return stages


def _rounds(stages: dict[str, Any], length: int) -> dict[str, Any]:
  """Per stage, a function that runs its next `length` steps to their end."""
  states = {name: stage.state for name, stage in stages.items()}
  def steps(name):
    states[name], record, _ = stages[name].program.chunk(states[name], length, *stages[name].args)
    jax.block_until_ready(record)
  return {name: functools.partial(steps, name) for name in stages}


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
  bench = _make_bench(size, conv)
  mask = _read_mask(mask_path, bench.generator, bench.params) if mask_path else None
  stages = _make_stages(bench, length=length, use_scan=conv != "lax", mask=mask)
  net = peer.torch_hourglass(tuple(bench.generator.spec["channels"]))
  theirs = peer.torch_weight_steps(net, 0.1 * torch.rand(1, 32, size, size),
                                    torch.rand(1, 3, size, size), 0.01)
  timed = _rounds(stages, length)
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
  stages = _make_stages(_make_bench(size, "gemm", num_scales), length=length, use_scan=True, mask=None)
  timed = _rounds(stages, length)
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
