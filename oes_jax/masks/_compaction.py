"""A smaller network that gives the same image: every channel that a mask leaves unable to act is removed exactly."""

from typing import Any, NamedTuple, Sequence

import numpy as np

from oes_jax.generators import Layer
from oes_jax.masks import _acting


class Compaction(NamedTuple):
  """Which entries of the full trees the small ones hold.

  Attributes:
    net_input: indices of the kept channels of the network input.
    rows: indices of the kept input channels (conv) or channels (norm), an array a layer.
    columns: indices of the kept output channels, an array a layer.
    widths: number of output channels of every layer of the small net, rounded up.
    input_width: channels of the small network input, rounded up.
  """
  net_input: np.ndarray
  rows: tuple[np.ndarray, ...]
  columns: tuple[np.ndarray, ...]
  widths: tuple[int, ...]
  input_width: int


def plan_compaction(graph: Sequence[Layer], mask, net_input_channels: int, *,
                    multiple: int = 8) -> Compaction:
  """Find the channels that a masked generator needs; everything else is removed exactly.

  A norm keeps the number of its channels, so a conv and the norms behind it share one set. A
  channel that is constant but reaches the image stays, as a conv channel without kernel weights.

  Args:
    graph: channel graph of the generator.
    mask: tree of 0/1 arrays.
    net_input_channels: number of channels of the network input.
    multiple: widths are rounded up to it, and filled with zeros (exact), so that masks of
      similar widths share one compiled program.
  """
  _, useful, used_input = _acting.analyse(graph, mask, net_input_channels)
  for index in reversed(range(len(graph))):
    if graph[index].kind == "norm" and graph[index].source is not None:
      useful[graph[index].source] |= useful[index]
  columns = [np.flatnonzero(used) for used in useful]
  rows, round_up = [], lambda count: max(1, -(-count // multiple)) * multiple
  for layer in graph:
    rows.append(np.flatnonzero(used_input) if layer.source is None else columns[layer.source])
  widths = [round_up(c.size) for c in columns]
  widths[-1] = columns[-1].size  # the image's channels
  return Compaction(np.flatnonzero(used_input), tuple(rows), tuple(columns), tuple(widths),
                    round_up(int(used_input.sum())))


def widest(plans: Sequence[Compaction]) -> list[int]:
  """Return the largest width of every layer over the plans, and at last that of the input."""
  return [max(counts) for counts in zip(*((*plan.widths, plan.input_width) for plan in plans))]


def widen(plan: Compaction, widths: Sequence[int]) -> Compaction:
  """Give a plan the widths of `widest`, so that a batch's small trees stack; exact."""
  return plan._replace(widths=tuple(widths[:-1]), input_width=widths[-1])


def _placements(graph: Sequence[Layer], plan: Compaction, params):
  """Yield (place in the graph, name, full index, small shape, small index) of every array."""
  for index, layer in enumerate(graph):
    rows, columns = plan.rows[index], plan.columns[index]
    width = plan.widths[index]
    in_width = plan.input_width if layer.source is None else plan.widths[layer.source]
    for name, array in _acting.arrays_of(params, layer).items():
      if name == "kernel":
        size = array.shape[:2]
        yield (index, name, np.ix_(range(size[0]), range(size[1]), rows, columns),
               (*size, in_width, width),
               np.s_[:, :, :rows.size, :columns.size])
      else:
        yield index, name, (columns,), (width,), np.s_[:columns.size]


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
