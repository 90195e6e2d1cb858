"""The Python call: layouts, folders that are kept, lists, faults, and an import that starts nothing."""

import concurrent.futures
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oes_jax
from oes_jax import api
from oes_jax import generators
from oes_jax import operators
from oes_jax import runs
from oes_jax.sweeps import _array_folder

TINY = {"generator.num_scales": 1, "generator.channels": (6,), "mask.source": "random", "mask.keep_fraction": 0.5,
        "weights.num_steps": 4, "compute.compilation_cache": "", "output.figures": False,
        "weights.combine": False, "output.image": "average"}


def _image(shape, dtype=np.float32):
  return (1000 * np.random.default_rng(0).random(shape)).astype(dtype)


@pytest.fixture(name="kept", scope="module")
def fixture_kept(tmp_path_factory):
  """A measurement restored in a folder that is kept: (measurement, folder, Restoration)."""
  folder, measurement = tmp_path_factory.mktemp("kept"), _image((20, 24), np.uint16)
  return measurement, folder, oes_jax.restore(measurement, settings=TINY, truth=measurement, workdir=str(folder))


def _assert_same(restored, other):
  """Assert that two restorations of a measurement are one and the same."""
  np.testing.assert_array_equal(restored.image, other.image)
  assert restored.image.dtype == other.image.dtype
  assert (restored.error is None) == (other.error is None)
  if other.error is not None:
    np.testing.assert_array_equal(restored.error, other.error)
  np.testing.assert_array_equal(restored.before, other.before)
  if other.mask is not None:
    jax.tree.map(np.testing.assert_array_equal, restored.mask, other.mask)
  for stage, trace in other.traces.items():
    for name, values in trace.items():
      np.testing.assert_allclose(restored.traces[stage][name], values, rtol=1e-5)  # text of 6 digits, in a folder
  assert {stage: set(trace) for stage, trace in restored.traces.items()} == {
      stage: set(trace) for stage, trace in other.traces.items()}
  for name in ("quality", "mask", "guard", "tile", "limits", "noise", "generator", "output_image", "tiles", "expected_psnr"):
    found, expected = (json.loads(json.dumps(one.summary.get(name))) for one in (restored, other))
    if name == "quality" and found and "best" in found:
      assert found.pop("best")["psnr"] == pytest.approx(expected.pop("best")["psnr"], rel=1e-5)
    assert found == expected, name


def test_what_is_public_is_listed():
  assert {"restore", "Problem", "inspect", "masks", "operators", "runs", "__version__"} <= set(dir(oes_jax))
  for name in ("fitting", "generators", "inspection", "masks", "operators", "runs", "sweeps"):
    package = getattr(oes_jax, name)
    listed = [getattr(package, each) for each in dir(package) if not each.startswith("_")]
    assert listed and not any(isinstance(each, types.ModuleType) for each in listed), name


def test_the_import_starts_no_backend_and_reads_no_config():
  code = "import sys, oes_jax; assert not {'jax', 'configs'} & set(sys.modules); oes_jax.__version__"
  subprocess.run([sys.executable, "-c", code], check=True)


def test_an_array_comes_back_in_its_layout_type_and_range(kept):
  measurement, folder, restored = kept
  assert restored.image.shape == (20, 24) and restored.image.dtype == np.uint16
  assert restored.spread is None and restored.traces["weights"]["loss"].shape == (4,)
  assert restored.summary["quality"]["average"]["psnr"] > 0
  assert restored.error is None and restored.summary["expected_psnr"] is None  # of the mix alone
  assert all(leaf.dtype == bool for leaf in restored.mask["head"].values())
  again = oes_jax.restore(measurement, settings=TINY, truth=measurement, workdir=str(folder))
  np.testing.assert_array_equal(again.image, restored.image)
  for other in (measurement + 1, measurement.astype(np.float32)):
    with pytest.raises(ValueError, match="holds another measurement; allowed: a new"):
      oes_jax.restore(other, settings=TINY, workdir=str(folder))


