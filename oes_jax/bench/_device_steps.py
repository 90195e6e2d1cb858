"""Steps and images of an accelerator, over time."""

import pathlib
from typing import Any, Callable, Iterator

import jax

from oes_jax import fitting
from oes_jax import generators
from oes_jax.bench import _in_turn
from oes_jax.bench import _timed_steps

Row = dict[str, Any]
# How a network computes, by name: options of a generator.
PRECISIONS: dict[str, dict[str, Any]] = {
    "tf32": {"precision": "default"}, "bfloat16": {"precision": "default", "dtype": "bfloat16"}, "float32": {"precision": "highest"}}
# NVIDIA's data sheets of H100 SXM and H200 SXM, without sparsity: operations a second by precision, bytes a second.
_LIMITS = {"NVIDIA H100 80GB HBM3": ({"float32": 67e12, "tf32": 494.5e12, "bfloat16": 989.5e12}, 3.35e12),
           "NVIDIA H200": ({"float32": 67e12, "tf32": 494.5e12, "bfloat16": 989.5e12}, 4.8e12)}
# Size, precision and form of convolution of timed steps, in groups whose programs are compiled at once.
_PLANS = (tuple((size, precision, conv) for size in (256, 512) for precision in ("tf32", "bfloat16") for conv in ("gemm", "lax")),
          ((512, "float32", "gemm"), (1024, "tf32", "gemm"), (1024, "tf32", "lax"), (1024, "bfloat16", "gemm")))
_SMALL_PLANS = ((32, "tf32", "gemm"), (32, "bfloat16", "lax"))
_STAGES = ("dense", "compacted", "mask", "recorrupted")
_TORCH = "PyTorch dense"


def sizes(small: bool) -> dict[str, int]:
  """Return the size of networks and chunks: the defaults, or those of a trial."""
  return {"num_scales": 2, "length": 2} if small else {}


def _share_of_limit(per_second: float, cost: fitting.Cost, precision: str) -> Row:
  """Return which share of a card's limits some steps a second take; nothing of a card whose limits are not known."""
  if jax.devices()[0].device_kind not in _LIMITS:
    return {}
  operations, moved = _LIMITS[jax.devices()[0].device_kind]
  return {"share of operations": per_second * cost.flops / operations[precision],
          "share of bandwidth, by XLA's count": per_second * cost.moved_bytes / moved}


def _torch_runner(size: int, precision: str, *, num_scales: int = 6, length: int = 50) -> Callable[[], int]:
  """Return the dense PyTorch step on the same device, in chunks."""
  from oes_jax.bench.peers import torch_hourglass  # PyTorch is an extra  # pylint: disable=g-import-not-at-top
  widths = generators.hourglass((size, size, 3), num_scales=num_scales).spec["channels"]
  steps = torch_hourglass.fast_weight_steps(widths, size, precision)
  def run() -> int:
    steps(length)
    return length
  return run


def _compile(wanted: dict[Any, tuple[str, int, dict[str, Any]]]) -> dict[Any, _timed_steps.Timed | str]:
  """Return by any key what `compile_steps` makes of (kind, size, options), or what XLA said where it could not."""
  found = {}
  for key, (kind, size, options) in wanted.items():
    try:
      found[key] = _timed_steps.compile_steps(kind, size, **options)
    except RuntimeError as error:  # XLA's too: a kernel that does not compile
      found[key] = str(error)[:300]
  return found


def _compile_plan(plan: tuple[int, str, str], small: bool) -> dict[str, _timed_steps.Timed | str]:
  size, precision, conv = plan
  options = {"conv": conv, **sizes(small), **PRECISIONS[precision]}
  return _compile({stage: (stage, size, options) for stage in (("dense",) if small and conv == "lax" else _STAGES)})


def _time_plan(plan: tuple[int, str, str], compiled: dict[str, _timed_steps.Timed | str], small: bool) -> Iterator[Row]:
  """Time the stages of a plan and PyTorch's dense step, in turn."""
  size, precision, conv = plan
  place = {"size": size, "precision": precision, "conv": conv}
  for stage, error in compiled.items():
    if isinstance(error, str):
      yield {**place, "stage": stage, "error": error}
  compiled = {stage: timed for stage, timed in compiled.items() if not isinstance(timed, str)}
  runners = {stage: _timed_steps.runner_of(timed) for stage, timed in compiled.items()}
  try:
    runners[_TORCH] = _torch_runner(size, precision, **sizes(small))
  except (ImportError, RuntimeError) as error:
    yield {**place, "stage": _TORCH, "error": str(error)[:300]}
  found = _timed_steps.steps_a_second(runners)
  theirs = found.get(_TORCH)
  for stage, timed in compiled.items():
    cost = timed.program.cost
    yield {**place, "stage": stage, "steps a second": found[stage], "PyTorch dense, steps a second": theirs,
           "to PyTorch dense": found[stage] / theirs if theirs else None, "gflop": cost.flops / 1e9,
           "gigabytes moved, by XLA's count": cost.moved_bytes / 1e9, "gigabytes held": cost.peak_bytes / 1e9,
           **_share_of_limit(found[stage], cost, precision)}


def time_steps(small: bool, folder: pathlib.Path) -> Iterator[Row]:
  """Steps a second of every stage, size, precision and form of convolution, beside PyTorch's dense step, in turn."""
  del folder
  for plans in (_SMALL_PLANS,) if small else _PLANS:
    yield from _in_turn.measure_in_turn(_compile_plan, _time_plan, plans, small)


def _compile_counts(place: tuple[int, str, tuple[int, ...]], small: bool) -> dict[int, _timed_steps.Timed | str]:
  size, kind, counts = place
  return _compile({count: (kind, size, {"count": count, "length": max(2, 50 // count), **sizes(small)}) for count in counts})


def _time_counts(place: tuple[int, str, tuple[int, ...]], compiled: dict[int, _timed_steps.Timed | str],
                 small: bool) -> Iterator[Row]:
  """Time a stage against how many images run at once."""
  del small
  size, kind, _ = place
  num_steps = {"recorrupted": fitting.RECORRUPTED["weights.num_steps"], "compacted": fitting.TrainWeights().num_steps}[kind]
  for count, timed in compiled.items():
    row = {"size": size, "stage": kind, "images at once": count}
    try:
      if isinstance(timed, str):
        raise RuntimeError(timed)
      found = _timed_steps.steps_a_second({"": _timed_steps.runner_of(timed)})[""]
    except RuntimeError as error:  # XLA's too: out of memory
      yield {**row, "error": str(error)[:300]}
      continue
    yield {**row, "steps": num_steps, "images an hour": 3600 * count * found / num_steps,
           "gigabytes held": timed.program.cost.peak_bytes / 1e9}


def count_images(small: bool, folder: pathlib.Path) -> Iterator[Row]:
  """Images an hour of the default's weight stage, and of that of `:oes` with a mask, against how many run at once."""
  del folder
  counts = {32: (2,)} if small else {256: (1, 4, 16, 64), 512: (1, 4, 16)}
  yield from _in_turn.measure_in_turn(
      _compile_counts, _time_counts, [(size, kind, some) for size, some in counts.items() for kind in ("recorrupted", "compacted")], small)


def time_default_step(small: bool) -> float:
  """Return the default's weight steps a second."""
  timed = _timed_steps.compile_steps("recorrupted", 32 if small else 256, **sizes(small))
  return _timed_steps.steps_a_second({"": _timed_steps.runner_of(timed)})[""]
