"""The command line and the call: reports, commands that work, faults in one line."""

import importlib
import json
import re
import runpy
import shlex
import sys

from absl import flags
from ml_collections import config_flags
import numpy as np
from PIL import Image
import pytest
from scipy import ndimage
import tifffile

from inspection import measured
import oes_jax
from oes_jax import inspection
from oes_jax import runs
from oes_jax import sweeps
from oes_jax.command import _arguments
from oes_jax.inspection import _pages

MAIN = importlib.import_module("oes_jax.inspect").main


def _stripes():
  return 100 * measured.noisy("camera", 0.04) + 3 * measured.normal((128, 1, 1), 3)


def _masked():
  values = np.float32(1000 * measured.noisy())
  values[20:40, 30:60] = np.nan
  return values


def _hot():
  values = np.uint16(1000 + 2000 * measured.noisy("moon", 0.03))
  values[5:125:8, 7::16] = 9000
  return values


def _impulses():
  values, drawn = measured.noisy("coffee", 0.03), np.random.default_rng(0).random((128, 128))
  values[drawn < 0.05], values[drawn > 0.95] = 0, 1
  return values


def _blurred():
  noise = ndimage.gaussian_filter(measured.normal((128, 128)), 0.7)
  return measured.photograph("moon") + 0.1 * (noise / noise.std())[..., None]


def _save(path, image):
  Image.fromarray(measured.eight_bit(image).squeeze()).save(path, quality=80)  # quality is that of JPEG


def _stack(path):
  pages = [np.uint16(np.maximum(np.rint(measured.photons(200, "coins", 4, 20, seed)), 0)).squeeze() for seed in range(3)]
  tifffile.imwrite(path, np.stack(pages), photometric="minisblack")


LINES = np.arange(64) % 2 == 0
# Name of the file: (how it is written, what its report says, settings of its command).
FILES = {
    "photograph.png": (lambda path: _save(path, 0.3 + 0.5 * measured.noisy("coffee", 0.1)),
                       ["128x128 pixels, 1 channel, uint8", "no effect on the noise"], {}),
    "stack.tif": (_stack, ["3 images, of which", "stack.tif@1", "uint16", "variance = ", "read noise", "which has to be that of all"],
                  {"noise.model", "noise.peak", "noise.sigma", "data.range"}),
    "counts.tif": (lambda path: tifffile.imwrite(path, np.uint16(measured.photons(20, "coffee")).squeeze()),
                   ["units a photon", "no read noise that shows"], {"noise.model", "noise.peak", "data.range"}),
    "masked.npy": (lambda path: np.save(path, _masked()), ["3.66 % of the pixels hold no data, 3.66 % NaN"], {}),
    "stripes.npy": (lambda path: np.save(path, _stripes()), ["stripes: rows by", "whole rows are offset"], {}),
    "noisy.jpg": (lambda path: _save(path, measured.noisy("moon", 0.08)), ["JPEG blocks", "8x8 blocks of JPEG"], {}),
    "space.npz": (lambda path: np.savez(path, **measured.k_space(LINES, corner=True)),
                  ["4 coils of 64x64", "in the corner", "acceleration 2: columns"], {"operator.centred"}),
    "sinogram.npz": (lambda path: np.savez(path, **measured.sinogram(unit=np.pi / 180)),
                     ["91 detectors, 60 angles", "in radians"], {"operator.angle_unit"}),
    "blank.npy": (lambda path: np.save(path, np.full((64, 64), 7, np.float32)), ["all values are 7", "Nothing to run"], None),
    "saturated.png": (lambda path: _save(path, 1.4 * measured.noisy("coins", 0.04)),
                      ["are 255, the highest one, and that of the type: they are saturated"], {}),
    "hot.tif": (lambda path: tifffile.imwrite(path, _hot().squeeze()), ["120 hot and 0 dead pixels", "--mask=lost.npy"],
                {"operator.mask"}),
    "impulses.png": (lambda path: _save(path, _impulses()), ["are lost to single lowest and highest ones", "--preset=oes"],
                     {"noise.model"}),
    "blurred.npy": (lambda path: np.save(path, _blurred()), ["neighbouring pixels is correlated"], {"fit.sigma"}),
    "speckle.npy": (lambda path: np.save(path, measured.photograph("coins") * (1 + 0.15 * measured.normal((128, 128, 1)))),
                    ["x value: speckle", "--preset=oes"], {"noise.model"}),
}
# What is said of some files only.
ALARMS = {"saturated": ["saturated.png"], "cut off": [], "JPEG blocks,": [], "8x8 blocks": ["noisy.jpg"], "whole ": ["stripes.npy"],
          "photon": ["stack.tif", "counts.tif"], "hold no data": ["masked.npy"], "hot and": ["hot.tif"], "correlated (": ["blurred.npy"],
          "beyond 4 standard deviations (": [], "nearly clean": [], "radians": ["sinogram.npz"], "corner": ["space.npz"],
          "nothing to restore": ["blank.npy"], "single lowest": ["impulses.png"],
          "speckle": ["speckle.npy"], "black level": []}


