"""What is read: ones own files, their truth, and a mask that is taken over."""

import re

from astropy.io import fits
import numpy as np
from PIL import Image
import pydicom
from pydicom import data as pydicom_data
import pytest
import tifffile

from configs import deblur
from configs import denoise
from configs import inpaint
from configs import super_resolution
from oes_jax import runs
from oes_jax.runs import _data
from runs import tiny_run


@pytest.mark.slow
@pytest.mark.parametrize("module", [denoise, inpaint, super_resolution, deblur], ids=lambda module: module.__name__)
def test_a_config_takes_the_whole_of_ones_own_file(tmp_path, module):
  config = module.get_config()
  assert runs.inspect(config).data.simulated
  rng = np.random.default_rng(0)
  for name in ("mine", "measured"):
    Image.fromarray(rng.integers(0, 2, (40, 36), np.uint8)).save(tmp_path / f"{name}.png")
  config.data.source = str(tmp_path / "mine.png")
  if config.operator.name == "inpainting":
    config.operator.mask = str(tmp_path / "measured.png")
  job = runs.inspect(config)
  assert job.data.picture.values.shape == (40, 36, 1) and not job.data.simulated


@pytest.mark.slow
def test_a_coarse_file_becomes_a_larger_image(tmp_path):
  Image.fromarray(np.random.default_rng(0).integers(0, 255, (12, 10, 4), np.uint8)).save(tmp_path / "coarse.png")
  coarse = {"data.source": str(tmp_path / "coarse.png"), "data.crop": None, "operator.name": "super_resolution",
            "operator.factor": 3}
  job = runs.inspect(tiny_run.config(tiny_run.TINY_MEASURED, **coarse))
  measured = runs.measure(job)
  assert job.shape == (36, 30, 3) and measured.values.shape == (12, 10, 3)
  assert measured.estimate.shape == (36, 30, 3) and measured.truth is None
  tiny_run.restore(tmp_path / "run", tiny_run.TINY_MEASURED, **coarse,
                   **{"mask.source": "dense", "weights.num_steps": 2})
  assert Image.open(tmp_path / "run" / "restored.png").size == (30, 36)


def test_a_truth_of_ones_own_has_the_type_and_shape_of_the_image(tmp_path):
  rng = np.random.default_rng(0)
  for name, shape in {"noisy": (20, 24), "clean": (20, 24), "other": (20, 23)}.items():
    Image.fromarray(rng.integers(0, 255, shape, np.uint8)).save(tmp_path / f"{name}.png")
  paths = {name: str(tmp_path / f"{name}.png") for name in ("noisy", "clean", "other")}
  data = runs.inspect(tiny_run.config(data__source=paths["noisy"], data__truth=paths["clean"], data__crop=None)).data
  np.testing.assert_array_equal(data.truth[..., 0], np.asarray(Image.open(paths["clean"])))
  assert not data.simulated and data.sigma == 0
  with pytest.raises(ValueError, match=r"^data.truth=.*other.png' is uint8 \(20, 23, 1\), the image is to be uint8"):
    runs.inspect(tiny_run.config(data__source=paths["noisy"], data__truth=paths["other"], data__crop=None))


@pytest.mark.parametrize("types, said", [
    ((np.float32, np.float64), None), ((np.float64, np.float32), None), ((np.float32, ">f4"), None),
    ((np.uint16, np.uint8), "is uint8 .* the image is to be uint16"), ((np.float32, np.uint8), "is uint8 .* to be float32")])
def test_a_truth_of_floats_of_another_width_is_taken_from_files_as_from_memory(tmp_path, types, said):
  values = np.random.default_rng(0).integers(0, 99, (20, 24))
  for name, dtype in zip(("noisy", "clean"), types):
    np.save(tmp_path / f"{name}.npy", values.astype(dtype))
  config = tiny_run.config(**{"data.source": str(tmp_path / "noisy.npy"), "data.truth": str(tmp_path / "clean.npy"), "data.crop": None})
  if said:
    with pytest.raises(ValueError, match=f"^data.truth=.*clean.npy' {said}"):
      runs.inspect(config)
  else:
    truth = runs.inspect(config).data.truth
    assert truth.dtype == types[0] and np.array_equal(truth[..., 0], values)