def test_the_spread_in_a_folder_has_the_layout_of_an_image_whose_channels_go_first(tmp_path):
  spread = np.random.default_rng(0).random((16, 18, 3))
  np.save(tmp_path / "spread.npy", spread)
  for image, axis, expected in ((np.zeros((3, 16, 18)), 0, np.moveaxis(spread, -1, 0)), (np.zeros((16, 18, 3)), -1, spread)):
    np.save(tmp_path / "restored.npy", image)
    read = _array_folder._read(tmp_path, [tmp_path, tmp_path], {}, axis)
    np.testing.assert_array_equal(read.spread, expected)


def test_ctrl_c_ends_a_loop_over_workdirs_that_goes_on_after_exceptions(kept, monkeypatch):
  measurement, folder, _ = kept
  calls, read = [], _array_folder._read
  def interrupted(*args):  # too late to stop this restoration
    calls.append(os.kill(os.getpid(), signal.SIGINT))
    return read(*args)
  monkeypatch.setattr(_array_folder, "_read", interrupted)
  before = signal.getsignal(signal.SIGINT)
  with pytest.raises(KeyboardInterrupt) as caught:
    for _ in range(2):
      try:
        oes_jax.restore(measurement, settings=TINY, truth=measurement, workdir=str(folder))
      except Exception:  # pylint: disable=broad-except
        pass
  assert isinstance(caught.value, runs.Interrupted) and len(calls) == 1
  assert signal.getsignal(signal.SIGINT) == before


def test_without_a_workdir_it_is_the_same(kept):
  measurement, _, restored = kept
  in_memory = oes_jax.restore(measurement, settings=TINY, truth=measurement, progress=False)
  _assert_same(in_memory, restored)
  assert restored.summary["seconds"]["weights"]["total"] > 0
  assert set(in_memory.summary["seconds"]["weights"]) == set(restored.summary["seconds"]["weights"])
  assert in_memory.summary["truth"] == "truth"


@pytest.mark.slow
def test_what_is_expected_of_the_mix_is_the_same(kept, tmp_path):
  measurement = kept[0]
  mixed = {**TINY, "weights.combine": True, "output.image": "combined"}
  in_memory = oes_jax.restore(measurement, settings=mixed, truth=measurement, progress=False)
  _assert_same(in_memory, oes_jax.restore(measurement, settings=mixed, truth=measurement, workdir=str(tmp_path)))
  assert in_memory.summary["expected_psnr"]["of"] == "image"
  assert in_memory.error.shape == (20, 24) and (in_memory.error > 0).all()


@pytest.mark.slow
def test_a_mask_that_is_stored_is_taken_over_in_memory_too(kept, tmp_path):
  measurement, folder, restored = kept
  stored = {**TINY, "mask.source": "file", "mask.path": folder / "run" / "mask"}
  _assert_same(oes_jax.restore(measurement, truth=measurement, settings=stored, progress=False), restored)
  shuffled = {**stored, "mask.source": "shuffled"}
  in_memory = oes_jax.restore(measurement, settings=shuffled, progress=False)
  _assert_same(in_memory, oes_jax.restore(measurement, settings=shuffled, workdir=tmp_path))
  assert (in_memory.image != restored.image).any()


@pytest.mark.slow
@pytest.mark.parametrize("shape, settings", [
    ((128, 130), {"mask.source": "bundled", "generator.num_scales": 5, "weights.num_steps": 2}),
    ((20, 24), {**TINY, "mask.source": "imp_oracle", "mask.rounds": 2, "mask.round_steps": 3}),
    ((20, 24), {**TINY, "mask.source": "learn", "mask.num_steps": 3, "weights.guard": "held_out",
                "output.image": "guarded"})], ids=["bundled", "imp_oracle", "guarded"])
def test_masks_and_outputs_of_every_kind_are_the_same_in_memory(tmp_path, shape, settings):
  measurement = _image(shape, np.uint8)
  told = {"truth": measurement, "settings": settings}
  _assert_same(oes_jax.restore(measurement, progress=False, **told),
               oes_jax.restore(measurement, workdir=tmp_path, **told))


