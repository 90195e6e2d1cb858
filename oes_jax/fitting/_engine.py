"""One loop for both stages: a step, and many steps in one compiled loop.

The engine takes an objective (trainable, frozen, problem, key) -> (loss, (image, metrics)) and knows neither masks nor
truth nor files: it follows the gradient, averages the images and records the metrics. The key of a step is folded from
the stage's key and the step, so a draw never depends on the chunk length or on a restart.
"""

from typing import Any, Callable, NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
import optax

from oes_jax.fitting import _early_stopping


class LoopState(NamedTuple):
  """All that a stage needs to go on.

  Attributes:
    step: number of steps done, int32.
    trainable: tree that is optimised.
    opt_state: state of the optimiser.
    output: [H, W, C], what the last step's forward pass gave (before that step's update).
    average: [H, W, C], running average of the outputs; see `average_rate`.
    guard: GuardState, or () without a guard.
    average_trainable: running average of the trainable trees, or () where the stage evaluates none.
    guarded_trainable: that of the guard's step, or ().
    combined: Combination, of `finish`; () before, or where the stage combines nothing.
  """
  step: Any
  trainable: Any
  opt_state: Any
  output: Any
  average: Any
  guard: Any = ()
  average_trainable: Any = ()
  guarded_trainable: Any = ()
  combined: Any = ()


class Stage(NamedTuple):
  """What is done to one image, as pure functions: which objective is minimised, by what, for how long.

  Attributes:
    name: "mask", "round_1" and so on, or "weights".
    objective: function (trainable, frozen, problem, key) -> (loss, (image, metrics)).
    optimizer: any optax transformation. It is also handed `key`, that of the step, and `frozen`.
    num_steps: number of steps.
    image_shape: shape (H, W, C) of the image.
    average_decay: decay of the average of the images; 1 is their plain mean.
    average_from: number of steps before the first that the average takes in.
    guard: Guard that follows the images, or None.
    evaluate: function (trainable, frozen, problem, key) -> image, with which `finish` makes the images that the stage ends
      with of averages of the trainable tree; None: they are the average of the images.
    combine: function (trainable, frozen, problem, key, image) -> Combination of the guard's image; None: nothing is combined.
  """
  name: str
  objective: Callable[..., Any]
  optimizer: Any
  num_steps: int
  image_shape: tuple[int, int, int]
  average_decay: float = 0.99
  average_from: int = 0
  guard: _early_stopping.Guard | None = None
  evaluate: Callable[..., Any] | None = None
  combine: Callable[..., Any] | None = None


def make_optimizer(*, learning_rate: float, schedule: str, num_steps: int):
  """Return Adam (eps 1e-8) at a constant rate, or with cosine decay to zero over `num_steps`."""
  if schedule not in SCHEDULES:
    raise ValueError(f"schedule={schedule!r} is unknown; allowed: {', '.join(SCHEDULES)}.")
  return optax.adam(SCHEDULES[schedule](learning_rate, max(1, num_steps)))


def init_state(stage: Stage, trainable) -> LoopState:
  """Return the state before step 0; output and average are zero."""
  dtype = jnp.result_type(*jax.tree.leaves(trainable))
  zeros = jnp.zeros(stage.image_shape, dtype)
  averaged = () if stage.evaluate is None else jax.tree.map(jnp.zeros_like, trainable)
  return LoopState(jnp.int32(0), trainable, stage.optimizer.init(trainable), zeros, zeros,
                   () if stage.guard is None else stage.guard.init(stage.image_shape, dtype),
                   averaged, () if stage.guard is None else averaged)


def average_rate(done, decay: float, start: int):
  """Share of the newest output in the average of those after step `start`; up to there it is all.

  Averages over n outputs stay normalised: 1 / n for the plain mean (decay 1), and
  (1 - decay) / (1 - decay^n) for the exponential one, which is then free of its start.
  """
  count = jnp.maximum(done - start, 1).astype(jnp.result_type(float))
  return 1 / count if decay == 1 else (1 - decay) / (1 - decay ** count)


