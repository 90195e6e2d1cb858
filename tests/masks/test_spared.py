"""What is never pruned, and how many weights are left while pruning goes on."""

from flax import nnx
import jax
import numpy as np
import pytest

from masks import trees
from oes_jax.masks import _spared
from oes_jax.masks import _top_k


@pytest.mark.parametrize("source, prune, spares", [
    ("learn", None, False), ("random", None, False), ("snip", None, True), ("imp", None, True),
    ("random", "kernels", True), ("magnitude", "all", False)])
@pytest.mark.parametrize("scope", ["global", "layerwise"])
def test_norms_and_biases_are_spared_where_only_kernels_are_pruned(source, prune, spares, scope):
  tree = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), trees.PARAMS)
  tree["a"]["kernel"] = np.arange(90, dtype=np.float32).reshape(3, 3, 2, 5)
  prune = _spared.pruned_by(source, prune)
  scores = _spared.spare(tree, prune)
  mask = _top_k.threshold(scores, 0.2, scope=scope)
  size = _top_k.count_weights(tree)
  assert sum(int(leaf.sum()) for leaf in jax.tree.leaves(mask)) == int(0.2 * size)
  others = [mask["n"]["scale"], mask["n"]["offset"], mask["head"]["bias"]]
  assert all(leaf.all() for leaf in others) == spares
  logits = _spared.initial_logits(tree, prune)
  assert np.all(logits["a"]["kernel"] == 0) and np.all((logits["n"]["scale"] > 20) == spares)


def test_kernels_are_known_by_their_name_in_any_tree():
  state = nnx.state(nnx.Conv(2, 3, (3, 3), rngs=nnx.Rngs(0)))
  spared = _spared.is_spared(state, "kernels")
  assert (spared["kernel"].get_value(), spared["bias"].get_value()) == (False, True)
  assert _spared.is_spared([np.ones(2), {"kernel": np.ones(3)}], "kernels") == [True, {"kernel": False}]
  assert _spared.is_spared([np.ones(2)], "all") == [False]


@pytest.mark.parametrize("share, expected", [
    (1, 120), (0.5, 20 + int(1 / 3 * 900)), (0.001, 20 + int((1 / 9) ** 0.001 * 900))])
def test_pruning_goes_on_in_equal_factors_of_what_may_be_pruned(share, expected):
  assert _spared.count_after(share, kept=120, spared=20, size=920) == expected
