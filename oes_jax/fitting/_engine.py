"""One loop for both stages: a step, and compiled chunks of steps.

The engine knows neither masks nor files. An objective maps (trainable, frozen, problem, key) to
(loss, (output, metrics)); the engine follows its gradient, averages its outputs and records its
metrics. The key of a step is folded from the stage's key and the step, so a draw never depends
on the chunk length or on a restart.
"""

from typing import Any, Callable, Iterator, NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import optax

from oes_jax import metrics
from oes_jax import parallel


class Cost(NamedTuple):
  """What XLA says of a compiled stage, for the images of one device.

  Attributes:
    flops: floating-point operations of a step.
    peak_bytes: of memory while a chunk runs, arguments included.
  """
  flops: float
  peak_bytes: float


class LoopState(NamedTuple):
  """All that a stage needs to go on.

  Attributes:
    step: steps done, int32.
    trainable: tree that is optimised.
    opt_state: of optax.
    output: [H, W, C], what the last step's forward pass gave (before that step's update).
    average: [H, W, C], running average of the outputs; see `average_rate`.
    guard: guards.GuardState, or () without a guard.
  """
  step: Any
  trainable: Any
  opt_state: Any
  output: Any
  average: Any
  guard: Any = ()


def make_optimizer(*, learning_rate: float, schedule: str, num_steps: int):
  """Adam (eps 1e-8) at a constant rate, or with cosine decay to zero over `num_steps`."""
  if schedule not in SCHEDULES:
    raise ValueError(f"schedule={schedule!r} is unknown; allowed: {', '.join(SCHEDULES)}.")
  return optax.adam(SCHEDULES[schedule](learning_rate, max(1, num_steps)))


def init_state(trainable, optimizer, image_shape, guard=None) -> LoopState:
  """Return the state before step 0; output and average are zero."""
  dtype = jnp.result_type(*jax.tree.leaves(trainable))
  return LoopState(jnp.int32(0), trainable, optimizer.init(trainable),
                   jnp.zeros(image_shape, dtype), jnp.zeros(image_shape, dtype),
                   () if guard is None else guard.init(image_shape, dtype))


def average_rate(done, decay: float, start: int):
  """Share of the newest output in the average of those after step `start`; up to there it is all.

  Averages over n outputs stay normalised: 1 / n for the plain mean (decay 1), and
  (1 - decay) / (1 - decay^n) for the exponential one, which is then free of its start.
  """
  count = jnp.maximum(done - start, 1).astype(jnp.result_type(float))
  return 1 / count if decay == 1 else (1 - decay) / (1 - decay ** count)


def make_step(objective, optimizer, *, average_decay: float, average_from: int = 0, guard=None,
              perturb: Callable | None = None, view: Callable = lambda image: image) -> Callable:
  """Return step(state, frozen, problem, truth, key_data) -> (state, metrics), of one image.

  Args:
    objective: see the module's docstring.
    optimizer: of optax.
    average_decay: of the output average; 1 is the plain mean.
    average_from: steps before the first that the average takes in.
    guard: guards.Guard that follows the outputs, or None.
    perturb: (trainable, frozen, key, steps done) -> trainable, after every update; or None.
    view: what is scored of an image.

  `truth` ([H, W, C] or None) adds the PSNR of the output and of the average to the metrics; it
  touches nothing else. `key_data` is jax.random.key_data of the stage's key: unlike keys, it can
  be laid out over processes.
  """
  def step(state, frozen, problem, truth, key_data):
    key = jax.random.fold_in(jax.random.wrap_key_data(key_data), state.step)
    gradient = jax.value_and_grad(objective, has_aux=True)
    (loss, (output, measured)), grads = gradient(state.trainable, frozen, problem, key)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.trainable)
    done = state.step + 1
    rate = average_rate(done, average_decay, average_from).astype(output.dtype)
    average = (1 - rate) * state.average + rate * output
    measured = {"loss": loss, **measured}
    watched = state.guard if guard is None else guard.update(
        state.guard, output, average, problem, done)
    if truth is not None:
      measured["psnr"] = metrics.psnr(view(output), view(truth), problem.valid)
      measured["psnr_average"] = metrics.psnr(view(average), view(truth), problem.valid)
    trainable = optax.apply_updates(state.trainable, updates)
    if perturb is not None:
      trainable = perturb(trainable, frozen, jax.random.fold_in(key, 1), done)
    return LoopState(done, trainable, opt_state, output, average, watched), measured
  return step


