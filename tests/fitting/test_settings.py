"""Settings of both stages: wrong ones name themselves at once, and any optax transformation is taken."""

import dataclasses

import optax
import pytest

from oes_jax import fitting

MASK = [
    ({"num_steps": 0}, r"^num_steps=0 is not allowed; allowed: 1 or more\.$"),
    ({"learning_rate": float("inf")}, r"^learning_rate=inf is not allowed; allowed: a number > 0; whole numbers below .*\.$"),
    ({"schedule": "linear"}, r"^schedule='linear' is unknown; allowed: constant, cosine\.$"),
    ({"kl_weight": -1.0}, "^kl_weight=-1.0 .*a number >= 0"),
    ({"temperature": 0.0}, "^temperature=0.0 .*a number > 0"),
    ({"keep_fraction": 0.0}, r"^keep_fraction=0.0 .*allowed: a number in \(0, 1\], or None for automatic"),
    ({"scope": "local"}, "^scope='local' is unknown; allowed: global, layerwise"),
    ({"prune": "norms"}, r"^prune='norms' is unknown; allowed: all, kernels, or None\.$"),
    ({"optimizer": "adam"}, "^optimizer='adam' .*GradientTransformation"),
]
WEIGHTS = [
    ({"num_steps": 0}, "^num_steps=0 .*1 or more"),
    ({"average_decay": 0.99999}, "^average_decay=.*or 1 for the plain mean"),
    ({"average_from": -1}, "^average_from=-1 .*0 or more"),
    ({"average_from": 1500}, "^average_from=1500 leaves nothing to average; .* less than num_steps=1500"),
    ({"sgld_noise": -1.0}, "^sgld_noise=-1.0 .*in learning rates"),
    ({"input_noise": -1.0}, "^input_noise=-1.0 "),
    ({"guard": "truth"}, r"^guard='truth' is unknown; allowed: variance, held_out, or None\.$"),
    ({"guard": "variance", "num_steps": 99, "guard_window": 100}, "^guard='variance' needs num_steps=99 to be at least guard_window=100"),
    ({"guard_window": 1}, "^guard_window=1 .*from 2 to 1000"),
    ({"guard_patience": 0}, "^guard_patience=0 .*1 or more"),
    ({"held_out": 0.6}, r"^held_out=0.6 .*\(0, 0.5\]"),
    ({"optimizer": 1}, "^optimizer=1 "),
]


@pytest.mark.parametrize("given, said", MASK)
def test_wrong_settings_of_the_mask_stage_name_themselves(given, said):
  with pytest.raises(ValueError, match=said):
    fitting.LearnMask(**given)


@pytest.mark.parametrize("given, said", WEIGHTS)
def test_wrong_settings_of_the_weight_stage_name_themselves(given, said):
  with pytest.raises(ValueError, match=said):
    fitting.TrainWeights(**given)


def test_bounds_are_allowed():
  fitting.LearnMask(num_steps=1, kl_weight=0, keep_fraction=1, prune="kernels", scope="layerwise")
  fitting.TrainWeights(
      num_steps=100, average_decay=1, average_from=99, guard="variance", guard_window=100, held_out=0.5)


def test_any_optax_transformation_is_taken_and_settings_are_hashable():
  for kind in (fitting.LearnMask, fitting.TrainWeights):
    made = kind(optimizer=optax.sgd(0.1))
    assert hash(made) != hash(kind()) and dataclasses.replace(made, optimizer=None) == kind()


def test_a_section_of_a_config_holds_no_optimizer():
  section = dataclasses.asdict(fitting.TrainWeights(num_steps=7))
  del section["optimizer"]
  assert fitting.TrainWeights.from_section(section, "weights.") == fitting.TrainWeights(num_steps=7)
  with pytest.raises(ValueError, match=r"^weights.average_from=7 leaves .* less than weights.num_steps=7"):
    fitting.TrainWeights.from_section({**section, "average_from": 7}, "weights.")


def test_presets_are_settings_of_both_stages():
  sections = {"mask": fitting.LearnMask, "weights": fitting.TrainWeights}
  for key, value in fitting.PAPER.items():
    section, name = key.split(".")
    sections[section](**{name: value})
  assert {key.split(".")[0] for key in fitting.PAPER} == {"mask", "weights"}
