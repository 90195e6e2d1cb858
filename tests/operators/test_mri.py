"""Magnetic resonance imaging: energy, lines, complex images and scans."""

import re

import jax.numpy as jnp
import numpy as np
import pytest

from oes_jax import operators
from oes_jax.operators import _k_space
from operators import cases

COILS = cases.COILS


def test_full_sampling_and_unit_coils_keep_the_energy(rng):
  operator = operators.mri((12, 16, 2), coils=COILS, sampling=np.ones((12, 16)))
  image = rng.standard_normal((12, 16, 2)).astype(np.float32)
  space = operator.apply(operator.init(rng), image)
  assert space.shape == (3, 12, 16, 2)
  assert float(np.sum(np.square(space))) == pytest.approx(np.sum(image ** 2), rel=1e-4)
  back = operators.adjoint(operator.apply, operator.init(rng), space, (12, 16, 2))
  np.testing.assert_allclose(back, image, atol=1e-4)  # the adjoint is then the inverse


@pytest.mark.parametrize("width, acceleration, centre", [(100, 4, 0.08), (64, 8, 0.01), (63, 4, 0.1), (64, 4, 0.08)])
def test_lines_are_as_many_as_asked_for_with_the_middle_among_them(rng, width, acceleration, centre):
  lines = operators.cartesian_lines(width, acceleration=acceleration, centre=centre, rng=rng)
  assert lines.sum() == round(width / acceleration)
  constant = np.abs(np.asarray(operators.centred_fft(jnp.ones((1, width), jnp.complex64))))[0]
  assert lines[constant.argmax()] == 1  # the zero frequency
  middle = max(1, round(centre * width))
  assert lines[width // 2 - middle // 2:][:middle].all()


def test_complex_images_have_their_magnitude_and_pairs_are_taken_apart(rng):
  values = rng.uniform(0, 1, (4, 5)) * np.exp(1j * operators.smooth_phase((4, 5)))
  unit = operators.complex_to_unit(values)
  assert unit.shape == (4, 5, 2) and 0 <= unit.min() and unit.max() <= 1
  np.testing.assert_allclose(operators.magnitude_of_unit(unit)[..., 0], np.abs(values), rtol=1e-12)
  np.testing.assert_allclose(operators.to_complex(operators.to_pair(jnp.asarray(values))), values, rtol=1e-6)


def test_a_scan_is_read_and_its_first_magnitude_is_the_image(rng):
  image = np.exp(1j * operators.smooth_phase((12, 16))) * rng.uniform(1, 2, (12, 16))
  space = np.asarray(operators.centred_fft(COILS * image))
  scan = _k_space.read_scan({"kspace": space, "coil_maps": COILS})
  assert scan.image_shape == (12, 16, 2) and scan.values.shape == (3, 12, 16, 2)
  operator = operators.mri(scan.image_shape, **scan.given)
  first = operators.first_magnitude(operator, operator.init(rng), scan.values)
  np.testing.assert_allclose(first[..., 0], np.abs(image), rtol=1e-3)
  scan = _k_space.read_scan({"kspace": space, "coil_maps": COILS, "sampling": np.arange(16) % 2})
  assert operators.mri(scan.image_shape, **scan.given).init(rng)[1].mean() == 0.5
  with pytest.raises(ValueError, match=r"kspace is \(3, 12, 16\), coil_maps \(2, 12, 16\)"):
    _k_space.read_scan({"kspace": space, "coil_maps": COILS[:2]})


def _layouts():
  image = np.exp(1j * operators.smooth_phase((12, 16))) * np.linspace(1, 2, 16)
  space = np.asarray(operators.centred_fft(COILS * image))
  last = lambda array: np.moveaxis(array, 0, -1)
  lines = np.arange(16) % 2
  corner = np.fft.fft2(COILS * image, norm="ortho")
  return space, {
      "as it is": ({"kspace": space, "coil_maps": COILS}, {}),
      "coils last": ({"kspace": last(space), "coil_maps": last(COILS)}, {"coil_axis": -1}),
      "corner": ({"kspace": corner, "coil_maps": COILS}, {"centred": False}),
      "corner, mask": ({"kspace": corner, "coil_maps": COILS, "mask": np.fft.ifftshift(lines)}, {"centred": False}),
      "mask": ({"kspace": space, "coil_maps": COILS, "mask": lines}, {})}


@pytest.mark.parametrize("name", list(_layouts()[1]))
def test_a_scan_in_any_layout_is_read_as_the_setting_says(rng, name):
  space, layouts = _layouts()
  arrays, options = layouts[name]
  scan = _k_space.read_scan(arrays, **options)
  assert scan.remarks == ()
  np.testing.assert_allclose(operators.to_complex(jnp.asarray(scan.values)), space, atol=1e-5)
  assert operators.mri(scan.image_shape, **scan.given).init(rng)[1].mean() == (0.5 if "mask" in name else 1)


@pytest.mark.parametrize("name, said", [("corner", "more energy in its corners.* set operator.centred=False"),
                                        ("coils last", "12 coils of 16x3 samples.* set operator.coil_axis=-1")])
def test_a_scan_that_looks_as_if_it_had_another_layout_is_remarked(name, said):
  assert re.search(said, _k_space.read_scan(_layouts()[1][name][0]).remarks[0])


@pytest.mark.parametrize("shape", [(12, 16), (13, 17)])
def test_k_space_of_a_plain_transform_gives_the_image_where_it_lies(rng, shape):
  image, coils = rng.random(shape), operators.simulated_coils(shape, 3)
  scan = _k_space.read_scan({"kspace": np.fft.fft2(coils * image, norm="ortho"), "coil_maps": coils}, centred=False)
  operator = operators.mri(scan.image_shape, **scan.given)
  first = operators.first_magnitude(operator, operator.init(rng), scan.values)[..., 0]
  np.testing.assert_allclose(first, image, atol=1e-4)
  assert scan.remarks == ()


def _measured(count=4, noise=0.0):
  """Return (complex image times coil maps, coil maps, a quarter of the columns of 0 and 1) of 64x64 pixels."""
  rng, rows_columns = np.random.default_rng(0), np.indices((64, 64))
  image = np.exp(-np.sum((rows_columns - np.array([28, 36])[:, None, None]) ** 2, 0) / 300) + 0.3 * rng.random((64, 64))
  coils = operators.simulated_coils((64, 64), count)
  noisy = rng.normal(0, noise, (2, *coils.shape))
  return (coils * image * np.exp(1j * operators.smooth_phase((64, 64))) + noisy[0] + 1j * noisy[1], coils,
          operators.cartesian_lines(64, acceleration=4, centre=0.08, rng=rng))


@pytest.mark.parametrize("count", [2, 4, 8])
def test_coil_maps_that_go_with_k_space_are_not_remarked(count):
  images, coils, lines = _measured(count, noise=0.1)
  space = np.asarray(operators.centred_fft(images)) * lines
  for maps in (coils, coils * (np.abs(images).sum(0) > 0.3)):  # 0 outside of the object
    assert _k_space.read_scan({"kspace": space, "coil_maps": maps}).remarks == ()


@pytest.mark.parametrize("change, said", [
    (lambda maps: maps[::-1], r"explain \d+ % of the energy .*: perhaps their coils lie in another order"),
    (np.conj, r"their conjugates 9\d %: pass numpy.conj"),
    (lambda maps: np.fft.fftshift(maps, (1, 2)), "rolled by half the image 9.*pass numpy.fft.ifftshift .*operator.centred=False")])
def test_coil_maps_that_contradict_k_space_are_remarked(change, said):
  images, coils, lines = _measured(noise=0.1)
  space = np.asarray(operators.centred_fft(images)) * lines
  found, = _k_space.read_scan({"kspace": space, "coil_maps": change(coils)}).remarks
  assert re.search(said, found)


def test_an_origin_of_the_image_elsewhere_is_told_by_the_coil_maps():
  images, coils, _ = _measured()
  plain = np.fft.fft2(images)
  said, = _k_space.read_scan({"kspace": np.fft.fftshift(plain, (1, 2)), "coil_maps": coils}).remarks
  assert "its origin is taken to lie in its middle" in said and "operator.centred=False" in said
  middle = np.fft.fft2(np.fft.ifftshift(images, (1, 2)))
  said, = _k_space.read_scan({"kspace": middle, "coil_maps": coils}, centred=False).remarks
  assert "its origin is taken to lie in its corner" in said and "operator.centred=True" in said


def test_conjugates_of_two_coil_maps_are_remarked():
  for noise in (0.0, 0.3):
    images, coils, lines = _measured(2, noise)
    space = np.asarray(operators.centred_fft(images)) * lines
    said, = _k_space.read_scan({"kspace": space, "coil_maps": np.conj(coils)}).remarks
    assert "pass numpy.conj of them" in said


@pytest.mark.parametrize("count", [1, 4])
def test_an_image_that_lies_rolled_is_told_without_coil_maps(count):
  rows, columns = np.indices((64, 64))
  image = ((rows - 30) ** 2 + (columns - 33) ** 2 < 400) * np.exp(1j * operators.smooth_phase((64, 64)))
  images = (operators.simulated_coils((64, 64), 4) if count > 1 else 1) * image[None]
  plain, centred_space = np.fft.fft2(images), np.asarray(operators.centred_fft(images))
  for centred, right, wrong in ((True, centred_space, np.fft.fftshift(plain, (1, 2))),
                                (False, plain, np.fft.ifftshift(centred_space, (1, 2)))):
    assert not any("rolled" in said for said in _k_space.read_scan({"kspace": right}, centred=centred).remarks)
    said = _k_space.read_scan({"kspace": wrong}, centred=centred).remarks[-1]
    assert "rolled by half" in said and f"operator.centred={not centred}" in said


def test_the_magnitude_of_k_space_alone_is_remarked():
  images, coils, _ = _measured()
  said = _k_space.read_scan({"kspace": np.abs(operators.centred_fft(images)), "coil_maps": coils}).remarks
  assert said[0] == "kspace is real: a magnitude alone gives no image"


def test_masks_that_do_not_fit_what_is_0_in_k_space_are_remarked():
  images, coils, lines = _measured()
  space = np.asarray(operators.centred_fft(images))
  def sampled(space, mask):
    scan = _k_space.read_scan({"kspace": space, "coil_maps": coils, "mask": mask})
    return np.broadcast_to(scan.given["sampling"] != 0, (64, 64)), scan.remarks
  rows = np.broadcast_to(lines[:, None] > 0, (64, 64))
  seen, said = sampled(space * rows, lines)
  np.testing.assert_array_equal(seen, rows)
  assert said == ("the mask is taken for rows of kspace, which is 0 where it is; along columns it is not",)
  for mask in (np.ones(64), np.ones((64, 64))):
    seen, said = sampled(space * rows, mask)
    np.testing.assert_array_equal(seen, rows)
    assert said == ("48 of 64 rows of kspace are 0 throughout, and count as not measured",)
  seen, said = sampled(space, lines)  # all of it was measured, and a part is asked for
  np.testing.assert_array_equal(seen, rows.T)
  assert said == ()
  some = np.random.default_rng(0).random((64, 64)) < 0.9
  some[20:40, 20:40] = True
  _, said = sampled(space * some, np.ones(64))
  assert re.search(r"[89]\.\d+ % of the samples that count as measured are exactly 0", said[0])


def test_of_two_masks_of_a_scan_one_is_said_not_to_be_read():
  arrays = {**_layouts()[1]["mask"][0], "sampling": np.ones(16)}
  assert _k_space.read_scan(arrays).remarks == ("mask of the scan is not read, as it has sampling",)


@pytest.mark.parametrize("make, said", [
    (lambda: operators.mri((12, 16, 3), coils=COILS), "3 channels; allowed: 2"),
    (lambda: operators.mri((12, 12, 2), coils=COILS), "the coil maps are"),
    (lambda: operators.mri((12, 16, 2), coils=COILS, sampling=np.ones((16, 12))), "the sampling is"),
    (lambda: operators.mri((12, 16, 2), coils=COILS, sampling=np.zeros(16)), "measures nothing"),
    (lambda: operators.cartesian_lines(10, acceleration=4, centre=0.5, rng=None), "more than the 2 of"),
])
def test_what_does_not_match_is_named(make, said):
  with pytest.raises(ValueError, match=said):
    make()


@pytest.mark.parametrize("shape", [(40,), (48, 40)])
def test_columns_that_a_scanner_has_filled_with_zeros_are_not_measured(shape):
  space = np.full((1, 48, 40), 1j)
  space[..., :5] = 0
  mask = np.ones(shape) * (np.arange(40) % 2)
  scan = operators.read_scan(operators.OperatorSettings(name="mri"), {"kspace": space, "coil_maps": space + 1, "mask": mask})
  np.testing.assert_array_equal(scan.given["sampling"], mask * (np.arange(40) >= 5))
  assert scan.remarks == ("2 of 40 columns of kspace are 0 throughout, and count as not measured",)


def test_coil_maps_are_estimated_of_the_middle_of_k_space():
  rows, columns = np.indices((48, 40))
  image = 1.0 * ((rows - 23) ** 2 / 300 + (columns - 19) ** 2 / 200 < 1) * np.exp(1j * operators.smooth_phase((48, 40)))
  coils = operators.simulated_coils(image.shape, 4)
  lines = operators.cartesian_lines(40, acceleration=3, centre=0.3, rng=np.random.default_rng(0))
  scan = operators.read_scan(operators.OperatorSettings(name="mri"), {
      "kspace": np.asarray(operators.centred_fft(coils * image)) * lines})
  found, inside = scan.given["coils"], np.abs(image) > 0
  np.testing.assert_allclose(np.sum(np.abs(found) ** 2, 0), 1, rtol=1e-5)
  # each pixel's maps have one phase in common, that of the smooth image, which the image then lacks
  alike = np.abs(np.sum(found * coils.conj(), 0))
  assert alike[inside].mean() > 0.995 and scan.remarks == (
      "it has no coil_maps; they are estimated of the 11x11 samples around the middle of kspace",)
  one = operators.read_scan(operators.OperatorSettings(name="mri"), {"kspace": np.full((48, 40), 1j)})
  assert one.values.shape == (1, 48, 40, 2) and np.all(one.given["coils"] == 1) and "its one coil is taken to be 1" in one.remarks[0]
  with pytest.raises(ValueError, match="it has no coil_maps, and fewer than 5x5 samples are measured around the middle"):
    operators.read_scan(operators.OperatorSettings(name="mri"), {"kspace": np.ones((2, 48, 40)), "mask": np.arange(40) % 2})
