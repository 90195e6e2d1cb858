"""A smaller network that gives the same image: every channel that a mask leaves unable to act is removed exactly."""

from typing import Any, NamedTuple, Sequence

import numpy as np

from oes_jax.generators import Layer
from oes_jax.masks import _acting


class Compaction(NamedTuple):
  """Which entries of the full trees the small ones hold.

  Attributes:
    net_input: indices of the kept channels of the network input.
    rows: indices of the kept input channels, an array a layer, counted over the concatenation of what feeds it.
    columns: indices of the kept output channels, an array a layer; those of a norm are its rows.
    widths: number of output channels of every layer of the small net: of a conv rounded up, of a norm the sum of what
      feeds it.
    input_width: channels of the small network input, rounded up where not all are kept on demand.
  """
  net_input: np.ndarray
  rows: tuple[np.ndarray, ...]
  columns: tuple[np.ndarray, ...]
  widths: tuple[int, ...]
  input_width: int


def _joined(indices: Sequence[np.ndarray], widths: Sequence[int]) -> np.ndarray:
  """Return indices into arrays of some widths as indices into the concatenation of these arrays."""
  starts = np.cumsum([0, *widths[:-1]])
  return np.concatenate([start + array for start, array in zip(starts, indices)])


def _with_norms(graph: Sequence[Layer], widths: Sequence[int], input_width: int) -> tuple[int, ...]:
  """Return the widths of all layers, those of the norms as the convs' and the input's make them."""
  widths = list(widths)
  for index, layer in enumerate(graph):
    if layer.kind == "norm":
      widths[index] = sum(_acting.feeding(layer, widths, input_width))
  return tuple(widths)


def plan_compaction(graph: Sequence[Layer], mask, net_input_channels: int, *, multiple: int = 8,
                    whole_input: bool = False) -> Compaction:
  """Find the channels that a masked generator needs; everything else is removed exactly.

  A norm keeps the number of its channels, so it shares one set with what feeds it. A
  channel that is constant but reaches the image stays, as a conv channel without kernel weights.

  Args:
    graph: channel graph of the generator.
    mask: tree of 0/1 arrays.
    net_input_channels: number of channels of the network input.
    multiple: widths are rounded up to it, and filled with zeros (exact), so that masks of
      similar widths share one compiled program.
    whole_input: whether to keep all channels of the network input, in order and not rounded up, for a network whose
      input is computed in every step.
  """
  _, useful, used_input = _acting.analyse(graph, mask, net_input_channels)
  for layer, used in reversed(list(zip(graph, useful))):
    if layer.kind == "norm":
      _acting.add_to_sources(used, _acting.feeding(layer, useful, used_input))
  net_input = np.flatnonzero(used_input | whole_input)
  rows, columns = [], []
  for layer, used in zip(graph, useful):
    sizes = [source.size for source in _acting.feeding(layer, useful, used_input)]
    rows.append(_joined(_acting.feeding(layer, columns, net_input), sizes))
    columns.append(rows[-1] if layer.kind == "norm" else np.flatnonzero(used))
  round_up = lambda count: max(1, -(-count // multiple)) * multiple
  widths = [*(round_up(indices.size) for indices in columns[:-1]), columns[-1].size]  # last: the image's channels
  input_width = net_input_channels if whole_input else round_up(net_input.size)
  return Compaction(net_input, tuple(rows), tuple(columns), _with_norms(graph, widths, input_width), input_width)


def widest(plans: Sequence[Compaction]) -> list[int]:
  """Return the largest width of every layer over the plans, and at last that of the input."""
  return [max(counts) for counts in zip(*((*plan.widths, plan.input_width) for plan in plans))]


def widen(graph: Sequence[Layer], plan: Compaction, widths: Sequence[int]) -> Compaction:
  """Give a plan the widths of `widest`, so that a batch's small trees stack; exact."""
  *widths, input_width = widths
  return plan._replace(widths=_with_norms(graph, widths, input_width), input_width=input_width)


def _placements(graph: Sequence[Layer], plan: Compaction, params):
  """Yield (place in the graph, name, full index, small shape, small index) of every array."""
  places = []  # of the kept output channels in the small net; parts of a concatenation are filled up one by one
  for index, layer in enumerate(graph):
    rows, columns, width = plan.rows[index], plan.columns[index], plan.widths[index]
    in_widths = _acting.feeding(layer, plan.widths, plan.input_width)
    small_rows = _joined(_acting.feeding(layer, places, np.arange(plan.net_input.size)), in_widths)
    places.append(small_rows if layer.kind == "norm" else np.arange(columns.size))
    for name, array in _acting.arrays_of(params, layer).items():
      if name == "kernel":
        size = array.shape[:2]
        taps = tuple(map(range, size))
        yield (index, name, np.ix_(*taps, rows, columns), (*size, sum(in_widths), width),
               np.ix_(*taps, small_rows, places[-1]))
      else:
        yield index, name, (columns,), (width,), (places[-1],)


def compact(graph: Sequence[Layer], plan: Compaction, tree):
  """Gather a full tree (params or mask) into the small one; what is filled up is zero."""
  small = [{} for _ in graph]
  for index, name, full_index, shape, small_index in _placements(graph, plan, tree):
    full = np.asarray(_acting.arrays_of(tree, graph[index])[name])
    array = np.zeros(shape, full.dtype)
    array[small_index] = full[full_index]
    small[index][name] = array
  return _acting.as_tree(graph, small)


def expand(graph: Sequence[Layer], plan: Compaction, small, full) -> Any:
  """Put a small tree back into a copy of the full one it was gathered from."""
  grown = [{} for _ in graph]
  for index, name, full_index, _, small_index in _placements(graph, plan, full):
    array = np.array(_acting.arrays_of(full, graph[index])[name])
    array[full_index] = np.asarray(_acting.arrays_of(small, graph[index])[name])[small_index]
    grown[index][name] = array
  return _acting.as_tree(graph, grown)


def compact_input(plan: Compaction, net_input):
  """Keep the used channels of [h, w, c]; what is filled up is zero."""
  small = np.zeros((*net_input.shape[:2], plan.input_width), net_input.dtype)
  small[..., :plan.net_input.size] = np.asarray(net_input)[..., plan.net_input]
  return small