@pytest.mark.slow
def test_tiles_and_ensembles_are_the_same_in_memory(tmp_path):
  measurement = _image((18, 80), np.uint8)
  tiled = {**TINY, "compute.tile": 64}
  restored = oes_jax.restore(measurement, truth=measurement, settings=tiled, progress=False)
  _assert_same(restored, oes_jax.restore(measurement, truth=measurement, settings=tiled, workdir=tmp_path / "tiled"))
  assert restored.summary["tiles"] == 2 and restored.summary["tile"] == 64
  told = {"truth": measurement, "ensemble": 2, "settings": TINY}
  both = oes_jax.restore(measurement, progress=False, **told)
  in_folder = oes_jax.restore(measurement, workdir=tmp_path / "ensemble", **told)
  _assert_same(both, in_folder)
  np.testing.assert_array_equal(both.spread, in_folder.spread)


@pytest.mark.slow
def test_a_strength_of_noise_is_that_of_the_measurement_and_figures_can_be_left_out(tmp_path):
  settings = {"noise.model": "rician", "noise.sigma": 0.05, "weights.num_steps": np.int64(2), "output.figures": False}
  restored = oes_jax.restore(jnp.asarray(_image((16, 18))), settings={**TINY, **settings}, workdir=tmp_path)
  assert restored.summary["quality"] is None and restored.summary["noise"]["sigma"] == 0.05
  assert restored.summary["limits"][0] == 0 and restored.image.shape == (16, 18)
  assert not list(tmp_path.rglob("*.png"))


@pytest.mark.parametrize("operator, source, generator", [
    ("identity", "dense", "skip_hourglass"), ({"name": "mri", "coils": 2}, "dense", "hourglass"),
    ("super_resolution", "dense", "skip_hourglass")])
def test_an_operator_has_the_settings_of_its_config_and_no_noise_of_it(operator, source, generator):
  config, arrays = api.config_of_call(operator, {"weights.num_steps": 3})
  assert (config.mask.source, config.generator.name, config.weights.num_steps) == (source, generator, 3)
  assert config.noise.sigma is None and config.data.crop is None and not config.operator.simulate and not arrays


def test_an_operator_of_the_settings_has_its_config_and_a_simulation_its_noise():
  config, _ = api.config_of_call("identity", {"operator.name": "tomography", "operator.simulate": True})
  assert config.generator.name == "skip_hourglass" and config.noise.sigma == 0.03 and config.operator.simulate


def test_a_mask_that_is_an_array_of_masked_values_is_refused():
  mask = np.ma.masked_equal(np.eye(16), 1)
  with pytest.raises(ValueError, match="^operator.mask is a numpy.ma.MaskedArray of which 16 values are masked"):
    api.config_of_call({"name": "inpainting", "mask": mask}, {})


@pytest.mark.parametrize("told, objects, preset", [
    ({}, (), "quick"), ({"noise.model": "poisson", "noise.peak": 30.0}, (), "quick"),
    ({"noise.model": "poisson"}, (), "oes"), ({"noise.model": "rician", "noise.sigma": 0.1}, (), "oes"),
    ({"fit.objective": "plain"}, (), "oes"), ({"generator.name": "deep_decoder"}, (), "oes"),
    ({}, ("loss",), "oes"), ({}, ("generator", "mask"), "oes"), ({}, ("operator",), "oes"), ({}, ("mask", "weights"), "quick")])
def test_a_call_that_does_not_go_with_the_recorrupted_objective_has_that_of_oes(told, objects, preset):
  config, _ = api.config_of_call("identity", told, objects)
  assert config.fit.objective == {"quick": "recorrupted", "oes": "plain"}[preset]


@pytest.mark.slow
@pytest.mark.parametrize("in_folder", [pytest.param(True, marks=pytest.mark.slow), False])
def test_another_thread_may_restore(tmp_path, in_folder):
  options = {"workdir": tmp_path} if in_folder else {"progress": False}
  with concurrent.futures.ThreadPoolExecutor() as pool:
    restored = pool.submit(oes_jax.restore, _image((16, 18)), settings=TINY, **options).result()
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
  _assert_same(oes_jax.restore(scan, operator="mri", ensemble=2, settings=TINY, progress=False), restored)


