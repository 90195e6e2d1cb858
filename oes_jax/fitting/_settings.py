"""The numbers of both stages: what they mean, their defaults and their ranges."""

import dataclasses
from typing import Any

from oes_jax import masks
from oes_jax import recorruption
from oes_jax import settings
from oes_jax.fitting import _early_stopping
from oes_jax.fitting import _engine

_INFINITE = float("inf")


def _check_optimizer(optimizer: Any, prefix: str) -> None:
  if optimizer is not None and not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
    raise ValueError(f"{prefix}optimizer={optimizer!r} is not allowed; allowed: an optax.GradientTransformation, or "
                     "None for Adam.")


OBJECTIVES = ("plain", "recorrupted")


@dataclasses.dataclass(frozen=True)
class FitSettings(settings.Settings):
  """Settings of what both stages fit. "OES" is the authors' code of arXiv 2406.05288."""
  objective: str = settings.setting(
      "plain", "What both stages fit: plain, the measurement as it is [OES], whose minimum is its noise too; or "
      "recorrupted: in every step one measurement is made anew as the input and one as the target, of independent noise, "
      "so that the clean image is the minimum (R2R, Pang et al. 2021; GR2R, Monroy et al. 2025). For gaussian, poisson and "
      "poisson_gaussian noise.", choices=OBJECTIVES)
  sigma: float | None = settings.setting(
      None, "Standard deviation of the Gaussian noise of the measurement, which objective recorrupted draws anew; units "
      "as noise.sigma. None: estimated from the measurement alone.", kind=float,
      allowed="a number above 0, up to 1 (of the unit range), or None to estimate it", test=lambda v: 0 < v <= 1)
  alpha: float = settings.setting(
      0.5, "How much of the noise objective recorrupted adds to the input: alpha of R2R; of poisson noise the share of the "
      "counts that the target takes.", allowed="a number above 0, below 1", test=lambda v: 0 < v < 1)
  split: float | None = settings.setting(
      None, "Share of the measured pixels, lines, angles or rows that the generator is fed with in a step of objective "
      "recorrupted; all are fitted. None: 0.8 of inpainting, else 1.", kind=float,
      allowed="a number in (0, 1], or None for automatic", test=lambda v: 0 < v <= 1)
  flips: bool = settings.setting(
      False, "Whether objective recorrupted feeds the generator, in a step, with a mirror image, upside down or not, turned "
      "or not, at random. Its image is turned back.")

  def check_noise(self, model: str, prefix: str = "") -> None:
    """Raise a ValueError where noise of a model cannot be drawn anew; messages name the settings after the prefix."""
    if self.objective == "recorrupted" and model not in recorruption.RECORRUPT:
      raise ValueError(f"{prefix}objective='recorrupted' does not go with noise.model={model!r}, which cannot be drawn anew; "
                       f"allowed: noise.model={', '.join(recorruption.RECORRUPT)}, or {prefix}objective='plain' (the preset "
                       "`:oes`).")


@dataclasses.dataclass(frozen=True)
class LearnMask(settings.Settings):
  """Settings of the mask stage (OES, stage 1), which learns which weights are kept.

  `optimizer`, an optax.GradientTransformation or None, takes the place of Adam with learning_rate and schedule.
  "OES" is the authors' code of arXiv 2406.05288.

  Example:
    >>> import oes_jax
    >>> paper = oes_jax.LearnMask(num_steps=60_000, learning_rate=0.01, schedule="constant", temperature=0.2)
    >>> paper.kl_weight
    1e-07
    >>> oes_jax.LearnMask(num_steps=0)
    Traceback (most recent call last):
    ValueError: num_steps=0 is not allowed; allowed: 1 or more.
  """
  num_steps: int = settings.setting(
      500, "Steps of the mask stage. OES: 60,000 to 80,000.", allowed="1 or more", test=lambda v: v >= 1)
  learning_rate: float = settings.setting(
      0.3, "Adam's learning rate for the logits. OES: 0.01.", allowed="a number > 0", test=lambda v: 0 < v < _INFINITE)
  schedule: str = settings.setting(
      "cosine", "Learning rate over the stage: constant [OES] or cosine, which decays to zero.",
      choices=_engine.SCHEDULES)
  kl_weight: float = settings.setting(
      1e-7, "Weight of the KL term, summed over weights, beside a MEAN squared error. OES: 1e-9.",
      allowed="a number >= 0", test=lambda v: 0 <= v < _INFINITE)
  temperature: float = settings.setting(
      0.5, "Temperature of the relaxed gates. OES: 0.2.", allowed="a number > 0", test=lambda v: 0 < v < _INFINITE)
  keep_fraction: float | None = settings.setting(
      None, "Share of all weights that is kept, in (0, 1], and the prior of the KL. OES: 0.05. None: a prior of 5 % or "
      "more, and as many weights as let 0.19 per measured value act; see docs/results.md, \"How many weights\".",
      kind=float, allowed="a number in (0, 1], or None for automatic", test=lambda v: 0 < v <= 1)
  scope: str = settings.setting(
      "global", "Where the largest logits are taken: global, over all weights [OES], or layerwise.",
      choices=masks.SCOPES)
  prune: str | None = settings.setting(
      None, "What a mask may prune: all weights [OES], or the kernels of convolutions alone: norms and biases are "
      "kept, and count as kept. None: all for a learned and a random mask, kernels for the criteria and iterative "
      "magnitude pruning, as in their publications.", kind=str, choices=masks.PRUNED)
  optimizer: Any = None

  def check(self, prefix: str = "") -> None:
    """Check every setting; messages name it after the prefix."""
    super().check(prefix)
    _check_optimizer(self.optimizer, prefix)


