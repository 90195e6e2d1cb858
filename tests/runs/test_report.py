"""What report.html says of a run, and the command in it, which asks for the same again."""

import dataclasses
import html
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import types

from absl import flags
from ml_collections import config_flags
import numpy as np
import pytest

from configs import ct
from configs import deblur
from configs import default
from configs import denoise
from configs import inpaint
from configs import mri
from configs import super_resolution
from oes_jax import files
from oes_jax import operators
from oes_jax import runs
from oes_jax.runs import _repeat
from oes_jax.runs import _report
import pages
from runs import tiny_run

ROOT = pathlib.Path(__file__).parents[2]


def _parse(command, monkeypatch):
  """Return the config that a command line, which is text, asks for, as a shell and the program's flags read it."""
  script = command.replace("python -m oes_jax.main", "printf '%s\\0'", 1).encode("utf-8", errors="strict")
  given = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout.split(b"\0")[:-1]
  argv = [os.fsdecode(one).replace("--config=configs/", f"--config={ROOT}/configs/") for one in given]
  values = flags.FlagValues()
  monkeypatch.setattr(sys, "argv", ["main", *argv])
  monkeypatch.delitem(sys.modules, "config_config", raising=False)  # ml_collections loads every config file under this name
  holder = config_flags.DEFINE_config_file("config", None, "", flag_values=values, lock_config=True)
  values(["main", *argv])
  return runs.plain(holder.value)


# {key: (value, default)}
HARD = {
    "data.source": ("it's a \"$HOME\" `x`\n\\n\u00e9\udcff.png", "astronaut"), "data.crop": ((1, 2, 30, 40), None),
    "data.range": ((-0.5, 1e-7), None), "generator.channels": ((8,), None), "fit.flips": (True, False),
    "weights.guard": ("held_out", None), "noise.sigma": (0.1, None), "mask.keep_fraction": (0.3, None),
    "sweep.mask_sources": (("learn", "dense"), ()), "sweep.seeds": ((0, 1), ()), "compute.tile": (0, None),
    "output.figures": (False, True), "compute.chunk_steps": (7, None), "seed": (2 ** 31 - 1, 0)}


@pytest.mark.parametrize("changes", [{}, HARD], ids=["default", "hard"])
def test_a_command_asks_for_its_config_again(monkeypatch, changes):
  config = default.get_config()
  config.update_from_flattened_dict({key: value for key, (value, _) in changes.items()})
  asked = runs.plain(config)
  nearest = _repeat.nearest_config(asked)
  assert {key: pair for key, *pair in nearest.changed} == {key: list(pair) for key, pair in changes.items() if key != "data.source"}
  assert nearest.config == "configs/default.py" and _parse(_repeat.command_of(asked), monkeypatch) == asked


@pytest.mark.parametrize("preset", runs.PRESETS)
@pytest.mark.parametrize("config", [ct, deblur, denoise, inpaint, mri, super_resolution], ids=lambda config: config.__name__)
def test_the_command_of_a_shipped_config_names_it_and_its_source_alone(config, preset):
  nearest = _repeat.nearest_config(runs.plain(config.get_config(preset)))
  assert nearest == (f"{config.__name__.replace('.', '/')}.py:{preset}", [])


def test_the_command_of_a_changed_preset_asks_for_the_whole_of_it(monkeypatch):
  config = denoise.get_config("best")
  config.method, config.budget_s, config.data.source = "auto", 60.0, "a b.png"
  command = _repeat.command_of(asked := runs.plain(config))
  assert command.split() == ["python", "-m", "oes_jax.main", "--config=configs/denoise.py:best", "\\", "'--config.data.source=a", "b.png'", "\\",
                             "--config.method=auto", "\\", "--config.budget_s=60.0"]
  assert _parse(command, monkeypatch) == asked


def test_a_setting_that_is_turned_off_has_an_empty_flag():
  config = default.get_config()
  config.compute.compilation_cache = None
  assert "--config.compute.compilation_cache=" in _repeat.command_of(runs.plain(config)).split()


