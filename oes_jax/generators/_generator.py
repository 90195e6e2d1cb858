"""Image generators G(params, net_input): what they are, and how a network of your own becomes one.

A generator is pure functions of one image, without a batch axis. It may also expose its channel graph: the list
of its conv and norm layers, from which the effect of a mask can be worked out without knowing the network (see
`masks.acting_weights`). The order of the graph is the order in which PyTorch registers the same layers, so it also
orders the authors' flat masks.
"""

import math
from typing import Any, Callable, Literal, NamedTuple, Sequence

import jax
import jax.numpy as jnp


class Layer(NamedTuple):
  """One conv or norm of a generator's channel graph.

  Attributes:
    path: keys of its arrays in the params tree, e.g. ("encoder_01", "conv_a").
    kind: "conv" (arrays kernel and perhaps bias) or "norm" (arrays scale and offset).
    sources: indices in the graph of the layers that feed it, whose outputs are concatenated in this order; () is the
      net input.
    constants_pass: conv: whether a spatially constant input or bias changes the image (False
      where a norm follows before any nonlinearity, and removes it). Norm: whether a nonlinearity
      follows, so that the offset of a varying channel acts.
  """
  path: tuple[str, ...]
  kind: Literal["conv", "norm"]
  sources: tuple[int, ...]
  constants_pass: bool


class Generator(NamedTuple):
  """A generator of one image.

  Attributes:
    init: function key -> (params, mask_logits), two trees with one treedef; the logits are zeros.
    apply: function (params, net_input) -> image [H, W, C] in (0, 1). Where there is a graph the widths are those of
      `params`, so a compacted tree with its compacted input works too.
    net_input_shape: shape (h, w, c) of the network input.
    image_shape: shape (H, W, C) of the image.
    padded_shape: (H, W) at which the net runs; its output is cropped to the image.
    graph: layers in order of evaluation, or None: then nothing can be compacted, and a collapse is found in the
      output only.
    spec: what a mask of this generator depends on: name, num_scales, channels, image_channels, and options of its own.
  """
  init: Callable[[Any], tuple[Any, Any]]
  apply: Callable[[Any, Any], Any]
  net_input_shape: tuple[int, ...]
  image_shape: tuple[int, int, int]
  padded_shape: tuple[int, int]
  graph: tuple[Layer, ...] | None
  spec: dict[str, Any]

  def sample_input(self, key):
    """Draw a network input, 0.1 * U[0, 1), as the authors of OES do; it stays the same for a whole run."""
    return sample_net_input(key, self.net_input_shape)

  def default_input(self):
    """Return the network input of a Problem that names none: `sample_input` of jax.random.key(0)."""
    return self.sample_input(jax.random.key(0))


def sample_net_input(key, shape):
  """Draw the fixed network input 0.1 * U[0, 1) [authors' code]."""
  return 0.1 * jax.random.uniform(key, shape)


