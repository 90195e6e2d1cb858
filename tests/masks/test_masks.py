"""Tests of masks: distribution of the gates, divergence from the prior, exact counts of top-k."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from oes_jax.masks import _masks as masks

TEMPERATURES = (0.2, 0.3, 1.0)  # 1 / temperature whole and not: the gates have a form for each
NUM_DRAWS = 20_000


def logit(p):
  return math.log(p / (1 - p))


def sigmoid(x):
  return 1 / (1 + math.exp(-x))


def random_scores(seed):
  """A small tree with arrays of several ranks."""
  rng = np.random.default_rng(seed)
  shapes = {"conv": {"kernel": (2, 2, 3, 4), "bias": (4,)}, "norm": {"scale": (1,)}}
  return jax.tree.map(lambda shape: jnp.asarray(rng.standard_normal(shape), jnp.float32), shapes,
                      is_leaf=lambda node: isinstance(node, tuple))


def flat(tree):
  return np.concatenate([np.asarray(leaf).ravel() for leaf in jax.tree.leaves(tree)])


# Keep probability and relaxed gates.


@pytest.mark.parametrize("value, expected", [(0., 0.5), (math.log(3), 0.75), (-math.log(19), 0.05)])
def test_keep_probability_hand_check(value, expected):
  logits = masks.init_mask_logits({"a": jnp.ones((2, 3)), "b": jnp.ones(1)}, value=value)
  probability = masks.keep_probability(logits)
  assert probability["a"].shape == (2, 3) and probability["b"].shape == (1,)
  np.testing.assert_allclose(flat(probability), expected, rtol=1e-6)


def test_logits_start_at_one_half_and_are_shaped_like_the_params():
  params = random_scores(0)
  logits = masks.init_mask_logits(params)
  assert jax.tree.structure(logits) == jax.tree.structure(params)
  for a, b in zip(jax.tree.leaves(logits), jax.tree.leaves(params)):
    assert a.shape == b.shape and a.dtype == b.dtype
  assert not flat(logits).any()


sample_gates = jax.jit(masks.sample_relaxed_mask, static_argnames="temperature")
kl_and_gradient = jax.jit(jax.value_and_grad(masks.kl_to_prior), static_argnums=1)
top_k_mask = jax.jit(masks.top_k_mask)


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
    gates = masks.sample_relaxed_mask(jax.random.key(1), logits, temperature=temperature)["a"]
    return jnp.sum(gates), gates
  gradient, gates = jax.jit(jax.grad(total, has_aux=True))(logits)
  expected = gates * (1 - gates) / temperature
  np.testing.assert_allclose(gradient["a"], expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_gate_gradient_is_finite_for_any_logit(temperature):
  values = np.asarray([-200, -100, -60, -20, 20, 60, 100, 200], np.float32)
  gradient = jax.jit(jax.grad(lambda x: jnp.sum(
      masks.sample_relaxed_mask(jax.random.key(2), x, temperature=temperature)["a"])))(
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
  draw = jax.jit(lambda key, x: masks.sample_relaxed_mask(key, x, temperature=0.2))
  batched = jax.jit(jax.vmap(draw))(keys, logits)["a"]
  for i in range(4):
    alone = draw(keys[i], {"a": logits["a"][i]})["a"]
    np.testing.assert_allclose(batched[i], alone, rtol=1e-6)


# Divergence from the prior.


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
  assert float(masks.mean_logit(logits)) == -1.0


# Choosing the mask.


@pytest.mark.parametrize("count", [0, 1, 5, 26, 52, 53])
def test_top_k_mask_keeps_exactly_the_largest(count):
  scores = random_scores(1)
  mask = top_k_mask(scores, count)
  assert jax.tree.structure(mask) == jax.tree.structure(scores)
  for a, b in zip(jax.tree.leaves(mask), jax.tree.leaves(scores)):
    assert a.shape == b.shape and a.dtype == b.dtype
  kept, values = flat(mask), flat(scores)
  assert set(kept) <= {0, 1} and kept.sum() == count
  if 0 < count < values.size:
    assert values[kept == 1].min() > values[kept == 0].max()


@pytest.mark.parametrize("count", [0, 1, 3, 5, 8])
def test_top_k_mask_keeps_the_earlier_of_equal_scores(count):
  scores = {"a": np.ones(3), "b": np.ones((2, 2)), "c": np.ones(1)}
  np.testing.assert_array_equal(
      flat(top_k_mask(scores, count)), [1] * count + [0] * (8 - count))


def test_top_k_mask_hand_check():
  scores = {"a": jnp.asarray([[0.1, 0.9], [0.5, 0.5]]), "b": jnp.asarray([0.5, -2.0, 0.7])}
  mask = masks.top_k_mask(scores, 4)
  np.testing.assert_array_equal(mask["a"], [[0, 1], [1, 1]])
  np.testing.assert_array_equal(mask["b"], [0, 0, 1])


def test_top_k_mask_compiles_once_for_all_counts():
  scores, traces = random_scores(2), []
  @jax.jit
  def traced(scores, count):
    traces.append(count)
    return masks.top_k_mask(scores, count)
  for count in (0, 7, 53):
    np.testing.assert_array_equal(
        flat(traced(scores, count)), flat(masks.top_k_mask(scores, count)))
  assert len(traces) == 1


def test_top_k_mask_counts_may_differ_in_a_batch():
  scores = jax.tree.map(lambda leaf: np.stack([leaf] * 3), random_scores(3))
  mask = jax.jit(jax.vmap(masks.top_k_mask))(scores, np.asarray([1, 10, 53]))
  sums = sum(np.asarray(leaf).reshape(3, -1).sum(1) for leaf in jax.tree.leaves(mask))
  np.testing.assert_array_equal(sums, [1, 10, 53])


@pytest.mark.parametrize("keep_fraction", [0.003, 0.05, 0.31, 0.5, 0.999, 1.0])
def test_layerwise_counts_are_shares_and_exact_in_all(keep_fraction):
  sizes = [5000, 777, 16, 16, 3, 1]
  counts = masks.layerwise_counts(keep_fraction, sizes)
  assert sum(counts) == int(keep_fraction * sum(sizes))
  assert all(1 <= count <= size for count, size in zip(counts, sizes))
  assert counts[0] == pytest.approx(keep_fraction * sizes[0], abs=6)


@pytest.mark.parametrize("keep_fraction, kernel, bias, scale", [
    (0.01, 1, 1, 1), (0.25, 11, 1, 1), (0.5, 23, 2, 1), (0.6, 28, 2, 1), (1.0, 48, 4, 1)])
def test_layerwise_mask_keeps_a_share_of_each_array(keep_fraction, kernel, bias, scale):
  scores = random_scores(4)
  mask = masks.layerwise_top_k_mask(scores, keep_fraction)
  assert np.sum(mask["conv"]["kernel"]) == kernel
  assert np.sum(mask["conv"]["bias"]) == bias
  assert np.sum(mask["norm"]["scale"]) == scale
  values, kept = flat(scores["conv"]["kernel"]), flat(mask["conv"]["kernel"])
  assert values[kept == 1].min() > values[kept == 0].max(initial=-np.inf)


@pytest.mark.parametrize("keep_fraction, num_weights, expected", [
    (0.05, 3_008_867, 150_443), (1, 10, 10), (1.0, 10, 10), (0.5, 3, 1), (0.1, 10, 1)])
def test_keep_count_rounds_down(keep_fraction, num_weights, expected):
  count = masks.keep_count(keep_fraction, num_weights)
  assert count == expected and isinstance(count, int)


@pytest.mark.parametrize("keep_fraction", [0, 0.0, -0.1, 1.01, 5, math.nan, math.inf, "0.05", None])
def test_keep_count_names_the_config_key(keep_fraction):
  with pytest.raises(ValueError, match=r"mask\.keep_fraction=.* is not allowed; allowed: a number"):
    masks.keep_count(keep_fraction, 1000)


def test_keep_count_refuses_to_keep_nothing():
  with pytest.raises(ValueError, match=r"mask\.keep_fraction=0\.0005 keeps none of 1000.*0\.001"):
    masks.keep_count(0.0005, 1000)


# Applying it.


def test_dropped_weights_stay_at_zero():
  params, mask = random_scores(5), masks.top_k_mask(random_scores(6), 20)
  optimizer = optax.adam(0.1)
  trained = masks.apply_mask(params, mask)
  np.testing.assert_array_equal(flat(trained), flat(params) * flat(mask))
  loss = lambda p: sum(jnp.sum(jnp.square(leaf - 3))
                       for leaf in jax.tree.leaves(masks.apply_mask(p, mask)))
  @jax.jit
  def step(trained, state):
    updates, state = optimizer.update(jax.grad(loss)(trained), state)
    return optax.apply_updates(trained, updates), state
  state = optimizer.init(trained)
  for _ in range(3):
    trained, state = step(trained, state)
  dropped = flat(mask) == 0
  assert not flat(trained)[dropped].any()
  assert (flat(trained)[~dropped] != flat(params)[~dropped]).all()


def test_count_and_density_hand_check():
  mask = {"a": jnp.asarray([[1, 0], [0, 1], [0, 0]]), "b": {"c": jnp.asarray([1., 0.])}}
  assert masks.count_weights(mask) == 8
  assert masks.density(mask) == 3 / 8


@pytest.mark.parametrize("value, expected", [(0., 0.0), (1., 1.0)])
def test_density_of_uniform_masks(value, expected):
  assert masks.density(masks.init_mask_logits(random_scores(0), value=value)) == expected
