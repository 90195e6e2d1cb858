"""Restoration through forward operators and with other noise: tiny whole runs, simulated and of files."""

import numpy as np
from PIL import Image
import pytest
from skimage import transform

from configs import deblur
from configs import default
from configs import denoise
from configs import inpaint
from configs import super_resolution
from oes_jax import files
from oes_jax.operators import _operators as operators
from oes_jax.runs import _jobs as jobs
from oes_jax.runs import _members as members
from oes_jax.runs import _run as run
from oes_jax.sweeps import _sweep as sweep

TINY = {
    "data.source": "camera", "data.crop": (100, 200, 24, 32), "generator.num_scales": 1,
    "generator.channels": (6,), "mask.num_steps": 6, "mask.keep_fraction": 0.5,
    "weights.num_steps": 30, "compute.compilation_cache": "", "weights.guard_window": 5}
BAD_MEASUREMENTS = [
    ({"operator.name": "super_resolution", "operator.factor": 5}, "factor 5 does not divide 24x32"),
    ({"operator.name": "tomography", "operator.simulate": False}, "measures no image"),
    ({"operator.name": "inpainting", "operator.simulate": False}, "needs operator.mask=None to be a file"),
    ({"operator.name": "inpainting", "operator.simulate": False, "operator.mask": "text"}, "needs operator.mask='text'"),
    ({"operator.name": "inpainting", "operator.simulate": False, "operator.mask": "lines"}, "needs operator.mask='lines'"),
    ({"operator.downsampling": "nearest"}, "operator.downsampling='nearest' is unknown; allowed: box, bicubic, lanczos"),
    ({"operator.name": "inpainting", "operator.mask": "missing.png"}, "operator.mask='missing.png' does not exist"),
    ({"operator.name": "deblurring", "operator.kernel": "box"}, "operator.kernel='box'"),
    ({"operator.name": "radar"}, "operator.name='radar' is unknown; allowed: identity, inpainting"),
    ({"operator.name": "mri", "operator.acceleration": 40.0}, "operator.name='mri': 3 columns in the middle of 32"),
    ({"operator.name": "mri", "data.source": "astronaut"}, "has 3 channels"),
    ({"operator.name": "mri", "data.range": (1.0, 9.0)}, "data.range=.*does not start at 0.*mri"),
    ({"noise.model": "poisson", "data.range": (1.0, 9.0)}, "data.range=.*does not start at 0.*poisson"),
    ({"operator.name": "tomography", "noise.model": "poisson"}, "noise.model='poisson' is for images"),
    ({"operator.name": "deblurring", "compute.tile": 64}, "compute.tile=64"),
    ({"noise.model": "rician", "noise.sigma": 0.0, "operator.simulate": False}, "needs noise.sigma=0.0 above 0"),
    ({"noise.model": "sand"}, "noise.model='sand' is unknown"),
    ({"operator.kept": 0.0}, "operator.kept=0.0"), ({"noise.peak": 0.0}, "noise.peak=0.0")]


def _config(**changes):
  config = default.get_config()
  config.update_from_flattened_dict({**TINY, **changes})
  return config


def _restore(folder, changes):
  return run.run(jobs.prepare(_config(**changes), str(folder)))


@pytest.mark.parametrize("module", [denoise, inpaint, super_resolution, deblur], ids=lambda module: module.__name__)
def test_a_config_takes_the_whole_of_ones_own_file(tmp_path, module):
  config = module.get_config()
  assert jobs.inspect(config).simulated
  rng = np.random.default_rng(0)
  for name in ("mine", "measured"):
    Image.fromarray(rng.integers(0, 2, (40, 36), np.uint8)).save(tmp_path / f"{name}.png")
  config.data.source = str(tmp_path / "mine.png")
  config.operator.mask = str(tmp_path / "measured.png")
  job = jobs.inspect(config)
  assert job.picture.values.shape == (40, 36, 1) and not job.simulated