def compile_chunk(step: Callable, state, args, *, mesh, length: int,
                  use_scan: bool = True) -> tuple[Callable, Cost]:
  """Compile chunk(state, num_steps, *args) -> (state, metrics, sound) over a batch of images.

  One program does any num_steps <= length. The metrics are [images, length] arrays, zero beyond
  num_steps. An image whose loss, or what its gradient made of the trainable tree, became NaN or
  infinite is not `sound` ([images], bool): its state is the one from before the chunk. The state is
  donated. Without `use_scan` the steps are dispatched one by one: lax.conv inside a compiled loop
  is 5-20 times slower on CPU.

  Args:
    step: of `make_step`, for one image.
    state: a batch of LoopStates, for its shapes and layout.
    args: what a step takes beside the state, as a batch, likewise.
    mesh: of `parallel.image_mesh`.
    length: most steps of a chunk.
    use_scan: whether the steps run inside one compiled loop.

  Returns:
    (chunk, its Cost).
  """
  if not use_scan:
    return _compile_dispatched(step, state, args, mesh, length)
  step = jax.jit(step, inline=True)  # traced once for both uses
  def scanned(num_steps, before, *args):
    def body(i, carry):
      state, record = carry
      state, measured = step(state, *args)
      return state, jax.tree.map(lambda r, m: r.at[i].set(m), record, measured)
    shapes = jax.eval_shape(step, before, *args)[1]
    record = jax.tree.map(lambda m: jnp.zeros((length, *m.shape), m.dtype), shapes)
    state, record = lax.fori_loop(0, num_steps, body, (before, record))
    state, sound = _keep_sound(before, state, record["loss"])
    return state, record, sound
  over = parallel.over_images(scanned, mesh, shared=1, donate=(1,))
  compiled = over.lower(np.int32(length), state, *args).compile()
  chunk = lambda state, num_steps, *args: compiled(np.int32(num_steps), state, *args)
  return chunk, _cost(compiled)  # the body of a loop of unknown length is counted once


def _compile_dispatched(step, state, args, mesh, length):
  single = parallel.over_images(step, mesh, donate=(0,)).lower(state, *args).compile()
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
  return dispatched, _cost(single)


def _keep_sound(before: LoopState, state: LoopState, losses):
  """Return (state, True) where all is finite, else (before, False)."""
  leaves = (losses, *jax.tree.leaves(state.trainable))  # a last update can spoil the tree alone
  sound = jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in leaves]))
  return jax.tree.map(lambda old, new: jnp.where(sound, new, old), before, state), sound


def _cost(compiled) -> Cost:
  memory, nan = compiled.memory_analysis(), float("nan")
  peak = nan if memory is None else (
      memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
      - memory.alias_size_in_bytes)
  return Cost((compiled.cost_analysis() or {}).get("flops", nan), peak)


def iterate(chunk: Callable, state: LoopState, *args, start: int, num_steps: int,
            length: int) -> Iterator[tuple[int, LoopState, dict[str, np.ndarray], np.ndarray]]:
  """Run the chunks from step `start` to num_steps.

  Chunks end at multiples of `length` and at `num_steps`, wherever they start, so a resumed run
  repeats the programs of an uninterrupted one. The yielded state is donated to the next chunk: copy
  what must outlive it.

  Yields:
    (steps done, state, metrics, sound) after each chunk; metrics [images, steps] and sound [images]
    of this process's images only, see `compile_chunk`.
  """
  done = start
  while done < num_steps:
    count = min(length - done % length, num_steps - done)
    state, record, sound = chunk(state, count, *args)
    done += count
    record = {name: values[:, :count] for name, values in parallel.rows(record).items()}
    yield done, state, record, parallel.rows(sound)


SCHEDULES = {
    "constant": lambda rate, num_steps: rate,
    "cosine": lambda rate, num_steps: optax.cosine_decay_schedule(rate, num_steps),
}
