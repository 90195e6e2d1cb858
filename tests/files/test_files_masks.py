"""Stored masks: what is written is read; shipped ones are found by generator, and fitted to any image."""

import pathlib

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
import tensorstore

from oes_jax.files import _masks as stored_masks
from oes_jax import generators
from oes_jax import masks

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
  (tmp_path / "mask.npz").write_bytes(stored_masks.pack_mask(mask, {"seed": 4}))
  read, metadata = stored_masks.read_packed_mask(tmp_path / "mask.npz")
  assert metadata == {"seed": 4}
  assert jax.tree.structure(read) == jax.tree.structure(mask)
  for got, want in zip(jax.tree.leaves(read), jax.tree.leaves(mask)):
    np.testing.assert_array_equal(got, want)


@pytest.mark.slow
@pytest.mark.parametrize("num_scales", [6, 5])
def test_shipped_masks_keep_what_they_say_and_are_alive(num_scales):
  generator = _generator(num_scales)
  mask, learned_on = stored_masks.read_bundled_mask(generator, _params(generator))
  assert learned_on == "astronaut"
  size = masks.count_weights(mask)
  metadata = stored_masks.read_packed_mask(stored_masks.find_bundled_mask(generator))[1]
  assert sum(int(np.sum(leaf)) for leaf in jax.tree.leaves(mask)) == int(
      metadata["mask"]["keep_fraction"] * size)
  params = generator.init(jax.random.key(0))[0]
  image = masks.masked_output(generator, params, mask, generator.default_input())
  assert masks.find_collapse(generator, mask, image) == []
  report = masks.density_report(generator.graph, mask, 32)
  assert sum(r.acting for r in report) > 0.3 * sum(r.kept for r in report)
  assert stored_masks.find_bundled_mask(generator).stat().st_size < 400_000
  assert {"generator", "source", "seed", "steps", "versions"} <= metadata.keys()


@pytest.mark.parametrize("image_channels", [1, 2, 5])
def test_a_shipped_mask_fits_other_numbers_of_image_channels(image_channels):
  colour, other = _generator(5), _generator(5, image_channels)
  stored = stored_masks.read_bundled_mask(colour, _params(colour))[0]
  mask = stored_masks.read_bundled_mask(other, _params(other))[0]
  np.testing.assert_array_equal(mask["head"]["kernel"][0, 0, :, 0], stored["head"]["kernel"][0, 0].max(-1))
  assert mask["head"]["kernel"].shape == (1, 1, 16, image_channels)
  assert mask["head"]["bias"].shape == (image_channels,)
  np.testing.assert_array_equal(mask["encoder_02"]["conv_a"]["kernel"],
                                stored["encoder_02"]["conv_a"]["kernel"])


@pytest.mark.parametrize("options", [
    {"num_scales": 4}, {"channels": (8,) * 5}, {"input_channels": 16}, {"name": "skip_hourglass"}])
def test_a_generator_without_a_shipped_mask_is_refused(options):
  generator = generators.make_generator(
      image_shape=(128, 128, 3), **{"name": "hourglass", "num_scales": 5, **options})
  with pytest.raises(ValueError, match="mask.source='bundled'.*num_scales=5"):
    stored_masks.read_bundled_mask(generator, _params(generator))


def _largest_file(folder: pathlib.Path) -> pathlib.Path:
  return max((f for f in folder.rglob("*") if f.is_file() and f.name != "manifest.json"),
             key=lambda f: f.stat().st_size)


def test_mask_is_stored_alone(tmp_path):
  mask = {"a": {"kernel": np.asarray([[1.0, 0.0]])}, "b": np.asarray([0.0, 1.0, 1.0])}
  stored_masks.save_mask(tmp_path / "mask", mask, {"seed": 3, "generator": {"name": "x"}})
  loaded, metadata = stored_masks.load_mask(tmp_path / "mask")
  assert metadata == {"seed": 3, "generator": {"name": "x"}}
  np.testing.assert_array_equal(loaded["a"]["kernel"], [[True, False]])
  np.testing.assert_array_equal(loaded["b"], [False, True, True])
  assert loaded["b"].dtype == bool


