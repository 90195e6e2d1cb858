"""The time of steps."""

import pytest

from oes_jax.bench import _steps


@pytest.mark.slow
def test_step_timer_times_both_stages():
  times = _steps.time_own_steps(16, num_scales=1, rounds=1, length=2)
  assert times.keys() == {"dense", "mask"} and all(0 < t < 10 for t in times.values())
