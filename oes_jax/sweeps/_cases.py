"""What a config asks for as a list of cases: images, settings and seeds, crossed."""

import dataclasses
import itertools
from typing import Any, Iterator

from oes_jax import files
from oes_jax import masks
from oes_jax import runs

# What each kind of mask reads; crossing it with the rest would repeat the same case.
_READS_KL_WEIGHT = ("learn",)

# The values of `sweep` and the key that each replaces.
_SWEPT = {"mask_sources": "mask.source", "keep_fractions": "mask.keep_fraction",
          "kl_weights": "mask.kl_weight", "sigmas": "noise.sigma", "seeds": "seed"}


@dataclasses.dataclass(frozen=True)
class Case:
  """One restoration of many: what is asked, and what all processes know of it before any is run.

  All from `name` on is None until `_plan.plan_case` has looked at the case's files.

  Attributes:
    config: the config of this restoration alone.
    ensemble: number of the measurement and setting whose members are averaged, from 0.
    member: number within the ensemble, from 0.
    name: name of the case's folder in cases/.
    error: a line that says why the case cannot be run, or None.
    done: whether the case's folder held a result, or said why there is none, when it was planned.
    group: text that is alike in all cases that may share a batch (`runs.group_key`); None with an error,
      as is all that follows.
    shape: (H, W, C) of what is restored at once: a tile, or the image.
    padded: (H, W) at which the generator runs.
    need: bytes of memory at the peak: (once, for every image that is restored at a time).
    tile: side in pixels of the tiles that the image is cut into, 0 for none.
    alone: whether it is restored in no batch: in tiles, or by several candidates.
  """
  config: Any
  ensemble: int
  member: int
  name: str | None = None
  error: str | None = None
  done: bool | None = None
  group: str | None = None
  shape: tuple[int, int, int] | None = None
  padded: tuple[int, int] | None = None
  need: tuple[int, int] | None = None
  tile: int | None = None
  alone: bool | None = None

  @property
  def asked(self) -> dict[str, Any]:
    """What a line of results.jsonl says of the case's config."""
    config = self.config
    return {"source": config.data.source, "seed": config.seed, "mask": config.mask.source,
            "keep_fraction": config.mask.keep_fraction,
            "kl_weight": config.mask.kl_weight if config.mask.source == "learn" else None}

  @property
  def limits(self) -> tuple[float, float] | None:
    """The range of values that is asked for, or None."""
    return self.config.data.range

  def within(self, limits: tuple[float, float]) -> "Case":
    """Return the case with a range of values that is asked for."""
    return dataclasses.replace(self, config=_with(self.config, {"data.range": limits}))


def experiment_of(config) -> str:
  """Return the name of a config's experiment."""
  return config.experiment


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
      except TypeError as error:
        raise ValueError(f"sweep.{name} holds {value!r}; allowed: values of {key}, {runs.allowed_values(key)}.") from error
      except ValueError as error:
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
  sources, cases = files.list_sources(config.data.source), []
  images = len({files.split_page(source)[0] for source in sources})
  if config.data.truth is not None and images > 1:
    raise ValueError(f"data.truth={config.data.truth!r} is one image, and data.source names {images}, which would all be scored "
                     "against it; allowed: data.truth of one image or of the pages of one file, or None.")
  for number, (source, setting) in enumerate(itertools.product(sources, settings)):
    for member in range(config.ensemble):
      changes = {**alone, **setting, "data.source": source}
      if config.ensemble > 1:  # every member restores one and the same measurement
        if config.noise.seed is None:
          changes["noise.seed"] = setting["seed"]
        changes["seed"] = (setting["seed"] + member * runs.SEED_STRIDE) % 2 ** 31
      cases.append(Case(_with(config, changes), number, member))
  return cases