def make_step(stage: Stage, score: Callable[[Any], dict[str, Any]] | None = None) -> Callable:
  """Return step(state, frozen, problem, key) -> (state, metrics).

  Args:
    stage: stage whose step it is.
    score: function image -> {name: value}, recorded of the output and, with "_average" behind the name, of the
      average; it touches nothing else. None records neither.
  """
  optimizer = optax.with_extra_args_support(stage.optimizer)

  def step(state, frozen, problem, key):
    key = jax.random.fold_in(key, state.step)
    gradient = jax.value_and_grad(stage.objective, has_aux=True)
    (loss, (output, measured)), grads = gradient(state.trainable, frozen, problem, key)
    updates, opt_state = optimizer.update(
        grads, state.opt_state, state.trainable, key=jax.random.fold_in(key, 1), frozen=frozen)
    done = state.step + 1
    rate = average_rate(done, stage.average_decay, stage.average_from).astype(output.dtype)
    average = (1 - rate) * state.average + rate * output
    averaged = () if stage.evaluate is None else jax.tree.map(
        lambda mean, new: ((1 - rate) * mean + rate * new).astype(new.dtype), state.average_trainable, state.trainable)
    measured = {"loss": loss, **measured}
    watched = state.guard if stage.guard is None else stage.guard.update(
        state.guard, output, average, problem, done)
    guarded = state.guarded_trainable
    if stage.guard is not None and stage.evaluate is not None:
      guarded = jax.tree.map(lambda new, old: jnp.where(watched.step == done, new, old), averaged, guarded)
    if score is not None:
      measured.update(score(output))
      measured.update({f"{name}_average": value for name, value in score(average).items()})
    trainable = optax.apply_updates(state.trainable, updates)
    return LoopState(done, trainable, opt_state, output, average, watched, averaged, guarded), measured
  return step


def finish(stage: Stage, state: LoopState, frozen, problem, key) -> LoopState:
  """Return the last state of a stage with the images it ends with: of averages of the trainable tree, where it evaluates.

  Args:
    stage: stage that has run.
    state: its last state.
    frozen: tree that the objective takes.
    problem: Problem, with its network input.
    key: PRNG key of the stage.
  """
  if stage.evaluate is None:
    return state
  as_stored = lambda tree: jax.tree.map(lambda leaf: leaf.astype(state.average.dtype), tree)
  image = lambda trainable: as_stored(stage.evaluate(trainable, frozen, problem, key))
  watched = state.guard if stage.guard is None else state.guard._replace(output=image(state.guarded_trainable))
  combined = () if stage.combine is None else as_stored(
      stage.combine(state.guarded_trainable, frozen, problem, key, watched.output))
  return state._replace(average=image(state.average_trainable), guard=watched, combined=combined)


def run_steps(step: Callable, state: LoopState, num_steps, length: int, *args):
  """Do `num_steps` steps in one loop; return (state, metrics), the metrics [length] arrays, zero beyond num_steps.

  Args:
    step: function (state, *args) -> (state, metrics).
    state: state before them.
    num_steps: number of steps, at most `length`; may be traced.
    length: length of the records.
    *args: what a step takes beside the state.
  """
  step = jax.jit(step, inline=True)  # traced once for both uses
  def body(i, carry):
    state, record = carry
    state, measured = step(state, *args)
    return state, jax.tree.map(lambda r, m: r.at[i].set(m), record, measured)
  shapes = jax.eval_shape(step, state, *args)[1]
  record = jax.tree.map(lambda m: jnp.zeros((length, *m.shape), m.dtype), shapes)
  return lax.fori_loop(0, num_steps, body, (state, record))


def run_stage(stage: Stage, trainable, frozen, problem, key, score=None):
  """Run a whole stage of one image; return (LoopState, trace). Pure: jit it, vmap it.

  A loss that becomes NaN stays NaN, and shows in the trace.

  Args:
    stage: stage to run.
    trainable: tree to start from.
    frozen: tree that the objective takes and nothing trains.
    problem: Problem, with its network input.
    key: PRNG key of the stage.
    score: function image -> {name: value}, recorded in every step, or None.

  Returns:
    The last state, and {metric: [num_steps] array}.
  """
  step = make_step(stage, score)
  state, trace = run_steps(
      step, init_state(stage, trainable), stage.num_steps, stage.num_steps, frozen, problem, key)
  return finish(stage, state, frozen, problem, key), trace


SCHEDULES = {
    "constant": lambda rate, num_steps: rate,
    "cosine": lambda rate, num_steps: optax.cosine_decay_schedule(rate, num_steps),
}
