"""A stack of images in, a stack out: arrays whose pages are restored each from itself alone, in one range of values."""

from typing import Any, Mapping, NamedTuple, Sequence

import numpy as np

from oes_jax import api
from oes_jax import fitting
from oes_jax import intensity
from oes_jax import runs


class RestoredStack(NamedTuple):
  """The restored pages of a stack.

  Attributes:
    image: [pages, H, W] or [pages, H, W, C], of the layout, type and range of the stack.
    pages: Restoration of every page: its summary, mask, traces, `plot`.
    spread: standard deviation of the members of every page's ensemble, like `image`; None without one.
    error: error that is expected around every pixel, [pages, H, W] in the stack's range; None where a page has none.
  """
  image: np.ndarray
  pages: Sequence[fitting.Restoration]
  spread: np.ndarray | None = None
  error: np.ndarray | None = None

  def __repr__(self) -> str:
    """Say in a line what it is, and its first page."""
    return f"{type(self).__name__}({len(self.pages)} pages; the first one: {self.pages[0]!r})"


def _shared_range(pages: Sequence[np.ndarray], operator: Any, told: Mapping[str, Any]) -> tuple[float, float] | None:
  """Return the range of all pages together, lost pixels left out; None where each one's is the same, or none has one."""
  if not isinstance(operator, (str, Mapping)) and not getattr(operator, "measures_image", False):
    return None  # of the caller's own: it acts on the unit range
  config, arrays = api.config_of_call(operator if isinstance(operator, (str, Mapping)) else "identity", told)
  settings = runs.read_settings(config)
  limits = [runs.range_of_array(settings, runs.Given(page, arrays=arrays, place=f"[{number}]")) for number, page in enumerate(pages)]
  limits = [one for one in limits if one is not None]
  return intensity.range_of_all(limits) if len(set(limits)) > 1 else None


def restore_stack(stack: np.ndarray, *, truth: np.ndarray | None = None, settings: Mapping[str, Any] | None = None,
                  **options) -> RestoredStack:
  """Restore every page of a stack of images from itself alone; pages are one compiled batch.

  All pages map to the unit range by one range, `settings={"data.range": ...}` or that of all of them together: noise levels and
  brightness stay comparable from page to page.

  Args:
    stack: [pages, H, W] or [pages, H, W, C], of any real type.
    truth: clean stack of the same shape, only ever scored; or None.
    settings: settings by their dotted names, as of `restore`.
    **options: other arguments of `restore`: operator, ensemble, seed, workdir, progress and so on.

  Returns:
    A RestoredStack.

  Raises:
    ValueError: an argument is not allowed; the message names it, the page as measurement[3].
    Others: as `restore` does.

  Example:
    >>> import numpy as np, oes_jax
    >>> noisy = np.random.default_rng(0).random((2, 32, 32), np.float32)
    >>> few = {"generator.name": "deep_decoder", "generator.num_scales": 1, "generator.channels": (4, 4), "mask.source": "dense",
    ...        "weights.num_steps": 2}
    >>> restored = oes_jax.restore_stack(noisy, settings=few, progress=False)
    >>> restored.image.shape, len(restored.pages)
    ((2, 32, 32), 2)
  """
  if isinstance(stack, (list, tuple)):  # of arrays: what each holds beside its numbers would be lost
    stack = [runs.as_array(page, f"stack[{number}]") for number, page in enumerate(stack)]
  pages = list(runs.as_array(stack, "stack"))
  if np.ndim(stack) not in (3, 4):
    raise ValueError(f"stack has shape {np.shape(stack)}; allowed: [pages, H, W] or [pages, H, W, C]; restore takes one image.")
  if truth is not None:
    truth = list(truth if isinstance(truth, (list, tuple)) else runs.as_array(truth, "truth"))
    if np.shape(truth) != np.shape(stack):
      raise ValueError(f"truth has shape {np.shape(truth)}; allowed: that of the stack, {np.shape(stack)}.")
  told = dict(settings or {})
  if told.get("data.range") is None:
    shared = _shared_range(pages, options.get("operator", "identity"), told)
    told |= {} if shared is None else {"data.range": shared}
  restored = api.restore(pages, truth=truth, settings=told, **options)
  joined = lambda name: None if any(getattr(one, name) is None for one in restored) else np.stack([getattr(one, name) for one in restored])
  return RestoredStack(joined("image"), restored, joined("spread"), joined("error"))
