"""The candidates of method auto: what restores a measurement beside the network that the settings name, and how much each is trusted."""

import dataclasses
import json
import re
from typing import Any, Iterator, Mapping, NamedTuple, Sequence

import numpy as np

from oes_jax import fitting
from oes_jax import generators
from oes_jax import settings as settings_of
from oes_jax.runs import _expected
from oes_jax.runs import _job
from oes_jax.runs import _measure
from oes_jax.runs import _presets
from oes_jax.runs import _settings
from oes_jax.runs._job import Job
from oes_jax.runs._settings import Settings

RECORRUPTED, MASKED, GUARDED, OES = "recorrupted, dense", "recorrupted, learned mask", "dense, guarded", "OES"
# Weight steps of the plain networks, in those of the recorrupted one: its steps are fewer where a user asks for fewer.
_GUARDED_STEPS, _OES_STEPS = 800 / 600, 1500 / 600
# Shares in the mix before anything is measured, of denoising and of what is restored through an operator.
# Chosen on crops of bundled images that no record reports on: five at noise 0.1, four through operators, 30 of the classical methods alone
# (2026-11-28).
_PRIORS = ({RECORRUPTED: 0.35, MASKED: 0.15, "BM3D": 0.4, "plug-and-play": 0.1},
           {RECORRUPTED: 0.45, MASKED: 0.15, "non-local means": 0.2, "plug-and-play": 0.2})


class Candidate(NamedTuple):
  """What a candidate made of a measurement.

  Attributes:
    image: [H, W, C], in the unit range.
    unseen: the same, made without the held-out values; of a network that is guarded or combined they chose the step and the share.
    seconds: seconds that it took.
    summary: of a network, what summary.json says of its run; else None.
  """
  image: np.ndarray
  unseen: np.ndarray
  seconds: float
  summary: dict[str, Any] | None = None


def prior_of(job: Job) -> dict[str, float]:
  """Return the share of every candidate before anything is measured."""
  return _PRIORS[0 if _expected.measures_all(job) else 1]