def test_a_truth_whose_0_is_black_is_no_truth_of_an_image_whose_0_is_white(tmp_path):
  values = np.random.default_rng(0).integers(0, 255, (20, 24)).astype(np.uint8)
  np.save(tmp_path / "array.npy", values)
  for name in ("miniswhite", "minisblack"):
    tifffile.imwrite(tmp_path / f"{name}.tif", values, photometric=name)
  def read(source, truth):
    return runs.inspect(tiny_run.config(data__source=str(tmp_path / source), data__truth=str(tmp_path / truth), data__crop=None))
  with pytest.raises(ValueError, match="^data.truth=.*minisblack.tif' has black at 0, the image white, .*; allowed: both alike.$"):
    read("miniswhite.tif", "minisblack.tif")
  with pytest.raises(ValueError, match="^data.truth=.*miniswhite.tif' has white at 0, the image black"):
    read("minisblack.tif", "miniswhite.tif")
  for source, truth in (("miniswhite.tif", "miniswhite.tif"), ("miniswhite.tif", "array.npy"), ("array.npy", "miniswhite.tif")):
    np.testing.assert_array_equal(read(source, truth).data.truth[..., 0], values)


def test_a_truth_of_another_range_or_unit_is_refused_and_an_odd_one_is_remarked(tmp_path):
  values = np.random.default_rng(0).integers(0, 16, (20, 24), np.uint8)
  tifffile.imwrite(tmp_path / "four.tif", values, bitspersample=4)
  tifffile.imwrite(tmp_path / "eight.tif", values)
  slices = pydicom.dcmread(pydicom_data.get_testdata_file("CT_small.dcm", download=False))
  for name, intercept in (("a.dcm", -1024), ("b.dcm", 0)):
    slices.RescaleIntercept = intercept
    slices.save_as(tmp_path / name)
  stored = np.random.default_rng(0).normal(100, 20, (20, 24))
  for name, array in (("measured", stored), ("same", stored + 1), ("scaled", 300 * stored), ("negative", 200 - stored)):
    np.save(tmp_path / f"{name}.npy", array)
  def read(source, truth):
    return runs.inspect(tiny_run.config(tiny_run.TINY_MEASURED, **{
        "data.source": str(tmp_path / source), "data.truth": str(tmp_path / truth), "data.crop": None}))
  with pytest.raises(ValueError, match=r"data.truth=.*eight.tif' has the range None, the image \(0.0, 15.0\)"):
    read("four.tif", "eight.tif")
  with pytest.raises(ValueError, match=r"data.truth=.*b.dcm' has the rescale slope and intercept \(1.0, 0.0\), the image \(1.0, -1024"):
    read("a.dcm", "b.dcm")
  for truth, said in (("same", ""), ("scaled", "where the measurement's range is 0 to 1: it seems to be on another scale"),
                      ("negative", "have a correlation of -")):
    remarks = []
    runs.measure(read("measured.npy", f"{truth}.npy"), remarks.append)
    remarks = [remark for remark in remarks if "data.truth" in remark]
    assert not remarks if said == "" else said in remarks[-1]


@pytest.mark.parametrize("unit, said", [("electron", True), ("adu", False), (None, False)])
def test_a_truth_of_another_unit_of_fits_is_remarked(tmp_path, unit, said):
  for name, its in (("measured", "adu"), ("clean", unit)):
    hdu = fits.PrimaryHDU(np.random.default_rng(0).random((20, 24)))
    if its:
      hdu.header["BUNIT"] = its
    hdu.writeto(tmp_path / f"{name}.fits")
  config = tiny_run.config(**{"data.source": str(tmp_path / "measured.fits"), "data.truth": str(tmp_path / "clean.fits"),
                              "data.crop": None})
  assert any("has the unit electron, the image adu" in remark for remark in runs.inspect(config).data.remarks) == said


