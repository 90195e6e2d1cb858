"""A compacted network gives the image, the gradients and the training of the masked full one."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oes_jax import fitting
from oes_jax import generators
from oes_jax import random
from oes_jax.masks import _acting
from oes_jax.masks import _compaction
from oes_jax.masks import _density
from oes_jax.masks import _gates
from oes_jax.masks import _top_k


CASES = [("hourglass", (6, 8)), ("deep_decoder", (6, 7, 8))]  # of two scales
SMALL = [("hourglass", (6,)), ("deep_decoder", (6, 7))]  # of one
HOURGLASSES = [pytest.param("hourglass", marks=pytest.mark.slow), "skip_hourglass"]  # the second has all of the first


def _problem(name, channels, *, keep_fraction, seed, alive=True, **options):
  """Return generator, params, mask and problem in the default float type."""
  generator = generators.make_generator(
      name, image_shape=(16, 18, 2), num_scales=len(channels) - (name == "deep_decoder"), channels=channels, **options)
  params, _ = generator.init(random.stream_key(seed, "params"))
  params = jax.jit(lambda tree: jax.tree.map(  # scales and offsets that differ from channel to channel
      lambda p: p + 0.1 * jax.random.normal(jax.random.key(p.size), p.shape), tree))(params)
  scores = _density.random_scores(jax.random.key(seed), params)
  mask = _top_k.threshold(scores, keep_fraction, scope="global")
  if alive:  # one path stays open, so that sparse masks leave an image
    mask = jax.jit(lambda tree: jax.tree.map(lambda m: m.at[(0,) * m.ndim].set(1), tree))(mask)
  net_input = generators.sample_net_input(jax.random.key(1), generator.net_input_shape)
  measurement = jax.random.uniform(jax.random.key(2), (16, 18, 2))
  return generator, params, mask, fitting.Problem(measurement, net_input=net_input)


class _Small(NamedTuple):
  """A compacted problem, and the plan by which it was."""
  plan: Any
  params: Any
  mask: Any
  problem: Any


def _compact(generator, params, mask, problem):
  plan = fitting.plan_compaction(generator, mask, problem)
  return _Small(plan, *fitting.compact(generator, plan, params, mask, problem))


def _value_and_gradient(generator, params, mask, problem):
  objective = fitting.weight_objective(generator.apply)
  (loss, (image, _)), gradient = jax.jit(jax.value_and_grad(objective, has_aux=True))(
      _gates.apply_mask(params, mask), mask, problem, jax.random.key(0))
  return loss, image, gradient


@pytest.mark.parametrize("name, channels, keep_fraction", [
    (*SMALL[1], 0.2), pytest.param(*SMALL[0], 0.2, marks=pytest.mark.slow),
    *(pytest.param("skip_hourglass", (6, 8), share, marks=pytest.mark.slow) for share in (0.05, 0.2, 0.5)),
    *(pytest.param(*case, share, marks=pytest.mark.slow) for case in CASES for share in (0.03, 0.2, 0.6))])
def test_image_and_gradients_are_those_of_the_full_network(x64, name, channels, keep_fraction):
  generator, params, mask, problem = _problem(
      name, channels, keep_fraction=keep_fraction, seed=int(100 * keep_fraction))
  small = _compact(generator, params, mask, problem)
  widths = [next(iter(_acting.arrays_of(params, layer).values())).shape[-1] for layer in generator.graph[:-1]]
  gone = sum(width - columns.size for width, columns in zip(widths, small.plan.columns))
  assert gone > 0 or keep_fraction == 0.6
  _, image, gradient = _value_and_gradient(generator, params, mask, problem)
  _, small_image, small_gradient = _value_and_gradient(
      generator, small.params, small.mask, small.problem)
  np.testing.assert_allclose(small_image, image, rtol=0, atol=1e-10)
  zeros = jax.tree.map(np.zeros_like, params)
  grown = _compaction.expand(generator.graph, small.plan, small_gradient, zeros)
  acting = _acting.acting_weights(generator.graph, mask, generator.net_input_shape[-1])
  for got, want, acts in zip(*(jax.tree.leaves(t) for t in (grown, gradient, acting))):
    np.testing.assert_allclose(got[acts], np.asarray(want)[acts], rtol=1e-7, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("name", HOURGLASSES)
def test_one_float32_step_agrees_to_rounding(name):
  generator, params, mask, problem = _problem(name, (6, 8), keep_fraction=0.6, seed=3)
  small = _compact(generator, params, mask, problem)
  loss, image, _ = _value_and_gradient(generator, params, mask, problem)
  small_loss, small_image, _ = _value_and_gradient(
      generator, small.params, small.mask, small.problem)
  np.testing.assert_allclose(small_loss, loss, rtol=1e-5)
  np.testing.assert_allclose(small_image, image, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", HOURGLASSES)
def test_two_hundred_float64_steps_agree(x64, name):
  generator, params, mask, problem = _problem(name, (6, 8), keep_fraction=0.5, seed=4)
  small = _compact(generator, params, mask, problem)
  runs, settings = [], fitting.TrainWeights(num_steps=200)
  for tree, kept, given in ((params, mask, problem), (small.params, small.mask, small.problem)):
    run = jax.jit(lambda *args: fitting.run_stage(fitting.weight_stage(generator, settings), *args))
    state, record = run(_gates.apply_mask(tree, kept), kept, given, random.stream_key(0, "weights"))
    runs.append((state, record["loss"]))
  (full_state, full_loss), (small_state, small_loss) = runs
  assert small_loss[-1] < 0.7 * small_loss[0]
  np.testing.assert_allclose(small_loss, full_loss, rtol=1e-9)
  np.testing.assert_allclose(small_state.output, full_state.output, atol=1e-9)
  grown = _compaction.expand(generator.graph, small.plan, small_state.trainable, params)
  image = _density.masked_output(generator, grown, mask, problem.net_input)
  again = _density.masked_output(generator, full_state.trainable, mask, problem.net_input)
  np.testing.assert_allclose(image, again, atol=1e-9)


def _filled(graph, plan, index):
  """Say of every output channel of a layer of the small net whether it only fills up the width."""
  if graph[index].kind == "norm":  # of a concatenation every part is filled up by itself
    return np.concatenate([_filled(graph, plan, source) for source in graph[index].sources])
  return np.arange(plan.widths[index]) >= plan.columns[index].size


@pytest.mark.parametrize("name", HOURGLASSES)
@pytest.mark.parametrize("multiple", [pytest.param(1, marks=pytest.mark.slow), 4, pytest.param(8, marks=pytest.mark.slow)])
def test_widths_are_rounded_up_and_filled_with_zeros(name, multiple):
  generator, params, mask, _ = _problem(name, (6, 8), keep_fraction=0.3, seed=5)
  graph = generator.graph
  plan = _compaction.plan_compaction(graph, mask, generator.net_input_shape[-1], multiple=multiple)
  small = _compaction.compact(graph, plan, params)
  for index, (layer, width, columns) in enumerate(zip(graph, plan.widths, plan.columns)):
    filled = _filled(graph, plan, index)
    assert filled.size == width and (~filled).sum() == columns.size
    if layer.kind == "conv" and index < len(graph) - 1:
      assert width == max(1, -(-columns.size // multiple)) * multiple
    for array_name, array in _acting.arrays_of(small, layer).items():
      assert array.shape[-1] == width and not array[..., filled].any()
      if array_name == "kernel" and layer.sources:
        fed = _filled(graph, plan, layer.sources[0])
        assert array.shape[2] == fed.size and not array[:, :, fed].any()


def test_the_parts_of_a_concatenation_are_filled_up_one_by_one():
  generator, params, mask, _ = _problem("skip_hourglass", (6, 8), keep_fraction=0.2, seed=5)
  plan = _compaction.plan_compaction(generator.graph, mask, generator.net_input_shape[-1])
  index = [layer.path for layer in generator.graph].index(("decoder_01", "norm_in"))
  skip, deeper = (plan.columns[source] for source in generator.graph[index].sources)
  assert plan.widths[index] == 16 and skip.size < 4 and deeper.size < 8
  np.testing.assert_array_equal(plan.columns[index], [*skip, *(4 + deeper)])
  full, small = (tree["decoder_01"]["norm_in"]["scale"] for tree in (
      params, _compaction.compact(generator.graph, plan, params)))
  expected = np.zeros(16)
  expected[:skip.size], expected[8:8 + deeper.size] = full[skip], full[4 + deeper]
  np.testing.assert_array_equal(small, expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", HOURGLASSES)
def test_the_whole_network_input_can_be_kept(name):
  generator, params, mask, problem = _problem(name, (6,), keep_fraction=0.6, seed=5, input_channels=3)
  mask["encoder_01"]["conv_a"]["kernel"] = mask["encoder_01"]["conv_a"]["kernel"].at[:, :, 1].set(0)
  if name == "skip_hourglass":
    mask["skip_01"]["conv"]["kernel"] = mask["skip_01"]["conv"]["kernel"].at[:, :, 1].set(0)
  usual, whole = (_compaction.plan_compaction(generator.graph, mask, 3, whole_input=kept) for kept in (False, True))
  assert usual.net_input.tolist() == [0, 2] and usual.input_width == 8
  assert whole.net_input.tolist() == [0, 1, 2] and whole.input_width == 3
  np.testing.assert_array_equal(_compaction.compact_input(whole, problem.net_input), problem.net_input)
  small = _compaction.compact(generator.graph, whole, _gates.apply_mask(params, mask))
  np.testing.assert_allclose(jax.jit(generator.apply)(small, problem.net_input),
                             _density.masked_output(generator, params, mask, problem.net_input), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", HOURGLASSES)
def test_shared_widths_stack_and_leave_each_image_alone(name):
  cases = [_problem(name, (6, 8), keep_fraction=keep, seed=seed)
           for keep, seed in ((0.3, 5), (0.6, 6))]
  generator = cases[0][0]
  channels = generator.net_input_shape[-1]
  plans = [_compaction.plan_compaction(generator.graph, mask, channels, multiple=1)
           for _, _, mask, _ in cases]
  shared = [_compaction.widen(generator.graph, plan, _compaction.widest(plans)) for plan in plans]
  assert plans[0].widths != plans[1].widths and shared[0].widths == shared[1].widths
  small = [(_compaction.compact(generator.graph, plan, params),
            _compaction.compact_input(plan, problem.net_input))
           for plan, (_, params, mask, problem) in zip(shared, cases)
           for params in [_gates.apply_mask(params, mask)]]
  images = jax.jit(jax.vmap(generator.apply))(*jax.tree.map(lambda *leaves: jnp.stack(leaves), *small))
  for image, (_, params, mask, problem) in zip(images, cases):
    expected = _density.masked_output(generator, params, mask, problem.net_input)
    np.testing.assert_allclose(image, expected, atol=1e-5)


@pytest.mark.parametrize("name", HOURGLASSES)
def test_expanding_what_was_gathered_changes_nothing(name):
  generator, params, mask, _ = _problem(name, (6, 8), keep_fraction=0.3, seed=6)
  plan = _compaction.plan_compaction(generator.graph, mask, generator.net_input_shape[-1])
  back = _compaction.expand(
      generator.graph, plan, _compaction.compact(generator.graph, plan, params), params)
  jax.tree.map(np.testing.assert_array_equal, back, params)


@pytest.mark.slow
def test_a_constant_channel_that_reaches_the_head_stays():
  generator, params, mask, problem = _problem("hourglass", (6, 8), keep_fraction=0.9, seed=7)
  norm = mask["decoder_01"]["norm_out"]
  norm["scale"] = norm["scale"].at[1].set(0)
  norm["offset"] = norm["offset"].at[1].set(1)
  mask["head"]["kernel"] = mask["head"]["kernel"].at[0, 0, 1].set(1)
  small = _compact(generator, params, mask, problem)
  assert 1 in small.plan.columns[-2]
  _, image, gradient = _value_and_gradient(generator, params, mask, problem)
  _, small_image, small_gradient = _value_and_gradient(
      generator, small.params, small.mask, small.problem)
  np.testing.assert_allclose(small_image, image, atol=1e-5)
  place = list(small.plan.columns[-2]).index(1)
  np.testing.assert_allclose(small_gradient["decoder_01"]["norm_out"]["offset"][place],
                             gradient["decoder_01"]["norm_out"]["offset"][1], rtol=1e-3)
  assert jnp.abs(gradient["decoder_01"]["norm_out"]["offset"][1]) > 1e-6


@pytest.mark.parametrize("dead", ["skip_02", "encoder_02"])
def test_a_branch_without_a_live_channel_leaves_zeros_that_change_nothing(dead):
  generator, params, mask, problem = _problem("skip_hourglass", (6, 8), keep_fraction=0.6, seed=8)
  mask = {**mask, dead: jax.tree.map(jnp.zeros_like, mask[dead])}
  small = _compact(generator, params, mask, problem)
  index = [layer.path for layer in generator.graph].index(("decoder_02", "norm_in"))
  sources = generator.graph[index].sources
  assert [small.plan.columns[source].size == 0 for source in sources] == [dead == "skip_02", dead == "encoder_02"]
  expected = _density.masked_output(generator, params, mask, problem.net_input)
  image = _density.masked_output(generator, small.params, small.mask, small.problem.net_input)
  np.testing.assert_allclose(image, expected, atol=1e-5)
  assert np.std(expected) > 1e-3


# Norms i of the network input and c of three outputs, of which others feed convs too; d sees a concatenation as it is.
TANGLED = tuple(generators.Layer((name,), kind, sources, passes) for name, kind, sources, passes in (
    ("i", "norm", (), True), ("a", "conv", (), False), ("b", "norm", (1,), True), ("d", "conv", (2, 0), False),
    ("e", "norm", (3,), True), ("c", "norm", (2, 4, 0), False), ("f", "conv", (5,), False), ("g", "norm", (6,), True),
    ("head", "conv", (7,), True)))


def _evaluate(graph, params, net_input):
  """Return what a graph of 1 x 1 convs gives, as it reads."""
  outputs = []
  for layer in graph:
    x = np.concatenate([outputs[source] for source in layer.sources] or [net_input], -1)
    arrays = params[layer.path[0]]
    if layer.kind == "conv":
      x = x @ arrays["kernel"][0, 0] + arrays["bias"]
    else:
      x = (x - x.mean((0, 1))) / np.sqrt(x.var((0, 1)) + 1e-5) * arrays["scale"] + arrays["offset"]
      x = np.where(x > 0, x, 0.2 * x) if layer.constants_pass else x
    outputs.append(x)
  return outputs[-1]


def test_any_graph_of_branches_is_compacted_exactly():
  rng = np.random.default_rng(0)
  outputs, params = {"a": 5, "d": 4, "f": 6, "head": 2}, {}
  for layer in TANGLED:
    fed = sum(outputs[TANGLED[source].path[0]] for source in layer.sources) or 3
    (name,), width = layer.path, outputs.setdefault(layer.path[0], fed)
    shapes = {"kernel": (1, 1, fed, width), "bias": width} if layer.kind == "conv" else {"scale": fed, "offset": fed}
    params[name] = {key: rng.standard_normal(shape) for key, shape in shapes.items()}
  net_input, num_gone, num_varying = rng.standard_normal((6, 7, 3)), 0, 0
  for density in np.repeat([0.3, 0.5, 0.7, 0.9], 25):
    masked = jax.tree.map(lambda p: p * (rng.random(p.shape) < density), params)  # pylint: disable=cell-var-from-loop
    plan = _compaction.plan_compaction(TANGLED, masked, 3, multiple=2)
    wide = _compaction.widen(TANGLED, plan, [*(width + 2 for width in plan.widths[:-1]), 2, plan.input_width + 2])
    expected = _evaluate(TANGLED, masked, net_input)
    for one in (plan, wide):
      small = _compaction.compact(TANGLED, one, masked)
      image = _evaluate(TANGLED, small, _compaction.compact_input(one, net_input))
      np.testing.assert_allclose(image, expected, rtol=0, atol=1e-9)
    num_gone += sum(len(params[layer.path[0]].get("bias", ())) - columns.size
                    for layer, columns in zip(TANGLED, plan.columns) if layer.kind == "conv")
    num_varying += expected.std((0, 1)).max() > 1e-3
  assert num_gone > 100 and num_varying > 40