def test_a_run_leaves_a_report_with_its_command_and_settings(whole, monkeypatch):
  folder, summary = whole
  page, text = pages.read(folder), (folder / "report.html").read_text(encoding="utf-8")
  assert page.headings == ["camera", "Result", "Noise", "Curves", "Mask", "Time", "Settings that differ from configs/default.py",
                           "Command that repeats it"]
  assert len(text) < 5e5 and "report.html" not in files.read_manifest(folder)
  asked = json.loads((folder / "config.json").read_text())["config"]
  command = html.unescape(re.search("<pre>(.*)</pre>", text, re.DOTALL)[1])
  assert _parse(command, monkeypatch) == asked
  rows = re.findall(r"<tr><td><code>(.*?)</code></td><td><code>(.*?)</code></td>", text)
  assert {key: html.unescape(value) for key, value in rows} == {
      key: repr(value) for key, value in {**tiny_run.TINY, "compute.compilation_cache": ""}.items() if key != "data.source"}
  for said in (f"{summary['quality']['average']['psnr']:.2f}", f"{summary['mask']['kept']:,} of {summary['mask']['size']:,}",
               "gaussian, sigma 0.1", "The weights that a learned mask keeps fitted to the measurement, ", "24 × 32 pixels", *(row["name"] for row in summary["mask"]["layers"])):
    assert said in page.text, said


@pytest.fixture(name="written", scope="module")
def fixture_written(whole, tmp_path_factory):
  """A function that writes the report of the whole run anew, of a summary with changes, and returns the page."""
  folder = tmp_path_factory.mktemp("report") / "run"
  shutil.copytree(whole[0], folder, ignore=shutil.ignore_patterns("checkpoints", "tensorboard", "mask"))
  job = runs.inspect(tiny_run.config(), str(folder))
  measurement = runs.measure(job)
  def write(level=None, **changes):
    runs.write_report(folder, job, measurement._replace(noise_level=level), np.load(folder / "output.npy"),
                      {**json.loads((folder / "summary.json").read_text()), **changes})
    return pages.read(folder)
  return folder, write


def test_a_report_depends_on_the_outputs_alone(whole, written):
  folder, write = written
  write()
  assert (folder / "report.html").read_bytes() == (whole[0] / "report.html").read_bytes()


def test_the_expected_psnr_and_its_map_are_shown_where_they_are(written):
  folder, write = written
  page = write()
  assert "expected PSNR" not in page.text and "Error map" not in page.headings
  shutil.copy(folder / "curves.png", folder / "error_map.png")
  page = write(expected_psnr={"psnr": 26.42, "spread": 0.5, "of": "image"})
  assert "expected PSNR 26.4 ± 0.5 dB of the image" in page.text and "Error map" in page.headings
  (folder / "error_map.png").unlink()


def test_a_noise_level_is_shown_with_what_was_warned_of(written):
  level = operators.NoiseLevel(0.0312, 0.55, 0.0)
  page = written[1](level, noise_level={"sigma": 0.0312, "estimated": True, "correlation": 0.55, "clipped": 0.0})
  assert all(said in page.text for said in (
      "0.0312 of the range, estimated", "in the units of the file 7.956", "correlation of neighbours 0.55", *operators.noise_warnings(level)))


def test_a_dense_mask_has_no_section_and_a_collapsed_one_a_remark(written):
  mask = {"kept": 9, "acting": 9, "size": 9, "collapse": [], "layers": []}
  assert "Mask" not in written[1](mask=mask).headings
  assert "The mask has collapsed: all is grey" in written[1](mask={**mask, "kept": 1, "collapse": ["all is grey"]}).text


def test_without_a_truth_nothing_is_scored_and_the_guard_and_the_mix_are_told(written):
  page = written[1](quality=None, guard={"step": 12, "stopped": False}, combined={"share": 0.25})
  assert all(said in page.text for said in ("nothing is scored", "12, still the best at the end", "25 % of the mix"))
  assert "dB" not in page.text


def test_images_are_shown_as_the_eye_is_to_see_them():
  unit = np.random.default_rng(0).uniform(size=(4, 5, 2)).astype(np.float32)
  job = lambda complex_, negative: types.SimpleNamespace(data=types.SimpleNamespace(
      operator=types.SimpleNamespace(is_complex=complex_), picture=types.SimpleNamespace(is_negative=negative)))
  np.testing.assert_array_equal(_report.viewed(job(False, True), unit), 1 - unit)
  np.testing.assert_array_equal(_report.viewed(job(True, False), unit), operators.magnitude_of_unit(unit))


def test_a_source_is_called_by_its_name(written):
  job = runs.inspect(tiny_run.config(), str(written[0]))
  data = dataclasses.replace(job.settings.data, source="/folder/frame 7.tif@3")
  named = dataclasses.replace(job, settings=job.settings._replace(data=data))
  assert _report._title(named) == "frame 7.tif@3" and _report._facts(named)[0] == "/folder/frame 7.tif@3"
