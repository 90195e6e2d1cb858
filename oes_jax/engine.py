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

from oes_jax import metrics as quality


class LoopState(NamedTuple):
  """All that a stage needs to go on.

  Attributes:
    step: steps done, int32.
    trainable: tree that is optimised.
    opt_state: of optax.
    output: [H, W, C], what the last step's forward pass gave (before that step's update).
    average: [H, W, C], running sum of the outputs' exponential average; see `averaged_output`.
  """
  step: Any
  trainable: Any
  opt_state: Any
  output: Any
  average: Any


class NonFiniteLoss(ArithmeticError):
  """The loss, or what its gradient made of the trainable tree, became NaN or infinite.

  Attributes:
    step: the first step, counted from 1, whose loss was not finite.
    last_good: the LoopState at the start of that chunk.
    metrics: dict of arrays, the steps of that chunk before `step`.
  """

  def __init__(self, step: int, last_good: LoopState, metrics):
    super().__init__(f"the loss is not finite at step {step}")
    self.step, self.last_good, self.metrics = step, last_good, metrics


def make_optimizer(*, learning_rate: float, schedule: str, num_steps: int):
  """Adam (eps 1e-8) at a constant rate, or with cosine decay to zero over `num_steps`."""
  if schedule not in SCHEDULES:
    raise ValueError(f"schedule={schedule!r} is unknown; allowed: {', '.join(SCHEDULES)}.")
  return optax.adam(SCHEDULES[schedule](learning_rate, max(1, num_steps)))


def init_state(trainable, optimizer, image_shape) -> LoopState:
  """Return the state before step 0; output and average are zero."""
  dtype = jnp.result_type(*jax.tree.leaves(trainable))
  return LoopState(jnp.int32(0), trainable, optimizer.init(trainable),
                   jnp.zeros(image_shape, dtype), jnp.zeros(image_shape, dtype))


def averaged_output(average, step, decay: float):
  """Exponential moving average of the outputs of `step` steps, free of its zero start."""
  return average / (1 - jnp.power(jnp.asarray(decay, average.dtype), step))


def make_step(objective, optimizer, *, average_decay: float) -> Callable:
  """Return step(state, frozen, problem, truth, stage_key) -> (state, metrics).

  `truth` ([H, W, C] or None) adds the PSNR of the output and of the average to the metrics; it
  touches nothing else.
  """
  def step(state, frozen, problem, truth, stage_key):
    key = jax.random.fold_in(stage_key, state.step)
    gradient = jax.value_and_grad(objective, has_aux=True)
    (loss, (output, measured)), grads = gradient(state.trainable, frozen, problem, key)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.trainable)
    average = average_decay * state.average + (1 - average_decay) * output
    done = state.step + 1
    measured = {"loss": loss, **measured}
    if truth is not None:
      measured["psnr"] = quality.psnr(output, truth)
      measured["psnr_average"] = quality.psnr(averaged_output(average, done, average_decay), truth)
    trainable = optax.apply_updates(state.trainable, updates)
    return LoopState(done, trainable, opt_state, output, average), measured
  return step


def compile_chunk(step: Callable, state, args, *, length: int, use_scan: bool = True) -> tuple[Callable, float]:
  """Compile chunk(state, num_steps, *args) -> (state, metrics), metrics being [length] arrays.

  One program does any num_steps <= length; entries beyond are zero. The state is donated.
  Without `use_scan` the steps are dispatched one by one: lax.conv inside a compiled loop is 5-20
  times slower on CPU.

  Args:
    step: of `make_step`.
    state: a LoopState, for its shapes.
    args: what a step takes beside the state, for its shapes.
    length: most steps of a chunk.
    use_scan: whether the steps run inside one compiled loop.

  Returns:
    (chunk, XLA's count of floating-point operations of one step).
  """
  if not use_scan:
    single = jax.jit(step, donate_argnums=0).lower(state, *args).compile()
    def dispatched(state, num_steps, *args):
      records = []
      for _ in range(num_steps):
        state, measured = single(state, *args)
        records.append(measured)
      return state, jax.tree.map(lambda *m: jnp.stack(m), *records)
    return dispatched, _count_flops(single)

  step = jax.jit(step, inline=True)  # traced once for both uses
  shapes = jax.eval_shape(step, state, *args)[1]
  def scanned(state, num_steps, *args):
    def body(i, carry):
      state, record = carry
      state, measured = step(state, *args)
      return state, jax.tree.map(lambda r, m: r.at[i].set(m), record, measured)
    record = jax.tree.map(lambda m: jnp.zeros((length, *m.shape), m.dtype), shapes)
    return lax.fori_loop(0, num_steps, body, (state, record))
  compiled = jax.jit(scanned, donate_argnums=0).lower(state, jnp.int32(length), *args).compile()
  chunk = lambda state, num_steps, *args: compiled(state, jnp.int32(num_steps), *args)
  return chunk, _count_flops(compiled)  # the body of a loop of unknown length is counted once


def _count_flops(compiled) -> float:
  return (compiled.cost_analysis() or {}).get("flops", float("nan"))


@jax.jit
def _all_finite(tree):
  return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))


def iterate(chunk: Callable, state: LoopState, *args, num_steps: int,
            length: int) -> Iterator[tuple[LoopState, dict[str, np.ndarray]]]:
  """Run the chunks from state.step to num_steps; yield (state, metrics) after each.

  Chunks end at multiples of `length` and at `num_steps`, wherever the state starts, so a
  resumed run repeats the programs of an uninterrupted one. The yielded state is donated to the
  next chunk: copy what must outlive it.

  Raises:
    NonFiniteLoss: carrying the last good state.
  """
  done = int(state.step)
  while done < num_steps:
    count = min(length - done % length, num_steps - done)
    before = jax.tree.map(jnp.copy, state)  # donation would lose it; a copy costs milliseconds
    state, record = chunk(state, count, *args)
    record = {name: values[:count] for name, values in jax.device_get(record).items()}
    finite = np.isfinite(record["loss"])
    if not finite.all() or not _all_finite(state.trainable):
      # A last update can spoil the tree before any loss shows it.
      first = int(np.argmin(finite)) if not finite.all() else count
      good = {name: values[:first] for name, values in record.items()}
      raise NonFiniteLoss(done + first + 1, before, good)
    done += count
    yield state, record


SCHEDULES = {
    "constant": lambda rate, num_steps: rate,
    "cosine": lambda rate, num_steps: optax.cosine_decay_schedule(rate, num_steps),
}
