"""Many images in memory: alone as in a batch, from every kind of mask, compacted or not, and where one fails."""

import functools

import jax
import numpy as np
import optax
import pytest

from oes_jax import fitting
from oes_jax import generators
from oes_jax import masks
from oes_jax import noise
from oes_jax import operators
from oes_jax import random
from oes_jax.fitting import _program
from oes_jax.fitting import _restore_problems

SHAPE = (16, 16, 1)
LEARN = fitting.LearnMask(num_steps=3, keep_fraction=0.6)
WEIGHTS = fitting.TrainWeights(num_steps=5)
DENSITY = fitting.Density(0.6, None)


@pytest.fixture(name="decoder", scope="module")
def fixture_decoder():
  return generators.deep_decoder(SHAPE, num_scales=1, channels=(4, 5))


@pytest.fixture(name="fed", scope="module")
def fixture_fed():
  """A network that is fed with the first image of what was measured."""
  return generators.skip_hourglass(SHAPE, num_scales=1, channels=(4,), skip_channels=2, input_channels=1)


@pytest.fixture(name="network")
def fixture_network(tiny):
  return tiny[0]


def _problems(generator, count):
  rng = np.random.default_rng(0)
  net_input = np.asarray(generator.default_input())
  return [fitting.Problem(rng.uniform(0.1, 0.4, SHAPE).astype(net_input.dtype), net_input=net_input)
          for _ in range(count)]


def _recorrupted(count):
  """Problems whose generator is fed with what was measured, made anew in every step."""
  rng, operator = np.random.default_rng(0), operators.identity(SHAPE)
  number = jax.numpy.result_type(float).type
  return [fitting.pose(operator, (), rng.uniform(0.1, 0.4, SHAPE).astype(number), noise.gaussian(), None,
                       recorruption=fitting.Recorruption(noise.gaussian(number(0.1)), number(0.5), number(1), flips=True))
          for _ in range(count)]


def _count_kept(restored):
  return sum(int(leaf.sum()) for leaf in jax.tree.leaves(restored.mask))


def _restore(generator, problems, seeds, truths=None, **options):
  plan = fitting.Plan(**{"source": "learn", "learn": LEARN, "weights": WEIGHTS, **options})
  return fitting.restore_problems(generator, problems, seeds, [DENSITY] * len(problems), plan, truths)


def _assert_near(one, other):
  """In float64: in float32 Adam makes of a gradient that is zero but for rounding a step of its own."""
  assert one.image.dtype == np.float64
  jax.tree.map(np.testing.assert_array_equal, one.mask, other.mask)
  for name in ("image", "last"):
    np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["network", "fed"])
def test_an_image_of_a_batch_is_the_image_alone_and_what_is_compiled_serves_again(x64, request, name, monkeypatch):
  network = request.getfixturevalue(name)
  compiled, compile_stage = [], _program.compile_stage
  def counting(stage, *args, **options):
    compiled.append(stage.name)
    return compile_stage(stage, *args, **options)
  monkeypatch.setattr(_program, "compile_stage", counting)
  _restore_problems._PROGRAMS.clear()
  problems = _problems(network, 2) if name == "network" else _recorrupted(2)
  together = _restore(network, problems, [3, 4])
  assert compiled == ["mask", "weights"]
  alone, = _restore(network, problems[1:], [4])
  assert compiled == ["mask", "weights"] * 2
  _assert_near(together[1], alone)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), together[1].params, alone.params)
  again = _restore(network, problems[:1], [3])[0]
  assert len(compiled) == 4
  _assert_near(together[0], again)
  assert (together[0].image != together[1].image).any()


@pytest.mark.slow
def test_a_restoration_says_what_it_came_from(network):
  problems = _problems(network, 1)
  blind, = _restore(network, problems, [3])
  restored, = _restore(network, problems, [3], truths=[problems[0].measurement])
  np.testing.assert_array_equal(blind.image, restored.image)
  assert set(restored.traces) == {"mask", "weights"}
  assert restored.traces["mask"]["kl"].shape == (3,) and restored.traces["weights"]["psnr_average"].shape == (5,)
  assert "psnr" not in blind.traces["weights"]
  error = np.mean(np.square(np.asarray(restored.last) - problems[0].measurement))
  assert restored.traces["weights"]["psnr"][-1] == pytest.approx(-10 * np.log10(error), rel=1e-4)
  assert all(leaf.dtype == bool for leaf in jax.tree.leaves(restored.mask))
  assert _count_kept(restored) == int(0.6 * masks.count_weights(restored.params))
  for weight, kept in zip(jax.tree.leaves(restored.params), jax.tree.leaves(restored.mask)):
    assert weight.shape == kept.shape and not np.asarray(weight)[~kept].any()
  assert set(restored.summary["seconds"]) == {"mask", "weights"} and restored.summary["collapse"] == []


