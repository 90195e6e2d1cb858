"""Method auto: several networks and classical methods restore one measurement, and held-out values say how they are mixed."""

import time
from typing import Any, Callable, Iterator, Mapping, NamedTuple

import jax
import numpy as np

from oes_jax import fitting
from oes_jax import random
from oes_jax.runs import _candidates
from oes_jax.runs import _expected
from oes_jax.runs import _measure
from oes_jax.runs import _outputs
from oes_jax.runs._candidates import Candidate
from oes_jax.runs._job import Job
from oes_jax.runs._measure import Measurement

OUT_OF_TIME, WOULD_NOT_END = "no time was left of budget_s", "it would not end within budget_s"
ESTIMATE = "plug-and-play"  # the candidate that there always is, and that the expected PSNR is told by


class Mix(NamedTuple):
  """What came of the candidates.

  Attributes:
    restored: fitting.Restoration whose `combined` is the mix, in the unit range; it has no params.
    shares: {name of a candidate: its share in the mix}.
  """
  restored: fitting.Restoration
  shares: dict[str, float]


def problem_of(job: Job, measurement: Measurement) -> fitting.Problem:
  """Return the Problem of a job, with the values that no candidate sees."""
  return _measure.make_row(job.generator, job.shape, False, job, operator=job.data.operator, measurement=measurement).problem


def classical(job: Job, problem: fitting.Problem) -> Iterator[tuple[str, Callable[[], Candidate]]]:
  """Yield (name, function that restores) of every classical candidate.

  Args:
    job: job with method auto.
    problem: its Problem.
  """
  def make(solve):
    began = time.perf_counter()
    image, unseen = solve(fitting.with_all_seen(problem)), solve(problem)
    return Candidate(image, unseen, time.perf_counter() - began)
  name = job.settings.operator.name
  named = "own" if name == "identity" and not _expected.measures_all(job) else name
  for name, solve in fitting.classical_restorations(named, job.shape):
    yield name, lambda solve=solve: make(solve)


def mix(job: Job, problem: fitting.Problem, found: Mapping[str, Candidate], *, expects: bool = True) -> Mix:
  """Return the mix of candidates that fits best the values that none has seen.

  Args:
    job: job with method auto.
    problem: its Problem.
    found: {name: Candidate}.
    expects: whether its error is to be told, which takes seconds.
  """
  estimate = found[ESTIMATE].image  # which a network's result is, where its own share is 0
  distinct = {name: one.unseen for name, one in found.items() if name == ESTIMATE or not np.array_equal(one.image, estimate)}
  told = fitting.stack(problem, distinct, _candidates.prior_of(job))
  shares = {name: told.get(name, 0.0) for name in found}
  blend = lambda images: np.sum([share * image for share, image in zip(shares.values(), images)], 0, np.float64).astype(np.float32)
  image = blend([one.image for one in found.values()])
  combined = fitting.Combination(
      image, found[ESTIMATE].image, 1 - shares[ESTIMATE], None, blend([one.unseen for one in found.values()]))
  if expects:
    key = random.stream_key(job.settings.experiment.seed, "weights")
    combined = combined._replace(error=jax.device_get(jax.jit(fitting.simulate_error)(
        problem, combined._replace(unseen=None, error=None), key)))
  return Mix(fitting.Restoration(image, image, combined=combined, traces={}), shares)


def describe(job: Job, measurement: Measurement, problem: fitting.Problem, found: Mapping[str, Candidate], mixed: Mix,
             left_out: Mapping[str, str]) -> dict[str, Any]:
  """Return what summary.json says of a mix; weights and seconds are sums over the networks.

  Args:
    job: job with method auto.
    measurement: its measurement; a truth is only scored.
    problem: its Problem.
    found: {name: Candidate}.
    mixed: what came of them.
    left_out: {name: why it was not tried, or why it failed}.
  """
  if _expected.measures_all(job) and "BM3D" not in {*found, *left_out}:
    left_out = {**left_out, "BM3D": "it needs the package bm3d: pip install bm3d"}
  view, truth = fitting.view_of(job.data.operator), measurement.truth
  score = lambda image: None if truth is None else _outputs.quality_of(np.asarray(view(image)), np.asarray(view(truth)))
  summaries = {name: one.summary for name, one in found.items() if one.summary}
  weights = {name: sum(one["mask"][name] for one in summaries.values()) for name in ("kept", "acting", "size")}
  listed = [{"name": name, "share": mixed.shares[name], "misfit": fitting.misfit(problem, found[name].unseen),
             "seconds": found[name].seconds, "quality": score(found[name].image)} for name in sorted(found, key=mixed.shares.get, reverse=True)]
  return {
      "quality": None if truth is None else {"measurement": score(measurement.estimate), "combined": score(mixed.restored.image)},
      "noise_level": _outputs.noise_level_of(job, measurement), "candidates": listed, "left_out": dict(left_out),
      "seconds": {f"{name}: {stage}": times for name, one in summaries.items() for stage, times in one["seconds"].items()},
      "peak_bytes": {f"{name}: {stage}": size for name, one in summaries.items() for stage, size in one["peak_bytes"].items()},
      "expected_psnr": _expected.expected_psnr_of(job, mixed.restored, measurement.noise_level),
      "mask": {**weights, "density": weights["kept"] / max(1, weights["size"]), "prior": job.density.keep_fraction,
               "collapse": []}}  # of a candidate it is no fault of the mix


def remark_collapse(found: Mapping[str, Candidate]) -> list[str]:
  """Return a line for every candidate whose mask has collapsed.

  Args:
    found: {name: Candidate}.
  """
  return [f"the mask of the candidate {name} has collapsed, whose share in the mix the held-out values say: {'; '.join(findings)}"
          for name, one in found.items() if one.summary and (findings := one.summary["mask"]["collapse"])]
