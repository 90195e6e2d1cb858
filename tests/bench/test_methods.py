"""The methods of the comparison: what each changes."""

import pathlib

import jax
import numpy as np
import pytest

from oes_jax.bench import _cases
from oes_jax.bench import _methods
from oes_jax import generators
from oes_jax import masks
from oes_jax import runs

ROOT = pathlib.Path(__file__).parents[2]
SHAPE = (32, 32, 3)
LEARNED = _methods.Learned(
    "mask", 2000, 500, 20000, {"name": "hourglass", "num_scales": 2, "channels": [16, 32]}, SHAPE, 90)


def _weights(channels):
  generator = generators.make_generator("hourglass", image_shape=SHAPE, num_scales=2, channels=channels)
  return masks.count_weights(jax.eval_shape(generator.init, jax.random.key(0))[0])


@pytest.mark.parametrize("count", [3000, pytest.param(20000, marks=pytest.mark.slow)])
def test_a_narrow_net_has_about_as_many_weights(count):
  channels = _methods.narrow_channels(LEARNED.spec, SHAPE, count)
  assert len(channels) == 2 and channels[1] / channels[0] == pytest.approx(2, abs=0.5)
  assert _weights(channels) == pytest.approx(count, rel=0.25)


def test_recorrupted_methods_are_never_told_the_noise_level_and_keep_their_own_steps():
  config = _cases.read_config(f"{ROOT / 'configs' / 'benchmark.py'}:full")
  assert _methods.ENSEMBLES[_methods.ENSEMBLE].count == 4
  for name, source in ((_methods.RECORRUPTED_DENSE, "dense"), (_methods.RECORRUPTED_LEARNED, "learn"),
                       (_methods.ENSEMBLE, "dense")):
    changes = _methods.changes_of(name, 1500, None)
    case, = _cases.list_cases(config, {("retina", 0): changes})
    settings = runs.check_config(case.config)
    assert changes["mask.source"] == source and settings.output.image == "combined"
    assert settings.fit.objective == "recorrupted" and settings.fit.sigma is None
    assert (settings.weights.guard, settings.weights.num_steps) == ("held_out", {"dense": 600, "learn": 400}[source])


def test_what_cannot_be_drawn_anew_is_left_out_and_said(caplog):
  names = (_methods.LEARNED, _methods.RECORRUPTED_DENSE, _methods.ENSEMBLE)
  assert _cases.methods_for(names, "poisson") == list(names) and not caplog.messages
  for model in ("salt_and_pepper", "speckle", "rician"):
    assert _cases.methods_for(names, model) == [_methods.LEARNED]
    assert f"recorrupted, dense is left out: noise of model {model}" in caplog.text


def test_masks_of_criteria_keep_as_many_weights_as_the_learned_one():
  for name in ("random", "magnitude", "SNIP", "GraSP", "SynFlow", "iterative magnitude pruning"):
    changes = _methods.changes_of(name, 90, LEARNED)
    assert masks.keep_count(changes["mask.keep_fraction"], LEARNED.size) == LEARNED.kept
    assert _methods.changes_of(name, 90, None) is None  # nothing to go by
  decoder = _methods.changes_of("narrow deep decoder, as many weights as kept", 90, LEARNED)
  generator = generators.make_generator(
      "deep_decoder", image_shape=SHAPE, num_scales=2, channels=decoder["generator.channels"])
  params = jax.eval_shape(generator.init, jax.random.key(0))[0]
  assert masks.count_weights(params) == pytest.approx(LEARNED.kept, rel=0.1)
  wide = _methods.narrow_channels(generator.spec, SHAPE, 3 * masks.count_weights(params))  # as many, where it has fewer
  assert min(wide) > max(decoder["generator.channels"])


def test_published_rounds_prune_a_fifth_and_are_as_long_as_the_weight_stage():
  config = _cases.read_config(f"{ROOT / 'configs' / 'paper' / 'lottery_tickets.py'}:published")
  case, = _cases.list_cases(config, {("rocket", 0): _methods.changes_of(
      "iterative magnitude pruning", 90, LEARNED._replace(kept=8399, size=1_072_739))})  # means of compare_answer.json
  steps = runs.stage_steps(runs.check_config(case.config))
  assert set(steps.values()) == {config.weights.num_steps}
  kept, spared, size = 8399, 2867, 1_072_739  # norms and biases of the hourglass of 4 scales
  after = [masks.count_after(done / (len(steps) - 1), kept, spared, size) - spared for done in range(len(steps))]
  assert np.divide(after[1:], after[:-1]) == pytest.approx(0.8, abs=0.01) and after[-1] == kept - spared
