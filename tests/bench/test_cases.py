"""What benchmarks of many methods share: configs and cases."""

import pathlib

import pytest

from configs import benchmark
from oes_jax.bench import _cases
from oes_jax import runs

ROOT = pathlib.Path(__file__).parents[2]


def test_a_case_without_a_learned_mask_is_lost_to_those_only_that_need_it(tmp_path):
  config = _cases.read_config(f"{ROOT / 'configs' / 'benchmark.py'}:quick")
  summary = {"folder": str(tmp_path), "mask": {"kept": 2000, "acting": 500, "size": 20000}, "generator": {
      "name": "hourglass", "num_scales": 2, "channels": [16, 32], "image_channels": 3}}
  learned = {("rocket", 0): summary}  # those of the two other images have failed
  of = lambda name: _cases.changes_of(config, name, learned, {"noise.sigma": 0.2})
  assert [list(of(name)) for name in (
      "dense (deep image prior)", "SynFlow, at least as many as can act", "random, 50 %")] == [
          _cases.keys_of(config)] * 3
  assert list(of("SNIP")) == list(of("learned mask, plain mean")) == [("rocket", 0)]
  assert of("SNIP")["rocket", 0]["noise.sigma"] == 0.2
  full = benchmark.get_config("full")  # whose own density is fixed
  assert {change["mask.keep_fraction"] for change in _cases.changes_of(
      full, "SynFlow, at least as many as can act", {}, {}).values()} == {None}
  assert of("learned mask, plain mean")["rocket", 0]["mask.path"] == str(tmp_path / "mask")


@pytest.mark.parametrize("argument, said", [
    ("missing.py", "does not exist"), (str(ROOT / "configs" / "sweep.py"), "has no section `benchmark`")])
def test_a_faulty_config_is_named(argument, said):
  with pytest.raises(ValueError, match=f"--config=.*{said}.*allowed"):
    _cases.read_config(argument)


def test_every_case_has_its_crop_and_seed():
  config = _cases.read_config(f"{ROOT / 'configs' / 'benchmark.py'}:answer")
  listed = _cases.list_cases(config, {("retina", 1): {"mask.source": "dense"}, ("rocket", 0): {}})
  assert [(c.config.data.source, c.config.seed, c.config.mask.source) for c in listed] == [
      ("retina", 1, "dense"), ("rocket", 0, "learn")]
  assert tuple(listed[0].config.data.crop) == dict(config.benchmark.crops)["retina"]
  assert "benchmark" not in listed[0].config
  assert len({c.config.noise.seed for c in listed}) == 2  # every measurement has noise of its own


@pytest.mark.parametrize("preset", benchmark.PRESETS)
def test_presets_are_valid(preset):
  config = _cases.read_config(f"{ROOT / 'configs' / 'benchmark.py'}:{preset}")
  for case in _cases.list_cases(config, {key: {} for key in _cases.keys_of(config)}):
    runs.check_config(case.config)


def test_the_runs_of_quick_serve_tuned():
  quick, tuned = (_cases.read_config(f"{ROOT / 'configs' / 'benchmark.py'}:{name}") for name in ("quick", "tuned"))
  of = lambda config: [runs.plain(case.config) for case in _cases.list_cases(
      config, {key: {} for key in _cases.keys_of(config)})]
  assert tuned.experiment == quick.experiment and of(tuned) == of(quick)


def test_an_image_may_not_come_twice(tmp_path):
  (tmp_path / "twice.py").write_text("""
from configs import benchmark
def get_config():
  config = benchmark.get_config("quick")
  config.benchmark.transfer_crops = (("rocket", (0, 0, 64, 64)),)
  return config
""")
  with pytest.raises(ValueError, match="benchmark.crops and benchmark.transfer_crops hold.*every image once"):
    _cases.read_config(str(tmp_path / "twice.py"))


def test_unknown_methods_are_named(tmp_path):
  (tmp_path / "odd.py").write_text("""
from configs import benchmark
def get_config():
  config = benchmark.get_config("quick")
  config.benchmark.methods = ("lottery",)
  return config
""")
  with pytest.raises(ValueError, match="benchmark.methods or benchmark.networks holds 'lottery'; allowed: learned"):
    _cases.read_config(str(tmp_path / "odd.py"))