def test_a_damaged_mask_is_refused(tmp_path):
  stored_masks.save_mask(tmp_path / "mask", {"b": np.ones(3)}, {})
  _largest_file(tmp_path / "mask").write_bytes(b"x")
  with pytest.raises(ValueError, match="mask.path=.*holds no complete mask"):
    stored_masks.load_mask(tmp_path / "mask")


def test_a_mask_with_a_manifest_that_cannot_be_read_names_its_key(tmp_path):
  stored_masks.save_mask(tmp_path / "mask", {"b": np.ones(3)}, {})
  for path in (tmp_path / "mask").rglob("*"):
    if path.is_file():
      path.write_bytes(b"x")
  stored_masks._atomic.write_manifest(tmp_path / "mask")
  with pytest.raises(ValueError, match="mask.path=.*cannot be read as a mask"):
    stored_masks.load_mask(tmp_path / "mask")


def test_the_digest_is_that_of_the_masks_file(tmp_path):
  assert stored_masks.mask_file_digest("learn", None) is None
  bundled = stored_masks.mask_file_digest("bundled", None)
  (tmp_path / "mask.pkl").write_bytes(b"bytes")
  single = stored_masks.mask_file_digest("file", str(tmp_path / "mask.pkl"))
  assert single == "277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9"
  stored_masks.save_mask(tmp_path / "mask", {"b": np.ones(3)}, {})
  folder = stored_masks.mask_file_digest("shuffled", str(tmp_path / "mask"))
  assert len({bundled, single, folder}) == 3 and len(bundled) == len(folder) == 64
  stored_masks.save_mask(tmp_path / "mask", {"b": np.array([1, 1, 0])}, {})
  assert stored_masks.mask_file_digest("shuffled", str(tmp_path / "mask")) != folder
  with pytest.raises(ValueError, match="mask.path=.*holds no mask; allowed: the mask/ folder"):
    stored_masks.mask_file_digest("file", str(tmp_path))


@pytest.mark.parametrize("name, option, value", [
    ("hourglass", "channels", (3,)), ("hourglass", "input_channels", 3), ("skip_hourglass", "skip_channels", 3)])
def test_a_stored_mask_is_read_for_its_own_generator_only(tmp_path, name, option, value):
  generator, other = (
      generators.make_generator(name, image_shape=(16, 16, 1), **{"num_scales": 1, "channels": (2,), **changes})
      for changes in ({}, {option: value}))
  params = _params(generator)
  rng = np.random.default_rng(0)
  mask = jax.tree.map(lambda leaf: rng.random(leaf.shape) < 0.5, params)
  stored_masks.save_mask(tmp_path / "mask", mask, {"generator": generator.spec})
  read = stored_masks.read_mask(str(tmp_path / "mask"), generator, params)
  for got, want in zip(jax.tree.leaves(read), jax.tree.leaves(mask)):
    np.testing.assert_array_equal(got, want)
    assert got.dtype == np.float32
  with pytest.raises(ValueError, match="mask.path=.*was made for the generator"):
    stored_masks.read_mask(str(tmp_path / "mask"), other, _params(other))
  with pytest.raises(ValueError, match="mask.path=.*does not exist"):
    stored_masks.read_mask(str(tmp_path / "none"), generator, params)


def _crafted(folder, mask, metadata):
  """Store what is no mask, as `save_mask` stores one, with a manifest that fits."""
  with stored_masks._own_checkpointer() as checkpointer:
    checkpointer.save(folder, args=ocp.args.Composite(
        mask=ocp.args.StandardSave(mask), metadata=ocp.args.JsonSave(metadata)))
  stored_masks._atomic.write_manifest(folder)


