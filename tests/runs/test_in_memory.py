"""Restorations in memory: as in a folder, alone as in a batch, ensembles and tiles; nothing is written."""

import numpy as np
import pytest

from oes_jax import operators
from oes_jax import runs
from runs import tiny_run

SHORT = {"mask__source": "random", "mask__num_steps": 4, "weights__num_steps": 6}
RECORRUPTED = pytest.param(tiny_run.RECORRUPTED, marks=pytest.mark.slow)


def _image(seed=0, shape=(24, 32)):
  return np.random.default_rng(seed).integers(0, 255, shape, np.uint8)


def _restore(images, truths=None, **changes):
  settings = runs.check_config(tiny_run.config(operator__simulate=False, **{**SHORT, **changes}))
  jobs = [runs.job_of_arrays(settings, runs.Given(image, truth))
          for image, truth in zip(images, truths or [None] * len(images))]
  return runs.restore_in_memory(jobs, progress=False)


@pytest.mark.parametrize("asked", [
    {}, pytest.param({"mask__source": "learn"}, marks=pytest.mark.slow),
    pytest.param({"mask__source": "imp"}, marks=pytest.mark.slow), RECORRUPTED,
    pytest.param({**tiny_run.RECORRUPTED, "noise.model": "poisson", "noise.peak": 30.0, "operator.simulate": True,
                  "fit.flips": False, "output.image": "guarded"}, marks=pytest.mark.slow)])
def test_an_array_is_restored_as_its_file_is_in_a_folder(tmp_path, asked):
  np.save(tmp_path / "image.npy", _image())
  np.save(tmp_path / "truth.npy", _image(1))
  changes = {**SHORT, "mask__rounds": 2, **asked}
  summary = tiny_run.restore(tmp_path / "run", data__source=str(tmp_path / "image.npy"), data__crop=None,
                             data__truth=str(tmp_path / "truth.npy"), **changes)
  restored, = _restore([_image()], [_image(1)], **changes)
  np.testing.assert_array_equal(restored.image, np.load(tmp_path / "run" / "restored.npy"))
  assert restored.summary["mask"]["kept"] == summary["mask"]["kept"]
  for name in ("average", "last", "measurement"):
    assert restored.summary["quality"][name] == pytest.approx(summary["quality"][name], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("asked", [{}, RECORRUPTED])
def test_alone_and_in_a_batch_of_others_are_alike_and_nothing_is_written(tmp_path, asked):
  images = [_image(0), _image(1), _image(2, (20, 24))]
  together = _restore(images, **asked)
  assert [restored.image.shape for restored in together] == [image.shape for image in images]
  for image, restored in zip(images, together):
    alone, = _restore([image], **asked)
    assert np.abs(restored.image.astype(int) - alone.image).max() <= 1
    np.testing.assert_allclose(restored.traces["weights"]["loss"], alone.traces["weights"]["loss"], rtol=5e-4)
    assert alone.image.dtype == np.uint8
  assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("asked", [pytest.param({}, marks=pytest.mark.slow), RECORRUPTED])
def test_an_ensemble_is_the_mean_of_its_members(asked):
  image = _image().astype(np.float32)
  mean, = _restore([image], [image], ensemble=3, **asked)
  seeds = [(runs.SEED_STRIDE * number) % 2 ** 31 for number in range(3)]
  members = [_restore([image], seed=seed, **asked)[0].image for seed in seeds]
  np.testing.assert_allclose(mean.image, np.mean(members, 0), rtol=1e-3)
  np.testing.assert_allclose(mean.spread, np.std(members, 0, ddof=1), rtol=0.05, atol=0.05)
  assert mean.summary["members"] == 3 and mean.spread.shape == (24, 32)


@pytest.mark.slow
@pytest.mark.parametrize("asked", [{}, RECORRUPTED])
def test_tiles_are_blended(asked):
  restored, = _restore([_image(0, (48, 100))], compute__tile=64, compute__tile_overlap=20, **asked)
  assert restored.image.shape == (48, 100) and restored.summary["tile"] == 64
  if asked:  # the noise level is that of the whole image
    asked = {**asked, "fit.sigma": restored.summary["noise_level"]["sigma"]}
  first, = _restore([_image(0, (48, 100))[:, :64]], **asked)
  assert np.abs(restored.image[:, :36].astype(int) - first.image[:, :36]).max() <= 1  # only the first tile reaches it


def test_a_collapsed_mask_is_announced():
  with pytest.warns(UserWarning, match="COLLAPSED"):
    _restore([_image()], mask__keep_fraction=0.01)


def _float64_cases():
  """Every operator with both objectives, and the scans that are given in float32."""
  coils, rng = operators.simulated_coils((24, 32), 2), np.random.default_rng(0)
  scans = {"mri": {"kspace": np.asarray(operators.centred_fft(coils * rng.random((24, 32), np.float32))), "coil_maps": coils},
           "tomography": {"sinogram": 10 * rng.random((46, 6), np.float32),
                          "angles": np.arange(0.0, 180, 30), "shape": np.array([24, 32])}}
  for changes in ({}, tiny_run.RECORRUPTED):
    yield from ((name, scan, changes) for name, scan in scans.items())
    yield from ((name, None, changes) for name in operators.FAMILIES)


@pytest.mark.slow
@pytest.mark.parametrize("name, scan, changes", list(_float64_cases()))
def test_every_operator_restores_in_float64(x64, name, scan, changes):
  settings = runs.check_config(tiny_run.config(tiny_run.TINY_MEASURED, **{
      "operator.name": name, "operator.simulate": scan is None, "operator.angles": 6, "data.crop": None,
      "mask.source": "random", "mask.num_steps": 2, "weights.num_steps": 5, "fit.sigma": 0.1 if changes else None, **changes}))
  job = runs.job_of_arrays(settings, runs.Given(_image() if scan is None else scan))
  restored, = runs.restore_in_memory([job], progress=False)
  assert restored.image.shape == (24, 32) and np.isfinite(restored.traces["weights"]["loss"]).all()
  assert restored.traces["weights"]["loss"].dtype == np.float64
