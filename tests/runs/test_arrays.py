"""Jobs of arrays and objects in memory: no folder, no file, and faults that name the argument."""

import dataclasses
import io

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image as PillowImage
from PIL import ImageOps
import pytest

import oes_jax
from oes_jax import generators
from oes_jax import operators
from oes_jax import runs
from oes_jax.runs import _data
from oes_jax.runs import _given
from runs import tiny_run

IMAGE = np.random.default_rng(0).random((20, 24)).astype(np.float32)
INTEGERS = np.round(1000 * IMAGE).astype(np.uint16)

RECORRUPTED = {"fit.objective": "recorrupted"}


def _job(measurement, changes=None, **given):
  settings = runs.check_config(tiny_run.config(**{"operator.simulate": False, **(changes or {})}))
  return runs.job_of_arrays(settings, runs.Given(measurement, **given))


def test_a_job_of_an_array_has_no_folder_and_writes_nothing(tmp_path):
  job = _job(IMAGE, truth=IMAGE)
  assert job.workdir is None and job.shape == (20, 24, 1) and job.data.picture.squeezed
  assert not job.data.simulated and job.num_measured == 20 * 24
  np.testing.assert_array_equal(job.data.truth[..., 0], IMAGE)
  assert _job(IMAGE, {"operator.simulate": True, "noise.sigma": 0.1}).data.simulated
  assert not any(tmp_path.iterdir())


def test_a_measurement_of_ones_own_operator_lies_in_the_unit_range():
  halves = operators.from_function(lambda image: image[::2], (20, 24, 1))
  job = _job(np.zeros((10, 24, 1)), operator=halves)
  assert job.data.limits == (0.0, 1.0) and job.shape == (20, 24, 1) and job.num_measured == 10 * 24
  assert runs.measure(job).values.shape == (10, 24, 1)


def test_a_generator_of_ones_own_takes_the_place_of_the_named_one():
  own = generators.from_apply(
      lambda key: {"w": jax.random.normal(key, (2, 1))}, lambda params, x: jax.nn.sigmoid(x @ params["w"]),
      net_input_shape=(20, 24, 2), name="own")
  assert _job(IMAGE, {"mask.keep_fraction": 0.5}, generator=own).generator is own
  with pytest.raises(ValueError, match=r"generator makes images \(20, 24, 1\); allowed: \(16, 24, 1\), that of measurement.$"):
    _job(IMAGE[:16], generator=own)
  fed = {"mask.keep_fraction": 0.5, "generator.input": "measurement", "fit.objective": "recorrupted", "fit.sigma": 0.1}
  with pytest.raises(ValueError, match=r"generator takes a network input \(20, 24, 2\); .*'measurement': \(20, 24, 1\)"):
    _job(IMAGE, fed, generator=own)
  lost = {"operator.name": "inpainting", "operator.simulate": True}
  assert _job(IMAGE, {**fed, **lost}, generator=own).generator is own  # the image, and which pixels are known


def test_scans_are_read_from_dictionaries():
  coils = operators.simulated_coils((20, 24), 2)
  mri = {"operator.name": "mri"}
  job = _job({"kspace": coils, "coil_maps": coils}, mri)
  assert job.shape == (20, 24, 2) and job.data.scan is not None
  with pytest.raises(ValueError, match="^measurement cannot be read as a scan: it has no array 'kspace'; allowed: kspace"):
    _job({"coil_maps": coils}, mri)
  with pytest.raises(ValueError, match="^measurement cannot be read as a scan: kspace holds NaN"):
    _job({"kspace": np.nan * coils, "coil_maps": coils}, mri)
  with pytest.raises(ValueError, match="^measurement is a dictionary, which operator='identity' does not read"):
    _job({"kspace": coils})
  with pytest.raises(ValueError, match="^operator='mri' measures no image.*kspace, perhaps coil_maps, sampling"):
    _job(IMAGE, mri)


def test_a_truth_of_another_float_type_or_byte_order_is_cast():
  for image, truth in ((IMAGE, IMAGE.astype(np.float64)), (INTEGERS, INTEGERS.astype(">u2"))):
    found = _job(image, truth=truth).data.truth
    assert found.dtype == image.dtype
    np.testing.assert_array_equal(found[..., 0], image)


@pytest.mark.parametrize("shape, warned", [
    ((40, 20, 20), True), ((20, 20, 20), True), ((40, 32, 17), True), ((40, 8, 8), True), ((40, 32, 16), False),
    ((40, 4, 4), False), ((40, 32, 5), False)])
def test_a_movie_that_is_taken_for_channels_is_said(shape, warned):
  said = _data.remark_channels(_given.as_picture(np.zeros(shape), "measurement"), "move them")
  assert bool(said) == warned
  assert not warned or said[0].endswith(f"with {shape[2]} channels; restore frames of a movie or slices one by one; where "
                                        "channels go first, move them")


