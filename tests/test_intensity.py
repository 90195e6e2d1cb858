"""The map of values to the unit range, and its inverse."""

import numpy as np
import pytest

from oes_jax import intensity

HEIGHT, WIDTH = 5, 7


def random_values(dtype, channels=None, seed=0):
  """Random [H, W] or [H, W, C] over the whole range of an integer type."""
  rng = np.random.default_rng(seed)
  shape = (HEIGHT, WIDTH) if channels is None else (HEIGHT, WIDTH, channels)
  dtype = np.dtype(dtype)
  if dtype.kind == "f":
    return rng.normal(100, 30, shape).astype(dtype)
  if dtype == bool:
    return rng.integers(0, 2, shape).astype(bool)
  info = np.iinfo(dtype)
  return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


def assert_same(actual, expected):
  assert actual.dtype == expected.dtype and actual.shape == expected.shape
  np.testing.assert_array_equal(actual, expected)


EXACT_TYPES = [bool, np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.float32]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", EXACT_TYPES)
def test_from_unit_inverts_to_unit(dtype, channels):
  values = random_values(dtype, channels)
  limits = intensity.intensity_range(values)
  unit = intensity.to_unit(values, limits)
  assert unit.dtype == np.float64
  assert_same(intensity.from_unit(unit, limits, values.dtype), values)


@pytest.mark.parametrize("dtype", [np.float64, np.float16])
def test_from_unit_inverts_to_unit_of_other_floats(dtype):
  values = random_values(dtype, 3)
  limits = intensity.intensity_range(values)
  inverse = intensity.from_unit(intensity.to_unit(values, limits), limits, dtype)
  assert inverse.dtype == dtype
  np.testing.assert_allclose(inverse, values, rtol=1e-14)


@pytest.mark.parametrize("fill, dtype", [(-9999, np.float32), (-32768, np.int16), (1e20, np.float64)])
def test_a_value_that_fills_a_block_far_from_all_others_is_refused(fill, dtype):
  values = np.random.default_rng(0).normal(150, 20, (20, 24, 1)).astype(dtype)
  expected = intensity.intensity_range(values)
  hot = values.copy()
  hot[5, 7] = fill
  np.testing.assert_allclose(intensity.intensity_range(hot), expected, rtol=0.05)  # isolated ones do not count
  values[:5, :7] = fill
  with pytest.raises(ValueError, match=rf"holds {fill:g} in 35 places, far from all other values.*operator.mask.*range="
                     .replace("+", r"\+")):
    intensity.intensity_range(values)
  assert intensity.intensity_range(values, (0, 300)) == (0, 300)


@pytest.mark.parametrize("background", [0.0, 100.0])
def test_a_background_of_one_value_is_no_fill(background):
  values = np.random.default_rng(0).normal(150, 20, (20, 24, 1))
  values[:5] = background
  assert intensity.intensity_range(values)[1] > 150


@pytest.mark.parametrize("limits, values, unit", [
    ((0., 255.), [0, 51, 255], [0., 0.2, 1.]),
    ((-10., 10.), [-10, 0, 5], [0., 0.5, 0.75]),
    ((100., 200.), [50, 250], [-0.5, 1.5]),
])
def test_to_unit_hand_check(limits, values, unit):
  np.testing.assert_allclose(intensity.to_unit(np.asarray(values), limits), unit, rtol=1e-15)


@pytest.mark.parametrize("dtype, unit, expected", [
    (np.uint8, [-1., 0., 0.5 / 255 - 1e-9, 0.5 / 255 + 1e-9, 1., 2.], [0, 0, 0, 1, 255, 255]),
    (np.int8, [-1., 0.25, 2.], [-128, 64, 127]),
    (bool, [-1., 0.4, 0.6, 2.], [False, True, True, True]),
    (np.float32, [-1., 2.], [-255., 510.]),
])
def test_from_unit_rounds_and_clips_integers_only(dtype, unit, expected):
  actual = intensity.from_unit(np.asarray(unit), (0., 255.), dtype)
  assert_same(actual, np.asarray(expected, dtype))


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint64])
def test_from_unit_does_not_wrap_around_at_the_ends(dtype):
  low, high = intensity.from_unit(np.asarray([0., 1.]), (-1e30, 1e30), dtype)
  info = np.iinfo(dtype)
  assert low == info.min
  assert info.max - 2 ** 11 <= high <= info.max  # float64 has 53 bits


@pytest.mark.parametrize("dtype, expected", [
    (np.uint8, (0., 255.)), (np.int8, (-128., 127.)), (bool, (0., 1.))])
def test_range_of_8_bit_and_boolean_data_is_that_of_the_type(dtype, expected):
  values = np.zeros((8, 8, 1), dtype)
  values[2:4, 2:4] = 1
  assert intensity.intensity_range(values) == expected


