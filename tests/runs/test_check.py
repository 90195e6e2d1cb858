"""Faulty values: named with their key in one line, before anything is compiled or written."""

import numpy as np
import pytest

from oes_jax import runs
from runs import tiny_run

BAD = {
    "mask.keep_fraction": [0.0, -0.1, 1.5, float("nan"), 1e-9],
    "mask.num_steps": [0, -3], "weights.num_steps": [-1], "mask.source": ["learned"],
    "mask.path": ["unused"], "experiment": ["../up"], "generator.name": ["unet"], "generator.num_scales": [0],
    "generator.skip_channels": [0], "generator.input": ["image"], "fit.objective": ["r2r"], "fit.sigma": [0.0, 2.0],
    "fit.alpha": [0.0, 1.0], "fit.split": [0.0, 1.5], "fit.flips": [None],
    "generator.channels": [(), (0,), (4.5,)], "data.crop": [(0, 0, 999, 9), (1, 2), (0, 0, 9, 9)],
    "data.range": [(1.0, 1.0), (1.0,), (0.0, float("inf"))], "noise.sigma": [-0.1, float("nan"), 25.0],
    "data.source": ["nope", "missing.png", "configs"], "data.truth": ["coins2"],
    "compute.conv": ["cudnn"], "mask.temperature": [0.0], "weights.average_decay": [1.5, 0.99999999],
    "weights.average_from": [-1, 30], "weights.sgld_noise": [-1.0], "mask.rounds": [0],
    "output.image": ["best", "guarded"], "weights.guard": ["truth"], "weights.held_out": [0.0],
    "weights.guard_window": [1], "mask.schedule": ["linear"], "compute.precision": ["bf16"],
    "checkpoint.every_steps": [0], "compute.chunk_steps": [0], "seed": [-1],
    "output.figures": [None], "compute.compaction": [None], "mask.prune": ["norms"], "compute.dtype": ["float16"],
    "compute.tile": [32, -1], "compute.tile_overlap": [-1, 129],
}


@pytest.mark.parametrize("key, value", [(k, v) for k, values in BAD.items() for v in values])
def test_bad_values_name_key_and_value_and_write_nothing(tmp_path, key, value):
  with pytest.raises((ValueError, OSError)) as caught:
    runs.prepare(tiny_run.config(**{key: value}), str(tmp_path / "run"))
  message = str(caught.value)
  assert "\n" not in message
  assert key in message
  assert not (tmp_path / "run").exists()


def _without(*keys):
  def cut(made):
    for key in keys:
      section, _, name = key.rpartition(".")
      del (made[section] if section else made)[name]
  return cut


def _with(**values):
  def put(made):
    for key, value in values.items():
      _without(key)(made)
      made[key] = value
  return put


@pytest.mark.parametrize("change, said", [
    (_without("mask"), "^the config has no mask; allowed"), (_without("sweep.seeds"), "^the config has no sweep.seeds; allowed"),
    (_without("seed"), "^the config has no seed; allowed"), (_with(data=3), "^data is a int; allowed: a ConfigDict"),
    (_with(sweep=None), "^sweep is None; allowed: a ConfigDict"),
    (lambda made: made.weights.update(num_step=3), "^'weights.num_step' is no key of a config .did you mean 'num_steps'."),
    (lambda made: made.update(more=3), "^'more' is no key of a config.*--help"), (_with(ensemble="2"), "^ensemble='2' is not allowed"),
    (_with(seed=lambda: 3), "^seed=<function .* is not allowed")])
def test_a_config_that_lacks_a_key_or_has_another_is_named(change, said):
  made = tiny_run.config()
  with made.unlocked():
    change(made)
  with pytest.raises(ValueError, match=f"{said}[^\n]*$"):
    runs.read_settings(made)


@pytest.mark.parametrize("made", [None, 3, {"seed": 1}, [1]])
def test_what_is_no_config_is_named(made):
  with pytest.raises(ValueError, match="^the config is .*; allowed: a ConfigDict of every key"):
    runs.check_config(made)


def test_numbers_of_numpy_are_numbers(tmp_path):
  made = tiny_run.config()
  with made.unlocked():
    _with(seed=np.int64(1))(made)
  made.data.crop = tuple(np.array(made.data.crop))
  assert runs.prepare(made, str(tmp_path)).workdir == runs.prepare(tiny_run.config(seed=1), str(tmp_path)).workdir


