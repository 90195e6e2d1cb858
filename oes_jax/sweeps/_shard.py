"""Which share of many cases this process restores, or which part of one program it is."""

import os
import re
import sys
from typing import Mapping

import jax

_BY_HAND = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


def find_shard(flag: str | None, environment: Mapping[str, str]) -> tuple[int, int]:
  """Return (i, n) of --shard=i/n, or of the scheduler's own index, or (0, 1).

  A SLURM array counts from SLURM_ARRAY_TASK_MIN; a Kubernetes job gives JOB_COMPLETION_INDEX, to which
  the manifest adds JOB_COMPLETIONS.

  Args:
    flag: value of --shard, or None.
    environment: environment variables of this process.

  Raises:
    ValueError: it is not a share.
  """
  if flag is not None:
    match = re.fullmatch(r"(\d+)/(\d+)", flag)
    if not match or int(match[1]) >= int(match[2]):
      raise ValueError(f"--shard={flag!r} is not allowed; allowed: i/n with 0 <= i < n, e.g. 0/4.")
    return int(match[1]), int(match[2])
  if "SLURM_ARRAY_TASK_ID" in environment:
    number = {name: int(environment[f"SLURM_ARRAY_TASK_{name}"]) for name in ("ID", "MIN", "COUNT")}
    step = int(environment.get("SLURM_ARRAY_TASK_STEP", 1))
    place = (number["ID"] - number["MIN"]) // step
    if place >= number["COUNT"]:
      raise ValueError(f"SLURM_ARRAY_TASK_ID={number['ID']} is beyond an array of {number['COUNT']} from "
                       f"{number['MIN']} in steps of {step}; allowed: an array without gaps, or --shard.")
    return place, number["COUNT"]
  if "JOB_COMPLETION_INDEX" in environment and "JOB_COMPLETIONS" in environment:
    return int(environment["JOB_COMPLETION_INDEX"]), int(environment["JOB_COMPLETIONS"])
  return 0, 1


def end_at_once(code: int) -> None:
  """End without JAX's goodbye, which waits for the other processes, which wait for this one.

  Args:
    code: exit code of the process.
  """
  sys.stdout.flush()
  sys.stderr.flush()
  os._exit(code)


def _place_by_hand() -> dict[str, int]:
  """Return the number of processes and this one's, where they are given by hand; {} where JAX finds them.

  Raises:
    ValueError: some of the variables are missing or no numbers.
  """
  given = {name: os.environ[name] for name in _BY_HAND if name in os.environ}
  if not given:
    return {}
  if _BY_HAND[0] not in given or not all(given.get(name, "").isdecimal() for name in _BY_HAND[1:]):
    raise ValueError(f"--distributed found {given}; allowed: {_BY_HAND[0]}=host:port, {_BY_HAND[1]} and "
                     f"{_BY_HAND[2]} as whole numbers, all three; or none, under SLURM, Cloud TPU or "
                     "Kubernetes.")
  return {"num_processes": int(given[_BY_HAND[1]]), "process_id": int(given[_BY_HAND[2]])}


def join_program() -> None:
  """Join the other processes of one program; JAX finds them from the scheduler, or from three variables.

  Raises:
    ValueError: they are not found.
  """
  place = _place_by_hand()
  try:
    jax.distributed.initialize(**place)
  except ValueError as error:
    raise ValueError(f"--distributed: {error} Allowed: SLURM, Cloud TPU or Kubernetes, or the variables "
                     f"{', '.join(_BY_HAND)}.") from error
  show = sys.excepthook
  def end(*exception):
    show(*exception)
    end_at_once(1)
  sys.excepthook = end
  if jax.process_index() == 0:
    print(f"one program of {jax.process_count()} processes, {jax.device_count()} devices; if one of "
          "them dies the others end too: start all of them again, and they go on from the last "
          "checkpoint", flush=True)
