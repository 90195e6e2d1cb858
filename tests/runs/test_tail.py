"""A guard's choice of the tail of a run is warned of."""

import re

import pytest

from oes_jax import runs
from oes_jax.runs import _tail


@pytest.mark.parametrize("guard, step, stopped, share, patience, said", [
    ("held_out", 598, False, None, None, "chose step 598 of 600, in the tail of the run: .* more weights.num_steps"),
    ("variance", 590, False, None, None, "weights.guard='variance' chose step 590 .*weights.guard='held_out' tells"),
    ("held_out", 598, False, 0.7, None, "chose step 598 of 600"),
    ("held_out", 598, False, 0.3, None, None),  # little of the mix
    ("held_out", 300, True, None, None, None),
    ("variance", 300, False, None, 1000, None),  # the patience is longer than the run
    ("variance", 599, False, None, 1000, "chose step 599")])
def test_a_choice_of_the_tail_is_said(guard, step, stopped, share, patience, said):
  changes = {"weights.guard": guard, "weights.num_steps": 600, "weights.guard_patience": patience}
  settings = runs.check_config(runs.make_config(preset="oes", **changes))
  lines = _tail.remark_tail(settings, {"guard": {"step": step, "stopped": stopped}, "combined": share and {"share": share}})
  assert len(lines) == (said is not None) and (said is None or re.search(said, lines[0]))


def test_without_a_guard_nothing_is_said():
  assert _tail.remark_tail(runs.check_config(runs.make_config(preset="oes")), {"guard": None, "combined": None}) == []
