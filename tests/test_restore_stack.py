"""A stack of arrays has one range, whatever of its pages is lost."""

import numpy as np
import pytest

from oes_jax import operators
from oes_jax import runs
from oes_jax import stacks

BRIGHTNESS = (1.0, 10.0)


def _stack():
  """Return two pages of a ramp, one ten times as bright, and pixels that are lost in both, some in every row."""
  ramp = np.add.outer(np.arange(16), np.arange(16)).astype(np.float32) / 30
  lost = np.random.default_rng(0).random(ramp.shape) < 0.3
  return ramp * np.float32(BRIGHTNESS)[:, None, None], lost


def _range_of(stack, operator="identity", **told):
  return stacks._shared_range(list(stack), operator, told)


def test_pages_with_nan_in_every_row_have_the_range_of_all():
  stack, lost = _stack()
  low, high = _range_of(np.where(lost, np.nan, stack), "inpainting")
  assert -1 < low < 0 and 9 < high < 12


@pytest.mark.parametrize("fill", [-999, 0, 1e4])
def test_what_stands_for_lost_pixels_is_no_part_of_the_range(fill):
  stack, lost = _stack()
  operator = {"name": "inpainting", "mask": (~lost).astype(np.float32)}
  low, high = _range_of(np.where(lost, np.float32(fill), stack + 5), operator)
  assert 4 < low < 5.5 and 14 < high < 17


def test_channels_that_go_first_do_not_change_the_range():
  stack = np.stack([_stack()[0]] * 3, -1) + np.arange(3, dtype=np.float32)
  assert _range_of(np.moveaxis(stack, -1, 1), **{"data.channel_axis": 0}) == _range_of(stack)


def test_an_operator_of_ones_own_acts_on_the_unit_range():
  stack, _ = _stack()
  assert _range_of(stack, lambda image: 2 * image) is None
  assert _range_of(stack, operators.identity()) == _range_of(stack)


def test_pages_of_a_file_have_the_range_of_what_a_mask_says_is_measured(tmp_path):
  stack, lost = _stack()
  np.save(tmp_path / "mask.npy", (~lost).astype(np.float32))
  ranges = []
  for fill in (-999, 3):
    np.save(tmp_path / "page.npy", np.where(lost, np.float32(fill), stack[0]))
    ranges.append(runs.range_of_page(runs.make_config("inpainting", **{
        "data.source": str(tmp_path / "page.npy"), "operator.mask": str(tmp_path / "mask.npy"), "operator.simulate": False})))
  assert ranges[0] is not None and ranges[0] == ranges[1]


def _with_masked_values(stack):
  return np.ma.masked_array(stack, mask=stack > 5)


@pytest.mark.parametrize("given", [
    lambda stack: {"stack": [_with_masked_values(page) for page in stack]},
    lambda stack: {"stack": stack, "truth": _with_masked_values(stack)},
    lambda stack: {"stack": stack, "truth": [_with_masked_values(page) for page in stack]}])
def test_masked_values_are_not_taken_for_measured_or_true_ones(given):
  with pytest.raises(ValueError, match="values are masked"):
    stacks.restore_stack(**given(_stack()[0]), settings={"generator.num_scales": 1, "weights.num_steps": 1}, progress=False)
