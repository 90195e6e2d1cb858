"""A stage compiled over a batch of images, in chunks of steps between which the host may look, save and stop."""

from typing import Callable, Iterator, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from oes_jax import parallel
from oes_jax.fitting import _engine


class Cost(NamedTuple):
  """What XLA says of a compiled stage, for the images of one device.

  Attributes:
    flops: floating-point operations of a step.
    peak_bytes: bytes of memory while a chunk runs, arguments included.
    moved_bytes: bytes that a step reads and writes; on a GPU without what libraries do.
  """
  flops: float
  peak_bytes: float
  moved_bytes: float


class Program(NamedTuple):
  """A compiled stage of a batch of images, which serves every batch of the same shapes.

  Attributes:
    init: function trainable -> _engine.LoopState before the first step.
    chunk: compiled function (state, num_steps, *args) -> (state, metrics, sound); see `compile_stage`.
    cost: Cost of a step.
    length: most steps of a chunk.
    num_steps: number of steps of the stage.
    finish: function (state, *args) -> state, with the images that the stage ends with.
  """
  init: Callable
  chunk: Callable
  cost: Cost
  length: int
  num_steps: int
  finish: Callable

  def iterate(self, state: _engine.LoopState, args, start: int = 0) -> Iterator[tuple[int, _engine.LoopState, dict[str, np.ndarray], np.ndarray]]:
    """Run the chunks from step `start` to the last.

    Chunks end at multiples of `length` and at the last step, wherever they start, so a resumed run
    repeats the programs of an uninterrupted one. The yielded state is donated to the next chunk: copy
    what must outlive it.

    Yields:
      (steps done, state, metrics, sound) after each chunk; metrics [images, steps] and sound [images]
      of this process's images only.
    """
    done = start
    while done < self.num_steps:
      count = min(self.length - done % self.length, self.num_steps - done)
      state, record, sound = self.chunk(state, count, *args)
      done += count
      record = {name: values[:, :count] for name, values in parallel.rows(record).items()}
      yield done, state, record, parallel.rows(sound)


def _step_with(stage: _engine.Stage, score) -> Callable:
  """Return a step of one image of a batch, whose key is laid out as its data."""
  def step_with(state, frozen, problem, scored, key_data):
    step = _engine.make_step(stage, None if scored is None else lambda image: score(scored, problem, image))
    return step(state, frozen, problem, jax.random.wrap_key_data(key_data))
  return step_with


def lower_stage(stage: _engine.Stage, trainable, args, *, mesh, length: int, score=None) -> jax.stages.Lowered:
  """Lower a chunk of steps in one loop over a batch of images, (num_steps, state, *args) -> (state, metrics, sound).

  Nothing is computed, so that the mesh may be of devices that are not there (jax.experimental.topologies) and the trees
  of shapes. Arguments are those of `compile_stage`, which compiles and describes it.
  """
  step = _step_with(stage, score)
  def scanned(num_steps, before, *args):
    state, record = _engine.run_steps(step, before, num_steps, length, *args)
    state, sound = _keep_sound(before, state, record["loss"])
    return state, record, sound
  over = parallel.over_images(scanned, mesh, shared=1, donate=(1,))
  return over.lower(np.int32(length), *parallel.shapes(mesh, (_initial_shapes(stage, trainable, mesh), *args)))


def _initial_shapes(stage: _engine.Stage, trainable, mesh):
  return jax.eval_shape(parallel.over_images(lambda tree: _engine.init_state(stage, tree), mesh), trainable)


