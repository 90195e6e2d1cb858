"""One range of values for all pages of a stack, so that they stay comparable: the noise level, and the map to the unit range."""

from typing import Any, Sequence

from oes_jax import files
from oes_jax import intensity
from oes_jax import runs
from oes_jax.sweeps import _cases


def _stack_of(source: str) -> tuple[Any, ...] | None:
  """Return what the pages of one stack have in common; None of what is no page of a picture.

  Pages of a TIFF file are a stack, and planes of one HDU of a FITS file: HDUs may be of several kinds.
  """
  path, page = files.split_page(source)
  if page is None or files.is_scan(source):
    return None
  if isinstance(page, int):  # of a TIFF file
    return (path,)
  return (path, *page[:-1]) if len(page) > 1 else None


def share_ranges(cases: Sequence[_cases.Case]) -> list[_cases.Case]:
  """Return cases of which pages of one stack have one range: that of all that are read.

  A range that is asked for stays, and pages of another type or number of channels share that of their like. Of types with a range of
  their own (8 bits) nothing changes. A page that cannot be read, or holds one value, tells nothing.

  Args:
    cases: cases of `_cases.expand`.
  """
  found: dict[str, runs.PageRange | None] = {}
  for case in cases:
    source = case.asked["source"]
    if case.limits is None and _stack_of(source) is not None and source not in found:
      found[source] = runs.range_of_page(case.config)
  stacks: dict[tuple[Any, ...], list[tuple[float, float]]] = {}
  key = lambda source: (_stack_of(source), found[source].kind)
  for source, page in found.items():
    if page is not None:
      stacks.setdefault(key(source), []).append(page.limits)
  shared = {like: intensity.range_of_all(limits) for like, limits in stacks.items()}
  said = {like: limits for like, limits in shared.items() if set(stacks[like]) != {limits}}
  for (stack, _), limits in said.items():
    runs.say(f"{'@'.join(map(str, stack))}: {intensity.say_range(*limits)}, the range of all its pages together, is that of each")
  return [case if found.get(case.asked["source"]) is None or key(case.asked["source"]) not in said
          else case.within(said[key(case.asked["source"])]) for case in cases]
