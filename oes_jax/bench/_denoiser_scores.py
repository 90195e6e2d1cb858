"""Denoisers of `peers` on the measurements of a benchmark's cases."""

import hashlib
import json
import pathlib
import time
from typing import Any, Sequence

from oes_jax.bench import _cases
from oes_jax.bench.peers import denoisers
from oes_jax import files
from oes_jax import runs


def _denoise(method: str, job: runs.Job) -> dict[str, Any]:
  """Return scores and seconds of a denoiser on a job's measurement."""
  measured = runs.measure(job)
  began = time.perf_counter()
  image = denoisers.denoise(method, measured.values, job.data.sigma)
  seconds = time.perf_counter() - began
  return {f"{name} {score}": value for name, shown in (("measurement", measured.values), ("average", image))
          for score, value in runs.quality_of(shown, measured.truth).items()} | {"seconds": {"all": seconds}}


def score_cases(config, folder: pathlib.Path, changes: dict[_cases.Key, dict[str, Any]],
                names: Sequence[str] | None = None) -> list[dict[str, Any]]:
  """Score denoisers on the measurements of cases; return a row for each of them.

  Args:
    config: the benchmark's config.
    folder: the folder that keeps the scores: what it has is not computed again.
    changes: what every case changes in the config, {(image, seed): {dotted key: value}}.
    names: the denoisers' names; None is all that can run here.
  """
  folder.mkdir(parents=True, exist_ok=True)
  rows = []
  for key, job in _cases.inspected(config, changes):
    for method in names or denoisers.available():
      told = json.dumps([method, denoisers.version(method), job.identity], sort_keys=True)
      path = folder / f"{_cases.folder_name(method)}-{hashlib.sha256(told.encode()).hexdigest()[:12]}.json"
      if not path.is_file():
        files.write_atomically(path, json.dumps(_denoise(method, job)).encode())
      rows.append({"method": method, "image": key[0], "seed": key[1],
                   **json.loads(path.read_text(encoding="utf-8")), "collapse": []})
  return rows