def compile_stage(stage: _engine.Stage, trainable, args, *, mesh, length: int, score=None, use_scan: bool = True) -> Program:
  """Compile a stage over a batch of images.

  Its chunk(state, num_steps, *args) -> (state, metrics, sound) does any num_steps <= length. The metrics are
  [images, length] arrays, zero beyond num_steps. An image whose loss, or what its gradient made of the trainable tree,
  became NaN or infinite is not `sound` ([images], bool): its state is the one from before the chunk. The state is
  donated.

  Args:
    stage: stage of one image.
    trainable: batch of trees to start from, for its shapes.
    args: (frozen, problem, scored, key data), batches too; `scored` may be None. Unlike keys,
      jax.random.key_data can be laid out over processes.
    mesh: mesh of `parallel.image_mesh`.
    length: most steps of a chunk.
    score: function (scored, problem, image) -> {name: value}; where `scored` is None nothing is scored.
    use_scan: whether the steps run inside one compiled loop. lax.conv inside one is 5-20 times slower on CPU; without
      it the steps are dispatched one by one.
  """
  init = parallel.over_images(lambda tree: _engine.init_state(stage, tree), mesh)
  if use_scan:
    lowered = lower_stage(stage, trainable, args, mesh=mesh, length=length, score=score)
    compiled = lowered.compile()
    chunk = lambda state, num_steps, *args: compiled(np.int32(num_steps), state, *args)
    cost = cost_of(lowered, compiled)  # the body of a loop of unknown length is counted once
  else:
    chunk, cost = _compile_dispatched(_step_with(stage, score), init(trainable), args, mesh, length)
  def finished(state, frozen, problem, scored, key_data):
    del scored
    return _engine.finish(stage, state, frozen, problem, jax.random.wrap_key_data(key_data))
  finish = _unchanged
  if stage.evaluate is not None:
    finish = parallel.over_images(finished, mesh).lower(init(trainable), *args).compile()
  return Program(init, chunk, cost, length, stage.num_steps, finish)


def _unchanged(state, *args):
  del args
  return state


def _compile_dispatched(step, state, args, mesh, length):
  lowered = parallel.over_images(step, mesh, donate=(0,)).lower(state, *args)
  single = lowered.compile()
  keep_sound = parallel.over_images(_keep_sound, mesh, donate=(1,))
  def dispatched(state, num_steps, *args):
    before, records = jax.tree.map(jnp.copy, state), []
    for _ in range(num_steps):
      state, measured = single(state, *args)
      records.append(measured)
    record = jax.tree.map(lambda *m: jnp.pad(jnp.stack(m, 1), ((0, 0), (0, length - num_steps))),
                          *records)
    state, sound = keep_sound(before, state, record["loss"])
    return state, record, sound
  return dispatched, cost_of(lowered, single)


def _keep_sound(before: _engine.LoopState, state: _engine.LoopState, losses):
  """Return (state, True) where all is finite, else (before, False)."""
  leaves = (losses, *jax.tree.leaves(state.trainable))  # a last update can spoil the tree alone
  sound = jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in leaves]))
  return jax.tree.map(lambda old, new: jnp.where(sound, new, old), before, state), sound


def cost_of(lowered: jax.stages.Lowered, compiled: jax.stages.Compiled) -> Cost:
  """Return the Cost of a step, of a chunk that was lowered and then compiled."""
  memory, nan = compiled.memory_analysis(), float("nan")
  peak = nan if memory is None else (
      memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
      - memory.alias_size_in_bytes)
  counted = compiled.cost_analysis() or {}
  # A GPU's matrix products are calls of libraries, which are counted before they have become that.
  operations = lowered.cost_analysis() or {} if jax.default_backend() == "gpu" else counted
  return Cost(operations.get("flops", nan), peak, counted.get("bytes accessed", nan))


def advice(at_first_step: bool, learning_rate: str) -> str:
  """Return what to do, without a full stop, where the loss of a stage is not finite.

  Args:
    at_first_step: whether it was not at the first step of the stage.
    learning_rate: what the learning rate of the stage is called.
  """
  if not at_first_step:
    return f"Lower {learning_rate}"
  return ("No step came before, so that no learning rate helps: the measurement, the operator or the loss gives values that do not "
          "fit into 32 bits; scale them to about 1")