EXAMPLES = sorted((pathlib.Path(__file__).parent.parent / "docs" / "examples").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_run(tmp_path, path):
  steps = ["3"] if "[STEPS]" in path.read_text(encoding="utf-8") else []  # the others take files, and are run as they are
  done = subprocess.run([sys.executable, str(path), *steps], cwd=tmp_path, capture_output=True, text=True, check=False,
                        env={**os.environ, "PYTHONPATH": str(path.parent.parent.parent), "MPLBACKEND": "Agg"})
  assert done.returncode == 0, done.stderr
  assert re.search(r"written:|PSNR|dB", done.stdout)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_short(path):
  assert len(path.read_text(encoding="utf-8").splitlines()) <= 30


NOTEBOOK = json.loads((pathlib.Path(__file__).parent.parent / "docs" / "restore.ipynb").read_text(encoding="utf-8"))
CELLS = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_was_run_from_first_to_last_without_a_fault():
  assert [cell["execution_count"] for cell in CELLS] == list(range(1, len(CELLS) + 1))
  outputs = [output for cell in CELLS for output in cell["outputs"]]
  assert not [output for output in outputs if output["output_type"] == "error"]
  assert sum("image/png" in output.get("data", {}) for output in outputs) == 4  # in place there are pages with pictures


@pytest.mark.slow
def test_the_notebook_runs(tmp_path):
  code = "\n".join("".join(cell["source"]) for cell in CELLS)
  done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False,
                        env={**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parent.parent),
                             "MPLBACKEND": "Agg"})
  assert done.returncode == 0, done.stderr
  assert done.stdout.count("PSNR") == 4


NAN = np.where(_image((16, 18)) < 100, np.nan, 1)
INFINITE = np.where(_image((16, 18)) < 100, np.inf, _image((16, 18)))


