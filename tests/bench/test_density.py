"""Densities of masks."""

from oes_jax.bench import _density
from oes_jax import masks


def test_parts_add_up_to_all():
  report = [masks.LayerReport(*row) for row in (
      ("encoder_1/kernel", 100, 10, 4), ("encoder_2/kernel", 50, 5, 5), ("decoder_1/kernel", 40, 8, 2),
      ("head/bias", 3, 3, 3))]
  assert _density.densities(report) == {
      "encoder": (150, 15, 9), "decoder": (40, 8, 2), "head": (3, 3, 3), "all": (193, 26, 14)}
  assert "encoder" not in _density.densities(report[2:])
