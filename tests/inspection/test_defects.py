"""Dead and hot pixels, impulses, stripes and JPEG are found where they are, and nowhere else."""

import io

import numpy as np
from PIL import Image
import pytest

from inspection import measured
import oes_jax


def defects(values):
  return oes_jax.inspect(values).defects


def jpeg(values, quality):
  stream = io.BytesIO()
  Image.fromarray(values).save(stream, "JPEG", quality=quality)
  return np.asarray(Image.open(stream))


@pytest.mark.parametrize("name, peak", [("camera", 0.1), ("text", 0.3), ("camera", 1)])
def test_photons_are_no_defects(name, peak):
  found = defects(measured.photons(peak, name))
  assert (found.hot, found.dead, found.impulses) == (0, 0, 0)


@pytest.mark.parametrize("name", ["camera", "chelsea"])
def test_dead_and_hot_pixels_are_marked(name):
  values = 1000 + 2000 * measured.noisy(name, 0.02)
  rows, columns = np.random.default_rng(0).permutation(30).reshape(2, 15) * 4 + 3
  values[rows, columns], values[columns, rows] = 6000, -3000
  found = oes_jax.inspect(values)
  marked = found.mask == 0
  assert marked[rows, columns].all() and marked[columns, rows].all()
  assert 30 <= found.defects.hot + found.defects.dead == marked.sum() <= 31  # camera has one of its own
  assert found.noise.sigma_value == pytest.approx(40, rel=0.2)
  assert not found.values.high.is_cut and not found.values.low.is_cut
  assert (found.recommendation.operator, found.recommendation.needs_mask) == ("inpainting", True)


@pytest.mark.parametrize("name, share", [("camera", 0.02), ("coins", 0.1), ("camera", 0.3)])
def test_the_share_of_impulses(name, share):
  values, drawn = measured.photograph(name).copy(), np.random.default_rng(0).random((128, 128))
  values[drawn < share / 2], values[drawn > 1 - share / 2] = 0, 1
  found = oes_jax.inspect(values)
  changed = np.mean(np.abs(values - measured.photograph(name)) > 0.25)  # the others are not told from the image
  assert found.defects.impulses == pytest.approx(changed, rel=0.15)
  assert found.defects.hot + found.defects.dead == 0 and found.mask is None
  assert found.recommendation.settings == {"noise.model": "salt_and_pepper"} and found.recommendation.preset == "oes"
  assert not any("cut off" in line or "saturated" in line for line in found.remarks)


def test_strong_noise_that_is_cut_off_is_no_impulses():
  assert defects(measured.eight_bit(measured.noisy("coins", 0.25))).impulses == 0


@pytest.mark.parametrize("name, axis, size", [("camera", 0, 0.4), ("astronaut", 1, 0.4), ("camera", 1, 1.0)])
def test_stripes_have_their_size(name, axis, size):
  values = measured.noisy(name, 0.05)
  shape = np.ones(3, int)
  shape[axis] = 128
  values = values + 0.05 * size * measured.normal(tuple(shape), 3)
  found = oes_jax.inspect(values)
  share = np.subtract(*found.values.limits[::-1])
  along, across = (found.defects.rows, found.defects.columns)[::1 - 2 * axis]
  assert along * share == pytest.approx(0.05 * size, rel=0.3) and across == 0
  assert any(f"whole {('rows', 'columns')[axis]} are offset" in line for line in found.remarks)


@pytest.mark.parametrize("name, quality", [("camera", 70), ("coffee", 85), ("moon", 85)])
def test_the_grid_of_jpeg_is_found_where_it_begins(name, quality):
  values = jpeg(measured.eight_bit(measured.noisy(name, 0.1)).squeeze(), quality)
  assert defects(values).jpeg == (0, 0)
  assert defects(values[3:, 6:]).jpeg == (5, 2)
