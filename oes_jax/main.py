"""Command line: python -m oes_jax.main --config=configs/denoise.py [--workdir=DIR]."""

import os
import re
import sys
from typing import Mapping

from absl import app
from absl import flags
from absl import logging
import jax
from ml_collections import config_flags

from oes_jax import files
from oes_jax import runs
from oes_jax import sweeps

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Config file, e.g. configs/denoise.py or configs/denoise.py:paper.",
    lock_config=True)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of the run. Default: runs/<experiment>-<hash of the config>.")
_SHARD = flags.DEFINE_string(
    "shard", None, "i/n: restore share i (0 to n - 1) of many cases, independently of the others. "
    "Default: the index of a SLURM array or of a Kubernetes job, else everything.")
_DISTRIBUTED = flags.DEFINE_bool(
    "distributed", False, "Be one of the processes of one program (jax.distributed) that restores "
    "many cases on all devices. Found from SLURM, Cloud TPU or Kubernetes, or from "
    "JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID.")
_SUMMARISE = flags.DEFINE_bool(
    "summarise", False, "Print and write the table of many cases so far, and restore nothing.")
flags.mark_flags_as_required(["config"])


_HELP = ("help", "helpshort", "helpfull", "?")
_BY_HAND = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


def _end_at_once(code: int) -> None:
  """End without JAX's goodbye, which waits for the other processes, which wait for this one."""
  sys.stdout.flush()
  sys.stderr.flush()
  os._exit(code)


def _fail(message: object, code: int) -> None:
  lines = [line.strip() for line in str(message).splitlines() if line.strip()]
  # A fault inside a config file comes with its traceback: the last line says what is wrong.
  print(f"error: {lines[-1] if 'Traceback' in str(message) else ' '.join(lines)}", file=sys.stderr)
  if jax.distributed.is_initialized() and code in (1, 2):
    _end_at_once(code)
  sys.exit(code)


def _parse_flags(argv):
  """Parse the flags; a fault in a flag or a config's keys is one line, not a traceback.

  A flag of absl that asks for help ends the program with the flags; the keys of a config stand before them.
  """
  if any(argument.lstrip("-") in _HELP for argument in argv[1:] if argument.startswith("-")):
    print("Keys of a config, with their defaults, which a config file may change. None is automatic.\n\n"
          f"{runs.describe_keys('--config.', flags.get_help_width())}\n")
  try:
    return flags.FLAGS(argv)
  except (AttributeError, KeyError) as error:
    while error.args and isinstance(error.args[0], Exception):  # ml_collections nests them
      error = error.args[0]
    said = str(error.args[0]).replace("\n", ". ")
    _fail(f"unknown config key {said} --help lists every key.", 2)
  except (flags.Error, TypeError, ValueError, OSError) as error:
    _fail(error, 2)


def find_shard(flag: str | None, environment: Mapping[str, str]) -> tuple[int, int]:
  """Return (i, n) of --shard=i/n, or of the scheduler's own index, or (0, 1).

  A SLURM array counts from SLURM_ARRAY_TASK_MIN; a Kubernetes job gives JOB_COMPLETION_INDEX, to which
  the manifest adds JOB_COMPLETIONS.

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


def _join_program() -> None:
  """Join the other processes; JAX finds them from the scheduler, or from three variables."""
  by_hand = {}
  given = {name: os.environ[name] for name in _BY_HAND if name in os.environ}
  if given:
    if _BY_HAND[0] not in given or not all(given.get(name, "").isdecimal() for name in _BY_HAND[1:]):
      raise ValueError(f"--distributed found {given}; allowed: {_BY_HAND[0]}=host:port, {_BY_HAND[1]} and "
                       f"{_BY_HAND[2]} as whole numbers, all three; or none, under SLURM, Cloud TPU or "
                       "Kubernetes.")
    by_hand = {"num_processes": int(given[_BY_HAND[1]]), "process_id": int(given[_BY_HAND[2]])}
  try:
    jax.distributed.initialize(**by_hand)
  except ValueError as error:
    raise ValueError(f"--distributed: {error} Allowed: SLURM, Cloud TPU or Kubernetes, or the variables "
                     f"{', '.join(_BY_HAND)}.") from error
  show = sys.excepthook
  def end(*exception):
    show(*exception)
    _end_at_once(1)
  sys.excepthook = end
  if jax.process_index() == 0:
    print(f"one program of {jax.process_count()} processes, {jax.device_count()} devices; if one of "
          "them dies the others end too: start all of them again, and they go on from the last "
          "checkpoint", flush=True)


def _run_many(config) -> None:
  if _SUMMARISE.value:
    folder = sweeps.find_folder(config, _WORKDIR.value)[0]
    if not (folder / "config.json").is_file():
      raise ValueError(f"--workdir={str(folder)!r} holds no run: nothing has been restored there.")
    shard, complete = (0, 1), True
  else:
    shard = (0, 1) if _DISTRIBUTED.value else find_shard(_SHARD.value, os.environ)
    folder, complete = sweeps.run_all(config, _WORKDIR.value, shard)
  if _SUMMARISE.value or jax.process_index() == 0:
    table = sweeps.write_tables(folder)
    if shard[1] > 1:
      print(f"share {shard[0]}/{shard[1]} has ended")
    else:
      print(table)
    restored = folder / "restored"
    print(f"cases of this config: {len(sweeps.expand(config))}")
    print(f"restored images: {restored} ({sum(1 for _ in restored.glob('*'))})\n"
          f"table: {folder / 'results.md'}")
  if not complete:
    sys.exit(1)


def _run_one(config) -> None:
  for flag in (_SHARD, _DISTRIBUTED, _SUMMARISE):
    if flag.present:
      raise ValueError(f"--{flag.name} is for many restorations; allowed: a data.source that lists "
                       "images, ensemble > 1, or values in sweep.")
  job = runs.prepare(config, _WORKDIR.value)
  summary = runs.run(job)
  print(files.closing_table(summary))
  print(f"restored image: {job.workdir / summary['output']}")


def main(argv):
  if len(argv) > 1:
    _fail(f"unexpected argument {argv[1]!r}; flags begin with --.", 2)
  logging.set_verbosity(logging.WARNING)  # Orbax reports every file it writes
  config = _CONFIG.value
  try:
    if _DISTRIBUTED.value:
      if _SHARD.value is not None:
        raise ValueError(f"--shard={_SHARD.value!r} goes without --distributed; allowed: one of them.")
      _join_program()
    (_run_many if sweeps.is_many(config) else _run_one)(config)
  except runs.Interrupted as error:
    _fail(error, 128 + error.signal_number)
  except ValueError as error:
    _fail(error, 2)
  except (runs.Failed, runs.Busy, OSError) as error:
    _fail(error, 1)


if __name__ == "__main__":
  app.run(main, flags_parser=_parse_flags)
