"""The methods of the comparison: what each changes in a config, given the learned mask of the same case."""

import bisect
from typing import Any, Callable, NamedTuple

import jax
import numpy as np

from oes_jax import generators
from oes_jax import masks

LEARNED = "learned mask (OES)"
# Sees the ground truth: a control, which no ranking may count.
ORACLE = "iterative magnitude pruning on the clean image (oracle)"


class Learned(NamedTuple):
  """What other methods take from the learned mask of the same image and seed.

  Attributes:
    folder: of the mask.
    kept: weights.
    acting: weights that can act.
    size: all weights.
    spec: of its generator.
    shape: (H, W, C) of the image.
    steps: of the weight stage.
  """
  folder: str
  kept: int
  acting: int
  size: int
  spec: dict[str, Any]
  shape: tuple[int, int, int]
  steps: int


def narrow_channels(spec: dict[str, Any], shape, count: int) -> tuple[int, ...]:
  """Return the widths of the dense hourglass, narrowed alike, whose weights come closest to `count`."""
  def weights(channels):
    generator = generators.make_generator(
        spec["name"], image_shape=shape, num_scales=spec["num_scales"], channels=channels)
    return masks.count_weights(jax.eval_shape(generator.init, jax.random.key(0))[0])
  shares = np.geomspace(1 / max(spec["channels"]), 1, 200)
  widths = list(dict.fromkeys(
      tuple(max(1, round(share * width)) for width in spec["channels"]) for share in shares))
  place = bisect.bisect(widths, count, key=weights)  # more channels, more weights
  return min(widths[max(0, place - 1):place + 1], key=lambda channels: abs(weights(channels) - count))


def _narrow(count: Callable[[Learned], int]) -> Callable[[Learned], dict[str, Any]]:
  return lambda learned: {"mask.source": "dense", "generator.channels": narrow_channels(
      learned.spec, learned.shape, count(learned))}


def _scored(source: str, scope: str = "global") -> Callable[[Learned], dict[str, Any]]:
  return lambda learned: {
      "mask.source": source, "mask.scope": scope,
      "mask.keep_fraction": (learned.kept + 0.5) / learned.size}  # int() of its product is `kept`


def _langevin(noise: float, steps: int) -> dict[str, Any]:
  return {"mask.source": "dense", "weights.sgld_noise": noise, "weights.input_noise": 1 / 30,
          "weights.average_decay": 1.0, "weights.average_from": steps // 3}


# Name: (Learned) -> changes. The learned mask comes first, and is what the others are told of.
METHODS = {
    LEARNED: lambda learned: {},
    "learned mask, 5 % of the pixels held out": lambda learned: {"weights.guard": "held_out"},
    "dense (deep image prior)": lambda learned: {"mask.source": "dense"},
    "dense, 5 % of the pixels held out": lambda learned: {
        "mask.source": "dense", "weights.guard": "held_out"},
    # Cheng et al. 2019 (arXiv 1904.07457), without their weight decay and their going back where the fit drops:
    # the mean of the outputs after a third of the steps, as samples of a posterior.
    "dense, SGLD, posterior mean": lambda learned: _langevin(2.0, learned.steps),
    # The noise of the authors of OES, who report its last iterate.
    "dense, SGLD, a quarter of its noise": lambda learned: _langevin(0.5, learned.steps),
    "deep decoder, dense": lambda learned: {
        "mask.source": "dense", "generator.name": "deep_decoder", "generator.channels": None},
    "narrow dense, as many weights as kept": _narrow(lambda learned: learned.kept),
    "narrow dense, as many weights as can act": _narrow(lambda learned: learned.acting),
    "learned mask shuffled inside arrays": lambda learned: {
        "mask.source": "shuffled", "mask.path": learned.folder},
    "random": _scored("random"),
    "random, layer-wise": _scored("random", "layerwise"),
    "random, 50 %": lambda learned: {"mask.source": "random", "mask.keep_fraction": 0.5},
    "magnitude": _scored("magnitude"),
    "SNIP": _scored("snip"),
    "GraSP": _scored("grasp"),
    "SynFlow": _scored("synflow"),
    "iterative magnitude pruning": _scored("imp"),
    ORACLE: _scored("imp_oracle"),
}