@pytest.mark.parametrize("options, said", [
    ({"operator": "radar"}, "operator.name='radar'"),
    ({"operator": {"name": "identity", "lens": 1}}, "'operator.lens' is no key"),
    ({"operator": {"mask": 1}}, "operator has 'mask'; allowed: 'name'"),
    ({"operator": {"name": "identity", "mask": np.ones((16, 18))}}, "operator.mask is an array, which operator='ide"),
    ({"operator": {"name": "inpainting", "mask": np.ones((3, 3))}}, r"operator.mask is \(3, 3\) with 9 measured"),
    ({"operator": {"name": "inpainting", "mask": "gone.png"}}, "operator.mask='gone.png' does not exist"),
    ({"operator": {"name": "inpainting", "mask": np.ones((16, 18))}, "measurement": INFINITE},
     "^measurement holds NaN or infinite values that are measured"),
    ({"operator": "inpainting"}, "operator='inpainting' needs a mask"), ({"operator": 3}, "operator is a int; allowed"),
    ({"operator": {"name": "deblurring", "kernel": np.ones((2, 2))}}, "operator='deblurring': the kernel is 2x2"),
    ({"operator": np.negative, "measurement": np.ones(5)}, r"operator is a function, and measurement has shape \(5,\)"),
    ({"operator": np.negative, "measurement": "camera.png"}, "^measurement='camera.png' is a str; allowed: an array"),
    ({"operator": np.negative, "measurement": [[[1.0, 2], [1]]]}, r"^measurement\[0\] is no array"),
    ({"operator": operators.downsampling((16, 18, 1), factor=2)}, r"measurement has shape .*; allowed: \(8, 9, 1\)"),
    ({"operator": np.negative, "settings": {"operator.name": "mri"}}, "operator takes the place of 'operator.name'"),
    ({"settings": {"weights.steps": 3}}, "'weights.steps' is no key"),
    ({"settings": {"weights": {}}}, "'weights' is no key"),
    ({"settings": {"weights.num_step": 3}}, r"^'weights.num_step' is no key of a restoration \(did you mean 'weights.num_steps'\?\);"),
    ({"settings": {"num_steps": 3}}, r"\(did you mean 'mask.num_steps' or 'weights.num_steps'\?\)"),
    ({"operator": {"name": "inpainting", "maks": np.ones((16, 18))}}, r"^'operator.maks' .*\(did you mean 'operator.mask'\?\)"),
    ({"settings": {"sweep.seeds": (0, 1)}}, "'sweep.seeds' is no key"),
    ({"settings": {"data.source": "camera"}}, "'data.source' is what the argument measurement gives"),
    ({"settings": {"data.crop": (0, 0, 16, 16)}}, r"data.crop=\(0, 0, 16, 16\) is for files"),
    ({"settings": {"data.range": (3.0, 2.0)}}, r"data.range=\(3.0, 2.0\) is not allowed"),
    ({"settings": 3}, "settings is a int"), ({"settings": {3: 4}}, "not all of its keys are strings"), ({"ensemble": 0}, "ensemble=0"),
    ({"settings": {"weights.num_steps": "many"}}, "weights.num_steps='many' is a str; allowed: 1 or more"),
    ({"settings": {"noise.sigma": 10 ** 400}}, "noise.sigma=10.* is a int; allowed: a number"),
    ({"settings": {"noise.sigma": 0.3}}, "^noise.sigma=0.3 adds noise to a clean image.*allowed: fit.sigma"),
    ({"settings": {"noise.sigma": [1, [2]]}}, r"noise.sigma=\(1, \[2\]\) is a tuple; allowed: a number"),
    ({"settings": {"fit.objective": np.ones(2)}}, "fit.objective is an array; allowed: arrays of operator.mask"),
    ({"operator": {"name": "inpainting", "mask": [[1, 0], [1]]}}, "^operator.mask is no array"), ({"workdir": 3}, "^workdir is a int"),
    ({"settings": {"output.image": "guarded", "weights.guard": None, "weights.combine": False}},
     "output.image='guarded' needs weights.guard"),
    ({"settings": {"weights.guard": None}}, "weights.combine=True needs held-out values, and weights.guard is None"),
    ({"settings": {"weights.combine": False}}, "output.image='combined' needs weights.combine=True"),
    ({"settings": {**TINY, "mask.source": "imp_oracle"}}, "mask.source='imp_oracle' .*allowed: with truth"),
    ({"seed": 3, "settings": {"seed": 2}}, "^seed is 3 as an argument and 2 in settings; allowed: one of the two.$"),
    ({"ensemble": 1, "settings": {"ensemble": 2}}, "^ensemble is 1 as an argument and 2 in settings"),
    ({"operator": "deblurring", "settings": {"operator.name": "identity"}}, "^operator.name is 'deblurring' as an argument"),
    ({"operator": {"name": "inpainting", "mask": np.ones((16, 18))}, "settings": {"operator.mask": "mine.png"}},
     r"^operator.mask is an array \(16, 18\) as an argument and 'mine.png' in settings"),
    ({"seed": -1, "settings": {"seed": -1}}, "^seed=-1"), ({"seed": -1}, "seed=-1"), ({"truth": _image((3, 3))}, r"^truth has shape \(3, 3\)"),
    ({"truth": _image((16, 18), int)}, "truth holds int64 values; allowed: float32"),
    ({"truth": NAN}, "truth holds .* NaN"),
    ({"measurement": NAN}, "^measurement holds .* NaN or infinite values; allowed: .*; or operator='inpainting'"),
    ({"measurement": [_image((16, 18)), "text"]}, r"^measurement\[1\]='text' is a str"),
    ({"measurement": []}, "0 measurements"),
    ({"measurement": "camera.png"}, "^measurement='camera.png' is a str; allowed: an array, as numpy.load or"),
    ({"truth": pathlib.Path("clean.png")}, r"^truth=PosixPath\('clean.png'\) is a PosixPath; allowed: an array"),
    ({"measurement": np.ones((16, 18)).tolist()}, r"^measurement\[0\] has shape \(18,\).*nested list.*np.asarray makes it"),
    ({"operator": {"name": "inpainting", "mask": [[0, 1], [1, 1]]}}, r"^operator.mask is \(2, 2\) with 3 measured"),
    ({"measurement": [_image((16, 18))], "truth": [_image((16, 18))] * 2}, "1 measurements and 2 truths"),
    ({"measurement": [_image((16, 18))] * 2, "truth": [None, _image((3, 3))]}, r"^truth\[1\] has shape"),
    ({"measurement": np.ones((20, 20))}, "^measurement holds the single value 1.0.*data.range="),
    ({"measurement": _image((10, 18))}, r"10x18 pixels .*\(measurement\)"),
    ({"measurement": {"coil_maps": 1}, "operator": "mri"}, "^measurement cannot be read as a scan: it has no array 'kspace'"),
    ({"generator": "hourglass", "settings": {}}, "^generator is a str"), ({"loss": "squared"}, "^loss is a str"),
    ({"generator": generators.hourglass((16, 18, 1), num_scales=1), "settings": {
        "generator.input": "measurement", "fit.objective": "recorrupted"}},
     r"^generator takes a network input \(16, 18, 32\); allowed with generator.input='measurement': \(16, 18, 1\)"),
    ({"mask": "dense"}, "^mask='dense' is unknown"),
    ({"mask": {"w": np.ones(3)}, "settings": {}}, "^mask has another structure"),
    ({"mask": None}, "^mask takes the place of 'mask.source' in settings"), ({"weights": 3}, "^weights is a int"),
    ({"weights": oes_jax.TrainWeights()}, "^weights takes the place of 'weights.num_steps' in settings")])