def halves(dtype):
  """Left half 100, right half 300."""
  values = np.full((8, 8, 1), 100, dtype)
  values[:, 4:] = 300
  return values


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32, np.float64])
def test_range_of_other_data_is_widened_by_a_twentieth(dtype):
  assert intensity.intensity_range(halves(dtype)) == (90., 310.)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize("position", [(4, 2), (0, 0), (7, 7), (0, 4)])
def test_range_ignores_one_hot_and_one_dead_pixel(dtype, position):
  values = halves(dtype)
  values[position] = 60_000
  assert intensity.intensity_range(values) == (90., 310.)
  values[position] = 0
  assert intensity.intensity_range(values) == (90., 310.)


def test_range_does_not_mix_channels():
  # A median over channels too would not see the middle one.
  values = np.full((6, 6, 3), 500, np.uint16)
  values[..., 1] = 1000
  assert intensity.intensity_range(values) == (475., 1025.)


def test_range_of_a_flat_image_with_one_other_pixel_is_that_of_its_values():
  values = np.full((6, 6, 1), 10, np.uint16)
  values[3, 3] = 30
  assert intensity.intensity_range(values) == (9., 31.)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_range_override_is_taken_as_it_is(dtype):
  values = random_values(dtype, 1)
  assert intensity.intensity_range(values, (-1, 2.5)) == (-1., 2.5)
  assert intensity.intensity_range(np.zeros((4, 4, 1), dtype), (0, 1)) == (0., 1.)


@pytest.mark.parametrize("override", [
    (1, 1), (2, 1), (np.nan, 1), (0, np.nan), (0, np.inf), (-np.inf, 0)])
def test_bad_range_override_names_itself(override):
  with pytest.raises(ValueError, match=r"^range=.*allowed"):
    intensity.intensity_range(halves(np.float32), override)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, bool])
def test_image_of_a_single_value_names_the_range(dtype):
  with pytest.raises(ValueError, match=r"single value.*Set range="):
    intensity.intensity_range(np.ones((4, 4, 3), dtype))


def test_an_image_that_overflows_is_told_from_one_value_alone():
  with pytest.raises(ValueError, match="the measurement has an image whose values do not fit into 32 bits"):
    intensity.intensity_range(np.full((4, 4, 1), np.inf, np.float32))


def _with_a_bead(noise=0.01):
  values = np.where(np.indices((32, 32)).sum(0) < 30, 0.3, 0.6) + noise * np.random.default_rng(0).standard_normal((32, 32))
  values[20, 9] = 6
  return values[..., None]


def test_a_small_bright_detail_of_a_computed_image_belongs_to_its_range():
  values = _with_a_bead()
  measured, computed = intensity.intensity_range(values), intensity.intensity_range(values, computed=True)
  assert measured[1] < 0.7 and 6 < computed[1] < 6.4  # of a measured one it may be a hot pixel
  noise = np.random.default_rng(0).normal(100, 30, (64, 64, 1))
  assert intensity.intensity_range(noise, computed=True) == intensity.intensity_range(noise)  # which noise alone does not widen


def test_values_beyond_limits_are_found_where_noise_does_not_explain_them():
  values = _with_a_bead()
  assert intensity.find_beyond(values, (0, 0.62)) == (1 / 1024, 6.0)
  share, least = intensity.find_beyond(values[:16], (0.5, 1))
  assert 0.5 < share < 1 and least == values[:16].min()
  assert intensity.find_beyond(values, (0, 6)) is None and intensity.find_beyond(_with_a_bead(0.2), (0, 6)) is None


def test_the_range_of_several_images_is_that_of_their_pixels_side_by_side():
  rng = np.random.default_rng(0)
  images = [np.repeat(np.repeat(rng.uniform(*ends, (6, 7, 1)), 3, 0), 3, 1) for ends in ((0, 1), (4, 9), (-3, 2))]
  alone = [intensity.intensity_range(image) for image in images]
  np.testing.assert_allclose(intensity.range_of_all(alone), intensity.intensity_range(np.concatenate(images)), rtol=0.02)
  assert intensity.range_of_all([(0.0, 3.0), (0.0, 5.0)]) == (0.0, 5.0) and intensity.range_of_all([(0.0, 255.0)] * 2) == (0.0, 255.0)


@pytest.mark.parametrize("low, high, said", [
    (0.0, 255.0, "0 to 255"), (1e6, 1e6 + 0.5, "1000000 to 1000000.5"), (-0.1, 1.1, "-0.1 to 1.1"), (7.0, 7.0, "7 to 7"), (0.0, 0.0, "0 to 0"),
    (32767.25, 32767.75, "32767.25 to 32767.75"), (1e-20, 2e-20, "1e-20 to 2e-20")])
def test_a_range_is_said_in_digits_that_tell_its_ends_apart(low, high, said):
  assert intensity.say_range(low, high) == said
