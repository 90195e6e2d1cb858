"""Magnetic resonance imaging: energy, lines, complex images and scans."""

import re

import jax.numpy as jnp
import numpy as np
import pytest

from oes_jax import operators
from oes_jax.operators import _mri
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
  scan = _mri.read_scan({"kspace": space, "coil_maps": COILS})
  assert scan.image_shape == (12, 16, 2) and scan.values.shape == (3, 12, 16, 2)
  operator = operators.mri(scan.image_shape, **scan.given)
  first = operators.first_magnitude(operator, operator.init(rng), scan.values)
  np.testing.assert_allclose(first[..., 0], np.abs(image), rtol=1e-3)
  scan = _mri.read_scan({"kspace": space, "coil_maps": COILS, "sampling": np.arange(16) % 2})
  assert operators.mri(scan.image_shape, **scan.given).init(rng)[1].mean() == 0.5
  with pytest.raises(ValueError, match=r"kspace is \(3, 12, 16\), coil_maps \(2, 12, 16\)"):
    _mri.read_scan({"kspace": space, "coil_maps": COILS[:2]})


def _layouts():
  image = np.exp(1j * operators.smooth_phase((12, 16))) * np.linspace(1, 2, 16)
  space = np.asarray(operators.centred_fft(COILS * image))
  last = lambda array: np.moveaxis(array, 0, -1)
  lines = np.arange(16) % 2
  corner = np.fft.ifftshift(space, (-2, -1))
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
  scan = _mri.read_scan(arrays, **options)
  assert scan.remarks == ()
  np.testing.assert_array_equal(operators.to_complex(jnp.asarray(scan.values)), space.astype(np.complex64))
  assert operators.mri(scan.image_shape, **scan.given).init(rng)[1].mean() == (0.5 if "mask" in name else 1)


@pytest.mark.parametrize("name, said", [("corner", "more energy in its corners.* set operator.centred=False"),
                                        ("coils last", "12 coils of 16x3 samples.* set operator.coil_axis=-1")])
def test_a_scan_that_looks_as_if_it_had_another_layout_is_remarked(name, said):
  assert re.search(said, _mri.read_scan(_layouts()[1][name][0]).remarks[0])


def test_of_two_masks_of_a_scan_one_is_said_not_to_be_read():
  arrays = {**_layouts()[1]["mask"][0], "sampling": np.ones(16)}
  assert _mri.read_scan(arrays).remarks == ("mask of the scan is not read, as it has sampling",)


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
  space = np.ones((1, 48, 40), complex)
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
  one = operators.read_scan(operators.OperatorSettings(name="mri"), {"kspace": np.ones((48, 40), complex)})
  assert one.values.shape == (1, 48, 40, 2) and np.all(one.given["coils"] == 1) and "its one coil is taken to be 1" in one.remarks[0]
  with pytest.raises(ValueError, match="it has no coil_maps, and fewer than 5x5 samples are measured around the middle"):
    operators.read_scan(operators.OperatorSettings(name="mri"), {"kspace": np.ones((2, 48, 40)), "mask": np.arange(40) % 2})
