"""Overlaps of masks."""

import numpy as np
import pytest

from oes_jax.bench import _density
from oes_jax.bench import _overlap
from oes_jax.bench import _stored_masks


def test_overlap_by_hand():
  a = {"x": np.array([1, 1, 0, 0]), "y": np.array([1, 0])}
  b = {"x": np.array([1, 0, 1, 0]), "y": np.array([1, 0])}
  iou, expected = _overlap.overlap(a, b)
  assert iou == pytest.approx(2 / 4)
  assert expected == pytest.approx(1.5 / (6 - 1.5))  # 4 x 0.25 + 2 x 0.25 in common
  assert _overlap.overlap(a, a)[0] == 1


def test_independent_masks_overlap_as_expected():
  rng = np.random.default_rng(0)
  a, b = ({"x": rng.uniform(size=100_000) < 0.2} for _ in range(2))
  iou, expected = _overlap.overlap(a, b)
  assert iou == pytest.approx(expected, abs=0.01)


def test_published_masks_share_no_more_than_their_densities(reference_data):
  lena, pepper = (_stored_masks.read_mask(str(reference_data / f"official_mask_{name}.pkl"), 6)
                  for name in ("lena", "pepper"))
  iou, expected = _overlap.overlap(lena.mask, pepper.mask)
  assert iou == pytest.approx(expected, abs=0.005)
  totals = _density.densities(_density.report_of(lena))
  assert totals["encoder"][1] / totals["encoder"][0] == pytest.approx(0.032, abs=5e-4)
