"""Method auto in memory: candidates one after another, within a budget of seconds."""

import time
from typing import Any, Callable

import numpy as np

from oes_jax import fitting
from oes_jax.runs import _auto
from oes_jax.runs import _budget
from oes_jax.runs import _candidates
from oes_jax.runs import _job
from oes_jax.runs import _outputs
from oes_jax.runs._candidates import Candidate
from oes_jax.runs._job import Job
from oes_jax.runs._measure import Measurement


def restore_auto(job: Job, measurement: Measurement, restore: Callable[..., Any],
                 warn: Callable[[str], None]) -> fitting.Restoration:
  """Restore a job by all candidates, and mix them; return the Restoration, in the unit range.

  Args:
    job: job with method auto.
    measurement: its measurement.
    restore: function (job of a network, Budget) -> (Restoration in the unit range or None, why it failed or None); it raises
      OutOfTime where the budget asks for it.
    warn: function that takes the text of a warning.
  """
  problem, found, left_out = _auto.problem_of(job, measurement), {}, {}
  budget = _budget.Budget(None, job.settings.experiment.budget_s)
  for text in _candidates.remark_dropped(job.settings):
    warn(f"{job.settings.data.source}: {text}")
  for name, make in _auto.classical(job, problem):
    if found and budget.is_spent:
      left_out[name] = _auto.OUT_OF_TIME
    else:
      found[name] = make()
  budget.expect(found[_auto.ESTIMATE].seconds)
  for name, candidate in _candidates.candidate_jobs(job, measurement):
    if budget.is_spent:
      left_out[name] = _auto.OUT_OF_TIME
      continue
    began = time.perf_counter()
    budget.begin(sum(-(-count // candidate.chunk_steps) for count in _job.stage_steps(candidate.settings).values()))
    try:
      restored, failure = restore(candidate, budget)
    except _budget.OutOfTime:
      restored, failure = None, _auto.WOULD_NOT_END
    if failure:
      left_out[name] = failure
    else:
      found[name] = _candidate(candidate, restored, time.perf_counter() - began)
      budget.end(found[name].seconds)
  for why in dict.fromkeys(left_out.values()):
    named = [name for name, other in left_out.items() if other == why]
    warn(f"left out of {job.settings.data.source}: {'; '.join(named)}: {why}")
  for text in _auto.remark_collapse(found):
    warn(f"{job.settings.data.source}: {text}")
  mixed = _auto.mix(job, problem, found)
  results = _auto.describe(job, measurement, problem, found, mixed, left_out)
  return mixed.restored._replace(summary=_outputs.summary_of(job, results))


def _candidate(job: Job, restored: fitting.Restoration, seconds: float) -> Candidate:
  """Return the candidate of a restored network; one that is fed with noise has seen no value that is held out."""
  image = np.asarray(_outputs.image_of(job, restored))
  unseen = image if restored.combined is None else np.asarray(restored.combined.unseen)
  return Candidate(image, unseen, seconds, restored.summary)
