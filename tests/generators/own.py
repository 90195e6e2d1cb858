"""Networks of one's own as generators without a graph."""

from flax import nnx
import flax.linen as nn
import jax.numpy as jnp

from oes_jax import generators

NET_INPUT = (16, 18, 2)


def linen():
  """Return the generator of a linen module of two convolutions."""
  net = nn.Sequential([nn.Conv(3, (3, 3)), nn.relu, nn.Conv(1, (3, 3)), nn.sigmoid])
  return generators.from_apply(lambda key: net.init(key, jnp.zeros(NET_INPUT))["params"],
                               lambda params, z: net.apply({"params": params}, z), net_input_shape=NET_INPUT)


class _Network(nnx.Module):

  def __init__(self, rngs):
    self.first = nnx.Conv(2, 3, (3, 3), rngs=rngs)
    self.last = nnx.Conv(3, 1, (3, 3), rngs=rngs)

  def __call__(self, x):
    return nnx.sigmoid(self.last(nnx.relu(self.first(x))))


def nnx_module():
  """Return the generator of the same of NNX, whose params are a State."""
  graphdef, _ = nnx.split(nnx.eval_shape(lambda: _Network(nnx.Rngs(0))))
  return generators.from_apply(
      lambda key: nnx.state(_Network(nnx.Rngs(key))), lambda params, z: nnx.merge(graphdef, params)(z),
      net_input_shape=NET_INPUT, name="two convs")