def _report(folder, name, monkeypatch, capsys, *arguments):
  monkeypatch.chdir(folder)
  FILES[name][0](name)
  MAIN([name, *arguments])
  return capsys.readouterr().out


def _config_of(command, monkeypatch):
  """Return the config of a command line, as main reads it."""
  words = shlex.split(command)
  assert words[:3] == ["python", "-m", "oes_jax"]
  values = flags.FlagValues()
  config_flags.DEFINE_config_file("config", None, "", flag_values=values, lock_config=True)
  monkeypatch.setattr(sys, "argv", ["main", *_arguments.arguments_of(words[3], words[4:])])
  values(sys.argv)
  values.config.update({"generator": {"num_scales": 1, "channels": (8,)}})  # what is compiled to find the memory is small
  return values.config


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_reported_and_its_command_works(tmp_path, monkeypatch, capsys, name):
  _, said, settings = FILES[name]
  arguments = ["--mask=lost.npy"] if name == "hot.tif" else []
  report = _report(tmp_path, name, monkeypatch, capsys)
  flat = " ".join(report.split())
  for text in said:
    assert text in flat, report
  for text, names in ALARMS.items():
    assert (text in flat) == (name in names), (text, report)
  if settings is None:
    return
  if arguments:
    MAIN([name, *arguments])
    capsys.readouterr()
  command, *several = re.findall(r"^  (python -m oes_jax (?!inspect).*)$", report, re.MULTILINE)
  assert several == ([] if "--preset" in command else [f"{command} --method=auto   # several methods, mixed: some five times as long"])
  config = _config_of(command, monkeypatch)
  told = {word.split("=")[0].removeprefix("--config.").replace("--mask", "operator.mask") for word in shlex.split(command)[5:]}
  assert told - {"--preset"} == set(settings)
  job = runs.inspect(sweeps.expand(config)[0].config if sweeps.is_many(config) else config, str(tmp_path / "run"))
  operator = {"masked.npy": "inpainting", "hot.tif": "inpainting", "space.npz": "mri", "sinogram.npz": "tomography"}
  operator = operator.get(name, "identity")
  assert job.settings.operator.name == operator and not job.data.simulated


def test_the_numbers_of_the_command_are_those_of_the_noise(tmp_path, monkeypatch, capsys):
  found = json.loads(_report(tmp_path, "counts.tif", monkeypatch, capsys, "--json"))
  config = _config_of(found["command"], monkeypatch)
  job = runs.inspect(config, str(tmp_path / "run"))
  assert config.noise.model == "poisson"
  assert config.noise.peak / job.data.limits[1] == pytest.approx(1, rel=0.1)  # photons of a unit
  assert found["noise"]["brightness"]["gain"] == pytest.approx(1, rel=0.1) and "mask" not in found


def test_fill_values_here_and_there_are_no_range(tmp_path, monkeypatch, capsys):
  values = measured.noisy()
  random = np.random.default_rng(0)
  values = np.where(random.uniform(size=values.shape) < 0.02, random.integers(-9999, -9000, values.shape), values)
  monkeypatch.chdir(tmp_path)
  np.save("fill.npy", values)
  MAIN(["fill.npy"])
  said = " ".join(capsys.readouterr().out.split())
  assert "lie far outside of the others, from -99" in said and "data.range" not in said


def test_the_plot_is_written(tmp_path, monkeypatch, capsys):
  _report(tmp_path, "counts.tif", monkeypatch, capsys, "--plot=noise.png")
  assert Image.open(tmp_path / "noise.png").size[0] > 500


@pytest.mark.parametrize("arguments, said", [
    (["missing.png"], "data.source='missing.png' does not exist"), (["missing"], "is not an image file or a bundled image"),
    (["blank.npy", "--plot=x.png"], "--plot=x.png: how the noise depends on brightness cannot be told"),
    (["blank.npy", "--mask=x.npy"], "--mask=x.npy: no pixel is lost"), (["blank.npy", "--operator=mri"], "measures no image"),
    (["space.npz", "--operator=tomography"], "it has no array 'sinogram'"),
    (["space.npz", "--operator=inpainting"], "does not read a scan"), (["nan.npy"], "holds no pixel with data"),
    (["text.png"], "cannot be read as an image")])
def test_faults_are_one_line(tmp_path, monkeypatch, capsys, arguments, said):
  monkeypatch.chdir(tmp_path)
  for name in ("blank.npy", "space.npz"):
    FILES[name][0](name)
  np.save("nan.npy", np.full((16, 16), np.nan))
  (tmp_path / "text.png").write_text("no image")
  with pytest.raises(SystemExit, match="2"):
    MAIN(arguments)
  error = capsys.readouterr().err
  assert error.startswith("error: ") and said in error and error.count("\n") == 1
  assert not (tmp_path / "x.png").exists() and not (tmp_path / "x.npy").exists()


