"""Tiles: they cover the image, share one size, and blend back to what they were cut from."""

import numpy as np
import pytest

from oes_jax import tiles

SHAPES = [((64, 64), 64, 16), ((100, 64), 64, 16), ((301, 447), 128, 32), ((65, 130), 64, 0),
          ((16, 500), 96, 48), ((64, 65), 64, 32)]


@pytest.mark.parametrize("shape, side, overlap", SHAPES)
def test_tiles_cover_overlap_and_share_a_size(shape, side, overlap):
  places = tiles.cut(shape, side, overlap)
  seen = np.zeros(shape, int)
  for rows, columns in places:
    assert 0 <= rows.start and rows.stop <= shape[0] and 0 <= columns.start and columns.stop <= shape[1]
    seen[rows, columns] += 1
  assert seen.min() >= 1
  assert {(r.stop - r.start, c.stop - c.start) for r, c in places} == {
      tuple(min(side, length) for length in shape)}
  tops = sorted({r.start for r, _ in places})
  assert all(a + min(side, shape[0]) - b >= min(overlap, shape[0] - 1) for a, b in zip(tops, tops[1:]))


def test_an_image_that_fits_is_one_tile():
  assert tiles.cut((64, 48), 64, 32) == [(slice(0, 64), slice(0, 48))]


@pytest.mark.parametrize("shape, side, overlap", SHAPES)
def test_blending_cut_tiles_gives_the_image(shape, side, overlap):
  image = np.random.default_rng(0).random((*shape, 2)).astype(np.float32)
  places = tiles.cut(shape, side, overlap)
  blended = tiles.blend([image[place] for place in places], places, image.shape, overlap)
  assert blended.dtype == np.float32
  np.testing.assert_allclose(blended, image, rtol=1e-6)


def test_blend_moves_linearly_from_tile_to_tile():
  places = tiles.cut((1, 12), 8, 4)
  zero, one = np.zeros((1, 8, 1)), np.ones((1, 8, 1))
  blended = tiles.blend([zero, one], places, (1, 12, 1), 4)[0, :, 0]
  np.testing.assert_allclose(blended, [0] * 4 + [0.2, 0.4, 0.6, 0.8] + [1] * 4)
