"""Masks and kernels, of files and arrays, that would silently mean something else."""

import numpy as np
from PIL import Image
import pytest
import tifffile

from oes_jax import runs
from oes_jax.runs import _given
from oes_jax.runs import _planes
from runs import tiny_run

SEEN = np.ones((20, 24), bool)
SEEN[5:9, 3:20] = False


@pytest.mark.parametrize("mask, said", [
    (SEEN, ()), (255 * SEEN, ()),
    (np.where(SEEN, 255, 127), "operator.mask loses no pixel, as none of its values, 127 to 255, is 0"),
    (1 + SEEN, "operator.mask loses no pixel, as none of its values, 1 to 2, is 0"),
    (np.indices((20, 24)).sum(0) < 3, "operator.mask loses 98.8 % of the pixels, and may be inverted"),
])
def test_masks_that_lose_nothing_or_nearly_all_are_remarked(mask, said):
  found = _planes.remark_mask(mask.astype(float))
  assert found == () if said == () else len(found) == 1 and found[0].startswith(said)


def test_an_alpha_channel_of_a_mask_or_kernel_is_refused_where_it_says_something():
  colours, alpha = np.full((20, 24, 3), 255, np.uint8), np.uint8(255 * SEEN)
  assert np.all(_planes.plane_of(colours, "operator.mask", np.full_like(alpha, 255)) == 255)
  assert np.all(_planes.plane_of(colours, "operator.mask") == 255)
  with pytest.raises(ValueError, match="operator.mask has transparent pixels, 14.2 % of them.*allowed: an image without"):
    _planes.plane_of(colours, "operator.mask", alpha)
  for channels in (2, 4):
    with pytest.raises(ValueError, match=f"operator.kernel has {channels} channels, of which the last may be alpha"):
      _planes.plane_of(np.ones((5, 5, channels)), "operator.kernel")


def test_a_mask_of_a_file_or_an_array_is_checked_of_simulated_images_too(tmp_path):
  lost = {"operator.name": "inpainting", "data.crop": (0, 0, 20, 24), "operator.mask": str(tmp_path / "mask.png")}
  read = lambda: runs.inspect(tiny_run.config(**lost)).data
  Image.fromarray(np.where(SEEN, np.uint8(255), np.uint8(127))).save(tmp_path / "mask.png")
  assert read().simulated and "loses no pixel" in read().remarks[0]
  Image.fromarray(np.dstack([np.full((20, 24, 3), 255, np.uint8), np.uint8(255 * SEEN)])).save(tmp_path / "mask.png")
  with pytest.raises(ValueError, match="mask.png' has transparent pixels"):
    read()
  image = np.random.default_rng(0).random((20, 24)).astype(np.float32)
  settings = runs.check_config(tiny_run.config(**{"operator.simulate": False, "operator.name": "inpainting"}))
  of_array = lambda mask: runs.job_of_arrays(settings, runs.Given(image, arrays={"mask": mask})).data.remarks
  assert of_array(SEEN) == () and "loses no pixel" in of_array(1 + SEEN)[0]
  with pytest.raises(ValueError, match="operator.mask has 4 channels"):
    of_array(np.dstack([SEEN] * 4))


def test_transparency_that_super_resolution_leaves_out_is_remarked(tmp_path):
  pixels = np.random.default_rng(0).integers(0, 255, (20, 24, 4), np.uint8)
  Image.fromarray(pixels).save(tmp_path / "image.png")
  def remarks(name):
    return runs.inspect(tiny_run.config(**{
        "data.source": str(tmp_path / "image.png"), "data.crop": None, "operator.name": name, "operator.factor": 2,
        "operator.simulate": False})).data.remarks
  assert remarks("identity") == ()
  assert remarks("super_resolution") == ("its transparency (alpha) is left out of the result, which has another size",)


def test_an_image_whose_channels_are_not_all_intensities_is_refused():
  image = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4))
  assert _given.as_array(image, "measurement").shape == (3, 4)
  for mode in ("P", "LA", "RGBA", "CMYK", "YCbCr", "HSV"):
    with pytest.raises(ValueError, match=rf"measurement is an image of mode {mode}, .*allowed: convert\('RGB'\)"):
      _given.as_array((image if mode in ("P", "LA") else image.convert("RGB")).convert(mode), "measurement")


def test_a_mask_is_read_as_it_looks(tmp_path):
  rng = np.random.default_rng(0)
  np.save(tmp_path / "image.npy", rng.random((20, 24)))
  def inspect(mask):
    return runs.inspect(tiny_run.config(**{
        "data.source": str(tmp_path / "image.npy"), "data.crop": None, "operator.name": "inpainting",
        "operator.mask": str(tmp_path / mask)}))
  for photometric, stored in (("minisblack", SEEN), ("miniswhite", ~SEEN)):
    tifffile.imwrite(tmp_path / "mask.tif", stored, photometric=photometric)
    np.testing.assert_array_equal(runs.measure(inspect("mask.tif")).op_params[..., 0], SEEN)
  tifffile.imwrite(tmp_path / "grey.tif", np.where(SEEN, 0, 255).astype(np.uint8), photometric="miniswhite")
  with pytest.raises(ValueError, match="operator.mask='.*grey.tif' has white at 0; allowed: an image that has black at 0"):
    inspect("grey.tif")
