"""Compiled steps of one stage, and how many of them a device does in a second."""

import statistics
import time
from typing import Any, Callable, NamedTuple

import jax
import jax.numpy as jnp

from oes_jax import files
from oes_jax import fitting
from oes_jax import generators
from oes_jax import masks
from oes_jax import noise
from oes_jax import parallel
from oes_jax import random

_ROUNDS = 3


class Timed(NamedTuple):
  """A compiled stage, its state before the first step, and the arguments of its chunks."""
  program: fitting.Program
  state: Any
  args: tuple


def _pose(kind: str, size: int, num_scales: int,
          options: dict[str, Any]) -> tuple[generators.Generator, fitting.Problem]:
  """Return the network of a kind of steps and a noisy image to explain."""
  measurement = jnp.clip(0.5 + 0.1 * jax.random.normal(random.stream_key(0, "noise"), (size, size, 3)), 0, 1)
  problem = fitting.Problem(measurement)
  if kind == "recorrupted":
    generator = generators.skip_hourglass(
        (size, size, 3), num_scales=min(num_scales, 4), skip_channels=2, input_channels=3, **options)
    problem = fitting.hold_out(fitting.Problem(
        measurement, first_image=lambda values, seen: values, recorruption=fitting.Recorruption(noise.gaussian(0.1))),
        random.stream_key(0, "held_out"))
  else:
    generator = generators.hourglass((size, size, 3), num_scales=num_scales, **options)
    problem = problem.replace(net_input=generator.sample_input(random.stream_key(0, "net_input")))
  return generator, problem


def make_stage(kind: str, size: int, *, num_scales: int = 6, kept=None,
               **options: Any) -> tuple[fitting.Stage, Any, tuple]:
  """Return the stage of a noisy square RGB image, the tree that it starts from, and (frozen, problem, None, key data).

  Args:
    kind: dense or compacted (weight steps of the hourglass, the latter with a mask), mask (mask steps) or recorrupted (the
      default's weight steps).
    size: side of the image, pixels.
    num_scales: number of scales of the hourglass; the default's network has 4 at most.
    kept: mask of the kind compacted; None: the shipped one, or where none is shipped SynFlow's of 5 %.
    **options: options of the generator, such as conv.
  """
  generator, problem = _pose(kind, size, num_scales, options)
  params, logits = generator.init(random.stream_key(0, "params"))
  if kind != "compacted":
    kept = masks.dense_mask(params)
  elif kept is None:
    kept = files.read_bundled_mask(generator, params)[0] if num_scales in (5, 6) else (
        masks.threshold(masks.synflow(generator.graph, params, 0.05), keep_fraction=0.05))
  if kind == "compacted":
    plan = fitting.plan_compaction(generator, kept, problem)
    params, kept, problem = fitting.compact(generator, plan, params, kept, problem)
  if kind == "mask":
    stage = fitting.mask_stage(generator, fitting.LearnMask())
    trainable, frozen = logits, (params, jnp.float32(0.05), jnp.float32(1e-7))
  else:
    guard = {"guard": "held_out"} if kind == "recorrupted" else {}
    stage = fitting.weight_stage(generator, fitting.TrainWeights(**guard))
    trainable, frozen = masks.apply_mask(params, kept), kept
  key_data = jax.random.key_data(random.stream_key(0, stage.name))
  return stage._replace(num_steps=10 ** 9, evaluate=None), trainable, (frozen, problem, None, key_data)


def compile_steps(kind: str, size: int, *, length: int = 50, count: int = 1, **options: Any) -> Timed:
  """Compile a stage of `make_stage` for this device.

  Args:
    kind: kind of steps.
    size: side of the image, pixels.
    length: steps of a chunk.
    count: number of images at once.
    **options: what `make_stage` takes beside.
  """
  stage, *trees = make_stage(kind, size, **options)
  trainable, args = jax.tree.map(lambda leaf: jnp.stack([leaf] * count), trees)
  mesh = parallel.image_mesh(jax.local_devices()[:1])
  cpu = jax.default_backend() == "cpu"
  program = fitting.compile_stage(stage, trainable, args, mesh=mesh, length=length,
                                  use_scan=not (cpu and options.get("conv") == "lax"))
  return Timed(program, program.init(trainable), args)


def lower_steps(kind: str, size: int, mesh, *, length: int = 50, count: int = 1, **options: Any) -> jax.stages.Lowered:
  """Lower a stage of `make_stage` for a mesh whose devices need not be there.

  Args:
    kind: kind of steps.
    size: side of the image, pixels.
    mesh: mesh of `parallel.image_mesh`.
    length: steps of a chunk.
    count: number of images at once on each device.
    **options: what `make_stage` takes beside.
  """
  stage, *trees = make_stage(kind, size, **options)
  batch = lambda leaf: jnp.broadcast_to(leaf, (count * mesh.size, *jnp.shape(leaf)))
  shapes = jax.eval_shape(lambda trees: jax.tree.map(batch, trees), trees)
  return fitting.lower_stage(stage, *shapes, mesh=mesh, length=length)


def runner_of(timed: Timed) -> Callable[[], int]:
  """Return a function that runs the next chunk to its end, and says how many steps it has."""
  states = [timed.state]
  def run() -> int:
    states[0], record, _ = timed.program.chunk(states[0], timed.program.length, *timed.args)
    jax.block_until_ready(record)
    return timed.program.length
  return run


def steps_a_second(runners: dict[str, Callable[[], int]]) -> dict[str, float]:
  """Time several in turn, after a round that warms up: the median of the rounds."""
  found: dict[str, list[float]] = {name: [] for name in runners}
  for number in range(_ROUNDS + 1):
    for name, run in runners.items():
      began = time.perf_counter()
      count = run()
      if number:
        found[name].append(count / (time.perf_counter() - began))
  return {name: statistics.median(values) for name, values in found.items()}