def test_lost_pixels_need_no_value_where_a_mask_says_so():
  lost = np.where(IMAGE > 0.3, IMAGE, np.nan)
  job = _job(lost, {"operator.name": "inpainting"}, arrays={"mask": IMAGE > 0.3})
  measured = runs.measure(job)
  assert np.isfinite(measured.values).all() and np.all((measured.values[..., 0] != 0) <= (IMAGE > 0.3))
  alone = _job(lost, {"operator.name": "inpainting"})
  np.testing.assert_array_equal(runs.measure(alone).values, measured.values)
  assert "% of the pixels hold NaN, and count as lost" in alone.data.remarks[0]
  with pytest.raises(ValueError, match="^measurement holds .* NaN or infinite values.*operator='inpainting', which restores NaN"):
    _job(lost)
  with pytest.raises(ValueError, match="^operator='inpainting' needs a mask"):
    _job(IMAGE, {"operator.name": "inpainting"})


@pytest.mark.parametrize("measurement, given, said", [
    ("text", {}, "measurement='text' is a str; allowed: an array"), (np.zeros((0, 4)), {}, r"measurement has shape \(0, 4\)"),
    (np.zeros(9), {}, r"measurement has shape \(9,\); allowed: \[H, W\] or"),
    (IMAGE * 1j, {}, "measurement is a ndarray of complex64 values"),
    (IMAGE, {"truth": IMAGE[:16]}, r"truth has shape \(16, 24\); allowed: that of the image, \(20, 24, 1\)"),
    (IMAGE, {"truth": np.ones((20, 24), int)}, "truth holds int64 values; allowed: float32"),
    (INTEGERS, {"truth": INTEGERS.astype(np.uint8)}, "truth holds uint8 values; allowed: uint16, as the image"),
    (INTEGERS.astype(np.uint8), {"truth": INTEGERS}, "truth holds uint16 values; allowed: uint8, as the image"),
    (np.zeros((20, 24, 1), np.float32), {"operator": operators.from_function(jnp.negative, (20, 24, 1)), "changes": RECORRUPTED},
     r"operator: fit.objective='recorrupted' with fit.sigma=None: the noise level cannot be estimated.*fit.sigma, a"),
    (np.full((20, 24), 9.0), {"changes": {**RECORRUPTED, "data.range": (0.0, 18.0)}},
     "measurement: a noise level of 0 is found.*fit.sigma=None.*allowed: fit.sigma, a number above 0"),
    (np.ones((20, 24, 1), np.float32), {"operator": operators.from_function(jnp.square, (20, 24, 1)), "changes": {
        **RECORRUPTED, "fit.sigma": 0.1, "weights.guard": "held_out", "weights.combine": True}},
     "weights.combine=True needs a linear operator"),
    (IMAGE, {"loss": jnp.subtract, "changes": RECORRUPTED}, "loss does not go with fit.objective='recorrupted'.*'plain'"),
    (jnp.zeros((3, 3, 1)), {"operator": operators.from_function(lambda image: image[:2], (20, 24, 1))},
     r"measurement has shape \(3, 3, 1\); allowed: \(2, 24, 1\), as the operator gives of an image \(20, 24, 1\)")])
def test_faults_name_the_argument(measurement, given, said):
  with pytest.raises(ValueError, match=f"^{said}"):
    _job(measurement, **given)


@pytest.mark.parametrize("noise, refused", [
    ({"sigma": 0.3}, "sigma=0.3 .* allowed: fit.sigma, with fit.objective='recorrupted', says"), ({"sigma": 0.0}, None),
    ({"sigma": 0.3, "model": "rician"}, None), ({"peak": 9.0, "sigma": 0.3, "model": "poisson_gaussian"}, None),
    ({"peak": 9.0, "model": "poisson"}, "peak=9.0 .* noise.model='poisson' .* allowed: None"),
    ({"sigma": 0.3, "model": "speckle"}, "sigma=0.3 .* allowed: None"),
    ({"share": 0.1, "model": "salt_and_pepper"}, "share=0.1")])
def test_a_strength_that_nothing_reads_is_refused(noise, refused):
  settings = runs.check_config(tiny_run.config(**{"operator.simulate": False, **{f"noise.{name}": noise[name] for name in noise}}))
  simulated = settings._replace(operator=dataclasses.replace(settings.operator, simulate=True))
  runs.check_strength(simulated)
  if refused is None:
    runs.check_strength(settings)
  else:
    with pytest.raises(ValueError, match=f"^noise.{refused}"):
      runs.check_strength(settings)


def test_a_strength_that_an_objective_reads_is_allowed():
  changes = {**tiny_run.RECORRUPTED, "noise.model": "poisson", "noise.peak": 9.0}
  runs.check_strength(runs.check_config(tiny_run.config(**changes)))
  with pytest.raises(ValueError, match="^noise.sigma=0.3 adds noise to a clean image, and a measurement has its own"):
    _job(IMAGE, {"noise.sigma": 0.3})


