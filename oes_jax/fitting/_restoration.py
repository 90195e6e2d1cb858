"""A restored image, and what it came from."""

from typing import Any, Mapping, NamedTuple

import jax.numpy as jnp

from oes_jax.fitting import _simulated_error


def seconds_of(summary: Mapping[str, Any]) -> float:
  """Return the seconds that a summary says: of all stages, or of all candidates of method auto."""
  if "candidates" in summary:
    return sum(one["seconds"] for one in summary["candidates"])
  return sum(times["total"] for times in summary["seconds"].values() if "total" in times)


class Restoration(NamedTuple):
  """A restored image, and what it came from. Of `train_weights` a pytree of arrays, in the unit range.

  Attributes:
    image: the result, [H, W, C]: the average of the images over the weight stage. Of `restore`: in the layout, type
      and range of the measurement.
    last: image of the last step, of the same layout.
    guarded: Choice of the guard, or None.
    combined: Combination of the guard's image and a plug-and-play estimate, where `weights.combine` asks for it, or None.
    params: trained params, 0 where the mask is.
    mask: tree of the weights that were kept, 1 or 0.
    traces: {stage: {metric: [steps] array}}.
    spread: standard deviation of an ensemble's members at every value, in the measurement's range; None without one.
    summary: what was measured of the restoration (scores, densities, seconds), plain values; of `restore` alone.
    error: `expected_error`, [H, W] in the measurement's range; of `restore` with `weights.combine` alone, else None.
    before: what was measured, or the first image made of it through an operator, of the same layout as `image`; of `restore` alone.

  Example:
    >>> import jax
    >>> import oes_jax
    >>> from oes_jax import generators
    >>> generator = generators.deep_decoder((16, 16, 1), num_scales=1, channels=(4, 4))
    >>> params, _ = generator.init(jax.random.key(0))
    >>> problem = oes_jax.Problem(jax.random.uniform(jax.random.key(1), (16, 16, 1)))
    >>> restoration = oes_jax.train_weights(generator, params, None, problem, jax.random.key(2),
    ...                                     oes_jax.TrainWeights(num_steps=3))
    >>> restoration.image.shape, restoration.last.shape, sorted(restoration.traces["weights"])
    ((16, 16, 1), (16, 16, 1), ['loss', 'mse'])
  """
  image: Any
  last: Any
  guarded: Any = None
  combined: Any = None
  params: Any = None
  mask: Any = None
  traces: Any = None
  spread: Any = None
  summary: dict[str, Any] | None = None
  error: Any = None
  before: Any = None

  def __repr__(self) -> str:
    """Say in a line what it is, and of `restore` how good it is; its fields are for those who ask."""
    shape = "x".join(map(str, jnp.shape(self.image)))
    said = [f"{shape} {getattr(self.image, 'dtype', type(self.image).__name__)}"]
    summary = self.summary or {}
    quality, expected = summary.get("quality"), summary.get("expected_psnr")
    if quality and summary.get("output_image") in quality:
      before, after = (quality[name]["psnr"] for name in ("measurement", summary["output_image"]))
      said.append(f"PSNR {before:.1f} -> {after:.1f} dB")
    if expected:
      said.append(f"expected PSNR {_simulated_error.say_expected_psnr(expected)}")
    if summary.get("members", 1) > 1:
      said.append(f"mean of {summary['members']}")
    if summary.get("seconds") or "candidates" in summary:
      said.append(f"{seconds_of(summary):.0f} s")
    if summary.get("output_image"):
      said.append(f"output {summary['output_image']}")
    return f"{type(self).__name__}({', '.join(said)})"
