"""Shipped masks: what is written is read, found by generator, and fitted to any image."""

import jax
import numpy as np
import pytest

from oes_jax.files import _bundled as bundled
from oes_jax.generators import _generators as generators
from oes_jax.masks import _compaction as compaction
from oes_jax.masks import _masks as masks
from oes_jax.runs import _validation as validation

SIZES = {5: 128, 6: 256}


def _generator(num_scales, image_channels=3):
  return generators.make_generator(
      "hourglass", image_shape=(SIZES[num_scales], SIZES[num_scales] + 3, image_channels),
      num_scales=num_scales)


def _params(generator):
  return jax.eval_shape(generator.init, jax.random.key(0))[0]


def test_a_written_mask_is_read_back(tmp_path):
  rng = np.random.default_rng(0)
  mask = {"a": {"kernel": rng.random((3, 3, 2, 5)) < 0.3, "bias": rng.random(5) < 0.5},
          "b": {"scale": rng.random(7) < 0.5}}
  (tmp_path / "mask.npz").write_bytes(bundled.pack_mask(mask, {"seed": 4}))
  read, metadata = bundled.read_packed_mask(tmp_path / "mask.npz")
  assert metadata == {"seed": 4}
  assert jax.tree.structure(read) == jax.tree.structure(mask)
  for got, want in zip(jax.tree.leaves(read), jax.tree.leaves(mask)):
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("num_scales", SIZES)
def test_shipped_masks_keep_what_they_say_and_are_alive(num_scales):
  generator = _generator(num_scales)
  mask, learned_on = validation.read_bundled_mask(generator, _params(generator))
  assert learned_on == "astronaut"
  size = masks.count_weights(mask)
  metadata = bundled.read_packed_mask(bundled.find_bundled_mask(generator))[1]
  assert sum(int(np.sum(leaf)) for leaf in jax.tree.leaves(mask)) == int(
      metadata["mask"]["keep_fraction"] * size)
  assert compaction.find_collapse(generator.graph, mask, 32) == []
  report = compaction.density_report(generator.graph, mask, 32)
  assert sum(r.acting for r in report) > 0.3 * sum(r.kept for r in report)
  assert bundled.find_bundled_mask(generator).stat().st_size < 400_000
  assert {"generator", "source", "seed", "steps", "versions"} <= metadata.keys()


@pytest.mark.parametrize("image_channels", [1, 2, 5])
def test_a_shipped_mask_fits_other_numbers_of_image_channels(image_channels):
  colour, other = _generator(5), _generator(5, image_channels)
  stored = validation.read_bundled_mask(colour, _params(colour))[0]
  mask = validation.read_bundled_mask(other, _params(other))[0]
  np.testing.assert_array_equal(mask["head"]["kernel"][0, 0, :, 0], stored["head"]["kernel"][0, 0].max(-1))
  assert mask["head"]["kernel"].shape == (1, 1, 16, image_channels)
  assert mask["head"]["bias"].shape == (image_channels,)
  np.testing.assert_array_equal(mask["encoder_02"]["conv_a"]["kernel"],
                                stored["encoder_02"]["conv_a"]["kernel"])


@pytest.mark.parametrize("options", [{"num_scales": 4}, {"channels": (8,) * 5}])
def test_a_generator_without_a_shipped_mask_is_refused(options):
  generator = generators.make_generator(
      "hourglass", image_shape=(128, 128, 3), **{"num_scales": 5, **options})
  with pytest.raises(ValueError, match="mask.source='bundled'.*num_scales=5"):
    validation.read_bundled_mask(generator, _params(generator))
