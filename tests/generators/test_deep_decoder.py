"""The deep decoder equals a plain forward pass, and has the published sizes."""

import math

import jax
import pytest

from generators import plain
from oes_jax import generators


def test_it_equals_the_plain_forward_pass(x64):
  plain.check_against("deep_decoder", plain.deep_decoder)


@pytest.mark.parametrize("num_scales, num_weights, num_arrays", [(4, 83_584, 16), (5, 100_224, 19)])
def test_published_sizes(num_scales, num_weights, num_arrays):
  _, params = plain.make_published("deep_decoder", num_scales)
  leaves = jax.tree.leaves(params)
  assert sum(math.prod(leaf.shape) for leaf in leaves) == num_weights
  assert len(leaves) == num_arrays


def test_its_defaults_are_those_of_its_name():
  made, named = generators.deep_decoder((64, 64, 3)), generators.make_generator("deep_decoder", image_shape=(64, 64, 3))
  assert made.spec == named.spec and made.graph == named.graph and made.spec["channels"] == [128] * 5
