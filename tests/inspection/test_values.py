"""Ranges, ends that are cut off, levels and lost pixels are what was made."""

import numpy as np
import pytest

from inspection import measured
import oes_jax


def values_of(array):
  return oes_jax.inspect(array).values


def test_range_levels_and_type():
  found = values_of(np.uint16(16 * np.rint(4095 * np.clip(measured.noisy(), 0.01, 0.99))))
  assert (found.shape, found.dtype, found.step) == ((128, 128, 1), "uint16", 16)
  assert found.low.value == 16 * 41 and found.high.value == 16 * 4054
  assert found.levels == len(np.unique(np.rint(4095 * np.clip(measured.noisy(), 0.01, 0.99))))
  assert not found.high.of_type and not found.is_blank


@pytest.mark.parametrize("convert", [measured.eight_bit, lambda image: np.float32(np.clip(image, 0, 1)),
                                     lambda image: np.uint16(3000 * np.clip(image, 0, 1))], ids=["8 bit", "float", "12 bit"])
def test_what_is_cut_off_is_said(convert):
  found = oes_jax.inspect(convert(1.3 * measured.noisy("coins") - 0.2))
  expected = 1.3 * measured.noisy("coins") - 0.2
  assert found.values.low.is_cut and found.values.high.is_cut
  assert found.values.low.share == pytest.approx(np.mean(expected <= 0), abs=0.006)  # rounding adds half a level
  assert found.values.high.share == pytest.approx(np.mean(expected >= 1), abs=0.006)  # rounding adds half a level
  assert sum("cut off" in line for line in found.remarks) == sum("saturated" in line for line in found.remarks) == 1


@pytest.mark.parametrize("array", [
    measured.noisy(), np.uint16(1000 + 2000 * measured.noisy("moon")), measured.photons(0.2), measured.photons(3),
    np.uint8(measured.photons(30, "moon")), measured.photons(1, "retina"),
    measured.eight_bit(0.5 + 0.4 * measured.noisy("moon"))],
    ids=["float", "16 bit", "few photons", "photons", "8-bit photons", "dark photons", "8 bit"])
def test_what_is_whole_is_not_said_to_be_cut_off(array):
  found = oes_jax.inspect(array)
  assert not found.values.low.is_cut and not found.values.high.is_cut
  assert not any("cut off" in line or "saturated" in line for line in found.remarks)


@pytest.mark.parametrize("fill", [-99999.0, 1e20])
def test_a_fill_value_is_lost(fill):
  array = 1000 * measured.noisy()
  array[20:40, 30:60] = fill
  found = oes_jax.inspect(array)
  assert (found.values.fill, found.values.lost) == (fill, 600 / 128 ** 2)
  assert found.values.high.value < 1500 and found.values.low.value > -500
  assert np.array_equal(found.mask == 0, (array == fill)[..., 0])
  assert (found.recommendation.operator, found.recommendation.needs_mask) == ("inpainting", True)
  assert found.noise.sigma_value == pytest.approx(50, rel=0.1)


def test_nan_is_lost_and_needs_no_mask():
  array = 1000 * measured.noisy()
  array[20:40, 30:60], array[100, 100] = np.nan, np.inf
  found = oes_jax.inspect(array)
  assert found.values.nan == found.values.lost == 601 / 128 ** 2 and found.values.fill is None
  assert (found.recommendation.operator, found.recommendation.needs_mask) == ("inpainting", False)


def test_a_mask_that_is_given_counts():
  array, mask = 1000 * measured.noisy(), np.ones((128, 128))
  array[20:40, 30:60], mask[20:40, 30:60] = 1200, 0
  found = oes_jax.inspect(array, operator={"name": "inpainting", "mask": mask})
  assert found.values.lost == 600 / 128 ** 2 and not found.values.high.is_cut
  assert found.recommendation.needs_mask and np.array_equal(found.mask, mask)


@pytest.mark.parametrize("array", [np.full((32, 32), 7.0), np.zeros((32, 32, 3), np.uint8), np.ones((32, 32), bool)])
def test_a_blank_image_is_said_to_be_blank(array):
  found = oes_jax.inspect(array)
  assert found.values.is_blank and found.recommendation is None and found.noise is None
  assert found.remarks == (f"all values are {float(array.flat[0]):g}: there is nothing to restore",)


def test_what_lies_outside_of_the_map_is_kept_by_a_range():
  found = oes_jax.inspect(measured.noisy("moon", 0.2))
  low, high = found.recommendation.settings["data.range"]
  assert found.values.outside > 0.01 and len(f"{low}{high}") < 12
  assert low <= measured.noisy("moon", 0.2).min() < low + 0.01 and high >= measured.noisy("moon", 0.2).max() > high - 0.01
  assert "data.range" not in oes_jax.inspect(measured.noisy("moon", 0.02)).recommendation.settings


def test_lost_pixels_go_with_operators_that_read_a_mask_alone():
  array = 1000 * measured.noisy()
  assert oes_jax.inspect(array, operator="deblurring").recommendation.operator == "deblurring"
  none_lost = oes_jax.inspect(array, operator="inpainting")
  assert none_lost.recommendation is None and none_lost.remarks[-1].startswith("no pixel is lost: inpainting needs a mask")
  array[20:40, 30:60] = np.nan
  lost = oes_jax.inspect(array, operator="deblurring")
  assert lost.recommendation is None and lost.remarks[-1].startswith("deblurring reads no mask")
