"""The methods of the comparison: what each changes in a config, given the learned mask of the same case."""

import bisect
from typing import Any, Callable, NamedTuple

import jax
import numpy as np

from oes_jax import fitting
from oes_jax import generators
from oes_jax import masks
from oes_jax import recorruption

LEARNED = "learned mask (OES)"
DENSE = "dense (deep image prior)"
DECODER = "deep decoder, dense"
RECORRUPTED_DENSE, RECORRUPTED_LEARNED = "recorrupted, dense", "recorrupted, learned mask"
_NARROW = "narrow dense, as many weights as kept"
# What figures show beside the learned mask; more would hide it.
DENSE_NETS = (DENSE, _NARROW, DECODER)
# Sees the ground truth: a control, which no ranking may count.
ORACLE = "iterative magnitude pruning on the clean image (oracle)"
# The default with a learned mask, of a tenth of the kernels.
RECORRUPTED_MASK: dict[str, Any] = {**fitting.RECORRUPTED, **fitting.RECORRUPTED_MASK, "weights.num_steps": 400}


class Ensemble(NamedTuple):
  """Restorations of one measurement whose mean is the result.

  Attributes:
    member: the name of the method that restores it.
    count: how many times it does, each with a seed of its own.
  """
  member: str
  count: int


ENSEMBLE = "recorrupted, ensemble of 4"
ENSEMBLES = {ENSEMBLE: Ensemble(RECORRUPTED_DENSE, 4)}


class Learned(NamedTuple):
  """What other methods take from the learned mask of the same image and seed.

  Attributes:
    folder: the path of the mask's folder.
    kept: the number of weights that it keeps.
    acting: the number of those that can act.
    size: the number of all weights.
    spec: the spec of its generator.
    shape: the image's shape, (H, W, C).
    steps: the number of steps of the weight stage.
  """
  folder: str
  kept: int
  acting: int
  size: int
  spec: dict[str, Any]
  shape: tuple[int, int, int]
  steps: int


def narrow_channels(spec: dict[str, Any], shape, count: int) -> tuple[int, ...]:
  """Return the widths at which a dense generator has closest to a number of weights.

  All widths are narrowed, or widened up to 4 times, alike.

  Args:
    spec: the generator's spec, with the widths to start from.
    shape: the image's shape, (H, W, C).
    count: the number of weights.
  """
  options = {key: value for key, value in spec.items() if key not in ("name", "image_channels")}
  def weights(channels):
    generator = generators.make_generator(spec["name"], image_shape=shape, **{**options, "channels": channels})
    return masks.count_weights(jax.eval_shape(generator.init, jax.random.key(0))[0])
  shares = (*np.geomspace(1 / max(spec["channels"]), 1, 200), *np.geomspace(1, 4, 100))
  widths = list(dict.fromkeys(
      tuple(max(1, round(share * width)) for width in spec["channels"]) for share in shares))
  place = bisect.bisect(widths, count, key=weights)  # more channels, more weights
  return min(widths[max(0, place - 1):place + 1], key=lambda channels: abs(weights(channels) - count))


def _narrow(count: Callable[[Learned], int]) -> Callable[[Learned], dict[str, Any]]:
  return lambda learned: {"mask.source": "dense", "generator.channels": narrow_channels(
      learned.spec, learned.shape, count(learned))}


def _narrow_decoder(learned: Learned) -> dict[str, Any]:
  published = generators.make_generator(
      "deep_decoder", image_shape=learned.shape, num_scales=learned.spec["num_scales"]).spec
  return {"mask.source": "dense", "generator.name": "deep_decoder", "generator.channels": narrow_channels(
      published, learned.shape, learned.kept)}


def _scored(source: str, **mask: str) -> Callable[[Learned], dict[str, Any]]:
  return lambda learned: {
      "mask.source": source,
      "mask.keep_fraction": (learned.kept + 0.5) / learned.size,  # int() of its product is `kept`
      **{f"mask.{key}": value for key, value in mask.items()}}


