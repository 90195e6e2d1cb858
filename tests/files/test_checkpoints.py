"""Stored states, and damage to them."""

import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from oes_jax.files import _checkpoints as checkpoints
from oes_jax.files import _masks as stored_masks


class State(NamedTuple):
  """Named tuples in named tuples, dicts, scalars and empty parts, as the state of a stage has."""
  step: Any
  trainable: Any
  opt_state: Any
  average: Any
  guard: Any = ()


def _state(value: float, step: int) -> State:
  params = {"a": {"kernel": jnp.full((2, 3), value)}, "b": jnp.arange(4.0) * value}
  opt_state = optax.adam(optax.cosine_decay_schedule(0.1, 9)).init(params)
  return State(jnp.int32(step), params, opt_state, jnp.zeros((2, 2, 1)))


def _largest_file(folder: pathlib.Path) -> pathlib.Path:
  return max((f for f in folder.rglob("*") if f.is_file() and f.name != "manifest.json"),
             key=lambda f: f.stat().st_size)


@pytest.fixture
def saved(tmp_path):
  store = checkpoints.Checkpoints(tmp_path / "checkpoints")
  for step in (3, 6, 9):
    store.save(step, _state(0.1 * step, step), {"stage": "mask", "step": step})
  return tmp_path / "checkpoints"


def test_state_and_record_come_back_bit_for_bit(saved):
  store = checkpoints.Checkpoints(saved)
  assert store.latest() == (9, {"stage": "mask", "step": 9})
  restored = store.restore(9, _state(0.0, 0))
  expected = _state(0.1 * 9, 9)
  assert jax.tree.structure(restored) == jax.tree.structure(expected)
  for got, want in zip(jax.tree.leaves(restored), jax.tree.leaves(expected)):
    np.testing.assert_array_equal(got, want)
    assert got.dtype == want.dtype


def test_two_steps_are_kept(saved):
  assert sorted(p.name for p in saved.iterdir()) == ["6", "9"]


def _flip_a_byte(file):
  data = bytearray(file.read_bytes())
  data[len(data) // 2] ^= 1
  file.write_bytes(bytes(data))


@pytest.mark.parametrize("damage", [
    lambda step: (step / "manifest.json").unlink(),
    lambda step: (step / "manifest.json").write_text("{ cut"),
    lambda step: _flip_a_byte(_largest_file(step)),
    lambda step: _largest_file(step).write_bytes(b""),
    lambda step: _largest_file(step).unlink(),
], ids=["no manifest", "cut manifest", "flipped byte", "emptied file", "missing file"])
def test_a_damaged_step_is_skipped_with_a_warning(saved, damage, caplog):
  damage(saved / "9")
  store = checkpoints.Checkpoints(saved)
  assert "9 is incomplete or damaged" in caplog.text
  assert store.latest()[0] == 6
  np.testing.assert_array_equal(store.restore(6, _state(0.0, 0)).trainable["b"],
                                _state(0.1 * 6, 6).trainable["b"])
  store.save(9, _state(5.0, 9), {"stage": "mask", "step": 9})  # and can be written again
  assert float(store.restore(9, _state(0.0, 0)).trainable["b"][1]) == 5.0


def test_a_foreign_file_does_no_harm(saved):
  (saved / "9" / ".DS_Store").write_text("x")
  assert checkpoints.Checkpoints(saved).latest()[0] == 9


def test_a_checkpoint_is_no_mask(saved):
  with pytest.raises(ValueError, match="holds no complete mask"):
    stored_masks.load_mask(saved / "9")


def test_a_step_behind_the_latest_is_not_silently_dropped(saved):
  with pytest.raises(RuntimeError, match="refused to save step 2 after 9"):
    checkpoints.Checkpoints(saved).save(2, _state(1.0, 2), {})


def test_clear_leaves_nothing(saved):
  store = checkpoints.Checkpoints(saved)
  store.clear()
  assert store.latest() is None


def test_an_empty_folder_has_no_latest(tmp_path):
  assert checkpoints.Checkpoints(tmp_path / "new").latest() is None


def test_a_checkpoint_that_cannot_be_read_is_named_with_what_to_do(saved):
  store = checkpoints.Checkpoints(saved)
  other = _state(0.0, 0)._replace(trainable={"c": jnp.zeros(3)})
  with pytest.raises(checkpoints.UnreadableCheckpoint, match="9 cannot be read; delete .*checkpoints to start over"):
    store.restore(9, other)
  (saved / "9" / "record" / "metadata").write_text("[" * 100_000)
  checkpoints._atomic.write_manifest(saved / "9")
  with pytest.raises(checkpoints.UnreadableCheckpoint, match="9 cannot be read"):
    store.latest()
