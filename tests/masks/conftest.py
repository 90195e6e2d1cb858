"""What tests of masks share."""

import jax
import pytest

from oes_jax import generators


@pytest.fixture(name="small", scope="module")
def fixture_small():
  """A small hourglass and its params."""
  generator = generators.hourglass((16, 16, 1), num_scales=1, channels=(6,))
  return generator, generator.init(jax.random.key(0))[0]
