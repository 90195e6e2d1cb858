"""Methods restored as they are, and ensembles of one: several restorations of a measurement, whose mean is scored."""

import logging
import pathlib
from typing import Any, Callable, Sequence

import numpy as np

from oes_jax.bench import _cases
from oes_jax.bench import _methods
from oes_jax import fitting
from oes_jax import runs

_Summaries = dict[_cases.Key, dict[str, Any]]


def _mean_of(job: runs.Job, members: Sequence[dict[str, Any]]) -> dict[str, Any]:
  """Return the first member's summary with the scores of the members' mean, and the seconds of all."""
  measured, view = runs.measure(job), fitting.view_of(job.data.operator)
  mean = np.mean([np.load(pathlib.Path(member["folder"]) / "output.npy") for member in members], 0)
  first = members[0]
  quality = {"measurement": first["quality"]["measurement"],
             job.settings.output.image: runs.quality_of(view(mean), view(measured.truth))}
  seconds = {stage: {"total": sum(member["seconds"][stage]["total"] for member in members)} for stage in first["seconds"]}
  return {**first, "quality": quality, "seconds": seconds, "guard": None, "combined": None}


def restore_method(config, place: Callable[[str], tuple[pathlib.Path, str]], name: str,
                   changes: dict[_cases.Key, dict[str, Any]]) -> _Summaries:
  """Restore cases with a method, as `_cases.restore_cases` does; of an ensemble the mean of its members.

  The first member is the case as the method alone restores it; the others have the same measurement. An ensemble that
  lacks a member is left out, and said.

  Args:
    config: the benchmark's config.
    place: function method's name -> (folder, name of the kind) of its cases.
    name: the method's name.
    changes: what every case changes in the config, {(image, seed): {dotted key: value}}.
  """
  if name not in _methods.ENSEMBLES:
    return _cases.restore_cases(config, *place(name), changes)
  single, count = _methods.ENSEMBLES[name]
  keys = {(image, seed): [(image, (seed + number * runs.SEED_STRIDE) % 2 ** 31) for number in range(1, count)]
          for image, seed in changes}
  first = _cases.restore_cases(config, *place(single), changes)
  others = _cases.restore_cases(config, *place(name), {
      other: {**changes[key], "noise.seed": _cases.noise_seed(*key)} for key in changes for other in keys[key]})
  found = {}
  for key, job in _cases.inspected(config, changes):
    members = [first.get(key), *map(others.get, keys[key])]
    if None in members:
      logging.warning("%s: %s, seed %d, lacks a member", name, *key)
    else:
      found[key] = _mean_of(job, members)
  return found