def test_it_is_what_the_two_functions_of_one_image_give(network):
  problem, = _problems(network, 1)
  restored, = _restore(network, [problem], [3], source="dense", learn=fitting.LearnMask())
  params = network.init(random.stream_key(3, "params"))[0]
  expected = fitting.train_weights(network, params, None, problem, random.stream_key(3, "weights"), WEIGHTS)
  np.testing.assert_allclose(restored.image, expected.image, atol=1e-5)
  np.testing.assert_allclose(restored.traces["weights"]["loss"], expected.traces["weights"]["loss"], rtol=1e-5)


@pytest.mark.parametrize("name, path", [
    pytest.param(*case, marks=pytest.mark.slow) for case in (("decoder", ("norm_01",)), ("fed", ("encoder_01", "norm_a")))])
def test_compaction_and_chunks_change_nothing(x64, request, name, path):
  generator = request.getfixturevalue(name)
  given = jax.tree.map(np.array, jax.device_get(masks.threshold(
      masks.random_scores(jax.random.key(0), generator.init(jax.random.key(0))[0]), 0.6)))
  norm = functools.reduce(dict.get, path, given)
  norm["scale"][:2] = norm["offset"][:2] = 0  # two channels that cannot act
  problems = _problems(generator, 1) if name == "decoder" else _recorrupted(1)
  small, = _restore(generator, problems, [3], source="file", given=given, chunk_steps=2)
  whole, = _restore(generator, problems, [3], source="file", given=given, compaction=False, chunk_steps=5)
  _assert_near(small, whole)
  acts = masks.acting_weights(generator.graph, given, generator.net_input_shape[-1])
  for got, want, acting in zip(*map(jax.tree.leaves, (small.params, whole.params, acts))):
    np.testing.assert_allclose(got[acting], want[acting], atol=1e-6)
    assert got.shape == want.shape


@pytest.mark.slow
def test_rounds_of_magnitude_pruning_keep_fewer_and_fewer(decoder):
  restored, = _restore(decoder, _problems(decoder, 1), [3], source="imp", rounds=(2, 2))
  assert list(restored.traces) == ["round_1", "round_2", "weights"]
  assert restored.traces["round_2"]["loss"].shape == (2,)
  assert _count_kept(restored) == int(0.6 * masks.count_weights(restored.params))
  assert restored.mask["norm_01"]["scale"].all()  # kernels alone are pruned


def test_a_guards_choice_is_returned(network):
  weights = fitting.TrainWeights(num_steps=5, guard="variance", guard_window=2)
  restored, = _restore(network, _problems(network, 1), [3], source="random", weights=weights)
  assert 2 <= restored.guarded.step <= 5 and isinstance(restored.guarded.stopped, bool)
  assert restored.guarded.output.shape == SHAPE


def test_an_image_that_fails_leaves_the_others_and_is_named(x64, network):
  problems = _problems(network, 2)
  problems[0] = problems[0].replace(measurement=np.full(SHAPE, np.nan))
  said = r"^image 0: the loss is not finite before step 4 of the mask stage\. No step came before, so that no learning rate"
  with pytest.raises(fitting.Diverged, match=said) as caught:
    _restore(network, problems, [3, 4])
  assert caught.value.restorations[0] is None
  alone, = _restore(network, problems[1:], [4])
  _assert_near(caught.value.restorations[1], alone)


def test_where_all_fail_nothing_is_restored(network):
  weights = fitting.TrainWeights(num_steps=4, optimizer=optax.sgd(float("nan")))
  with pytest.raises(fitting.Diverged, match="of the weights stage. Lower the learning_rate of that stage.$") as caught:
    _restore(network, _problems(network, 1), [3], source="random", weights=weights)
  assert caught.value.restorations == [None]
