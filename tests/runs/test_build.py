"""Operators and noise as they are asked for, the files that they name, and what cannot be measured."""

import numpy as np
from PIL import Image
import pytest

from oes_jax import files
from oes_jax import runs
from runs import tiny_run

BAD_MEASUREMENTS = [
    ({"operator.name": "super_resolution", "operator.factor": 5}, "factor 5 does not divide 24x32"),
    ({"operator.name": "tomography", "operator.simulate": False}, "measures no image"),
    ({"operator.name": "inpainting", "operator.simulate": False}, "needs operator.mask=None to be a file"),
    ({"operator.name": "inpainting", "operator.simulate": False, "operator.mask": "text"},
     "needs operator.mask='text'"),
    ({"operator.name": "inpainting", "operator.simulate": False, "operator.mask": "lines"},
     "needs operator.mask='lines'"),
    ({"operator.downsampling": "nearest"},
     "operator.downsampling='nearest' is unknown; allowed: box, bicubic, lanczos"),
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
    ({"noise.model": "poisson_gaussian", "operator.simulate": False},
     "needs noise.peak=None above 0: its data fit depends on it; `oes-jax inspect FILE`, or oes_jax.inspect.array., prints it"),
    ({"noise.model": "sand"}, "noise.model='sand' is unknown"),
    ({"operator.kept": 0.0}, "operator.kept=0.0"), ({"noise.peak": 0.0}, "noise.peak=0.0")]


def _config(**changes):
  return tiny_run.config(tiny_run.TINY_MEASURED, **changes)


@pytest.mark.parametrize("changes, said", BAD_MEASUREMENTS)
def test_what_cannot_be_measured_is_one_line_before_any_compilation(tmp_path, changes, said):
  with pytest.raises(ValueError, match=said) as caught:
    runs.prepare(_config(**changes), str(tmp_path / "run"))
  message = str(caught.value)
  assert "\n" not in message and ("allowed" in message or "above 0" in message)
  assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_files_lost_pixels_are_not_fitted(tmp_path):
  rng = np.random.default_rng(0)
  mask = rng.random((20, 24)) < 0.6
  pixels = rng.integers(0, 255, (20, 24), np.uint8)
  Image.fromarray(np.uint8(255 * mask)).save(tmp_path / "mask.png")
  losses = []
  for name, lost in (("a", 0), ("b", 255)):  # whatever the file holds there
    Image.fromarray(np.where(mask, pixels, np.uint8(lost))).save(tmp_path / f"{name}.png")
    tiny_run.run(_config(**{
        "data.source": str(tmp_path / f"{name}.png"), "data.crop": None, "operator.name": "inpainting",
        "operator.mask": str(tmp_path / "mask.png"), "mask.source": "dense", "weights.num_steps": 5}), tmp_path / name)
    losses.append(files.read_metrics(tmp_path / name / "metrics.jsonl")["weights"]["loss"])
  np.testing.assert_array_equal(*losses)


def test_channels_that_go_first_are_warned_of_and_read_and_written_as_the_setting_says(tmp_path):
  values = np.random.default_rng(0).normal(100, 10, (30, 20, 24)).astype(np.float32)
  np.save(tmp_path / "image.npy", values)
  def read(axis):
    return runs.inspect(_config(**{"data.source": str(tmp_path / "image.npy"), "data.crop": None, "operator.name": "identity",
                                   "data.channel_axis": axis}), str(tmp_path / "run")).data
  np.save(tmp_path / "image.npy", values.transpose(1, 2, 0)[:, :, :16])
  assert read(-1).remarks == ()
  np.save(tmp_path / "image.npy", values[:20])  # 20 rows, 20 columns, 24 channels
  said, = read(-1).remarks
  assert said.startswith("it is read as 20x20 pixels with 24 channels") and said.endswith("set data.channel_axis=0")
  np.save(tmp_path / "image.npy", values[:5])
  first = read(0)
  assert first.remarks == () and first.picture.values.shape == (20, 24, 5)
  path = files.write_picture(tmp_path / "restored", first.picture.values, first.picture)
  np.testing.assert_array_equal(np.load(path), values[:5])


def test_masks_that_were_compressed_are_warned_of_and_inverted_ones_refused(tmp_path):
  seen = np.ones((20, 24), bool)
  seen[5:9, 3:20] = False
  pixels = np.where(seen, np.linspace(1000, 1100, 24), 1050)
  np.save(tmp_path / "image.npy", pixels)
  def remarks(mask):
    np.save(tmp_path / "mask.npy", mask)
    return runs.inspect(_config(**{
        "data.source": str(tmp_path / "image.npy"), "data.crop": None, "operator.name": "inpainting",
        "operator.mask": str(tmp_path / "mask.npy")})).data.remarks
  assert remarks(seen) == remarks(255 * seen) == ()
  smooth = np.where(seen, 255, 0)
  smooth[5, 3:13] = np.arange(1, 11)
  said, = remarks(smooth)
  assert "operator.mask holds 12 values, of which all but 0 count as measured, those of 10 pixels below half" in said
  with pytest.raises(ValueError, match=r"operator.mask=.*mask.npy'.* it looks inverted; allowed: 0 where pixels are lost"):
    remarks(~seen)