def test_a_mask_of_another_generator_is_refused(whole, tmp_path):
  with pytest.raises(ValueError, match="made for the generator"):
    runs.prepare(tiny_run.config(mask__source="file", mask__path=str(whole[0] / "mask"),
                                 generator__channels=(9,)), str(tmp_path / "run"))


@pytest.mark.parametrize("values, changes, said", [
    (np.full((20, 20), 7, np.uint8), {},
     "holds the single value 7: there is nothing to restore. Set data.range= if this is"),
    (np.linspace(-1, 1, 400).reshape(20, 20), {"noise.model": "poisson"},
     "has 1 channels and values from -1.0; allowed, as noise.model='poisson' needs it: values that are not negative.$"),
    (np.ones((20, 20, 3)), {"operator.name": "mri", "operator.simulate": True, "data.range": (0.0, 2.0)},
     "has 3 channels .*allowed, as operator.name='mri' needs it: .*in one channel.$")])
def test_what_the_library_says_of_a_measurement_names_the_file_and_the_keys(tmp_path, values, changes, said):
  np.save(tmp_path / "image.npy", values)
  with pytest.raises(ValueError, match=f"^data.source='.*image.npy' {said}"):
    runs.inspect(tiny_run.config(**{"data.source": str(tmp_path / "image.npy"), "data.crop": None, **changes}))


@pytest.mark.parametrize("changes, said", [
    ({"noise.sigma": 0.3}, "noise.sigma=0.3 is not used.*fit.sigma says"), ({}, None), ({"noise.sigma": 0.0}, None),
    ({"noise.sigma": 0.3, "noise.model": "rician"}, None), ({"noise.share": 0.3}, "noise.share=0.3 is not used"),
    ({"noise.sigma": 0.3, "operator.simulate": True}, None)])
def test_a_strength_of_noise_that_a_measured_file_does_not_use_is_remarked(tmp_path, changes, said):
  np.save(tmp_path / "image.npy", np.random.default_rng(0).random((20, 20)))
  remarks = " ".join(runs.inspect(tiny_run.config(**{
      "data.source": str(tmp_path / "image.npy"), "data.crop": None, "operator.simulate": False, **changes})).data.remarks)
  assert re.search(said, remarks) if said else "is not used" not in remarks


def test_the_strength_of_a_preset_is_not_remarked_of_a_scan(tmp_path):
  arrays = {"kspace": np.ones((1, 24, 32), np.complex64) + np.eye(24, 32), "coil_maps": np.ones((1, 24, 32), np.complex64)}
  for sigma, said in ((0.03, False), (0.2, True)):
    config = tiny_run.scan_config(tmp_path, "mri", **arrays)
    config.noise.sigma = sigma
    assert any("is not used" in remark for remark in runs.inspect(config).data.remarks) == said


@pytest.mark.parametrize("limits, said", [
    (None, None), ((0.0, 1100.0), None), ((0.0, 90.0), "% of the values of its first image, as far as .*0 to 90, .*set data.range wider")])
def test_bright_details_of_a_scan_are_in_its_range_or_remarked(tmp_path, limits, said):
  image = tiny_run.phantom()
  image[5, 7] = 1000
  space = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image), norm="ortho")).astype(np.complex64)
  config = tiny_run.scan_config(tmp_path, "mri", kspace=space, coil_maps=np.ones((1, 24, 32), np.complex64))
  config.data.range = limits
  data = runs.inspect(config).data
  assert data.limits == limits if limits else 1000 < data.limits[1] < 1100
  remarks = " ".join(data.remarks)
  assert re.search(said, remarks) if said else "data.range" not in remarks


def test_a_density_is_not_asked_of_a_stored_mask():
  said = [_data._remark_mask(runs.check_config(tiny_run.config(mask__source=source, mask__path=path, mask__keep_fraction=share)))
          for source, path, share in (("file", "m", 0.1), ("file", "m", None), ("learn", None, 0.1))]
  assert "mask.keep_fraction=0.1 is not used" in said[0][0] and said[1:] == [(), ()]