@pytest.mark.parametrize("arguments, said", [
    (dict(measurement="x.png"), "is a str; allowed: an array"), (dict(measurement=np.ones(3)), r"shape \(3,\); allowed: \[H, W\]"),
    (dict(measurement=np.ones((20, 20)), operator="mri"), "measures no image"),
    (dict(measurement=np.ones((20, 20)), operator="ct"), "name='ct' is unknown"),
    (dict(measurement=np.ones((20, 20)), operator=3), "operator is a int; allowed: a name"),
    (dict(measurement=np.ones((20, 20)), operator={"name": "inpainting", "holes": 3}), "operator has 'holes'; allowed: name"),
    (dict(measurement=np.ones((20, 20)), operator={"name": "inpainting", "maks": 3}), r"'maks' \(did you mean 'mask'\?\); allowed"),
    (dict(measurement=np.ones((20, 20)), operator={"name": "inpainting", "mask": np.ones((3, 3))}), r"mask has shape \(3, 3\)"),
    (dict(measurement=1e300 * np.eye(20)), r"values up to 1e\+300 in a range of 1.1e\+300; allowed: up to 1e\+100"),
    (dict(measurement=1e-160 * np.eye(20)), "in a range of 1.1e-160; allowed: .*, in a range of 1e-100 or more"),
    (dict(measurement={"space": np.ones((8, 8))}), r"'space'; allowed: kspace \(mri\) or sinogram, angles, shape \(tomography\)"),
    (dict(measurement={"kspace": np.ones((8, 8))}, operator="identity"), "allowed: an image")])
def test_an_argument_that_is_not_allowed_is_named(arguments, said):
  with pytest.raises(ValueError, match=said):
    oes_jax.inspect(**arguments)


def test_oes_jax_inspect_is_called_however_it_was_imported(monkeypatch, capsys):
  noisy = measured.noisy()
  expected = oes_jax.inspect(noisy).noise
  module = importlib.import_module("oes_jax.inspect")
  assert oes_jax.inspect(noisy).noise == module(noisy).noise == module.inspect(noisy).noise == expected
  monkeypatch.setattr(sys, "argv", ["inspect", "astronaut_face_128"])
  for name in ("drop_output_that_nobody_takes", "end_at_once_by_ctrl_c"):  # they are for a program of its own
    monkeypatch.setattr(runs, name, lambda: None)
  monkeypatch.delitem(sys.modules, "oes_jax.inspect")
  runpy.run_module("oes_jax.inspect", run_name="__main__")
  assert "a bundled image is clean, and a run adds noise to it" in " ".join(capsys.readouterr().out.split())
  assert oes_jax.inspect(noisy).noise == expected


def test_the_report_of_an_array_ends_with_the_call():
  values = 1000 * measured.noisy()
  values[20:40, 30:60] = -99999
  found = oes_jax.inspect(values)
  assert str(found).endswith("\n  oes_jax.restore(array, operator={'name': 'inpainting', 'mask': findings.mask})")
  assert str(oes_jax.inspect(measured.noisy("coffee", 0.03))).endswith("\n  oes_jax.restore(array)")


def test_of_a_stack_it_says_how_far_the_noise_is_apart_and_takes_the_range_of_all():
  rng = np.random.default_rng(0)
  scene = 200 + 100 * np.sin(np.indices((64, 64)).sum(0) / 9)
  stack = np.stack([level * scene + rng.normal(0, sigma, scene.shape) for level, sigma in ((1, 10), (1, 11), (3, 20))])
  found = oes_jax.inspect(stack[..., None])
  said, noise, limits = found.remarks[:3]
  assert said.startswith("3 images were given, of which measurement[1] is looked at")
  assert "noise of 3 of the 3 images" in noise and "the strongest is in measurement[2] and the weakest in measurement[0]" in noise
  assert limits.startswith("the range of those looked at together is ")
  assert abs(found.noise.sigma_value - 11) < 2 and oes_jax.inspect(list(stack)).remarks == found.remarks
  told = inspection.Recommendation("identity", "quick", {"fit.sigma": 0.1}, False, ())
  wider = _pages._in_range(told, (0.0, 100.0), (0.0, 200.0))
  assert wider.settings == {"fit.sigma": 0.05, "data.range": (0.0, 200.0)} and "has to be that of all" in wider.reasons[0]
  counted = _pages._in_range(told._replace(settings={"noise.peak": 50.0, "noise.sigma": 0.1}), (-5.0, 100.0), (-5.0, 400.0))
  assert counted.settings == {"noise.peak": 200.0, "noise.sigma": 0.025, "data.range": (0.0, 400.0)}
  by_hand = _pages._in_range(told._replace(settings={"data.range": (0.0, 100.0)}), (0.0, 100.0), (0.0, 400.0))
  assert by_hand.settings == {"data.range": (0.0, 400.0)}
  far = _pages._in_range(told, (1e6, 1e6 + 0.25), (1e6, 1e6 + 0.5))  # six digits would be the same twice
  assert far.settings == {"fit.sigma": 0.05, "data.range": (1e6, 1e6 + 0.5)} and "range 1000000 to 1000000.5," in far.reasons[0]
  assert _pages.some_pages(100, 1000) == sorted(set(_pages.some_pages(100, 1000))) and len(_pages.some_pages(100, 12_000_000)) <= 4
