"""What a config asks for as a list of cases: images, settings and seeds, crossed."""

import itertools
from typing import Any, Iterator, NamedTuple

from oes_jax import files
from oes_jax import masks
from oes_jax import runs

# Seeds of an ensemble's members lie this far apart, so that they meet no other seed of a sweep.
_SEED_STRIDE = 1_000_003
# What each kind of mask reads; crossing it with the rest would repeat the same case.
_READS_KL_WEIGHT = ("learn",)

# The values of `sweep` and the key that each replaces.
_SWEPT = {"mask_sources": "mask.source", "keep_fractions": "mask.keep_fraction",
          "kl_weights": "mask.kl_weight", "sigmas": "noise.sigma", "seeds": "seed"}


class Case(NamedTuple):
  """One restoration of many.

  Attributes:
    config: of this restoration alone.
    ensemble: number of the measurement and setting whose members are averaged.
    member: number within the ensemble, from 0.
  """
  config: Any
  ensemble: int
  member: int


def is_many(config) -> bool:
  """Whether a config asks for more than one restoration."""
  return (files.is_collection(config.data.source) or config.ensemble > 1
          or any(len(values) for values in config.sweep.values()))


def _settings(config) -> Iterator[dict[str, Any]]:
  """Cross the values of `sweep`; a setting that a mask source does not read is left out."""
  sweep, given = config.sweep, config.mask
  seen = []
  for source, fraction, weight, sigma, seed in itertools.product(
      sweep.mask_sources or (given.source,), sweep.keep_fractions or (given.keep_fraction,),
      sweep.kl_weights or (given.kl_weight,), sweep.sigmas or (config.noise.sigma,),
      sweep.seeds or (config.seed,)):
    setting = {
        "mask.source": source, "noise.sigma": sigma, "seed": seed,
        "mask.path": given.path if source in ("file", "shuffled") else None,
        "mask.keep_fraction": fraction if source in masks.SCORED else None,
        "mask.kl_weight": weight if source in _READS_KL_WEIGHT else given.kl_weight}
    if setting not in seen:
      seen.append(setting)
      yield setting


def _with(config, changes: dict[str, Any]):
  changed = config.copy_and_resolve_references()
  changed.update_from_flattened_dict(changes)
  return changed


def _check_values(config, alone: dict[str, Any]) -> None:
  """Check every value of `sweep` by itself, so that a message can name its key."""
  fractions = config.sweep.keep_fractions
  for name, key in _SWEPT.items():
    if name == "mask_sources" and len(fractions):  # some sources need one
      alone = {**alone, "mask.keep_fraction": fractions[0]}
    for value in config.sweep[name]:
      try:
        runs.check_config(_with(config, {**alone, key: value}))
      except (TypeError, ValueError) as error:
        raise ValueError(f"sweep.{name} holds {value!r}: {error}") from error


def expand(config) -> list[Case]:
  """Return the cases of a config: images x settings x members, images outermost.

  Raises:
    ValueError: a value of `sweep` is not allowed, or there are no images.
  """
  alone = {"ensemble": 1, "compute.images_per_device": None,
           **{f"sweep.{name}": () for name in config.sweep}}
  _check_values(config, alone)
  settings = list(_settings(config))
  for setting in settings:
    runs.check_config(_with(config, {**alone, **setting}))
  cases = []
  for number, (source, setting) in enumerate(
      itertools.product(files.list_sources(config.data.source), settings)):
    for member in range(config.ensemble):
      changes = {**alone, **setting, "data.source": source}
      if config.ensemble > 1:  # every member restores one and the same measurement
        if config.noise.seed is None:
          changes["noise.seed"] = setting["seed"]
        changes["seed"] = (setting["seed"] + member * _SEED_STRIDE) % 2 ** 31
      cases.append(Case(_with(config, changes), number, member))
  return cases