def networks(settings: Settings) -> dict[str, dict[str, Any]]:
  """Return {name: what it changes in the settings} of the networks, in the order in which they are tried."""
  operator, asked, default = settings.operator.name, settings.generator, generators.GeneratorSettings()
  if asked.channels is not None:  # widths of a user's own stay
    default = dataclasses.replace(default, channels=asked.channels, num_scales=asked.num_scales)
  usual = {**fitting.RECORRUPTED, **fitting.RECORRUPTED_OPERATOR_PRESETS.get(operator, {})}["weights.num_steps"]
  steps = lambda share: max(1, round(share * 600 * settings.weights.num_steps / usual))
  plain = {
      **{f"generator.{field.name}": getattr(default, field.name) for field in settings_of.fields_of(default)},
      **{key: value for key, value in fitting.OPERATOR_PRESETS.get(operator, {}).items() if key.startswith("generator.")},
      "fit.objective": "plain", "fit.sigma": None, "fit.alpha": 0.5, "fit.split": None, "fit.flips": False,
      "weights.combine": False}
  return {
      RECORRUPTED: {"mask.source": "dense"},
      MASKED: {**fitting.RECORRUPTED_MASK, "weights.num_steps": max(1, 2 * settings.weights.num_steps // 3),
               "mask.num_steps": min(fitting.RECORRUPTED_MASK["mask.num_steps"], settings.learn.num_steps)},
      GUARDED: {**plain, "mask.source": "dense", "weights.num_steps": steps(_GUARDED_STEPS), "output.image": "guarded"},
      OES: {**plain, "mask.source": "learn", "weights.num_steps": steps(_OES_STEPS), "output.image": "average"}}


def remark_dropped(settings: Settings) -> list[str]:
  """Return a line that names settings of the network and of the mask that candidates with their own do not follow."""
  presets = [_presets.preset_values(settings.operator.name, preset) for preset in ("quick", "preview", "best")]
  asked = {f"{section}.{field.name}": (getattr(one, field.name), field.default) for section, one in (
      ("generator", settings.generator), ("mask", settings.mask), ("mask", settings.learn)) for field in settings_of.fields_of(one)}
  dropped: dict[str, list[str]] = {}
  for name, changes in networks(settings).items():
    for key, value in changes.items():
      if key in asked and asked[key][0] not in (value, *(preset.get(key, asked[key][1]) for preset in presets)):
        dropped.setdefault(f"{key}={asked[key][0]!r}", []).append(f"{name} has {value!r}")
  told = "; ".join(f"{key} ({', '.join(own)})" for key, own in dropped.items())
  return [f"method='auto' has networks of its own, of which some do not follow {told}"] if dropped else []


def with_changes(settings: Settings, changes: Mapping[str, Any]) -> Settings:
  """Return settings with other values of some keys, by dotted names, each section checked again."""
  kinds = [(section, kind) for section, found in _settings.SECTIONS.items() for kind in found]
  changed = {}
  for name, (section, kind) in zip(Settings._fields, kinds, strict=True):
    known = [field.name for field in settings_of.fields_of(kind)]
    mine = {key.rpartition(".")[2]: value for key, value in changes.items()
            if key.rpartition(".")[0] == section and key.rpartition(".")[2] in known}
    if mine:
      changed[name] = dataclasses.replace(getattr(settings, name), **mine)
  return settings._replace(**changed)


def settings_of_networks(settings: Settings) -> list[Settings]:
  """Return the settings of every network that is to be trained: one, or those of the candidates of method auto."""
  if settings.experiment.method != "auto":
    return [settings]
  return [with_changes(settings, asked) for asked in networks(settings).values()]


def _identity_with(identity: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
  """Return what tells a run from every other, with other values of some keys of its config."""
  identity = json.loads(json.dumps(identity))
  for key, value in changes.items() if identity else ():  # of arrays in memory there is none
    section, _, name = key.rpartition(".")
    (identity["config"][section] if section else identity["config"])[name] = value
  return identity


def folder_name(name: str) -> str:
  """Return the name of a candidate as that of a folder."""
  return re.sub(r"[^a-z0-9]+", "-", name.lower())


def candidates_of_parts(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
  """Return what a summary says of the candidates of several mixes together, of tiles or of an ensemble; {} of another method.

  Shares and misfits are means over the parts, a candidate that one lacks having no share there; seconds are sums.

  Args:
    parts: what summary.json says of each.
  """
  if not all("candidates" in part for part in parts):
    return {}
  found: dict[str, list[Mapping[str, Any]]] = {}
  for one in (one for part in parts for one in part["candidates"]):
    found.setdefault(one["name"], []).append(one)
  listed = [{"name": name, "share": sum(one["share"] for one in ones) / len(parts),
             "misfit": float(np.mean([one["misfit"] for one in ones])), "seconds": sum(one["seconds"] for one in ones),
             "quality": None} for name, ones in found.items()]
  left_out: dict[str, list[str]] = {}
  for name, why in (item for part in parts for item in part["left_out"].items()):
    left_out.setdefault(name, []).append(why)
  return {"candidates": sorted(listed, key=lambda one: one["share"], reverse=True),
          "left_out": {name: why[0] if len(why) == len(parts) else f"of {len(why)} of {len(parts)}: {why[0]}"
                       for name, why in left_out.items()}}


def candidate_jobs(job: Job, measurement: _measure.Measurement) -> Iterator[tuple[str, Job]]:
  """Yield (name, job) of every network; each restores what was measured, in a folder of its own.

  Args:
    job: job with method auto.
    measurement: its measurement.
  """
  for name, asked in networks(job.settings).items():
    changes = {**asked, "method": "network", "budget_s": None, "output.figures": False}
    folder = job.workdir and job.workdir / "candidates" / folder_name(name)
    made = _job.make_job(with_changes(job.settings, changes), folder, _identity_with(job.identity, changes),
                         dataclasses.replace(job.data, remarks=()), job.shape, 0)
    yield name, dataclasses.replace(made, measured=measurement)
