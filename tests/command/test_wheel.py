"""The wheel, installed with what it requires alone in a fresh environment, away from the project; needs a package index."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image as PillowImage
import pytest

import oes_jax

ROOT = pathlib.Path(__file__).parents[2]


def _run(*command, folder, code=0):
  environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
  done = subprocess.run(list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True, check=False)
  assert done.returncode == code, done.stdout + done.stderr
  return done


@pytest.fixture(scope="module")
def installed():
  """(folder away from the project, folder of the programs of an environment in which the wheel is)."""
  with tempfile.TemporaryDirectory(prefix="oes_jax_wheel_") as name:
    folder = pathlib.Path(name)
    _run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder / "wheels", ROOT, folder=folder)
    _run(sys.executable, "-m", "venv", folder / "env", folder=folder)
    wheel, = (folder / "wheels").glob("oes_jax-*.whl")
    _run(folder / "env/bin/pip", "install", "-q", wheel, folder=folder)
    (folder / "work").mkdir()
    values = np.random.default_rng(0).normal(np.linspace(60, 180, 128 * 128).reshape(128, 128), 15)
    PillowImage.fromarray(np.clip(values, 0, 255).astype(np.uint8)).save(folder / "work" / "frame.png")
    yield folder / "work", folder / "env" / "bin"


_FEW = ("--config.generator.num_scales=2", "--config.compute.compilation_cache=")


@pytest.mark.slow
def test_a_file_is_restored_inspected_and_gone_on_with(installed):
  folder, programs = installed
  assert _run(programs / "oes-jax", "--version", folder=folder).stdout == f"oes_jax {oes_jax.__version__}\n"
  assert "noise" in _run(programs / "oes-jax", "inspect", "frame.png", folder=folder).stdout
  command = (programs / "oes-jax", "denoise", "frame.png", "--steps", "3", "--workdir", "out", *_FEW)
  done = _run(*command, folder=folder)
  assert "tensorboardX is not installed: tensorboard/ is not written" in done.stdout + done.stderr
  with PillowImage.open(folder / "out" / "restored.png") as picture:
    assert picture.size == (128, 128)
  written = (folder / "out" / "summary.json").read_bytes()
  assert json.loads(written)["config"]["weights"]["num_steps"] == 3
  _run(programs / "python", "-m", "oes_jax", *command[1:], folder=folder)
  assert (folder / "out" / "summary.json").read_bytes() == written
  assert not (folder / "out" / "tensorboard").exists()


@pytest.mark.slow
def test_shipped_configs_images_and_masks_are_found_and_what_is_missing_is_named(installed):
  folder, programs = installed
  done = _run(programs / "python", "-m", "oes_jax.main", "--config=configs/denoise.py:oes", "--config.mask.source=bundled",
              "--config.weights.num_steps=2", "--config.compute.compilation_cache=", "--workdir=bundled", folder=folder)
  assert "config: there is no file configs/denoise.py here" in done.stdout and (folder / "bundled" / "restored.png").is_file()
  done = _run(programs / "oes-jax", "ct", folder=folder, code=2)
  assert done.stderr.splitlines()[-1].startswith("error: data.source='ct_slice'")
  assert done.stderr.endswith('needs pydicom; allowed: pip install "oes_jax[dicom]".\n')
  done = _run(programs / "python", "-c", "import importlib.resources as r; print(r.files('oes_jax').joinpath('py.typed').is_file())",
              folder=folder)
  assert done.stdout == "True\n"
