"""What a mask does to a network: which kept weights can act, and whether anything is left.

Works on the channel graph that a generator exposes and names no network. A channel of a layer's
output is told apart by two facts: it may VARY over the pixels, and it may be NONZERO (a constant
is enough). A norm removes constants exactly, so before a norm only variation counts; where
`Layer.constants_pass`, a constant counts too. A weight acts when it is kept, receives something
that counts, and feeds a channel that reaches the image.
"""

from typing import Any, NamedTuple, Sequence

import numpy as np

from oes_jax.generators import Layer


class LayerReport(NamedTuple):
  """Weights of one array of the params tree: its name, size, kept and acting counts."""
  name: str
  size: int
  kept: int
  acting: int


def arrays_of(tree, layer: Layer):
  """Return {name: array} of one layer of a params-shaped tree."""
  for key in layer.path:
    tree = tree[key]
  return tree


def _nonzero(tree, layer: Layer):
  return {name: np.asarray(array) != 0 for name, array in arrays_of(tree, layer).items()}


def _forward(graph: Sequence[Layer], arrays, net_input_channels: int):
  """Per layer, (varies, nonzero) of its output channels, and of its input channels."""
  outputs, inputs = [], []
  for layer, kept in zip(graph, arrays):
    varies, nonzero = ((np.ones(net_input_channels, bool),) * 2 if layer.source is None
                       else outputs[layer.source])
    inputs.append((varies, nonzero))
    if layer.kind == "norm":
      varies = varies & kept["scale"]
      outputs.append((varies, varies | kept["offset"]))
    else:
      taps = kept["kernel"].any((0, 1))
      bias = kept.get("bias", np.zeros(taps.shape[1], bool))
      outputs.append(((taps & varies[:, None]).any(0), (taps & nonzero[:, None]).any(0) | bias))
  return outputs, inputs


def _analyse(graph: Sequence[Layer], mask, net_input_channels: int):
  """Return, per layer, the arrays that act and the output channels that reach the image.

  One pass forwards (no live input) and one backwards (no live consumer) reach the fixed point,
  since a live channel keeps all its live inputs.
  """
  arrays = [_nonzero(mask, layer) for layer in graph]
  outputs, inputs = _forward(graph, arrays, net_input_channels)
  useful = [np.zeros(varies.size, bool) for varies, _ in outputs]
  useful[-1][:] = True  # the image
  used_input = np.zeros(net_input_channels, bool)
  acting = [None] * len(graph)
  for index in reversed(range(len(graph))):
    layer, kept, (varies, nonzero), used = graph[index], arrays[index], inputs[index], useful[index]
    if layer.kind == "norm":
      scale = kept["scale"] & varies & used
      # A constant channel is used only by a consumer that constants pass through.
      offset = kept["offset"] & used & (layer.constants_pass | ~outputs[index][0])
      acting[index] = {"scale": scale, "offset": offset}
      fed = scale
    else:
      counted = nonzero if layer.constants_pass else varies
      kernel = kept["kernel"] & counted[:, None] & used
      acting[index] = {"kernel": kernel}
      if "bias" in kept:
        acting[index]["bias"] = kept["bias"] & used & layer.constants_pass
      fed = kernel.any((0, 1, 3))
    source = used_input if layer.source is None else useful[layer.source]
    source |= fed
  return acting, useful, used_input


def _as_tree(graph: Sequence[Layer], leaves):
  tree = {}
  for layer, leaf in zip(graph, leaves):
    node = tree
    for key in layer.path:
      node = node.setdefault(key, {})
    node.update(leaf)
  return tree


def acting_weights(graph: Sequence[Layer], mask, net_input_channels: int):
  """Return a tree like `mask`, True where a weight is kept AND can change the image.

  Args:
    graph: of the generator.
    mask: tree of 0/1 arrays.
    net_input_channels: channels of the network input, all of which vary.
  """
  return _as_tree(graph, _analyse(graph, mask, net_input_channels)[0])


def density_report(graph: Sequence[Layer], mask, net_input_channels: int) -> list[LayerReport]:
  """Kept and acting weights of every array, in the order of the graph."""
  acting = acting_weights(graph, mask, net_input_channels)
  return [LayerReport("/".join(layer.path + (name,)), kept.size, int(kept.sum()),
                      int(_nonzero(acting, layer)[name].sum()))
          for layer in graph for name, kept in _nonzero(mask, layer).items()]


def find_collapse(graph: Sequence[Layer], mask, net_input_channels: int) -> list[str]:
  """Return what makes a mask useless, in words; an empty list if nothing does.

  A conv kernel with nothing kept, a norm none of whose channels is live, an image that cannot
  vary over the pixels: each makes the masked generator constant. So does a cut to one channel of the image with that
  channel. A mask without findings can still give a weak image.
  """
  arrays = [_nonzero(mask, layer) for layer in graph]
  outputs, _ = _forward(graph, arrays, net_input_channels)
  findings = []
  for layer, kept, (varies, _) in zip(graph, arrays, outputs):
    name = "/".join(layer.path)
    if layer.kind == "conv" and not kept["kernel"].any():
      findings.append(f"conv {name} keeps none of its {kept['kernel'].size} kernel weights")
    elif layer.kind == "norm" and not varies.any():
      findings.append(f"norm {name} has no live channel")
  findings += in_channels("the image cannot vary over the pixels", ~outputs[-1][0])
  return findings


def in_channels(finding: str, found: np.ndarray) -> list[str]:
  """Return a finding about the image, with the channels it holds for unless these are all; nothing for none."""
  if not found.any():
    return []
  where = "" if found.all() else f", in channel {', '.join(str(index + 1) for index in np.flatnonzero(found))}"
  return [f"{finding}{where}"]


class Compaction(NamedTuple):
  """Which entries of the full trees the small ones hold.

  Attributes:
    net_input: indices of the kept channels of the network input.
    rows: per layer, indices of the kept input channels (conv) or channels (norm).
    columns: per layer, indices of the kept output channels.
    widths: per layer, output channels of the small net, rounded up.
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
    graph: of the generator.
    mask: tree of 0/1 arrays.
    net_input_channels: channels of the network input.
    multiple: widths are rounded up to it, and filled with zeros (exact), so that masks of
      similar widths share one compiled program.
  """
  _, useful, used_input = _analyse(graph, mask, net_input_channels)
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
    for name, array in arrays_of(params, layer).items():
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
    full = np.asarray(arrays_of(tree, graph[index])[name])
    array = np.zeros(shape, full.dtype)
    array[small_index] = full[full_index]
    small[index][name] = array
  return _as_tree(graph, small)


def expand(graph: Sequence[Layer], plan: Compaction, small, full) -> Any:
  """Put a small tree back into a copy of the full one it was gathered from."""
  grown = [{} for _ in graph]
  for index, name, full_index, _, small_index in _placements(graph, plan, full):
    array = np.array(arrays_of(full, graph[index])[name])
    array[full_index] = np.asarray(arrays_of(small, graph[index])[name])[small_index]
    grown[index][name] = array
  return _as_tree(graph, grown)


def compact_input(plan: Compaction, net_input):
  """Keep the used channels of [h, w, c]; what is filled up is zero."""
  small = np.zeros((*net_input.shape[:2], plan.input_width), net_input.dtype)
  small[..., :plan.net_input.size] = np.asarray(net_input)[..., plan.net_input]
  return small
