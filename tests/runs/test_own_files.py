"""Files of astronomy and of the public MRI sets, through a config."""

from astropy.io import fits
import h5py
import numpy as np
import pytest

from oes_jax import operators
from oes_jax import runs
from runs import tiny_run


def _fits_config(path, **changes):
  return tiny_run.config(tiny_run.TINY_MEASURED, **{
      "data.source": str(path), "data.crop": None, "mask.source": "dense", "output.figures": False, **changes})


@pytest.mark.slow
def test_the_blank_pixels_of_a_fits_file_are_restored_in_its_own_type(tmp_path):
  values = np.int16(10 * tiny_run.phantom())
  lost = np.zeros(values.shape, bool)
  lost[5:9, 4:7] = True
  hdu = fits.PrimaryHDU(np.where(lost, np.int16(-9999), values))
  hdu.header.update({"BLANK": -9999, "OBJECT": "M 31", "CRPIX1": 4.0, "CRPIX2": 5.0})
  fits.HDUList([hdu]).writeto(tmp_path / "frame.fits")
  with pytest.raises(ValueError, match="frame.fits' holds 12 NaN .* operator.name=inpainting restores the NaN"):
    runs.inspect(_fits_config(tmp_path / "frame.fits"))
  made = _fits_config(tmp_path / "frame.fits", operator__name="inpainting", data__crop=(2, 1, 20, 28), weights__num_steps=3)
  job = runs.inspect(made)
  assert job.data.remarks == ("2.14 % of the pixels hold NaN, and count as lost",)
  summary = tiny_run.run(made, tmp_path / "run")
  assert summary["output"] == "restored.fits"
  with fits.open(tmp_path / "run" / "restored.fits") as file:
    header, restored = file[0].header, file[0].data
  assert restored.dtype.newbyteorder("=") == np.int16 and restored.shape == (20, 28) and "BLANK" not in header
  assert (header["OBJECT"], header["CRPIX1"], header["CRPIX2"]) == ("M 31", 3, 3)
  assert restored.min() > -9999 and "restored" in str(header["HISTORY"])


def test_an_hdu_of_several_is_an_image_with_a_name_of_its_own(tmp_path):
  image = tiny_run.phantom()
  fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(image), fits.ImageHDU(np.stack([image, image + 1]))]).writeto(tmp_path / "a.fits")
  job = runs.inspect(_fits_config(f"{tmp_path / 'a.fits'}@2@1"), parent=tmp_path)
  np.testing.assert_array_equal(job.data.picture.values[..., 0], image + 1)
  assert job.workdir.name.startswith("a-page2_1-seed0-") and "plane 1 of 2" in job.data.remarks[0]


def _kspace():
  image = tiny_run.phantom()
  coils = operators.simulated_coils(image.shape, 3)
  lines = operators.cartesian_lines(image.shape[1], acceleration=2, centre=0.3, rng=np.random.default_rng(0))
  space = np.asarray(operators.centred_fft(coils * image)).astype(np.complex64)
  return image, np.stack([2 * space, space]) * lines, lines


def test_a_slice_of_fastmri_needs_no_coil_maps(tmp_path):
  image, space, lines = _kspace()
  with h5py.File(tmp_path / "file1000.h5", "w") as file:
    file.update({"kspace": space, "mask": lines, "reconstruction_rss": np.ones((2, 24, 24), np.float32)})
  made = tiny_run.config(tiny_run.TINY_MEASURED, data__source=f"{tmp_path / 'file1000.h5'}@1", data__crop=None,
                         mask__source="dense", operator__name="mri")
  job = runs.inspect(made, parent=tmp_path)
  assert job.shape == (24, 32, 2) and job.data.truth is None and job.workdir.name.startswith("file1000-page1-seed0-")
  assert job.data.remarks[:2] == (
      "kspace (2, 3, 24, 32) is read as 2 slices of 3 coils, 24x32 samples",
      "it has no coil_maps; they are estimated of the 11x11 samples around the middle of kspace")
  found = job.data.picture.values[..., 0]  # the zero-filled image, in the units of the scan
  assert np.corrcoef(found.ravel(), image.ravel())[0, 1] > 0.9 and 0.7 < found.max() / image.max() < 1.3
  with pytest.raises(ValueError, match="file1000.h5@1' holds measured arrays, .*'identity' does not read; allowed: mri, tomo"):
    runs.inspect(_fits_config(f"{tmp_path / 'file1000.h5'}@1"))
  made.data.source = str(tmp_path / "file1000.h5")
  with pytest.raises(ValueError, match="file1000.h5' cannot be read as a scan: it holds 2 slices; allowed: one of them, as NAME@0"):
    runs.inspect(made)
