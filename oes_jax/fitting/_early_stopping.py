"""When to stop without knowing the truth: guards that follow the outputs and keep the one to return.

A guard never stops the steps themselves, so that the last and the averaged output can be compared with
its choice; it says at which step it would have stopped. How often each is right: docs/results.md, "Stopping without the truth".
"""

from typing import Any, Callable, NamedTuple

import jax.numpy as jnp

from oes_jax import metrics
from oes_jax.fitting import _objectives

# How far above its minimum the variance of the outputs has to rise before that is final, the longest patience that is automatic,
# and the share of the steps that is the tail of a run. With a patience in proportion to the run the tail won in long ones: nets
# overfit within a few hundred steps, however many follow. Chosen on ten runs of images that no table is of (2026-11-28).
_RISE, _PATIENCE, _TAIL = 2, 300, 20


class GuardState(NamedTuple):
  """What a guard remembers.

  Attributes:
    score: the least so far; infinite before the first.
    step: number of the step that the output is of, counted from 1; 0 before the first.
    output: [H, W, C], kept from that step.
    stopped: whether the choice has stood for as long as the guard asks.
    memory: what the rule remembers beside, e.g. the last outputs.
  """
  score: Any
  step: Any
  output: Any
  stopped: Any
  memory: Any


class Choice(NamedTuple):
  """What a guard has chosen in the end: the output, its step, and whether it stood; else it is of the tail of the run."""
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


def _take(state: GuardState, better, score, output, done, stopped, memory) -> GuardState:
  """Keep the output of this step where it is better."""
  choose = lambda new, old: jnp.where(better, new, old)
  return GuardState(choose(score, state.score), choose(done, state.step), choose(output, state.output), stopped, memory)


def _windowed_variance(memory, window: int, output, done, problem):
  """Return (variance of the last `window` outputs, averaged over pixels and channels; what is remembered of them).

  The paper keeps the window's outputs; so does this, with running sums of all but the oldest.
  """
  outputs, total, squares = memory
  place = (done - 1) % window
  centred = output - 0.5  # smaller squares round less
  total, squares = total + centred, squares + centred ** 2
  variance = metrics.mean(jnp.maximum(squares / window - (total / window) ** 2, 0), problem.valid)
  # Reading after writing: the other way round XLA copies the whole window in every step.
  outputs = outputs.at[place].set(centred)
  oldest = outputs[done % window]
  return jnp.where(done >= window, variance, jnp.inf), (outputs, total - oldest, squares - oldest ** 2)


def _no_outputs(window: int, image_shape, dtype):
  zeros = jnp.zeros(image_shape, dtype)
  return jnp.zeros((window, *image_shape), dtype), zeros, zeros


def es_wmv(*, window: int = 100, patience: int = 1000) -> Guard:
  """ES-WMV: stop at the least variance of the last `window` outputs (Wang et al. 2021, arXiv 2112.06074).

  In a run that is not much longer than the patience, the overfitted tail, where the outputs hardly vary either, may have it.

  Args:
    window: number of outputs, at least 2.
    patience: number of steps without a lower variance, after which the choice is final.
  """
  def init(image_shape, dtype):
    return _start(image_shape, dtype, _no_outputs(window, image_shape, dtype))

  def update(state, output, averaged, problem, done):
    del averaged
    score, memory = _windowed_variance(state.memory, window, output, done, problem)
    stopped = state.stopped | ((state.step > 0) & (done - state.step > patience))
    return _take(state, ~stopped & (score < state.score), score, output, done, stopped, memory)
  return Guard(init, update)


def first_minimum(*, window: int, patience: int) -> Guard:
  """Stop at the first minimum of the variance of the last outputs that stands; keep the averaged output `window` steps later.

  ES-WMV for runs of any length. A minimum stands, and is final, when for `patience` steps no output had less, or when after
  `window` steps the variance is twice as large: what comes down again after that is the overfitted tail. What is kept is an
  average, which lags behind the outputs by about as much.

  Args:
    window: number of outputs, at least 2.
    patience: number of steps without a lower variance, at least the window.
  """
  def init(image_shape, dtype):
    return _start(image_shape, dtype, (_no_outputs(window, image_shape, dtype), jnp.int32(0)))

  def update(state, output, averaged, problem, done):
    outputs, least_at = state.memory
    score, outputs = _windowed_variance(outputs, window, output, done, problem)
    since = done - least_at
    stopped = state.stopped | (least_at > 0) & (
        (since > patience) | (since > window) & (score > _RISE * state.score))
    lower = ~stopped & (score < state.score)
    follows = lower | (least_at > 0) & (since <= window)  # else as final: it is at least as long ago
    return _take(state, follows, jnp.minimum(score, state.score), averaged, done, stopped,
                 (outputs, jnp.where(lower, done, least_at)))
  return Guard(init, update)


def windowed_variance(*, num_steps: int, window: int | None = None, patience: int | None = None) -> Guard:
  """Stop where the last outputs vary least: at the first minimum that stands, or, where a patience is given, as published.

  Args:
    num_steps: number of steps of the run.
    window: number of outputs; None: `window_of`.
    patience: of `es_wmv`, for which the authors have 1,000; None: `first_minimum`, with a third of the steps and at
      most 300.
  """
  window = window_of(num_steps, window)
  if patience is not None:
    return es_wmv(window=window, patience=patience)
  return first_minimum(window=window, patience=max(window, min(num_steps // 3, _PATIENCE)))


def window_of(num_steps: int, window: int | None) -> int:
  """Return the number of outputs whose variance is taken: 100 as published, or of a short run a sixth of its steps."""
  return min(100, max(2, num_steps // 6)) if window is None else window


def held_out(*, num_steps: int, window: int | None = None, patience: int | None = None) -> Guard:
  """Stop where the averaged output fits best the values that no objective sees (`Problem.held_out`).

  Args:
    num_steps: number of steps of the run.
    window: number of outputs; this rule reads none but the averaged one.
    patience: number of steps without a better output, after which the choice is final; None: it is that of all steps, and
      stands where it is not of the last twentieth.
  """
  del window
  def init(image_shape, dtype):
    return _start(image_shape, dtype, ())

  def update(state, output, averaged, problem, done):
    del output
    score = _objectives.data_fit(averaged, problem, problem.held_out)
    if patience is None:
      better = score < state.score
      stopped = ~better & (state.step > 0) & (done - state.step > num_steps // _TAIL)
    else:
      stopped = state.stopped | ((state.step > 0) & (done - state.step > patience))
      better = ~stopped & (score < state.score)
    return _take(state, better, score, averaged, done, stopped, ())
  return Guard(init, update)


GUARDS = {"variance": windowed_variance, "held_out": held_out}
