"""Pruning criteria against losses that can be worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oes_jax.masks import _criteria


def test_loss_criteria_by_hand():
  """loss = (w0 w1 - 1)^2 at w = (2, 3): g = 2 (5) (3, 2), H = [[2 w1^2, 4 w0 w1 - 2], [., 2 w0^2]]."""
  w = {"w": jnp.array([2., 3.])}
  loss = lambda p: (p["w"][0] * p["w"][1] - 1) ** 2
  np.testing.assert_allclose(_criteria.magnitude({"w": jnp.array([-2., 3.])})["w"], [2, 3])
  np.testing.assert_allclose(_criteria.snip(loss, w)["w"], [60, 60])
  hessian, gradient = np.array([[18., 22.], [22., 8.]]), np.array([30., 20.])
  np.testing.assert_allclose(_criteria.grasp(loss, w)["w"], np.array([2., 3.]) * (hessian @ gradient), rtol=1e-6)
  two = {"a": jnp.array(2.), "b": jnp.array(3.)}  # b is spared: its gradient's norm does not count
  scores = _criteria.grasp(lambda p: loss({"w": jnp.stack([p["a"], p["b"]])}), two, {"a": False, "b": True})
  assert float(scores["a"]) == pytest.approx(2 * 18 * 30)


def test_shuffled_masks_keep_their_densities():
  mask = {"a": jnp.array([1., 1., 0., 0., 0., 0.]).reshape(2, 3), "b": jnp.ones(4)}
  shuffled = [_criteria.shuffle_within_arrays(jax.random.key(i), mask) for i in range(20)]
  assert all(tree["a"].sum() == 2 and tree["b"].sum() == 4 and tree["a"].shape == (2, 3) for tree in shuffled)
  assert len({tuple(np.asarray(tree["a"]).ravel()) for tree in shuffled}) > 5


def test_criteria_by_name_need_no_graph_but_synflow():
  w, loss = {"w": jnp.array([2., 3.])}, lambda p: (p["w"][0] * p["w"][1] - 1) ** 2
  expected = {"magnitude": [2, 3], "snip": [60, 60], "grasp": [2 * 980, 3 * 820]}
  for name, criterion in _criteria.PRUNING_CRITERIA.items():
    score = lambda: criterion(None, w, loss, 0.5, {"w": False})  # pylint: disable=cell-var-from-loop
    if name == "synflow":
      with pytest.raises(ValueError, match="graph=None"):
        score()
    else:
      np.testing.assert_allclose(score()["w"], expected[name], rtol=1e-6)
