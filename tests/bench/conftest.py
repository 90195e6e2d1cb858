"""What tests of the benchmarks share."""

import argparse

import pytest

from oes_jax import fitting
from oes_jax.bench import _methods

SMALL = """
from configs import benchmark
METHODS = (
    "learned mask (OES)", "learned mask, plain mean", "dense (deep image prior)",
    "narrow deep decoder, as many weights as kept", "learned mask shuffled inside arrays", "random", "magnitude",
    "SNIP", "GraSP", "SynFlow", "SynFlow, at least as many as can act", "iterative magnitude pruning",
    "iterative magnitude pruning on the clean image (oracle)", "recorrupted, dense", "recorrupted, learned mask",
    "recorrupted, ensemble of 4")
def get_config():
  config = benchmark.get_config("tuned")
  config.update_from_flattened_dict({
      "generator.num_scales": 1, "generator.channels": (8,), "mask.num_steps": 30, "mask.keep_fraction": 0.4,
      "weights.num_steps": 110, "weights.guard_window": 10, "mask.round_steps": 30, "compute.compilation_cache": ""})
  config.benchmark.update(dict(
      methods=METHODS, crops=(("astronaut", (60, 190, 24, 24)), ("coffee", (60, 190, 24, 24))),
      learning_rates=(0.01, 0.02), tuning_crops=(("rocket", (60, 190, 24, 24)),),
      transfer_crops=(("retina", (600, 600, 24, 24)),),
      transfer_corruptions=benchmark.TRANSFER_CORRUPTIONS[1:], densities=(0.1, 0.5), sigmas=(0.1, 0.3),
      texture_crops=(("brick", (60, 190, 24, 24)),), inverse_seeds=(0,)))
  config.benchmark.problems = tuple(
      (name, (("rocket", (90, 260, 24, 24)), ("retina", (600, 600, 24, 24))) if images == benchmark.COLOUR else
       (("cell", (280, 200, 24, 24)),), changes) for name, images, changes in benchmark.PROBLEMS)
  return config
"""


@pytest.fixture(name="arguments")
def fixture_arguments(tmp_path, monkeypatch):
  for key, value in {"generator.num_scales": 1, "weights.num_steps": 60, "mask.num_steps": 20}.items():
    for changed in (fitting.RECORRUPTED, _methods.RECORRUPTED_MASK):
      monkeypatch.setitem(changed, key, value)
  monkeypatch.setitem(fitting.RECORRUPTED_OPERATOR_PRESETS, "mri", {
      **fitting.RECORRUPTED_OPERATOR_PRESETS["mri"], "generator.num_scales": 1, "weights.num_steps": 60})
  (tmp_path / "small.py").write_text(SMALL)
  return argparse.Namespace(config=str(tmp_path / "small.py"), folder=str(tmp_path / "runs"),
                            output=str(tmp_path / "record.json"), extends=None)