def test_what_a_file_holds_at_lost_pixels_does_not_set_its_range(tmp_path):
  rng = np.random.default_rng(0)
  mask = rng.random((20, 24)) < 0.6
  pixels = np.where(mask, np.linspace(1000, 1100, 24), np.nan)
  np.save(tmp_path / "image.npy", pixels)
  np.save(tmp_path / "mask.npy", mask)
  changes = {"data.source": str(tmp_path / "image.npy"), "data.crop": (2, 3, 16, 18), "operator.name": "inpainting",
             "operator.mask": str(tmp_path / "mask.npy")}
  job = runs.inspect(_config(**changes))
  assert 980 < job.data.limits[0] and job.data.limits[1] < 1120
  measured = runs.measure(job)
  assert np.isfinite(measured.values).all() and np.all((measured.values[..., 0] > 0) == mask[2:18, 3:21])
  pixels[4, mask[4]] = np.inf
  np.save(tmp_path / "image.npy", pixels)
  with pytest.raises(ValueError, match="data.source=.*NaN or infinite values that are measured"):
    runs.inspect(_config(**changes))


def test_nan_pixels_count_as_lost_beside_those_of_a_mask_or_alone(tmp_path):
  rng = np.random.default_rng(0)
  pixels, mask = rng.normal(1000, 100, (20, 24)).astype(np.float32), np.ones((20, 24), np.uint8)
  pixels[3:5, 4:10] = np.nan
  mask[4:8, 4:10] = 0
  np.save(tmp_path / "image.npy", pixels)
  np.save(tmp_path / "mask.npy", mask)
  source = {"data.source": str(tmp_path / "image.npy"), "data.crop": None}
  with pytest.raises(ValueError, match="image.npy' holds 12 NaN .*; operator.name=inpainting restores the NaN"):
    runs.inspect(_config(**source))
  inpainting = {**source, "operator.name": "inpainting"}
  for changes, seen, said in [
      ({}, np.isfinite(pixels), "2.5 % of the pixels hold NaN, and count as lost"),
      ({"operator.mask": str(tmp_path / "mask.npy")}, np.isfinite(pixels) & (mask == 1),
       "1.25 % of the pixels hold NaN, and count as lost, beside those of operator.mask")]:
    job = runs.inspect(_config(**inpainting, **changes))
    assert job.data.remarks == (said,)
    measured = runs.measure(job)
    np.testing.assert_array_equal(measured.op_params[..., 0], seen)
    assert np.isfinite(measured.values).all() and np.all(measured.values[~seen] == 0)
  with pytest.raises(ValueError, match="operator.mask='lines' to be a file; allowed: .*, or NaN there in data.source"):
    runs.inspect(_config(**inpainting, **{"operator.mask": "lines"}))
  np.save(tmp_path / "image.npy", np.nan * pixels)
  with pytest.raises(ValueError, match="image.npy' holds nothing but NaN; allowed: some pixels that are numbers"):
    runs.inspect(_config(**inpainting))


@pytest.mark.parametrize("name, arrays, said", [
    ("mri", {"kspace": np.ones((3, 8, 8)), "coil_maps": np.ones((2, 8, 8))},
     r"kspace is \(3, 8, 8\), coil_maps \(2, 8, 8\)"),
    ("mri", {"maps": np.ones((3, 8, 8))}, "no array 'kspace'"),
    ("mri", {"kspace": np.eye(24) * np.ones((3, 1, 1))}, "it has no coil_maps, and fewer than 5x5 samples are measured"),
    ("mri", {"kspace": np.zeros((3, 24, 24)), "coil_maps": np.ones((3, 24, 24))}, "measures nothing"),
    ("tomography", {"sinogram": np.ones((9, 4)), "angles": np.arange(5), "shape": (6, 6)}, r"sinogram is \(9, 4\)"),
    ("tomography", {"sinogram": np.full((9, 4), np.nan), "angles": np.arange(4), "shape": (6, 6)},
     "sinogram holds NaN"),
    ("deblurring", {"sinogram": np.ones((9, 4))}, "operator.name='deblurring' does not read")])
def test_faulty_scans_are_named(tmp_path, name, arrays, said):
  with pytest.raises(ValueError, match=f"data.source=.*{said}"):
    runs.inspect(tiny_run.scan_config(tmp_path, name, **arrays))


def test_a_file_that_is_no_scan_is_named(tmp_path):
  (tmp_path / "mri.npz").write_bytes(b"PK not an archive")
  with pytest.raises(ValueError, match="cannot be read as a scan"):
    runs.inspect(_config(**{"data.source": str(tmp_path / "mri.npz"), "data.crop": None, "operator.name": "mri"}))
