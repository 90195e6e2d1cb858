"""When to stop without knowing the truth: guards that follow the outputs and keep the one to return.

A guard never stops the steps themselves, so that the last and the averaged output can be compared with
its choice; it says at which step it would have stopped.
"""

from typing import Any, Callable, NamedTuple

import jax.numpy as jnp

from oes_jax import metrics
from oes_jax.fitting import _objectives


class GuardState(NamedTuple):
  """What a guard remembers.

  Attributes:
    score: the least so far; infinite before the first.
    step: number of the step that had it, counted from 1; 0 before the first.
    output: [H, W, C], kept from that step.
    stopped: whether the score has not been beaten for the guard's patience; it is final then.
    memory: what the rule remembers beside, e.g. the last outputs.
  """
  score: Any
  step: Any
  output: Any
  stopped: Any
  memory: Any


class Choice(NamedTuple):
  """What a guard has chosen in the end: the output, its step, and whether the patience ran out."""
  output: Any
  step: int
  stopped: bool


class Guard(NamedTuple):
  """A rule for stopping.

  Attributes:
    init: image shape, dtype -> GuardState.
    update: (GuardState, output, averaged, problem, steps done) -> GuardState.
  """
  init: Callable[[Any, Any], GuardState]
  update: Callable[..., GuardState]


def _start(image_shape, dtype, memory) -> GuardState:
  return GuardState(jnp.asarray(jnp.inf, dtype), jnp.int32(0), jnp.zeros(image_shape, dtype),
                    jnp.asarray(False), memory)


def _follow(state: GuardState, score, output, done, memory, patience: int) -> GuardState:
  """Keep the output if its score is the least so far, unless the patience has run out."""
  stopped = state.stopped | ((state.step > 0) & (done - state.step > patience))
  better = ~stopped & (score < state.score)
  choose = lambda new, old: jnp.where(better, new, old)
  return GuardState(choose(score, state.score), choose(done, state.step), choose(output, state.output),
                    stopped, memory)


def windowed_variance(*, window: int, patience: int) -> Guard:
  """ES-WMV: stop at the least variance of the last `window` outputs (Wang et al. 2021, arXiv 2112.06074).

  The variance over the window is averaged over pixels and channels. The paper keeps the window's outputs;
  so does this, with running sums of all but the oldest.

  Args:
    window: number of outputs, at least 2.
    patience: number of steps without a lower variance, after which the choice is final.
  """
  def init(image_shape, dtype):
    zeros = jnp.zeros(image_shape, dtype)
    return _start(image_shape, dtype, (jnp.zeros((window, *image_shape), dtype), zeros, zeros))

  def update(state, output, averaged, problem, done):
    del averaged
    outputs, total, squares = state.memory
    place = (done - 1) % window
    centred = output - 0.5  # smaller squares round less
    total, squares = total + centred, squares + centred ** 2
    variance = metrics.mean(jnp.maximum(squares / window - (total / window) ** 2, 0), problem.valid)
    score = jnp.where(done >= window, variance, jnp.inf)
    # Reading after writing: the other way round XLA copies the whole window in every step.
    outputs = outputs.at[place].set(centred)
    oldest = outputs[done % window]
    return _follow(state, score, output, done, (outputs, total - oldest, squares - oldest ** 2), patience)
  return Guard(init, update)


def held_out(*, window: int, patience: int) -> Guard:
  """Stop where the averaged output fits best the values that no objective sees (`Problem.held_out`).

  Args:
    window: number of outputs; this rule reads none but the averaged one.
    patience: number of steps without a better output, after which the choice is final.
  """
  del window
  def init(image_shape, dtype):
    return _start(image_shape, dtype, ())

  def update(state, output, averaged, problem, done):
    del output
    score = _objectives.data_fit(averaged, problem, problem.held_out)
    return _follow(state, score, averaged, done, (), patience)
  return Guard(init, update)


GUARDS = {"variance": windowed_variance, "held_out": held_out}
