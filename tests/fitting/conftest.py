"""What tests of fitting share."""

import jax
import jax.numpy as jnp
import pytest

from oes_jax import fitting
from oes_jax import generators
from oes_jax import random

SHAPE = (16, 16, 1)


def _make_small(name):
  """A small generator, its params and logits, and a problem."""
  generator = generators.make_generator(name, image_shape=SHAPE, num_scales=1, channels=(6,))
  params, logits = generator.init(random.stream_key(0, "params"))
  net_input = generator.sample_input(random.stream_key(0, "net_input"))
  ramp = jnp.linspace(0.05, 0.35, 16)  # far from the mean 0.5 of an untrained output
  measurement = jnp.broadcast_to(ramp[:, None, None], SHAPE)
  return generator, params, logits, fitting.Problem(measurement, net_input=net_input)


@pytest.fixture(name="small", scope="package")
def fixture_small():
  """A small hourglass, its params and logits, and a problem."""
  return _make_small("hourglass")


@pytest.fixture(name="branched", scope="package")
def fixture_branched():
  """The same of a small skip hourglass."""
  return _make_small("skip_hourglass")


@pytest.fixture(name="tiny", scope="package")
def fixture_tiny():
  """A network that compiles at once, without a graph: two layers at every pixel; and its params."""
  def init(key):
    first, last = jax.random.split(key)
    return {"first": {"kernel": jax.random.normal(first, (2, 64)), "bias": jnp.zeros(64)},
            "last": {"kernel": 0.3 * jax.random.normal(last, (64, 1))}}
  def apply(params, net_input):
    hidden = jnp.tanh(20 * net_input @ params["first"]["kernel"] + params["first"]["bias"][None, None])
    return jax.nn.sigmoid(hidden @ params["last"]["kernel"])
  generator = generators.from_apply(init, apply, net_input_shape=(16, 16, 2))
  return generator, generator.init(jax.random.key(0))[0]
