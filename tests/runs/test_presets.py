"""Configs: what every file in configs/ resolves to, the operators' presets, and keys that know their types."""

import ast
import json
import pathlib
import runpy

import pytest

from configs import denoise
from oes_jax import files
from oes_jax import fitting
from oes_jax import generators
from oes_jax import noise
from oes_jax import operators
from oes_jax import runs
from oes_jax import settings
from oes_jax.runs import _presets
from oes_jax.runs import _settings

CONFIGS = pathlib.Path(__file__).parent.parent.parent / "configs"
# Of "default" every key as [type, value]; of the others the keys that differ from it. FILE or FILE:PRESET.
RESOLVED = json.loads((pathlib.Path(__file__).parent / "resolved_configs.json").read_text(encoding="utf-8"))


def _flat(config, prefix=""):
  """Return {dotted key: [type, value]}."""
  found = {}
  for name, value in config.items():
    if hasattr(value, "items"):
      found.update(_flat(value, f"{prefix}{name}."))
    else:
      found[f"{prefix}{name}"] = [config.get_type(name).__name__, json.loads(json.dumps(value))]
  return found


def _read(name):
  path, _, preset = name.partition(":")
  return runpy.run_path(str(CONFIGS / f"{path}.py"))["get_config"](*([preset] if preset else []))


@pytest.mark.parametrize("name", RESOLVED)
def test_a_config_resolves_to_the_stored_one(name):
  config = _read(name)
  assert config.is_locked and _flat(config) == {**RESOLVED["default"], **RESOLVED[name]}


def test_every_config_and_every_preset_is_stored():
  files = {path.relative_to(CONFIGS).with_suffix("").as_posix() for path in CONFIGS.rglob("*.py")}
  assert files == {name.partition(":")[0] for name in RESOLVED}
  for name in ("denoise", "inpaint", "deblur", "super_resolution", "mri", "ct", "benchmark"):
    presets = runpy.run_path(str(CONFIGS / f"{name}.py")).get("PRESETS", _presets.PRESETS)
    assert {f"{name}:{preset}" for preset in presets} <= set(RESOLVED)


def test_configs_import_the_library_and_only_claims_share_the_benchmark():
  for path in CONFIGS.rglob("*.py"):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
      if isinstance(node, ast.ImportFrom) and node.module.startswith("configs"):
        assert path.parent.name == "paper" and [alias.name for alias in node.names] == ["benchmark"], path


@pytest.mark.parametrize("operator", operators.FAMILIES)
def test_an_operators_preset_is_that_of_the_library_and_may_be_changed(operator):
  oes = fitting.OPERATOR_PRESETS.get(operator, {})
  quick = oes
  if operator in fitting.RECORRUPTED_OPERATORS:
    quick = {**oes, **fitting.RECORRUPTED, **fitting.RECORRUPTED_OPERATOR_PRESETS.get(operator, {})}
  defaults = {key: value for key, (_, value) in _flat(runs.make_config(preset="oes")).items()}
  recorrupted = operator in fitting.RECORRUPTED_OPERATORS
  preview, best = {**quick, **(fitting.PREVIEW if recorrupted else fitting.PLAIN_PREVIEW)}, {**quick, **fitting.BEST}
  for preset, changed in (("oes", oes), ("quick", quick), ("preview", preview), ("best", best)):
    changed = json.loads(json.dumps(changed))  # tuples are lists there
    config = runs.make_config(operator, preset)
    assert {key: value for key, (_, value) in _flat(config).items()} == {**defaults, **changed, "operator.name": operator}
    runs.check_config(config)
  assert runs.make_config(operator, **{"mask.source": "random"}).mask.source == "random"


def test_the_papers_constants_keep_the_operators_preset():
  config = runs.make_config("super_resolution", "paper", **{"weights.num_steps": 9})
  assert (config.generator.name, config.mask.num_steps, config.weights.num_steps) == ("deep_decoder", 60_000, 9)


def test_the_first_configs_are_quick_and_the_papers():
  quick, paper = denoise.get_config(), denoise.get_config("paper")
  assert quick.mask.num_steps <= 2000 and quick.data.crop is None
  assert (paper.mask.num_steps, paper.mask.learning_rate, paper.mask.kl_weight,
          paper.mask.schedule, paper.mask.temperature) == (60_000, 0.01, 1e-9, "constant", 0.2)
  assert (paper.weights.num_steps, paper.weights.learning_rate, paper.mask.keep_fraction,
          paper.generator.num_scales, paper.noise.sigma) == (40_000, 0.01, 0.05, 6, None)
  assert files.read_picture(quick.data.source).values.shape == (160, 160, 3)
  for config in (quick, paper):
    runs.check_config(config)
  with pytest.raises(ValueError, match="preview, quick, best, oes, paper"):
    denoise.get_config("papr")


@pytest.mark.parametrize("told, objects, preset", [
    ({}, (), "quick"), ({}, ("operator",), "oes"), ({"fit.sigma": 0.1}, ("operator", "mask"), "quick"),
    ({"fit.sigma": 0.1}, ("operator", "generator"), "oes"), ({"fit.sigma": 0.1, "fit.objective": "plain"}, ("operator",), "oes"),
    ({"noise.model": "speckle"}, (), "oes"), ({"method": "auto"}, ("operator",), "quick")])
def test_objects_and_noise_choose_the_preset_of_a_call(told, objects, preset):
  assert runs.preset_of(told, objects) == preset


def test_faults_are_named():
  with pytest.raises(ValueError, match="^operator.name='radar' is unknown; allowed: identity, inpainting"):
    runs.make_config("radar")
  with pytest.raises(ValueError, match="^preset 'papr' is unknown; allowed: preview, quick, best, oes, paper"):
    runs.make_config(preset="papr")
  with pytest.raises(KeyError, match="num_step"):
    runs.make_config(**{"weights.num_step": 3})
  with pytest.raises(TypeError):
    runs.make_config(**{"weights.num_steps": "many"})


@pytest.mark.parametrize("name", operators.FAMILIES)
def test_every_operator_that_can_be_named_can_be_made(name):
  family, asked = operators.FAMILIES[name], operators.OperatorSettings(name=name)
  made = operators.make_operator(asked, (32, 32, 2 if family.is_complex else 1))
  assert made.image_shape[:2] == (32, 32) or family.tileable
  for known in ("measures_image", "tileable", "is_complex"):
    assert getattr(made, known) == getattr(family, known), known


def test_defaults_stand_in_the_settings_and_no_key_in_two_of_them():
  kinds = {"mask": fitting.LearnMask, "weights": fitting.TrainWeights, "noise": noise.NoiseSettings,
           "generator": generators.GeneratorSettings, "operator": operators.OperatorSettings}
  config = runs.make_config(preset="oes")
  for section, kind in kinds.items():
    assert kind.from_section(config[section], f"{section}.") == kind()
  for section, several in _settings.SECTIONS.items():
    names = [field.name for kind in several for field in settings.fields_of(kind)]
    assert len(names) == len(set(names))
    sections = () if section else filter(None, _settings.SECTIONS)
    assert {*names, *sections} == set(config[section] if section else config)
