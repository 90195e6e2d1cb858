"""Small trees that tests of masks share."""

import jax
import jax.numpy as jnp
import numpy as np

from oes_jax import generators


def random_scores(seed):
  """A small tree with arrays of several ranks."""
  rng = np.random.default_rng(seed)
  shapes = {"conv": {"kernel": (2, 2, 3, 4), "bias": (4,)}, "norm": {"scale": (1,)}}
  return jax.tree.map(lambda shape: jnp.asarray(rng.standard_normal(shape), jnp.float32), shapes,
                      is_leaf=lambda node: isinstance(node, tuple))


def flat(tree):
  return np.concatenate([np.asarray(leaf).ravel() for leaf in jax.tree.leaves(tree)])


# One input of 2 channels, a 1x1 conv to 2, a norm, a 1x1 conv to 1.
GRAPH = (generators.Layer(("a",), "conv", (), True), generators.Layer(("n",), "norm", (0,), True),
         generators.Layer(("head",), "conv", (1,), True))
PARAMS = {"a": {"kernel": np.array([[[[1., -2.], [3., 4.]]]])},
          "n": {"scale": np.array([1., -0.5]), "offset": np.array([0., 1.])},
          "head": {"kernel": np.array([[[[2.], [-1.]]]]), "bias": np.array([0.5])}}
