"""Which share of many cases a process restores."""

import pytest

from oes_jax.sweeps import _shard as shard


def test_one_program_needs_all_its_variables(monkeypatch):
  monkeypatch.setenv("JAX_PROCESS_ID", "0")
  with pytest.raises(ValueError, match="--distributed found .*JAX_COORDINATOR_ADDRESS=host:port"):
    shard.join_program()


@pytest.mark.parametrize("flag, environment, share", [
    ("1/3", {"SLURM_ARRAY_TASK_ID": "0"}, (1, 3)),
    (None, {}, (0, 1)),
    (None, {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MIN": "5", "SLURM_ARRAY_TASK_COUNT": "4"}, (2, 4)),
    (None, {"JOB_COMPLETION_INDEX": "2", "JOB_COMPLETIONS": "5"}, (2, 5)),
])
def test_the_share_comes_from_the_flag_or_the_scheduler(flag, environment, share):
  assert shard.find_shard(flag, environment) == share


@pytest.mark.parametrize("flag", ["3/3", "1", "-1/2", "a/b"])
def test_a_faulty_share_is_named(flag):
  with pytest.raises(ValueError, match="--shard=.*allowed: i/n"):
    shard.find_shard(flag, {})


def test_an_array_with_gaps_is_refused():
  with pytest.raises(ValueError, match="SLURM_ARRAY_TASK_ID=3 .*allowed: an array without gaps"):
    shard.find_shard(None, {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_MIN": "1",
                            "SLURM_ARRAY_TASK_COUNT": "2"})
