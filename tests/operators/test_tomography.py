"""Tomography is scikit-image's radon transform; sinograms are read."""

import jax.numpy as jnp
import numpy as np
import pytest
from skimage import transform

from oes_jax import operators
from oes_jax.operators import _tomography

ANGLES = np.array([0.0, 20.0, 45.0, 90.0, 133.0])


def test_angles_in_radians_are_remarked_and_read_as_the_setting_says(rng):
  angles = np.linspace(0, 180, 6, endpoint=False)
  arrays = {"sinogram": transform.radon(rng.random((16, 16)), angles, circle=False), "shape": (16, 16)}
  assert _tomography.read_scan({**arrays, "angles": angles}).remarks == ()
  wrong = _tomography.read_scan({**arrays, "angles": np.radians(angles)})
  assert "6 angles lie within 2.62 degrees; where they are in radians, set operator.angle_unit=radians" in wrong.remarks
  right = _tomography.read_scan({**arrays, "angles": np.radians(angles)}, angle_unit="radians")
  np.testing.assert_allclose(right.given["angles"], angles)
  assert right.remarks == ()
  said, = _tomography.read_scan({**arrays, "angles": angles}, angle_unit="radians").remarks
  assert "its angles reach 150 radians, more than two turns; where they are in degrees" in said


@pytest.mark.parametrize("shape", [(24, 24), (17, 22)])
def test_tomography_is_scikit_images_radon(rng, shape):
  image = rng.random(shape)
  operator = operators.tomography((*shape, 1), angles=ANGLES)
  sinogram = operator.apply(operator.init(rng), jnp.asarray(image[..., None], jnp.float32))
  expected = transform.radon(image, ANGLES, circle=False)
  assert sinogram.shape == (*expected.shape, 1)
  np.testing.assert_allclose(sinogram[..., 0], expected, atol=1e-4)


def test_a_scan_is_read_and_one_of_another_size_is_named(rng):
  sinogram = transform.radon(rng.random((17, 22)), ANGLES, circle=False)
  scan = _tomography.read_scan({"sinogram": sinogram, "angles": ANGLES, "shape": (17, 22)})
  assert scan.image_shape == (17, 22, 1)
  operator = operators.tomography(scan.image_shape, **scan.given)
  assert operators.shape_of(operator, operator.init(rng)) == scan.values.shape
  for arrays, said in [({"sinogram": sinogram[1:]}, "allowed for an image of 17x22, with 5 angles"),
                       ({"angles": ANGLES[None]}, "allowed: real"),
                       ({"shape": (17, 22, 1)}, r"shape is \[17, 22, 1\]; allowed: \(H, W\), of the image"),
                       ({"sinogram": 1j * sinogram}, "allowed: real")]:
    with pytest.raises(ValueError, match=said):
      _tomography.read_scan({"sinogram": sinogram, "angles": ANGLES, "shape": (17, 22), **arrays})


@pytest.mark.parametrize("side", [24, 25])
def test_a_sinogram_of_the_circle_alone_is_that_of_the_whole_square(rng, side):
  rows, columns = np.indices((side, side)) - side // 2
  image = rng.random((side, side)) * (rows ** 2 + columns ** 2 < (side // 2 - 1) ** 2)
  arrays = {"angles": ANGLES, "shape": (side, side)}
  of_circle = _tomography.read_scan({**arrays, "sinogram": transform.radon(image, ANGLES, circle=True)})
  whole = _tomography.read_scan({**arrays, "sinogram": transform.radon(image, ANGLES, circle=False)})
  np.testing.assert_allclose(of_circle.values, whole.values, atol=1e-5)
  assert of_circle.image_shape == whole.image_shape == (side, side, 1) and whole.remarks == ()
  said, = of_circle.remarks
  assert f"its {side} detectors are as many as pixels along a side" in said and "circle=True" in said
  with pytest.raises(ValueError, match=f"allowed .*circle=False\\) gives, or \\[{side}, 5\\], as circle=True does"):
    _tomography.read_scan({**arrays, "sinogram": of_circle.values[1:, :, 0]})


def test_a_sinogram_that_looks_transposed_is_remarked(rng):
  image = np.zeros((24, 24))
  image[5:15, 8:20] = rng.random((10, 12))
  detectors = _tomography.num_detectors(24, 24)
  angles = np.linspace(0, 180, detectors, endpoint=False)
  sinogram = transform.radon(image, angles, circle=False) + 0.1 * rng.standard_normal((detectors, detectors))
  arrays = {"angles": angles, "shape": (24, 24)}
  assert _tomography.read_scan({**arrays, "sinogram": sinogram}).remarks == ()
  said, = _tomography.read_scan({**arrays, "sinogram": sinogram.T}).remarks
  assert "where it is [angles, detectors], transpose it" in said


@pytest.mark.parametrize("strength", [0.02, 1.0])
def test_counts_of_rays_are_remarked(rng, strength):
  image = np.zeros((24, 24))
  image[5:15, 8:20] = rng.random((10, 12))
  angles = np.linspace(0, 180, 12, endpoint=False)
  taken = strength * transform.radon(image, angles, circle=False)
  arrays = {"angles": angles, "shape": (24, 24)}
  counts = 1000 * np.exp(-taken)
  said, = _tomography.read_scan({**arrays, "sinogram": counts}).remarks
  assert "pass -numpy.log(I / I0)" in said
  for right in (taken, -np.log(counts / 1000), np.zeros_like(counts)):
    assert _tomography.read_scan({**arrays, "sinogram": right}).remarks == ()


@pytest.mark.parametrize("angles, sides", [
    (np.zeros(40), "1 side"), (np.tile([30.0, 210, 390], 4), "1 side"), (np.tile([0.0, 90], 10), "2 sides"), (np.full(2, 7.0), "1 side"),
    (np.linspace(0, 180, 40), None), (np.linspace(0, 360, 41), None), (np.linspace(-180, 180, 40, endpoint=False), None),
    (np.array([5.0]), None)])
def test_angles_that_are_the_same_from_both_sides_are_remarked(rng, angles, sides):
  detectors = _tomography.num_detectors(17, 22)
  arrays = {"sinogram": rng.standard_normal((detectors, angles.size)), "angles": angles, "shape": (17, 22)}
  remarks = " ".join(_tomography.read_scan(arrays).remarks)
  assert f"its {angles.size} angles show the image from {sides} alone" in remarks if sides else "show the image" not in remarks