def test_settings_keep_the_names_of_their_keys():
  with pytest.raises(ValueError, match="^mask.keep_fraction=0.001 keeps"):
    _job(IMAGE, {"mask.keep_fraction": 0.001, "mask.source": "snip"})
  with pytest.raises(ValueError, match="^data.range=.* does not go with an operator of your own"):
    _job(np.zeros((2, 24, 1)), {"data.range": (0.0, 2.0)},
         operator=operators.from_function(lambda image: image[:2], (20, 24, 1)))


@pytest.mark.parametrize("factor, said", [(50.0, "fit.sigma=0.02 is taken for noise of a standard deviation of 1 in"), (1.0, None)])
def test_how_strong_fit_sigma_is_in_what_an_operator_of_ones_own_measured_is_said(factor, said):
  rows = operators.from_function(lambda image: factor * image[:2], (20, 24, 1))
  job = _job(np.zeros((2, 24, 1), np.float32), {**tiny_run.RECORRUPTED, "fit.sigma": 0.02}, operator=rows)
  assert [text for text in job.data.remarks if "fit.sigma" in text][:1] == ([] if said is None else [job.data.remarks[0]])
  assert said is None or job.data.remarks[0].startswith(said)


def test_ranges_are_named_as_settings():
  with pytest.raises(ValueError, match="^measurement holds the single value 1.0: .* Set data.range= if"):
    _job(np.ones((20, 24)))
  with pytest.raises(ValueError, match=r"^data.range=\(1.0, 9.0\) does not start at 0"):
    _job(IMAGE, {"noise.model": "poisson", "noise.peak": 9.0, "data.range": (1.0, 9.0)})


def test_what_is_said_of_an_array_names_no_file(caplog):
  hot = np.full((20, 20), 1000, np.uint16) + np.arange(20, dtype=np.uint16)
  hot[7, 7] = 50000
  runs.measure(_job(hot))
  assert "measurement: 0.25 % of the values lie outside" in caplog.text and "astronaut" not in caplog.text


def test_an_operator_of_ones_own_is_given_what_it_measures_and_no_integers():
  with pytest.raises(ValueError, match="uint8 values, which nothing scales"):
    oes_jax.restore(np.full((16, 18, 1), 100, np.uint8), operator=lambda image: image, progress=False)


def test_what_of_a_scan_is_not_read_is_warned_of_once():
  coils = operators.simulated_coils((16, 16), 2)
  scan = {"kspace": np.fft.fftshift(np.fft.fft2(coils)), "coil_maps": coils, "patient": "anonymous"}
  job, said = _job(scan, {"operator.name": "mri"}), []
  runs.measure(job, said.append)
  assert said.count("measurement: patient of the scan is not read") == 1


class _Labelled:
  """An array with names of its axes, as xarray's."""
  dims = ("y", "x")

  def __array__(self, dtype=None, copy=None):
    return np.asarray(IMAGE, dtype)


class _WithUnit(np.ndarray):
  """An array with a unit, as astropy's."""


@pytest.mark.parametrize("value, said", [
    (np.ma.masked_less(IMAGE, 0.3), r"^measurement is a numpy.ma.MaskedArray of which \d+ values are masked.*inpainting"),
    (_Labelled(), "^measurement is a .*_Labelled, whose units, labels or axes would be lost; allowed: numpy.asarray"),
    (IMAGE.view(_WithUnit), "^measurement is a .*_WithUnit, whose units, labels or axes would be lost")])
def test_an_array_that_holds_more_than_its_numbers_is_refused(value, said):
  with pytest.raises(ValueError, match=said):
    _job(value)


def _opened(name, **options):
  """Return an image file of Pillow, as it is opened."""
  stream, first = io.BytesIO(), PillowImage.fromarray(np.uint8(255 * IMAGE))
  first.save(stream, name, **options)
  return PillowImage.open(stream)


def test_a_picture_of_pillow_that_is_to_be_turned_or_has_several_frames_is_refused():
  exif, other = PillowImage.Exif(), PillowImage.fromarray(np.zeros(IMAGE.shape, np.uint8))
  exif[274] = 6
  with pytest.raises(ValueError, match="^measurement is an image whose EXIF orientation 6 is not applied; allowed: PIL.ImageOps.exif"):
    _job(_opened("PNG", exif=exif))
  assert _job(ImageOps.exif_transpose(_opened("PNG", exif=exif))).shape == (24, 20, 1)
  assert _job(_opened("TIFF", tiffinfo={274: 6})).shape == (24, 20, 1)  # Pillow has turned it
  several = _opened("TIFF", save_all=True, append_images=[other])
  with pytest.raises(ValueError, match="^measurement is an image file of 2 frames, of which one would be read"):
    _job(several)
  assert _job(several.copy()).shape == (20, 24, 1)


def test_arrays_of_any_library_without_more_than_numbers_are_taken(tmp_path):
  np.save(tmp_path / "image.npy", IMAGE)
  for value in (np.ma.array(IMAGE), jnp.asarray(IMAGE), np.load(tmp_path / "image.npy", mmap_mode="r"), IMAGE.tolist()):
    np.testing.assert_allclose(_job(value).data.picture.values[..., 0], IMAGE, rtol=1e-6)