def test_faults_name_the_argument(options, said):
  with pytest.raises(ValueError, match=said) as caught:
    oes_jax.restore(**{"measurement": _image((16, 18)), "settings": TINY, **options})
  assert "astronaut" not in str(caught.value)


@pytest.mark.parametrize("options, said", [
    ({"measurement": NAN}, "not every member .*restored: measurement holds .* NaN"),
    ({"truth": _image((3, 3))}, r"restored: truth is float32 \(3, 3, 1\), the image is to be")])
def test_an_ensemble_in_a_folder_says_which_argument_is_at_fault(tmp_path, options, said):
  with pytest.raises(runs.Failed, match=said):
    oes_jax.restore(**{"measurement": _image((16, 18)), "settings": TINY, "workdir": tmp_path, "ensemble": 2, **options})


@pytest.mark.parametrize("options, said", [
    ({"truth": _image((3, 3))}, r"^truth is float32 \(3, 3, 1\), the image is to be"),
    ({"measurement": NAN}, "^measurement holds .* NaN"),
    ({"measurement": np.ones((20, 20))}, "^measurement holds the single"),
    ({"measurement": np.array([None])}, "^measurement is a ndarray of object values"),
    ({"measurement": "camera.png"}, "^measurement='camera.png' is a str; allowed: an array"),
    ({"measurement": ["camera.png"]}, r"^measurement\[0\]='camera.png' is a str; allowed: an array"),
    ({"operator": {"name": "inpainting", "mask": np.ones((16, 18))}, "measurement": INFINITE}, "^measurement holds NaN or infinite"),
    ({"operator": {"name": "inpainting", "mask": np.ones((3, 3))}}, r"^operator.mask is \(3, 3\) with 9 measured"),
    ({"measurement": {"kspace": np.ones(3), "coil_maps": np.ones(3)}, "operator": "mri"}, "^measurement cannot be"),
    ({"measurement": {"kspace": "scan.npz", "coil_maps": np.ones(3)}, "operator": "mri"},
     r"^measurement\['kspace'\]='scan.npz' is a str"),
    ({"settings": {"noise.sigma": 0.3}}, "^noise.sigma=0.3 adds noise to a clean image.*allowed: fit.sigma"),
    ({"mask": None, "settings": {}}, "^mask is an object of your own, which a workdir cannot keep"),
    ({"operator": lambda image: image, "settings": {}}, "^operator is an object of your own")])
def test_faults_name_the_argument_in_a_folder_too(tmp_path, options, said):
  with pytest.raises(ValueError, match=said):
    oes_jax.restore(**{"measurement": _image((16, 18)), "settings": TINY, "workdir": tmp_path, **options})