@pytest.mark.parametrize("name, changes", [
    ("inpainting", {"operator.mask": "lines"}), ("tomography", {"operator.angles": 12}),
    pytest.param("super_resolution", {"operator.factor": 2}, marks=pytest.mark.slow),
    pytest.param("mri", {"operator.acceleration": 2.0}, marks=pytest.mark.slow),
    pytest.param("deblurring", {}, marks=pytest.mark.slow),
    pytest.param("fourier_rows", {}, marks=pytest.mark.slow),
    pytest.param("gaussian_rows", {}, marks=pytest.mark.slow)])
def test_an_image_is_restored_through_an_operator(tmp_path, name, changes):
  summary = _restore(tmp_path, {"operator.name": name, "noise.sigma": 0.02, "mask.source": "random",
                                "weights.guard": "variance", **changes})
  trace = files.read_metrics(tmp_path / "metrics.jsonl")["weights"]
  assert trace["psnr"][-5:].mean() > trace["psnr"][0] + 1  # the image is found, not only the measurement
  assert trace["mse"][-1] < trace["mse"][0]
  assert np.load(tmp_path / "restored.npy").shape == (24, 32)
  assert (tmp_path / "before_after.png").is_file() and summary["quality"]["measurement"]["psnr"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("model", ["poisson", "salt_and_pepper", "speckle", "poisson_gaussian", "rician"])
def test_an_image_is_restored_from_other_noise(tmp_path, model):
  summary = _restore(tmp_path, {"noise.model": model, "mask.source": "random", "weights.guard": "held_out"})
  trace = files.read_metrics(tmp_path / "metrics.jsonl")["weights"]
  assert trace["loss"][-1] < trace["loss"][0] and trace["psnr"][-1] > trace["psnr"][0] + 1
  assert summary["quality"]["guarded"]["psnr"] > 0
  assert any(summary["noise"].values())


def test_a_complex_image_is_scored_and_written_as_its_magnitude(tmp_path):
  summary = _restore(tmp_path, {"operator.name": "mri", "mask.source": "dense", "weights.num_steps": 3,
                                "noise.sigma": 0.01})
  whole, shown = np.load(tmp_path / "complex.npy"), np.load(tmp_path / "output.npy")
  assert whole.shape == (24, 32) and np.iscomplexobj(whole) and shown.shape == (24, 32, 2)
  np.testing.assert_allclose(
      np.abs(whole), summary["limits"][1] * operators.magnitude_of_unit(shown)[..., 0], rtol=1e-3)
  trace = files.read_metrics(tmp_path / "metrics.jsonl")["weights"]
  assert trace["psnr"][-1] == pytest.approx(summary["quality"]["last"]["psnr"], abs=1e-3)  # of the magnitude, too
  assert Image.open(tmp_path / "restored.png").size == (32, 24)
  job = jobs.inspect(_config(**{"operator.name": "mri", "operator.acceleration": 1.0, "operator.centre": 1.0,
                                "noise.sigma": 0.0}))
  measured = members.measure(job)
  np.testing.assert_allclose(measured.estimate, measured.truth, atol=1e-4)  # all is measured: zero-filling is exact


def test_a_files_lost_pixels_are_not_fitted(tmp_path):
  rng = np.random.default_rng(0)
  mask = rng.random((20, 24)) < 0.6
  pixels = rng.integers(0, 255, (20, 24), np.uint8)
  Image.fromarray(np.uint8(255 * mask)).save(tmp_path / "mask.png")
  losses = []
  for name, lost in (("a", 0), ("b", 255)):  # whatever the file holds there
    Image.fromarray(np.where(mask, pixels, np.uint8(lost))).save(tmp_path / f"{name}.png")
    _restore(tmp_path / name, {
        "data.source": str(tmp_path / f"{name}.png"), "data.crop": None, "operator.name": "inpainting",
        "operator.mask": str(tmp_path / "mask.png"), "mask.source": "dense", "weights.num_steps": 5})
    losses.append(files.read_metrics(tmp_path / name / "metrics.jsonl")["weights"]["loss"])
  np.testing.assert_array_equal(*losses)


def test_what_a_file_holds_at_lost_pixels_does_not_set_its_range(tmp_path):
  rng = np.random.default_rng(0)
  mask = rng.random((20, 24)) < 0.6
  pixels = np.where(mask, np.linspace(1000, 1100, 24), np.nan)
  np.save(tmp_path / "image.npy", pixels)
  np.save(tmp_path / "mask.npy", mask)
  changes = {"data.source": str(tmp_path / "image.npy"), "data.crop": (2, 3, 16, 18), "operator.name": "inpainting",
             "operator.mask": str(tmp_path / "mask.npy")}
  job = jobs.inspect(_config(**changes))
  assert 980 < job.limits[0] and job.limits[1] < 1120
  measured = members.measure(job)
  assert np.isfinite(measured.values).all() and np.all((measured.values[..., 0] > 0) == mask[2:18, 3:21])
  pixels[mask] = np.nan
  np.save(tmp_path / "image.npy", pixels)
  with pytest.raises(ValueError, match="data.source=.*NaN or infinite values that are measured"):
    jobs.inspect(_config(**changes))


def test_scans_of_other_coils_are_another_group(tmp_path):
  keys = set()
  for count in (2, 3):
    coils = operators.simulated_coils((16, 16), count)
    (tmp_path / str(count)).mkdir()
    keys.add(jobs.group_key(jobs.inspect(_scan(tmp_path / str(count), "mri", kspace=coils, coil_maps=coils))))
  assert len(keys) == 2


@pytest.mark.slow
def test_a_coarse_file_becomes_a_larger_image(tmp_path):
  Image.fromarray(np.random.default_rng(0).integers(0, 255, (12, 10, 4), np.uint8)).save(tmp_path / "coarse.png")
  job = jobs.inspect(_config(**{
      "data.source": str(tmp_path / "coarse.png"), "data.crop": None, "operator.name": "super_resolution",
      "operator.factor": 3}))
  measured = members.measure(job)
  assert job.shape == (36, 30, 3) and measured.values.shape == (12, 10, 3)
  assert measured.estimate.shape == (36, 30, 3) and measured.truth is None
  _restore(tmp_path / "run", {
      "data.source": str(tmp_path / "coarse.png"), "data.crop": None, "operator.name": "super_resolution",
      "operator.factor": 3, "mask.source": "dense", "weights.num_steps": 2})
  assert Image.open(tmp_path / "run" / "restored.png").size == (30, 36)


def test_a_measurement_is_the_operator_of_the_truth_with_noise(tmp_path):
  kernel = np.zeros((3, 5))
  kernel[1, 1:4] = 2.0  # its sum becomes 1
  np.save(tmp_path / "kernel.npy", kernel)
  job = jobs.inspect(_config(**{"operator.name": "deblurring", "operator.kernel": str(tmp_path / "kernel.npy"),
                                "noise.sigma": 0.01}))
  measured = members.measure(job)
  expected = (np.roll(measured.truth, 1, 1) + measured.truth + np.roll(measured.truth, -1, 1)) / 3
  inner = np.s_[2:-2, 2:-2]
  assert (measured.values - expected)[inner].std() == pytest.approx(0.01, rel=0.2)


@pytest.mark.parametrize("changes, said", BAD_MEASUREMENTS)
def test_what_cannot_be_measured_is_one_line_before_any_compilation(tmp_path, changes, said):
  with pytest.raises(ValueError, match=said) as caught:
    jobs.prepare(_config(**changes), str(tmp_path / "run"))
  message = str(caught.value)
  assert "\n" not in message and ("allowed" in message or "above 0" in message)
  assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_batch_through_an_operator_gives_each_image_alone(tmp_path):
  config = _config(**{"data.source": "camera,coins", "operator.name": "inpainting", "mask.source": "random",
                      "noise.sigma": 0.05})
  sweep.run_all(config, str(tmp_path / "both"))
  for name in ("camera", "coins"):
    alone = _restore(tmp_path / name, {**{"operator.name": "inpainting", "mask.source": "random", "noise.sigma": 0.05},
                                       "data.source": name})
    folder, = (tmp_path / "both" / "cases").glob(f"{name}-*")
    one, other = (files.read_metrics(path / "metrics.jsonl")["weights"] for path in (folder, tmp_path / name))
    np.testing.assert_allclose(one["loss"][:5], other["loss"][:5], rtol=1e-4)
    assert alone["quality"]["measurement"]["psnr"] > 0


def _scan(tmp_path, name, **arrays):
  np.savez(tmp_path / f"{name}.npz", **arrays)
  return _config(**{"data.source": str(tmp_path / f"{name}.npz"), "data.crop": None, "mask.source": "dense",
                    "operator.name": name})


def _phantom():
  rows, columns = np.indices((24, 32))
  return np.float32(80 * ((rows - 11) ** 2 + (columns - 15) ** 2 < 60) + 20)


def test_measured_k_space_is_that_of_the_image_in_its_own_units(tmp_path):
  image = _phantom() * np.exp(0.5j)
  coils = operators.simulated_coils(image.shape, 3)
  space = np.asarray(operators.centred_fft(coils * image[None]))
  halved = jobs.inspect(_scan(tmp_path, "mri", kspace=0.5 * space, coil_maps=0.5 * coils))
  job = jobs.inspect(_scan(tmp_path, "mri", kspace=space, coil_maps=coils))
  assert halved.limits[1] == pytest.approx(job.limits[1], rel=1e-4)  # whatever the scale of the maps
  measured = members.measure(job)
  assert job.shape == (24, 32, 2) and measured.truth is None
  found = operators.to_complex(2 * measured.estimate - 1) * job.limits[1]
  np.testing.assert_allclose(found, image, atol=0.2)


def test_a_measured_sinogram_is_restored(tmp_path):
  angles = np.linspace(0, 180, 20, endpoint=False)
  config = _scan(tmp_path, "tomography", angles=angles, shape=(24, 32),
                 sinogram=transform.radon(np.pad(_phantom(), ((4, 4), (0, 0))), angles, circle=False)[:, :])
  summary = run.run(jobs.prepare(config, str(tmp_path / "run")))
  restored = np.load(tmp_path / "run" / "restored.npy")
  assert restored.shape == (24, 32) and summary["quality"] is None
  assert 0 < restored.mean() < 120 and summary["limits"][1] > 50


@pytest.mark.parametrize("name, arrays, said", [
    ("mri", {"kspace": np.ones((3, 8, 8)), "coil_maps": np.ones((2, 8, 8))}, r"kspace is \(3, 8, 8\), coil_maps \(2, 8, 8\)"),
    ("mri", {"kspace": np.ones((3, 8, 8))}, "no array 'coil_maps'"),
    ("mri", {"kspace": np.zeros((3, 24, 24)), "coil_maps": np.ones((3, 24, 24))}, "measures nothing"),
    ("tomography", {"sinogram": np.ones((9, 4)), "angles": np.arange(5), "shape": (6, 6)}, r"sinogram is \(9, 4\)"),
    ("tomography", {"sinogram": np.full((9, 4), np.nan), "angles": np.arange(4), "shape": (6, 6)}, "sinogram holds NaN"),
    ("deblurring", {"sinogram": np.ones((9, 4))}, "operator.name='deblurring' does not read")])
def test_faulty_scans_are_named(tmp_path, name, arrays, said):
  with pytest.raises(ValueError, match=f"data.source=.*{said}"):
    jobs.inspect(_scan(tmp_path, name, **arrays))


def test_a_file_that_is_no_scan_is_named(tmp_path):
  (tmp_path / "mri.npz").write_bytes(b"PK not an archive")
  with pytest.raises(ValueError, match="cannot be read as a scan"):
    jobs.inspect(_config(**{"data.source": str(tmp_path / "mri.npz"), "data.crop": None, "operator.name": "mri"}))
