"""What is warned of when a restoration has ended."""

from typing import Any, Iterable, Mapping

import numpy as np

from oes_jax.runs import _nearly_clean
from oes_jax.runs import _range_ends
from oes_jax.runs import _tail
from oes_jax.runs._job import Job


def remark_collapse(job: Job, findings: Iterable[str]) -> str:
  """Return the line that says that a mask has collapsed, and what was found."""
  return (f"the mask of {job.settings.data.source} has COLLAPSED: {'; '.join(findings)}. The weight stage will not "
          "restore the image; set a larger mask.keep_fraction or a narrower generator.channels.")


def remark_same_members(shown: np.ndarray) -> list[str]:
  """Return a line that says so where all members of an ensemble, [members, H, W, C], are the same image."""
  same = not np.any(np.ptp(shown, 0))
  return [f"all {len(shown)} members are the same image: their spread of 0 says nothing of the error"] if same else []


def remark_result(job: Job, measurement, restored, results: Mapping[str, Any]) -> list[str]:
  """Return lines that say what of a result is doubtful.

  Args:
    job: finished job.
    measurement: Measurement of the job.
    restored: the result, [H, W, C] in the unit range.
    results: what summary.json says.
  """
  return [*_range_ends.remark_ends(job, measurement, restored), *_nearly_clean.remark_lost_detail(job, measurement, restored),
          *_tail.remark_tail(job.settings, results)]