def centre(frame: Sequence[int], size: Sequence[int]) -> tuple[slice, slice]:
  """Return the (rows, columns) of an image of `size` (H, W, ...) in the middle of a `frame`."""
  return tuple(slice((outer - inner) // 2, (outer - inner) // 2 + inner)
               for outer, inner in zip(frame[:2], size[:2]))


def max_num_scales(image_shape: Sequence[int]) -> int:
  """Most scales for an H x W image: the deepest map stays at least 4 pixels wide."""
  return int(math.log2(min(image_shape[:2]) / 4))


def from_apply(init: Callable[[Any], Any], apply: Callable[[Any, Any], Any], graph: Sequence[Layer] | None = None, *,
               net_input_shape: Sequence[int], name: str = "own") -> Generator:
  """Make a generator of any network: a Flax module, an NNX one, or plain functions.

  Args:
    init: function key -> params, a tree of floating arrays.
    apply: function (params, net_input) -> image [H, W, C] in (0, 1).
    graph: channel graph of the network, for compaction and for finding dead layers; None where there is none: the network
      trains all the same, uncompacted, and `restore` says once what else that turns off.
    net_input_shape: shape of the network input, e.g. (h, w, c).
    name: name of the network, which stored masks carry.

  Raises:
    ValueError: `apply` gives no [H, W, C].

  Example:
    >>> import flax.linen as nn, jax, jax.numpy as jnp
    >>> from oes_jax import generators
    >>> net = nn.Sequential([nn.Conv(8, (3, 3)), nn.relu, nn.Conv(3, (3, 3)), nn.sigmoid])
    >>> shape = (32, 32, 4)
    >>> generator = generators.from_apply(
    ...     lambda key: net.init(key, jnp.zeros(shape))["params"],
    ...     lambda params, net_input: net.apply({"params": params}, net_input), net_input_shape=shape)
    >>> generator.image_shape
    (32, 32, 3)
  """
  @jax.jit
  def init_both(key):
    params = init(key)
    return params, jax.tree.map(jnp.zeros_like, params)
  net_input_shape = tuple(net_input_shape)
  params = jax.eval_shape(init, jax.random.key(0))
  image = jax.eval_shape(apply, params, jax.ShapeDtypeStruct(net_input_shape, jnp.result_type(float)))
  if len(image.shape) != 3:
    raise ValueError(f"apply gives an array of shape {image.shape}; allowed: an image [H, W, C].")
  return Generator(init_both, apply, net_input_shape, image.shape, image.shape[:2], None if graph is None else tuple(graph),
                   {"name": name, "num_scales": None, "channels": None, "image_channels": image.shape[2]})


def fitting_scales(image_shape: Sequence[int], num_scales: int, channels, num_widths: int) -> int:
  """Check what a generator is made with; return `num_scales`, lowered to what the image allows.

  Args:
    image_shape: (H, W, C) of the image.
    num_scales: number of scales asked for.
    channels: widths asked for, or None.
    num_widths: how many widths `num_scales` needs.

  Raises:
    ValueError: too small an image, no scale, or too few widths.
  """
  if len(image_shape) != 3:
    raise ValueError(f"image_shape={tuple(image_shape)} is not allowed; allowed: (H, W, C).")
  height, width, image_channels = image_shape
  if min(height, width) < 16 or image_channels < 1:
    raise ValueError(f"an image of {height}x{width} pixels and {image_channels} channels is too "
                     "small; allowed: at least 16x16 with 1 channel.")
  if num_scales < 1:
    raise ValueError(f"num_scales={num_scales} is not allowed; allowed: 1 or more.")
  if channels is not None and (len(channels) < num_widths or min(channels) < 1):
    raise ValueError(f"channels={tuple(channels)} is not allowed; allowed: at least "
                     f"{num_widths} widths >= 1 for num_scales={num_scales}.")
  return min(num_scales, max_num_scales(image_shape))


def _reflect_to(image, shape: Sequence[int]):
  """Reflect an image [H, W, C] at its edges, as far as it takes to put it in the middle of a frame of `shape`."""
  if image.shape[:2] == tuple(shape[:2]):
    return image
  places = centre(shape, image.shape)
  pads = [(place.start, outer - place.stop) for place, outer in zip(places, shape[:2])]
  return jnp.pad(image, (*pads, (0, 0)), mode="reflect")


def from_padded_module(name: str, module, image_shape: Sequence[int], *, num_scales: int, widths: tuple[int, ...],
                       input_channels: int, factor: int, graph: tuple[Layer, ...],
                       own_spec: dict[str, Any] | None = None) -> Generator:
  """Make a generator of a linen module that runs at multiples of 2^num_scales; its output is cropped to the image.

  Args:
    name: name of the network.
    module: linen module, [h, w, input_channels] -> [factor h, factor w, C].
    image_shape: (H, W, C) of the image.
    num_scales: number of scales of the module.
    widths: channels of its scales, for the spec.
    input_channels: channels of the network input.
    factor: how many pixels of the image lie along one of the network input.
    graph: channel graph.
    own_spec: what else a mask of it depends on, for the spec.
  """
  multiple = 2 ** num_scales
  padded = tuple(-(-size // multiple) * multiple for size in image_shape[:2])
  net_input_shape = (padded[0] // factor, padded[1] // factor, input_channels)
  rows, columns = centre(padded, image_shape)

  @jax.jit
  def init(key):
    # jit drops the forward pass: only the draws are computed.
    params = module.init(key, jnp.zeros(net_input_shape))["params"]
    return params, jax.tree.map(jnp.zeros_like, params)

  def apply(params, net_input):
    net_input = _reflect_to(net_input, net_input_shape)
    return module.apply({"params": params}, net_input)[rows, columns]

  spec = {"name": name, "num_scales": num_scales, "channels": list(widths), "image_channels": image_shape[2],
          **(own_spec or {})}
  return Generator(init, apply, net_input_shape, tuple(image_shape), padded, graph, spec)