@dataclasses.dataclass(frozen=True)
class TrainWeights(settings.Settings):
  """Settings of the weight stage (OES, stage 2), which trains the weights that are kept.

  `optimizer`, an optax.GradientTransformation or None, takes the place of Adam with learning_rate and schedule.
  "OES" is the authors' code of arXiv 2406.05288.

  Example:
    >>> import optax
    >>> import oes_jax
    >>> settings = oes_jax.TrainWeights(num_steps=3000, guard="held_out", optimizer=optax.adamw(3e-3))
    >>> settings.average_decay
    0.99
  """
  num_steps: int = settings.setting(
      1500, "Steps of the weight stage: the time grows with them. The published OES takes 40,000.", allowed="1 or more",
      test=lambda v: v >= 1)
  learning_rate: float = settings.setting(
      0.01, "Adam's learning rate for the weights. OES: 0.01.", allowed="a number > 0",
      test=lambda v: 0 < v < _INFINITE)
  schedule: str = settings.setting(
      "constant", "Learning rate over the stage: constant [OES] or cosine, which decays to zero.",
      choices=_engine.SCHEDULES)
  average_decay: float = settings.setting(
      0.99, "Decay of the exponential moving average of the output image, in [0, 1); 1: the plain mean. OES: none.",
      allowed="a number in [0, 0.9999], or 1 for the plain mean", test=lambda v: 0 <= v <= 0.9999 or v == 1)
  average_from: int = settings.setting(
      0, "Steps before the first whose output is averaged (a burn-in).", allowed="0 or more", test=lambda v: v >= 0)
  sgld_noise: float = settings.setting(
      0.0, "Standard deviation of the noise added to every convolution's kernel after each step, in learning rates "
      "(stochastic gradient Langevin dynamics, arXiv 1904.07457: 2). 0: none.",
      allowed="a number >= 0, in learning rates", test=lambda v: 0 <= v < _INFINITE)
  input_noise: float = settings.setting(
      0.0, "Standard deviation of the noise added to the network input, which lies in [0, 0.1), in every step. 0: "
      "none.",
      allowed="a number >= 0", test=lambda v: 0 <= v < _INFINITE)
  guard: str | None = settings.setting(
      None, "When to stop, without the truth: None, held_out (where the average fits best what neither stage sees; it was right "
      "most often) or variance (where the last outputs vary least). All steps run; the guard's choice is one more output, and "
      "says its step.", kind=str, choices=_early_stopping.GUARDS)
  guard_window: int | None = settings.setting(
      None, "Number of the last outputs whose variance guard variance takes. None: 100, or a sixth of the steps of a shorter "
      "run. ES-WMV: 100.", kind=int, allowed="a whole number from 2 to 1000, or None for automatic", test=lambda v: 2 <= v <= 1000)
  guard_patience: int | None = settings.setting(
      None, "Steps without a better output after which the guard's choice is final. None: of held_out the best of all steps, of "
      "variance the first minimum that stands, whatever the run's length. A number makes variance the published ES-WMV: 1000.",
      kind=int, allowed="1 or more, or None for automatic", test=lambda v: v >= 1)
  held_out: float = settings.setting(
      0.05, "Share of the pixels that guard held_out keeps from both stages.", allowed="a number in (0, 0.5]",
      test=lambda v: 0 < v <= 0.5)
  combine: bool = settings.setting(
      False, "Whether the guard's choice is also mixed with a classical estimate, a plug-and-play one with sliding cosine "
      "transforms, in the shares that fit the held-out values best: one more output. With objective recorrupted, guard "
      "held_out and a linear operator.")
  simulate_error: bool = settings.setting(
      True, "Whether the PSNR that the mix is expected to have, and the map of its error, are found by restoring simulated "
      "measurements, as combine can. False saves about 5 s at 160 x 160 pixels on 2 CPU cores.")
  optimizer: Any = None

  def check(self, prefix: str = "") -> None:
    """Check every setting, and those that go together; messages name them after the prefix."""
    super().check(prefix)
    _check_optimizer(self.optimizer, prefix)
    if self.combine and self.guard != "held_out":
      raise ValueError(f"{prefix}combine=True needs held-out values, and {prefix}guard is {self.guard!r}; allowed: "
                       f"{prefix}guard='held_out', or {prefix}combine=False.")
    if self.guard == "variance" and self.num_steps < self.remembered_outputs:
      raise ValueError(f"{prefix}guard='variance' needs {prefix}num_steps={self.num_steps} to be at least "
                       f"{prefix}guard_window={self.remembered_outputs}.")
    if self.average_from >= self.num_steps:
      raise ValueError(f"{prefix}average_from={self.average_from} leaves nothing to average; allowed: less "
                       f"than {prefix}num_steps={self.num_steps}.")

  @property
  def remembered_outputs(self) -> int:
    """Number of outputs that the guard keeps."""
    return _early_stopping.window_of(self.num_steps, self.guard_window) if self.guard == "variance" else 0
