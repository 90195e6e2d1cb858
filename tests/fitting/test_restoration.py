"""The two objectives and stages on a small generator."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import single

from oes_jax.fitting import _objectives as objectives
from oes_jax.fitting import _restoration as restoration
from oes_jax.generators import _generators as generators
from oes_jax.masks import _compaction as compaction
from oes_jax.masks import _masks as masks

SHAPE = (16, 16, 1)


@pytest.mark.parametrize("scope", ["global", "layerwise"])
def test_ranks_give_the_masks_of_threshold_scores(scope):
  rng = np.random.default_rng(0)
  scores = {"a": jnp.asarray(rng.integers(0, 9, (4, 5)), jnp.float32),  # with ties
            "b": jnp.asarray(rng.random(30), jnp.float32)}
  mask_at = restoration._ranked(scores, scope)
  for fraction in (0.03, 0.1, 0.33, 0.5):  # 0.03: layer-wise still one of each array
    expected = restoration.threshold_scores(scores, fraction, scope=scope)
    for name, kept in mask_at(fraction).items():
      np.testing.assert_array_equal(kept, expected[name] != 0)


@pytest.fixture(name="small", scope="module")
def fixture_small():
  generator = generators.make_generator(
      "hourglass", image_shape=SHAPE, num_scales=1, channels=(6,))
  params, logits = generator.init(restoration.stream_key(0, "params"))
  net_input = generators.sample_net_input(
      restoration.stream_key(0, "net_input"), generator.net_input_shape)
  ramp = jnp.linspace(0.05, 0.35, 16)  # far from the mean 0.5 of an untrained output
  measurement = jnp.broadcast_to(ramp[:, None, None], SHAPE)
  return generator, params, logits, objectives.Problem(net_input, measurement)


def test_mask_objective_is_mean_error_plus_weighted_kl(small):
  generator, params, logits, problem = small
  objective = jax.jit(objectives.make_mask_objective(generator.apply, temperature=0.2))
  key = jax.random.key(3)
  prior = objectives.Prior(params, keep_fraction=0.05, kl_weight=1e-4)
  loss, (image, metrics) = objective(logits, prior, problem, key)
  expected = jax.jit(lambda params, logits: generator.apply(masks.apply_mask(
      params, masks.sample_relaxed_mask(key, logits, temperature=0.2)), problem.net_input))(params, logits)
  np.testing.assert_allclose(image, expected, rtol=1e-5)
  mse = np.mean((np.asarray(expected) - np.asarray(problem.measurement)) ** 2)
  np.testing.assert_allclose(metrics["mse"], mse, rtol=1e-5)
  size = masks.count_weights(params)
  kl = size * (0.5 * np.log(0.5 / 0.05) + 0.5 * np.log(0.5 / 0.95))  # every logit is 0
  np.testing.assert_allclose(metrics["kl"], kl, rtol=1e-4)
  np.testing.assert_allclose(loss, mse + 1e-4 * kl, rtol=1e-4)
  assert metrics["mean_logit"] == 0


def test_both_stages_lower_their_error(small):
  generator, params, logits, problem = small
  stage = single.mask_stage(
      generator, params, logits, problem, seed=0, num_steps=60, keep_fraction=0.3, kl_weight=1e-8,
      temperature=0.2, learning_rate=0.3, schedule="cosine", length=20)
  _, record = single.run(stage)
  assert record["mse"][-20:].mean() < 0.8 * record["mse"][:5].mean()
  mask = restoration.dense_mask(params)
  stage = single.weight_stage(
      generator, params, mask, problem, seed=0, num_steps=60, learning_rate=0.01, length=20)
  _, record = single.run(stage)
  assert record["mse"][-1] < 0.5 * record["mse"][0]
  assert stage.program.cost.flops > 1e5
  assert stage.program.cost.peak_bytes > 1e5


def test_dead_weights_stay_exactly_zero(small):
  generator, params, _, problem = small
  scores = restoration.random_scores(restoration.stream_key(0, "random_mask"), params)
  mask = restoration.threshold_scores(scores, 0.5, scope="global")
  stage = single.weight_stage(
      generator, params, mask, problem, seed=0, num_steps=25, learning_rate=0.01, length=25)
  state, _ = single.run(stage)
  moved = 0
  for weight, kept, start in zip(*(jax.tree.leaves(t) for t in (state.trainable, mask, params))):
    weight, kept = np.asarray(weight), np.asarray(kept) != 0
    assert not np.any(weight[~kept])
    moved += np.sum(weight[kept] != np.asarray(start)[kept])
  assert moved > 0


def test_streams_differ_and_repeat():
  keys = {name: tuple(np.asarray(jax.random.key_data(restoration.stream_key(0, name))))
          for name in restoration.STREAMS}
  assert len(set(keys.values())) == len(restoration.STREAMS)
  again = tuple(np.asarray(jax.random.key_data(restoration.stream_key(0, "mask"))))
  assert again == keys["mask"]
  assert again != tuple(np.asarray(jax.random.key_data(restoration.stream_key(1, "mask"))))


def test_collapse_is_found_by_structure_and_by_output(small):
  generator, params, _, problem = small
  dense = restoration.dense_mask(params)
  image = restoration.masked_output(generator, params, dense, problem.net_input)
  assert restoration.find_collapse(generator, dense, image) == []
  dead = jax.tree.map(lambda m: m, dense)
  dead["decoder_01"]["norm_out"]["scale"] = jnp.zeros(6)
  image = restoration.masked_output(generator, params, dead, problem.net_input)
  findings = restoration.find_collapse(generator, dead, image)
  assert any("norm decoder_01/norm_out has no live channel" in f for f in findings)
  assert any("varies by" in f for f in findings)
  flat = jnp.concatenate([image + 0.1 * problem.measurement, image], -1)  # of two channels the second is constant
  assert restoration.find_collapse(generator, dense, flat) == [
      f"the masked, untrained image varies by {float(jnp.std(image)):.1g} only, in channel 2"]


def test_layerwise_scope_keeps_a_share_of_every_array(small):
  _, params, _, _ = small
  scores = restoration.random_scores(jax.random.key(0), params)
  mask = restoration.threshold_scores(scores, 0.25, scope="layerwise")
  leaves = jax.tree.leaves(mask)
  assert sum(int(np.sum(leaf)) for leaf in leaves) == int(0.25 * masks.count_weights(params))
  for leaf in leaves:
    assert np.sum(leaf) == pytest.approx(0.25 * leaf.size, abs=3) and np.sum(leaf) >= 1


@pytest.mark.parametrize("values, weights, expected", [
    (786432, 3008867, 0.05),     # 512x512 RGB: the authors' density
    (76800, 2040803, 0.05),      # a small image: not below it
    (786432, 1072739, 0.1393),   # 0.19 weights per value
    (4096 * 4096 * 3, 3008867, 0.5),
])
def test_automatic_density(values, weights, expected):
  assert restoration.automatic_keep_fraction(values, weights) == pytest.approx(expected, rel=0.01)


def test_the_fraction_found_is_the_smallest_that_acts(small):
  generator, params, _, _ = small
  # Norms, the head and a fifth of every kernel rank first, so that what acts grows gradually.
  scores = jax.tree.map(lambda s: s + (s > 0.8) if s.ndim > 1 else s + 1,
                        restoration.random_scores(jax.random.key(0), params))
  def acting(fraction):
    mask = restoration.threshold_scores(scores, fraction, scope="global")
    return sum(row.acting for row in compaction.density_report(
        generator.graph, mask, generator.net_input_shape[-1]))
  target = acting(0.3)
  assert 500 < target < int(0.3 * masks.count_weights(params))  # some that are kept cannot act
  found = restoration.fraction_that_acts(generator, scores, target, scope="global")
  assert acting(found) >= target > acting(found / 1.02)
  assert restoration.fraction_that_acts(generator, scores, 10 ** 9, scope="global") == 0.5