def _plain_mean(steps: int) -> dict[str, Any]:
  return {"weights.average_decay": 1.0, "weights.average_from": steps // 3}


def _langevin(noise: float, steps: int) -> dict[str, Any]:
  return {"mask.source": "dense", "weights.sgld_noise": noise, "weights.input_noise": 1 / 30, **_plain_mean(steps)}


# Name: (steps of the weight stage) -> changes. The learned mask comes first, and is what others are told of.
_ALONE: dict[str, Callable[[int], dict[str, Any]]] = {
    LEARNED: lambda steps: {},
    "learned mask, 5 % of the pixels held out": lambda steps: {"weights.guard": "held_out"},
    # Norms and biases are kept, and are no part of what is learned.
    "learned mask, kernels only": lambda steps: {"mask.prune": "kernels"},
    DENSE: lambda steps: {"mask.source": "dense"},
    "dense, 5 % of the pixels held out": lambda steps: {"mask.source": "dense", "weights.guard": "held_out"},
    # Langevin averages are such means; this tells them from the noise.
    "dense, plain mean": lambda steps: {"mask.source": "dense", **_plain_mean(steps)},
    # Cheng et al. 2019 (arXiv 1904.07457), without their weight decay and their going back where the fit drops:
    # the mean of the outputs after a third of the steps, as samples of a posterior.
    "dense, SGLD, posterior mean": lambda steps: _langevin(2.0, steps),
    # The noise of the authors of OES, who report its last iterate.
    "dense, SGLD, a quarter of its noise": lambda steps: _langevin(0.5, steps),
    DECODER: lambda steps: {
        "mask.source": "dense", "generator.name": "deep_decoder", "generator.channels": None},
    "random, 50 %": lambda steps: {"mask.source": "random", "mask.keep_fraction": 0.5},
    # The automatic density lets as many weights act as in the learned mask, 0.19 per measured value; more where a
    # criterion opens a whole layer at once.
    **{f"{name}, at least as many as can act": lambda steps, source=source: {
        "mask.source": source, "mask.prune": "kernels", "mask.keep_fraction": None}
       for name, source in (("random, kernels only", "random"), ("magnitude", "magnitude"), ("SNIP", "snip"),
                            ("GraSP", "grasp"), ("SynFlow", "synflow"), ("iterative magnitude pruning", "imp"))},
    RECORRUPTED_DENSE: lambda steps: dict(fitting.RECORRUPTED),
    RECORRUPTED_LEARNED: lambda steps: dict(RECORRUPTED_MASK),
    ENSEMBLE: lambda steps: _ALONE[ENSEMBLES[ENSEMBLE].member](steps)}
# Name: (Learned) -> changes.
_TOLD: dict[str, Callable[[Learned], dict[str, Any]]] = {
    "learned mask, plain mean": lambda learned: {**given(learned), **_plain_mean(learned.steps)},
    "learned mask shuffled inside arrays": lambda learned: {
        "mask.source": "shuffled", "mask.path": learned.folder},
    _NARROW: _narrow(lambda learned: learned.kept),
    "narrow dense, as many weights as can act": _narrow(lambda learned: learned.acting),
    "narrow deep decoder, as many weights as kept": _narrow_decoder,
    "random": _scored("random"),
    # As in the literature on pruning, norms and biases stay; so it is for the criteria.
    "random, kernels only": _scored("random", prune="kernels"),
    "random, kernels only, layer-wise": _scored("random", prune="kernels", scope="layerwise"),
    "magnitude": _scored("magnitude"),
    "SNIP": _scored("snip"),
    "GraSP": _scored("grasp"),
    "SynFlow": _scored("synflow"),
    "iterative magnitude pruning": _scored("imp"),
    ORACLE: _scored("imp_oracle"),
}
METHODS = (*_ALONE, *_TOLD)
_RECORRUPTED = (RECORRUPTED_DENSE, RECORRUPTED_LEARNED, ENSEMBLE)


def goes_with(name: str, noise_model: str) -> bool:
  """Return whether a method restores measurements with noise of a model: not every noise can be drawn anew."""
  return name not in _RECORRUPTED or noise_model in recorruption.RECORRUPT


def needs_learned(name: str) -> bool:
  """Return whether a method is the learned mask, or goes by it."""
  return name == LEARNED or name in _TOLD


def given(learned: Learned) -> dict[str, Any]:
  """Return what a config changes to take the learned mask over, without learning it again."""
  return {"mask.source": "file", "mask.path": learned.folder}


def changes_of(name: str, steps: int, learned: Learned | None, operator: str = "identity") -> dict[str, Any] | None:
  """Return what a method, or each member of an ensemble, changes in the config of a case; None: it needs a learned mask, and there is none.

  Args:
    name: the method's name, one of METHODS.
    steps: the number of steps of the weight stage.
    learned: the learned mask of the same image and seed, or None.
    operator: the name of the forward operator.

  Returns:
    {dotted key: value}, or None.
  """
  if name in _RECORRUPTED:
    return _ALONE[name](steps) | fitting.RECORRUPTED_OPERATOR_PRESETS.get(operator, {})
  if name in _ALONE:
    return _ALONE[name](steps)
  return None if learned is None else _TOLD[name](learned)
