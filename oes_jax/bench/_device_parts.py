"""What is measured of an accelerator: parts that yield their rows one by one, so that a part that is stopped leaves what it had."""

import gzip
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
from typing import Any, Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from oes_jax import fitting
from oes_jax import generators
from oes_jax import masks
from oes_jax.bench import _device_steps
from oes_jax.bench import _timed_steps

Row = dict[str, Any]
# Flags of XLA that may spare a GPU the launching of kernels one by one, or choose others: the default captures parts of a step in CUDA
# graphs; "+WHILE" whole loops; "=" nothing.
_FLAGS = ("", "--xla_gpu_enable_command_buffer=", "--xla_gpu_enable_command_buffer=+WHILE",
          "--xla_gpu_enable_command_buffer=+WHILE,+CONDITIONAL --xla_gpu_graph_min_graph_size=1", "--xla_gpu_enable_triton_gemm=false")


def compare_flags(small: bool, folder: pathlib.Path) -> Iterator[Row]:
  """Steps a second of the default's weight stage under flags of XLA, each in a process of its own."""
  del folder
  without = None
  for flags in _FLAGS[1:2] if small else _FLAGS:
    done = subprocess.run(
        [sys.executable, "-c", f"from oes_jax.bench import _device_steps as s; print(s.time_default_step({small}))"],
        env={**os.environ, "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()}, capture_output=True, text=True, check=False)
    if done.returncode:
      yield {"flags": flags, "error": done.stderr.strip()[-300:]}
      continue
    found = float(done.stdout.split()[-1])
    without = without if flags else found
    yield {"flags": flags or "none", "steps a second": found, "to none": found / without if without else None}


def relative_difference(tree, reference) -> float:
  """Return the largest difference of two trees of arrays, in shares of the largest value of the second; NaN where one has it.

  All arrays together: some gradients are 0 but for rounding.
  """
  pairs = list(zip(*map(jax.tree.leaves, (tree, reference))))
  return float(np.max([np.max(np.abs(a - b)) for a, b in pairs]) / np.max([np.max(np.abs(b)) for _, b in pairs]))


def check_equality(small: bool, folder: pathlib.Path) -> Iterator[Row]:
  """Images and gradients of this device at the highest precision against those of the host's CPU, and of compaction."""
  del folder
  size, widths = (16, (8,)) if small else (64, (8, 16))
  cpu = jax.devices("cpu")[0]
  def results(conv, kind):
    make = generators.hourglass if kind == "hourglass" else generators.skip_hourglass
    generator = make((size, size, 3), num_scales=len(widths), channels=widths, conv=conv, precision="highest")
    params, _ = generator.init(jax.random.key(0))
    net_input = generator.sample_input(jax.random.key(1))
    both = jax.jit(lambda p, x: (generator.apply(p, x), jax.grad(lambda p: generator.apply(p, x).sum())(p)))
    return jax.device_get(both(params, net_input))
  for kind in ("hourglass", "skip_hourglass"):
    with jax.default_device(cpu):
      reference = results("gemm", kind)
    for conv in ("lax",) if small else generators.CONVOLUTIONS:
      for name, one, other in zip(("image", "gradients"), results(conv, kind), reference):
        found = relative_difference(one, other)
        yield {"check": f"{kind}, {conv}: {name} against the CPU's", "relative difference": found, "held": found < 1e-3}
  generator = generators.hourglass((size, size, 3), num_scales=len(widths), channels=widths, precision="highest")
  params, _ = generator.init(jax.random.key(0))
  kept = masks.threshold(masks.synflow(generator.graph, params, 0.3), keep_fraction=0.3)
  problem = fitting.Problem(jnp.full((size, size, 3), 0.5), net_input=generator.sample_input(jax.random.key(1)))
  plan = fitting.plan_compaction(generator, kept, problem)
  less, left, posed = fitting.compact(generator, plan, params, kept, problem)
  masked = jax.device_get(generator.apply(masks.apply_mask(params, kept), problem.net_input))
  found = relative_difference(jax.device_get(generator.apply(masks.apply_mask(less, left), posed.net_input)), masked)
  yield {"check": "compacted image against the masked one", "relative difference": found, "held": found < 1e-4}


def _main(workdir: pathlib.Path, config: str, *flags: str) -> Row:
  """Run the program in a folder; return what its summary says."""
  shutil.rmtree(workdir, ignore_errors=True)  # of an earlier call
  began = time.perf_counter()
  done = subprocess.run([sys.executable, "-m", "oes_jax.main", f"--config={config}", f"--workdir={workdir}",
                         f"--config.compute.compilation_cache={workdir.parent / 'compiled'}", *flags],
                        capture_output=True, text=True, check=False)
  if done.returncode:
    raise RuntimeError(f"the program ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
  summary = json.loads((workdir / "summary.json").read_text(encoding="utf-8"))
  return {"wall seconds": time.perf_counter() - began, "psnr": summary["quality"][summary["output_image"]]["psnr"],
          "measurement psnr": summary["quality"]["measurement"]["psnr"], "seconds": summary["seconds"]}


def run_default(small: bool, folder: pathlib.Path) -> Iterator[Row]:
  """The default command, end to end: the first time and, with its programs compiled, again."""
  flags = ("--config.data.max_side=32", "--config.generator.num_scales=2", "--config.weights.num_steps=20") if small else ()
  shutil.rmtree(folder / "compiled", ignore_errors=True)
  for name in ("first", "again"):
    yield {"run": name, **_main(folder / f"default_{name}", "configs/denoise.py", *flags)}


def run_paper(small: bool, folder: pathlib.Path) -> Iterator[Row]:
  """The published schedule at 512x512: projected from the timed steps, then 5 % of it run."""
  steps = folder / "steps.json"
  if steps.is_file():
    timed = {row["stage"]: row["steps a second"] for row in json.loads(steps.read_text(encoding="utf-8"))["rows"]
             if "steps a second" in row and (row["size"], row["precision"], row["conv"]) in ((32, "tf32", "gemm"), (512, "tf32", "gemm"))}
    if {"mask", "compacted"} <= timed.keys():
      yield {"run": "projected", "minutes": (fitting.PAPER["mask.num_steps"] / timed["mask"]
                                             + fitting.PAPER["weights.num_steps"] / timed["compacted"]) / 60}
  share = 1e-4 if small else 0.05
  flags = [f"--config.{key}={int(share * fitting.PAPER[key])}" for key in ("mask.num_steps", "weights.num_steps")]
  flags += ["--config.data.source=astronaut", f"--config.data.max_side={32 if small else 512}"]
  flags += ["--config.generator.num_scales=2"] if small else []
  yield {"run": f"{100 * share:g} % of the steps", **_main(folder / "paper", "configs/denoise.py:paper", *flags)}


def _threads_of_operations(events: Sequence[Row]) -> set[tuple[int, int]]:
  """Return (process, thread) of those lines of a trace that hold what the device has done, each operation once.

  Raises:
    RuntimeError: there are none.
  """
  named = lambda kind: [event for event in events if event.get("name") == kind]
  processes = {event["pid"]: event["args"]["name"] for event in named("process_name")}
  starts = {"gpu": ("Stream",), "tpu": ("XLA Ops",)}.get(jax.default_backend())
  found = {(event["pid"], event["tid"]) for event in named("thread_name")
           if (event["args"]["name"].startswith("tf_XLA") if starts is None else
               "/device" in processes.get(event["pid"], "") and event["args"]["name"].startswith(starts))}
  if not found:
    raise RuntimeError(f"the trace has no operations of the device; it has {sorted(set(processes.values()))}")
  return found


def profile(small: bool, folder: pathlib.Path) -> Iterator[Row]:
  """The ten dearest operations of a chunk of the default's steps, by the profiler."""
  timed = _timed_steps.compile_steps("recorrupted", 32 if small else 512, **_device_steps.sizes(small))
  run = _timed_steps.runner_of(timed)
  run()
  with jax.profiler.trace(str(folder / "profile"), create_perfetto_trace=True):
    count = run()
  trace = max((folder / "profile").rglob("perfetto_trace.json.gz"), key=lambda path: path.stat().st_mtime)
  events = json.loads(gzip.decompress(trace.read_bytes()))
  events = events["traceEvents"] if isinstance(events, dict) else events
  total: dict[str, float] = {}
  kept = _threads_of_operations(events)
  for event in events:
    if event.get("ph") == "X" and (event["pid"], event["tid"]) in kept:
      total[event["name"]] = total.get(event["name"], 0) + event.get("dur", 0)
  for name, microseconds in sorted(total.items(), key=lambda item: -item[1])[:10]:
    yield {"operation": name, "milliseconds a step": microseconds / 1e3 / count}


# Name: (the part, the share of the time that it may take). The most valuable first.
PARTS: dict[str, tuple[Callable[[bool, pathlib.Path], Iterator[Row]], float]] = {
    "default": (run_default, 0.2), "steps": (_device_steps.time_steps, 0.3), "images": (_device_steps.count_images, 0.18),
    "equality": (check_equality, 0.07), "paper": (run_paper, 0.12), "flags": (compare_flags, 0.08), "profile": (profile, 0.05)}
