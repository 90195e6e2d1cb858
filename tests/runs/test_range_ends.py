"""What is said of a result that was cut off at an end of its range."""

import logging
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oes_jax
from oes_jax import generators
from oes_jax import runs
from oes_jax.runs import _range_ends
from runs import tiny_run

SHAPE = (24, 32, 1)


def _remarks(measured, restored, **changes):
  settings = runs.check_config(tiny_run.config(**{
      "operator.simulate": False, "operator.name": "deblurring", "data.range": (5.0, 100.0), **changes}))
  job = runs.job_of_arrays(settings, runs.Given(measured))
  return _range_ends.remark_ends(job, runs.measure(job, lambda text: None), restored)


def _flat(level, dtype=np.float32):
  return np.full(SHAPE[:2], level, dtype)


def _cut(count, level, rest=0.5):
  restored = np.full(SHAPE, rest, np.float32)
  restored.flat[:count] = level
  return restored


@pytest.mark.parametrize("level, name, details", [(0.997, "top", "brighter"), (0.001, "bottom", "darker")])
def test_pixels_at_an_end_are_counted(level, name, details):
  line, = _remarks(_flat(50.), _cut(12, level))
  assert line == (f"12 pixels (1.56 %) of the result lie at the {name} of the range 5 to 100: {details} details are cut off there; "
                  "set data.range wider")
  assert not _remarks(_flat(50.), _cut(3, level)) and not _remarks(_flat(50.), _cut(12, 0.5))


def test_what_was_measured_at_an_end_may_lie_there():
  saturated = _flat(50.)
  saturated.flat[:12] = 100
  assert not _remarks(saturated, _cut(12, 1)) and len(_remarks(saturated, _cut(24, 1))) == 1


def test_nothing_is_said_where_the_type_ends_or_pixels_are_measured_one_by_one():
  whole = {"data.range": (0.0, 255.0)}
  assert not _remarks(_flat(50, np.uint8), _cut(12, 1), **whole)
  assert not _remarks(_flat(50.), _cut(12, 0), **whole)  # nothing is darker than 0
  assert len(_remarks(_flat(-50.), _cut(12, 0), **{"data.range": (-60.0, 0.0)})) == 1
  assert len(_remarks(_flat(50, np.uint16), _cut(12, 1), **whole)) == 1
  assert not _remarks(_flat(50.), _cut(12, 1), **{"operator.name": "identity"})
  assert not _remarks(_flat(50.), _cut(12, 1), **{"operator.simulate": True, "noise.sigma": 0.1})


def test_a_coarse_pixel_at_an_end_counts_for_those_that_it_covers():
  coarse = np.full((12, 16), 50, np.float32)
  coarse[0, :3] = 100
  restored = np.full(SHAPE, 0.5)
  restored[:2, :8] = 1
  line, = _remarks(coarse, restored, **{"operator.name": "super_resolution", "operator.factor": 2})
  assert line.startswith("4 pixels")


def test_either_end_of_a_part_of_a_complex_image_is_a_large_magnitude(tmp_path):
  image = tiny_run.phantom()
  space = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image), norm="ortho")).astype(np.complex64)
  job = runs.inspect(tiny_run.scan_config(tmp_path, "mri", kspace=space, coil_maps=np.ones((1, 24, 32), np.complex64)))
  restored = np.full((24, 32, 2), 0.5, np.float32)
  restored[0, :3, 0], restored[0, 3:8, 1] = 1, 0
  line, = _range_ends.remark_ends(job, runs.measure(job, lambda text: None), restored)
  assert line.startswith("8 pixels (1.04 %) of the result lie at the top of the range 0 to ")


@pytest.mark.parametrize("seeds, later", [((5, None), False), ((5, 5), False), ((5 + runs.SEED_STRIDE, 5), True), ((7, 5), False)])
def test_later_members_of_an_ensemble_say_nothing_again(seeds, later):
  settings = runs.check_config(tiny_run.config(**{"seed": seeds[0], "noise.seed": seeds[1]}))
  assert _range_ends.is_later_member(runs.job_of_arrays(settings, runs.Given(_flat(1.) + np.eye(24, 32)))) == later


def test_a_result_in_memory_is_warned_of():
  white = generators.from_apply(
      lambda key: {"w": 9 * jnp.ones((2, 1))}, lambda params, x: jax.nn.sigmoid(jnp.abs(x) @ params["w"] + 9),
      net_input_shape=(24, 32, 2), name="white")
  with pytest.warns(UserWarning, match="measurement: 768 pixels .* at the top of the range 0 to 100"):
    oes_jax.restore(_flat(50.), operator="deblurring", generator=white, mask=None, progress=False,
                    settings={"weights.num_steps": 1, "data.range": (0, 100), "fit.objective": "plain", "weights.combine": False,
                              "weights.guard": None, "output.image": "last"})


@pytest.mark.slow
def test_a_result_in_a_folder_is_warned_of(tmp_path, monkeypatch, caplog):
  monkeypatch.setattr(_range_ends, "_END", 0.8)  # which an untrained network reaches, and the measurement does not
  np.save(tmp_path / "blurred.npy", tiny_run.phantom())
  with caplog.at_level(logging.WARNING):
    tiny_run.restore(tmp_path / "run", tiny_run.TINY_MEASURED, data__source=str(tmp_path / "blurred.npy"), data__crop=None,
                     data__range=(0.0, 1000.0), operator__name="deblurring", mask__source="dense", weights__num_steps=1)
  assert sum("blurred.npy: 7" in line and "of the result lie at the top" in line for line in caplog.messages) == 1


def test_a_result_that_is_not_finite_is_a_fault():
  job = types.SimpleNamespace(settings=types.SimpleNamespace(output=types.SimpleNamespace(image="combined")))
  image = np.zeros(SHAPE)
  assert _range_ends.fault_of(job, image) is None
  image[3, 4] = np.nan
  assert "the result is not finite, output.image='combined'" in _range_ends.fault_of(job, image)
