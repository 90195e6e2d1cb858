"""What a mask does to a network: which kept weights can act, and whether anything is left.

Works on the channel graph that a generator exposes and names no network. A channel of a layer's
output is told apart by two facts: it may VARY over the pixels, and it may be NONZERO (a constant
is enough). A norm removes constants exactly, so before a norm only variation counts; where
`Layer.constants_pass`, a constant counts too. A weight acts when it is kept, receives something
that counts, and feeds a channel that reaches the image.
"""

from typing import NamedTuple, Sequence

import jax
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


def feeding(layer: Layer, outputs: Sequence, net_input) -> list:
  """Return what is known of each source of a layer: the entries of `outputs`, or `net_input` where that feeds it."""
  return [outputs[source] for source in layer.sources] or [net_input]


def add_to_sources(values, sources: Sequence[np.ndarray]) -> None:
  """Add to every source's array, in place, its part of an array over their concatenated channels; of booleans, OR."""
  start = 0
  for array in sources:
    array += values[start:start + array.size]
    start += array.size


def _forward(graph: Sequence[Layer], arrays, net_input_channels: int):
  """Per layer, (varies, nonzero) of its output channels, and of its input channels."""
  outputs, inputs, everything = [], [], np.ones(net_input_channels, bool)
  for layer, kept in zip(graph, arrays):
    varies, nonzero = map(np.concatenate, zip(*feeding(layer, outputs, (everything, everything))))
    inputs.append((varies, nonzero))
    if layer.kind == "norm":
      varies = varies & kept["scale"]
      outputs.append((varies, varies | kept["offset"]))
    else:
      taps = kept["kernel"].any((0, 1))
      bias = kept.get("bias", np.zeros(taps.shape[1], bool))
      outputs.append(((taps & varies[:, None]).any(0), (taps & nonzero[:, None]).any(0) | bias))
  return outputs, inputs


def analyse(graph: Sequence[Layer], mask, net_input_channels: int):
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
    add_to_sources(fed, feeding(layer, useful, used_input))
  return acting, useful, used_input


def as_tree(graph: Sequence[Layer], leaves):
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
    graph: channel graph of the generator.
    mask: tree of 0/1 arrays.
    net_input_channels: channels of the network input, all of which vary.
  """
  return as_tree(graph, analyse(graph, mask, net_input_channels)[0])


def density_report(graph: Sequence[Layer] | None, mask, net_input_channels: int) -> list[LayerReport]:
  """Return kept and acting weights of every array, in the order of the graph.

  Args:
    graph: channel graph of the generator; without one every kept weight counts as acting.
    mask: tree of 0/1 arrays.
    net_input_channels: number of channels of the network input.
  """
  if graph is None:
    counts = [(path, np.size(leaf), int(np.count_nonzero(leaf)))
              for path, leaf in jax.tree_util.tree_flatten_with_path(mask)[0]]
    return [LayerReport("/".join(str(getattr(key, "key", getattr(key, "name", key))) for key in path), size, kept, kept)
            for path, size, kept in counts]
  acting = acting_weights(graph, mask, net_input_channels)
  return [LayerReport("/".join(layer.path + (name,)), kept.size, int(kept.sum()),
                      int(_nonzero(acting, layer)[name].sum()))
          for layer in graph for name, kept in _nonzero(mask, layer).items()]


def _is_cut(graph: Sequence[Layer], index: int) -> bool:
  """Say whether the network input reaches the image through one layer only."""
  reached = []
  for place, layer in enumerate(graph):
    reached.append(place != index and any(feeding(layer, reached, True)))
  return not reached[-1]


def find_collapse(graph: Sequence[Layer], mask, net_input_channels: int) -> list[str]:
  """Return what makes a mask useless, in words; an empty list if nothing does.

  A conv kernel with nothing kept or a norm none of whose channels is live, where no other way leads around that layer,
  and an image that cannot vary over the pixels: each makes the masked generator constant. So does a cut to one channel
  of the image with that channel. A mask without findings can still give a weak image.
  """
  arrays = [_nonzero(mask, layer) for layer in graph]
  outputs, _ = _forward(graph, arrays, net_input_channels)
  findings = []
  for index, (layer, kept, (varies, _)) in enumerate(zip(graph, arrays, outputs)):
    name = "/".join(layer.path)
    if layer.kind == "conv" and not kept["kernel"].any() and _is_cut(graph, index):
      findings.append(f"conv {name} keeps none of its {kept['kernel'].size} kernel weights")
    elif layer.kind == "norm" and not varies.any() and _is_cut(graph, index):
      findings.append(f"norm {name} has no live channel")
  findings += in_channels("the image cannot vary over the pixels", ~outputs[-1][0])
  return findings


def in_channels(finding: str, found: np.ndarray) -> list[str]:
  """Return a finding about the image, with the channels it holds for unless these are all; nothing for none."""
  if not found.any():
    return []
  where = "" if found.all() else f", in channel {', '.join(str(index + 1) for index in np.flatnonzero(found))}"
  return [f"{finding}{where}"]