def _grow(folder):
  """Let an array of a stored mask declare 10^13 values."""
  path = next(iter((folder / "mask").rglob("manifest.ocdbt"))).parent
  base = {"driver": "ocdbt", "base": {"driver": "file", "path": str(path)}}
  store = tensorstore.open({"driver": "zarr", "kvstore": {**base, "path": "head.bias/"}}, open=True).result()
  store.resize(exclusive_max=[10 ** 13], expand_only=True).result()
  stored_masks._atomic.write_manifest(folder)


@pytest.mark.parametrize("craft, said", [
    (lambda mask: {**mask, "head": {**mask["head"], "bias": np.ones(7, bool)}}, "other names or shapes"),
    (lambda mask: {"encoder_01": mask["encoder_01"]}, "other names or shapes"),
    (lambda mask: {**mask, "../../more": np.ones(3, bool)}, "other names or shapes"),
    (lambda mask: [np.ones(3, bool)], "other names or shapes"),
    (lambda mask: jax.tree.map(lambda leaf: np.full(leaf.shape, 0.5, np.float32), mask), "holds float32 arrays"),
    (lambda mask: {**mask, "head": {**mask["head"], "bias": 1}}, "holds bool, int64 arrays"),
], ids=["a shape", "a missing part", "another part", "a list", "fractions", "a number"])
def test_a_crafted_mask_is_refused_in_one_line(tmp_path, craft, said):
  generator = generators.make_generator("hourglass", image_shape=(16, 16, 1), num_scales=1, channels=(2,))
  params = _params(generator)
  mask = craft(jax.tree.map(lambda leaf: np.ones(leaf.shape, bool), params))
  _crafted(tmp_path / "mask", mask, {"generator": generator.spec})
  with pytest.raises(ValueError, match=f"^mask.path='.*mask' .*{said}[^\n]*$"):
    stored_masks.read_mask(str(tmp_path / "mask"), generator, params)


def test_a_mask_that_declares_more_than_the_memory_is_refused_before_it_is_read(tmp_path):
  generator = generators.make_generator("hourglass", image_shape=(16, 16, 1), num_scales=1, channels=(2,))
  params = _params(generator)
  stored_masks.save_mask(tmp_path / "mask", jax.tree.map(lambda leaf: np.ones(leaf.shape), params), {})
  _grow(tmp_path / "mask")
  with pytest.raises(ValueError, match="mask.path=.*it says that it holds 1000000000[0-9]{4} bytes"):
    stored_masks.load_mask(tmp_path / "mask")


@pytest.mark.parametrize("metadata", ['[1, 2]', '"text"', "{cut", "[" * 100_000, '{"generator": "' + 9000 * "x" + '"}'])
def test_crafted_metadata_of_a_mask_are_refused_in_one_line(tmp_path, metadata):
  stored_masks.save_mask(tmp_path / "mask", {"b": np.ones(3)}, {})
  next((tmp_path / "mask" / "metadata").glob("*metadata*")).write_text(metadata)
  stored_masks._atomic.write_manifest(tmp_path / "mask")
  generator = generators.make_generator("hourglass", image_shape=(16, 16, 1), num_scales=1, channels=(2,))
  with pytest.raises(ValueError, match="^mask.path=[^\n]*$") as caught:
    stored_masks.read_mask(str(tmp_path / "mask"), generator, _params(generator))
  assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("manifest", ["[1]", '[{"size": 1}]', '[{"path": [1]}]', "[" * 100_000, "[" + 6000 * "9" + "]"])
def test_a_crafted_manifest_of_a_mask_is_refused(tmp_path, manifest):
  stored_masks.save_mask(tmp_path / "mask", {"b": np.ones(3)}, {})
  (tmp_path / "mask" / "manifest.json").write_text(manifest)
  with pytest.raises(ValueError, match="mask.path="):
    stored_masks.load_mask(tmp_path / "mask")