@pytest.mark.parametrize("changes, said", [
    ({"output.image": "guarded"}, "output.image='guarded' needs weights.guard; allowed: variance, held_out"),
    ({"compute.tile": 64, "operator.name": "mri"},
     "compute.tile=64 cuts an image that operator.name='mri' measures as a"),
    ({"compute.tile": 64, "compute.tile_overlap": 40}, "compute.tile_overlap=40 .* at most half of compute.tile=64"),
    ({"noise.model": "poisson", "operator.name": "mri"}, "noise.model='poisson' is for images.*allowed: gaussian"),
    ({"mask.keep_fraction": 1.0}, "mask.keep_fraction=1.0 leaves nothing to learn or prune"),
    ({"mask.source": "file"}, "mask.source='file' needs mask.path"),
    ({"operator.mask": "lines"}, "operator.mask='lines' is not used by operator.name='identity'; allowed: operator.name=inpainting"),
    ({"operator.kernel": "motion"}, "operator.kernel='motion' is not used by .*allowed: operator.name=deblurring"),
    ({"data.source": " "}, "data.source=' ' is not allowed"),
    ({"mask.path": "a"}, "mask.path='a' is not used by mask.source='learn'"),
    ({"weights.guard": "variance", "weights.guard_window": 100},
     "weights.guard='variance' needs weights.num_steps=30 to be at least weights.guard_window"),
    ({"weights.average_from": 30},
     "weights.average_from=30 leaves nothing to average; allowed: less than weights.num_steps"),
    ({"mask.keep_fraction": 0.001, "mask.source": "snip"},
     "mask.keep_fraction=0.001 keeps .* mask.source='snip' .*mask.prune='all'"),
    ({"fit.sigma": 0.1}, "fit.sigma=0.1 is not used by fit.objective='plain'; allowed: fit.objective='recorrupted'"),
    ({"fit.alpha": 0.4}, "fit.alpha=0.4 is not used by fit.objective='plain'; allowed: fit.objective='recorrupted', or 0.5"),
    ({"fit.split": 1.0}, "fit.split=1.0 is not used by fit.objective='plain'; allowed: .*, or None"),
    ({"fit.flips": True}, "fit.flips=True is not used by fit.objective='plain'; allowed: .*, or False"),
    ({"fit.objective": "recorrupted", "noise.model": "rician"},
     "fit.objective='recorrupted' does not go with noise.model='rician'.*noise.model=gaussian, poisson, poisson_gaussian"),
    ({"fit.objective": "recorrupted", "noise.model": "poisson", "fit.sigma": 0.1},
     "fit.sigma=0.1 is not used by noise.model='poisson'.* allowed: None"),
    ({"fit.objective": "recorrupted", "fit.flips": True}, "fit.flips=True .*generator.input='measurement'"),
    ({"fit.objective": "recorrupted", "fit.split": 0.5},
     "fit.split=0.5 leaves out .* operator.name='identity' has none; allowed: 1"),
    ({"fit.objective": "recorrupted", "operator.name": "gaussian_rows"},
     "operator.name='gaussian_rows': .*fit.sigma=None: .* cannot be estimated .*allowed: fit.sigma"),
    ({"generator.input": "measurement"}, "fit.objective='plain' with generator.input='measurement' .*`:oes`"),
    ({"fit.objective": "recorrupted", "generator.input": "measurement", "generator.name": "deep_decoder"},
     "generator.input='measurement' .*generator.name='deep_decoder' .*allowed: generator.input='noise'"),
    ({"generator.channels": (0,)}, r"generator.channels=\(0,\) .* generator.num_scales=1"),
    ({"data.range": (1.0, 1.0)}, r"data.range=\(1.0, 1.0\) is not allowed; allowed: \(low, high\)")])
def test_values_that_do_not_go_together_are_named_with_both_keys(changes, said):
  with pytest.raises(ValueError, match=f"^{said}"):
    runs.inspect(tiny_run.config(**changes))


def test_a_config_is_checked_into_settings_of_every_section():
  settings = runs.check_config(tiny_run.config(seed=7))
  assert (settings.experiment.seed, settings.learn.num_steps, settings.weights.num_steps) == (7, 24, 30)
  assert (settings.mask.source, settings.learn.keep_fraction, settings.compute.chunk_steps) == ("learn", 0.4, 5)
