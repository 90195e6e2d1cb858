"""Relaxed gates: their distribution, the divergence from the prior, and weights that are dropped."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from masks import trees
from oes_jax.masks import _gates
from oes_jax.masks import _top_k

TEMPERATURES = (0.2, 0.3, 1.0)  # 1 / temperature whole and not: the gates have a form for each
NUM_DRAWS = 20_000


def logit(p):
  return math.log(p / (1 - p))


def sigmoid(x):
  return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize("value, expected", [(0., 0.5), (math.log(3), 0.75), (-math.log(19), 0.05)])
def test_keep_probability_hand_check(value, expected):
  logits = _gates.init_mask_logits({"a": jnp.ones((2, 3)), "b": jnp.ones(1)}, value=value)
  probability = _gates.keep_probability(logits)
  assert probability["a"].shape == (2, 3) and probability["b"].shape == (1,)
  np.testing.assert_allclose(trees.flat(probability), expected, rtol=1e-6)


def test_logits_start_at_one_half_and_are_shaped_like_the_params():
  params = trees.random_scores(0)
  logits = _gates.init_mask_logits(params)
  assert jax.tree.structure(logits) == jax.tree.structure(params)
  for a, b in zip(jax.tree.leaves(logits), jax.tree.leaves(params)):
    assert a.shape == b.shape and a.dtype == b.dtype
  assert not trees.flat(logits).any()


sample_gates = jax.jit(_gates.sample_relaxed_mask, static_argnames="temperature")
kl_and_gradient = jax.jit(jax.value_and_grad(_gates.kl_to_prior), static_argnums=1)


def sample(value, temperature):
  logits = {"a": np.full(NUM_DRAWS, value, np.float32)}
  return np.asarray(sample_gates(jax.random.key(0), logits, temperature=temperature)["a"])


def assert_share(condition, probability):
  """The share of draws is within four standard deviations of the probability."""
  deviation = math.sqrt(probability * (1 - probability) / NUM_DRAWS)
  assert abs(condition.mean() - probability) < 4 * deviation


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("value", [-60., -3., 0., 3., 60.])
def test_gates_lie_in_the_unit_interval(value, temperature):
  gates = sample(value, temperature)
  assert gates.min() >= 0 and gates.max() <= 1  # also fails for NaN
  if value == 0:
    assert ((gates > 0) & (gates < 1)).mean() > 0.9


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_mean_gate_at_logit_zero_is_one_half(temperature):
  gates = sample(0., temperature)
  assert abs(gates.mean() - 0.5) < 4 * 0.5 / math.sqrt(NUM_DRAWS)


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("value", [-2., 0., 0.5, 3.])
def test_gate_is_above_one_half_as_often_as_the_weight_is_kept(value, temperature):
  assert_share(sample(value, temperature) > 0.5, sigmoid(value))


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("level", [0.1, 0.9])
def test_gates_follow_the_binary_concrete_distribution(level, temperature):
  # P(gate > g) = P(Logistic > temperature * logit(g) - value).
  value = -0.7
  assert_share(sample(value, temperature) > level, sigmoid(value - temperature * logit(level)))


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_gate_gradient_is_that_of_a_sigmoid_over_the_temperature(x64, temperature):
  logits = {"a": np.linspace(-2, 2, 101)}
  def total(logits):
    gates = _gates.sample_relaxed_mask(jax.random.key(1), logits, temperature=temperature)["a"]
    return jnp.sum(gates), gates
  gradient, gates = jax.jit(jax.grad(total, has_aux=True))(logits)
  expected = gates * (1 - gates) / temperature
  np.testing.assert_allclose(gradient["a"], expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_gate_gradient_is_finite_for_any_logit(temperature):
  values = np.asarray([-200, -100, -60, -20, 20, 60, 100, 200], np.float32)
  gradient = jax.jit(jax.grad(lambda x: jnp.sum(
      _gates.sample_relaxed_mask(jax.random.key(2), x, temperature=temperature)["a"])))(
          {"a": np.repeat(values[:, None], 100, axis=1)})
  finite = np.isfinite(gradient["a"]).all(1)
  assert finite.all(), f"not at logits {values[~finite]}"


def test_gates_are_independent_between_keys_arrays_and_neighbours():
  logits = {"a": np.zeros(NUM_DRAWS, np.float32), "b": np.zeros(NUM_DRAWS, np.float32)}
  first, second = (jax.tree.map(np.asarray, sample_gates(
      jax.random.key(seed), logits, temperature=1.0)) for seed in (0, 1))
  bound = 4 / math.sqrt(NUM_DRAWS)  # of a correlation
  for x, y in [(first["a"], first["b"]), (first["a"], second["a"]),
               (first["a"][1:], first["a"][:-1]), (first["a"][::2], first["a"][1::2])]:
    assert abs(np.corrcoef(x, y)[0, 1]) < bound * math.sqrt(NUM_DRAWS / len(x))


def test_gates_depend_on_both_words_of_the_key_and_on_nothing_else():
  logits = {"a": np.zeros(NUM_DRAWS, np.float32)}
  def draw(*words):
    key = jax.random.wrap_key_data(np.asarray(words, np.uint32))
    return np.asarray(sample_gates(key, logits, temperature=1.0)["a"])
  first = draw(3, 7)
  np.testing.assert_array_equal(first, draw(3, 7))
  for words in [(4, 7), (3, 8), (7, 3), (3 + 2 ** 31, 7), (3, 7 + 2 ** 31)]:
    assert abs(np.corrcoef(first, draw(*words))[0, 1]) < 4 / math.sqrt(NUM_DRAWS)


def test_gates_are_the_same_alone_and_in_a_batch():
  logits = {"a": np.random.default_rng(0).standard_normal((4, 50)).astype(np.float32)}
  keys = jax.random.split(jax.random.key(5), 4)
  draw = jax.jit(lambda key, x: _gates.sample_relaxed_mask(key, x, temperature=0.2))
  batched = jax.jit(jax.vmap(draw))(keys, logits)["a"]
  for i in range(4):
    alone = draw(keys[i], {"a": logits["a"][i]})["a"]
    np.testing.assert_allclose(batched[i], alone, rtol=1e-6)


@pytest.mark.parametrize("keep_fraction", [0.05, 0.5, 0.9])
def test_kl_is_zero_at_the_prior_and_positive_elsewhere(x64, keep_fraction):
  def kl(value):
    return float(kl_and_gradient({"a": np.asarray([value])}, keep_fraction)[0])
  prior = logit(keep_fraction)
  assert abs(kl(prior)) < 1e-14
  for step in (-60, -5, -1, -0.01, 0.01, 1, 5, 60):
    assert kl(prior + step) > 1e-7, step


@pytest.mark.parametrize("p, prior, expected", [
    (0.75, 0.5, 0.75 * math.log(1.5) + 0.25 * math.log(0.5)),
    (0.5, 0.05, 0.5 * math.log(10) + 0.5 * math.log(0.5 / 0.95)),
    (0.01, 0.05, 0.01 * math.log(0.2) + 0.99 * math.log(0.99 / 0.95)),
])
def test_kl_closed_form(p, prior, expected):
  actual, _ = kl_and_gradient({"a": np.asarray([logit(p)], np.float32)}, prior)
  np.testing.assert_allclose(actual, expected, rtol=2e-5)


def test_kl_is_a_sum_over_the_weights_of_all_arrays():
  full = lambda *shape: np.full(shape, logit(0.75), np.float32)
  one, _ = kl_and_gradient({"a": full(1)}, 0.5)
  ten, _ = kl_and_gradient({"a": full(2, 3), "b": {"c": full(4)}}, 0.5)
  np.testing.assert_allclose(ten, 10 * one, rtol=1e-5)


@pytest.mark.parametrize("value, keep_fraction, expected", [
    (60., 0.05, -math.log(0.05)), (-60., 0.05, -math.log(0.95)), (-60., 0.9, -math.log(0.1)),
])
def test_kl_of_a_certain_weight_is_the_surprise_of_the_prior(value, keep_fraction, expected):
  actual, _ = kl_and_gradient({"a": np.asarray([value], np.float32)}, keep_fraction)
  np.testing.assert_allclose(actual, expected, rtol=1e-5)


@pytest.mark.parametrize("value", [-8., -1., -1e-3, 0., 1e-3, 1., 8.])
def test_kl_gradient_closed_form(value):
  # p (1 - p) (logit - prior logit). Zero is where every logit starts.
  p = sigmoid(value)
  _, gradient = kl_and_gradient({"a": np.asarray([value], np.float32)}, 0.05)
  np.testing.assert_allclose(gradient["a"], [p * (1 - p) * (value - logit(0.05))], rtol=2e-4)


@pytest.mark.parametrize("value", [-200., -60., 60., 200.])
def test_kl_and_its_gradient_are_finite_for_any_logit(value):
  kl, gradient = kl_and_gradient({"a": np.asarray([value], np.float32)}, 0.05)
  assert np.isfinite(kl) and np.isfinite(gradient["a"]).all()


def test_mean_logit_weighs_every_weight_alike():
  logits = {"a": jnp.asarray([1., 2., 3.]), "b": jnp.asarray([[-10.]])}
  assert float(_gates.mean_logit(logits)) == -1.0


def test_dropped_weights_stay_at_zero():
  params, mask = trees.random_scores(5), _top_k.top_k_mask(trees.random_scores(6), 20)
  optimizer = optax.adam(0.1)
  trained = _gates.apply_mask(params, mask)
  np.testing.assert_array_equal(trees.flat(trained), trees.flat(params) * trees.flat(mask))
  loss = lambda p: sum(jnp.sum(jnp.square(leaf - 3))
                       for leaf in jax.tree.leaves(_gates.apply_mask(p, mask)))
  @jax.jit
  def step(trained, state):
    updates, state = optimizer.update(jax.grad(loss)(trained), state)
    return optax.apply_updates(trained, updates), state
  state = optimizer.init(trained)
  for _ in range(3):
    trained, state = step(trained, state)
  dropped = trees.flat(mask) == 0
  assert not trees.flat(trained)[dropped].any()
  assert (trees.flat(trained)[~dropped] != trees.flat(params)[~dropped]).all()
