"""The Python call: layouts, ensembles, lists, faults, and an import that starts nothing."""

import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

import oes_jax
from oes_jax import api
from oes_jax.operators import _operators as operators

TINY = {"generator.num_scales": 1, "generator.channels": (6,), "mask.source": "random", "mask.keep_fraction": 0.5,
        "weights.num_steps": 4, "compute.compilation_cache": ""}


def _image(shape, dtype=np.float32):
  return (1000 * np.random.default_rng(0).random(shape)).astype(dtype)


def test_the_import_starts_no_backend_and_reads_no_config():
  code = "import sys, oes_jax; assert not {'jax', 'configs'} & set(sys.modules); oes_jax.__version__"
  subprocess.run([sys.executable, "-c", code], check=True)


def test_an_array_comes_back_in_its_layout_type_and_range(tmp_path):
  measurement = _image((20, 24), np.uint16)
  restored = oes_jax.restore(measurement, settings=TINY, truth=measurement, workdir=str(tmp_path))
  assert restored.image.shape == (20, 24) and restored.image.dtype == np.uint16
  assert restored.spread is None and restored.traces["weights"]["loss"].shape == (4,)
  assert restored.summary["quality"]["average"]["psnr"] > 0
  assert all(leaf.dtype == bool for leaf in restored.mask["head"].values())
  again = oes_jax.restore(measurement, settings=TINY, truth=measurement, workdir=str(tmp_path))
  np.testing.assert_array_equal(again.image, restored.image)
  for other in (measurement + 1, measurement.astype(np.float32)):
    with pytest.raises(ValueError, match="holds another measurement; allowed: a new"):
      oes_jax.restore(other, settings=TINY, workdir=str(tmp_path))


def test_a_strength_of_noise_is_that_of_the_measurement_and_figures_can_be_left_out(tmp_path):
  settings = {"noise.model": "rician", "noise.sigma": 0.05, "weights.num_steps": np.int64(2), "output.figures": False}
  restored = oes_jax.restore(jnp.asarray(_image((16, 18))), settings={**TINY, **settings}, workdir=tmp_path)
  assert restored.summary["quality"] is None and restored.summary["noise"]["sigma"] == 0.05
  assert restored.summary["limits"][0] == 0 and restored.image.shape == (16, 18)
  assert not list(tmp_path.rglob("*.png"))


@pytest.mark.parametrize("operator, source, generator", [
    ("identity", "learn", "hourglass"), ({"name": "mri", "coils": 2}, "dense", "hourglass"),
    ("super_resolution", "dense", "deep_decoder")])
def test_an_operator_has_the_settings_of_its_config_and_no_noise_of_it(tmp_path, operator, source, generator):
  config = api._make_config(_image((16, 16)), operator, None, {"weights.num_steps": 3}, tmp_path)
  assert (config.mask.source, config.generator.name, config.weights.num_steps) == (source, generator, 3)
  assert config.noise.sigma is None and config.data.crop is None and not config.operator.simulate


def test_an_operator_of_the_settings_has_its_config_and_a_simulation_its_noise(tmp_path):
  settings = {"operator.name": "tomography", "operator.simulate": True}
  config = api._make_config(_image((16, 16)), "identity", None, settings, tmp_path)
  assert config.mask.source == "dense" and config.noise.sigma == 0.03 and config.operator.simulate


def test_another_thread_may_restore(tmp_path):
  with concurrent.futures.ThreadPoolExecutor() as pool:
    restored = pool.submit(oes_jax.restore, _image((16, 18)), settings=TINY, workdir=tmp_path).result()
  assert restored.image.shape == (16, 18)


@pytest.mark.slow
def test_lists_ensembles_and_masks_of_lost_pixels():
  images = [_image((16, 18, 2)), _image((20, 16, 3))]
  lost = np.random.default_rng(1).random((16, 18)) < 0.5
  restored, _ = oes_jax.restore(images, ensemble=2, settings=TINY)
  assert restored.image.shape == restored.spread.shape == (16, 18, 2) and restored.spread.max() > 0
  filled = oes_jax.restore(images[0], operator={"name": "inpainting", "mask": lost}, settings=TINY)
  assert filled.image.shape == (16, 18, 2)


@pytest.mark.slow
def test_a_scan_is_a_dictionary_of_arrays(tmp_path):
  coils = operators.simulated_coils((16, 16), 2)
  scan = {"kspace": np.asarray(operators.centred_fft(coils * _image((16, 16)))), "coil_maps": coils}
  restored = oes_jax.restore(scan, operator="mri", ensemble=2, settings=TINY, workdir=str(tmp_path))
  assert restored.image.shape == restored.spread.shape == (16, 16)
  with pytest.raises(ValueError, match="holds another measurement"):
    oes_jax.restore({**scan, "kspace": 2 * scan["kspace"]}, operator="mri", ensemble=2, settings=TINY,
                    workdir=str(tmp_path))


EXAMPLES = sorted((pathlib.Path(__file__).parent.parent / "docs" / "examples").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_run(tmp_path, path):
  done = subprocess.run([sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, check=False,
                        env={**os.environ, "PYTHONPATH": str(path.parent.parent.parent)})
  assert done.returncode == 0, done.stderr
  assert "written:" in done.stdout


NOTEBOOK = json.loads((pathlib.Path(__file__).parent.parent / "docs" / "restore.ipynb").read_text(encoding="utf-8"))
CELLS = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_was_run_from_first_to_last_without_a_fault():
  assert [cell["execution_count"] for cell in CELLS] == list(range(1, len(CELLS) + 1))
  outputs = [output for cell in CELLS for output in cell["outputs"]]
  assert not [output for output in outputs if output["output_type"] == "error"]
  assert sum("image/png" in output.get("data", {}) for output in outputs) == 5


@pytest.mark.slow
def test_the_notebook_runs(tmp_path):
  code = "\n".join("".join(cell["source"]) for cell in CELLS)
  done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False,
                        env={**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parent.parent), "MPLBACKEND": "Agg"})
  assert done.returncode == 0, done.stderr
  assert done.stdout.count("PSNR") == 4


@pytest.mark.parametrize("options, said", [
    ({"operator": "radar"}, "operator.name='radar'"), ({"operator": {"name": "identity", "lens": 1}}, "'operator.lens' is no key"),
    ({"operator": {"mask": 1}}, "operator has 'mask'; allowed: 'name'"),
    ({"settings": {"weights.steps": 3}}, "'weights.steps' is no key"), ({"settings": {"weights": {}}}, "'weights' is no key"),
    ({"settings": {"sweep.seeds": (0, 1)}}, "'sweep.seeds' is no key"),
    ({"settings": {"weights.num_steps": "many"}}, "weights.num_steps='many' is a str"), ({"ensemble": 0}, "ensemble=0"),
    ({"truth": _image((3, 3))}, "data.truth=")])
def test_faults_name_the_argument(options, said):
  with pytest.raises(ValueError, match=said):
    oes_jax.restore(_image((16, 18)), **{"settings": TINY, **options})
