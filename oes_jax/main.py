"""Command line: python -m oes_jax.main --config=configs/denoise.py [--workdir=DIR].

Where the current folder has no such file, that which comes with the package is taken, and --config=denoise is short for it.

It ends with 0; with 1 where a restoration failed, or another process works in the folder; with 2 where a flag, the config or a
file that it names is faulty; with 74 (EX_IOERR) where something can no longer be read or written: a full disk, a folder that
was deleted or moved meanwhile, missing rights; and with 128 + n by signal n. After 74 and a signal the same command goes on.
"""

import logging as standard_logging
import os
import re
import sys
import traceback

from absl import app
from absl import flags
from absl import logging
import jax
from ml_collections import config_flags

from oes_jax import files
from oes_jax import runs
from oes_jax import shipped_configs
from oes_jax import sweeps

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Config file, e.g. configs/denoise.py or configs/denoise.py:paper.", lock_config=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run. Default: runs/<experiment>-<hash of the config>.")
_SHARD = flags.DEFINE_string(
    "shard", None, "i/n: restore share i (0 to n - 1) of many cases, independently of the others. "
    "Default: the index of a SLURM array or of a Kubernetes job, else everything.")
_DISTRIBUTED = flags.DEFINE_bool(
    "distributed", False, "Be one of the processes of one program (jax.distributed) that restores many cases on all "
    "devices. Found from SLURM, Cloud TPU or Kubernetes, or from JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and "
    "JAX_PROCESS_ID.")
_SUMMARISE = flags.DEFINE_bool(
    "summarise", False, "Print and write the table of many cases so far, and restore nothing.")
flags.mark_flags_as_required(["config"])
_PATHS = ("data.source", "data.truth", "operator.mask", "operator.kernel", "mask.path")
_HELP = ("help", "helpshort", "helpfull", "?")


def describe_flags() -> dict[str, str]:
  """Return the meaning of every flag of the program by its name."""
  return {flag.name: flag.help for flag in flags.FLAGS.get_flags_for_module(sys.modules[__name__])}


def _fail(message: object, code: int) -> None:
  lines = [line.strip() for line in str(message).splitlines() if line.strip()]
  # A fault inside a config file comes with its traceback: the last line says what is wrong.
  said = lines[-1].removeprefix("ValueError: ") if "Traceback" in str(message) else " ".join(lines)
  print(f"error: {said}", file=sys.stderr)
  # On a full disk, what still waits to be written would say so again, with tracebacks, when the program says goodbye.
  if code == os.EX_IOERR or jax.distributed.is_initialized() and code < 128:
    sweeps.end_at_once(code)
  sys.exit(code)


def _parse_flags(argv):
  """Parse the flags; a fault in a flag or a config's keys is one line, not a traceback.

  A flag of absl that asks for help ends the program with the flags; the keys of a config stand before them. A config that is
  not here is looked for among the shipped ones.
  """
  argv = _with_shipped_config(argv)
  if any(argument.lstrip("-") in _HELP for argument in argv[1:] if argument.startswith("-")):
    print("Keys of a config, with their defaults, which a config file may change. None is automatic.\n\n"
          f"{runs.describe_keys('--config.', flags.get_help_width())}\n")
  try:
    with files.reading("--config cannot be read"):
      return _read_flags(argv)
  except ValueError as error:
    place = traceback.extract_tb(error.__cause__.__traceback__)[-1]
    where = f", {place.filename}, line {place.lineno}" if os.path.isfile(place.filename) else ""
    _fail(f"{error} ({type(error.__cause__).__name__}{where})", 2)


def _with_shipped_config(argv: list[str]) -> list[str]:
  """Return the arguments with the path of a shipped config in place of its name, where no file has that; and say so."""
  argv = list(argv)
  for place, argument in enumerate(argv):
    flag, sign, value = argument.partition("=")
    if flag in ("-config", "--config") and (sign or place + 1 < len(argv)):
      found, said = shipped_configs.find(value if sign else argv[place + 1])
      argv[place if sign else place + 1] = f"{flag}={found}" if sign else found
      if said:
        print(said, flush=True)
  return argv


def _read_flags(argv):
  try:
    rest = flags.FLAGS(argv)
    getattr(_CONFIG.value, "keys", None)  # a file that is missing is told of only now
    return rest
  except (AttributeError, KeyError) as error:
    while error.args and isinstance(error.args[0], Exception):  # ml_collections nests them
      error = error.args[0]
    said = str(error.args[0]).replace("\n", ". ")
    _fail(f"unknown config key {said} --help lists every key." if said[:1] in ("'", '"') else f"--config: {said}", 2)
  except OSError as error:
    path = next((argument.partition("=")[2] for argument in argv if argument.startswith("--config=")), "")
    _fail(f"--config={path!r} cannot be read: {str(error).strip().splitlines()[-1].strip()}; allowed: a file, or one "
          f"of those that are shipped: {', '.join(shipped_configs.names())}.", 2)
  except flags.Error as error:
    _fail(_of_another_type(str(error)) or error, 2)
  except (TypeError, ValueError) as error:
    _fail(f"--config: {error}", 2)


def _of_another_type(message: str) -> str | None:
  """Return what is said of a key whose value absl could not read as its type; None where the message is another."""
  found = re.match(r"flag --config\.([\w.]+)=(.*?): ", message, re.DOTALL)
  allowed = found and runs.allowed_values(found[1])
  return allowed and f"--config.{found[1]}={found[2]!r} is not allowed; allowed: {allowed}."


def _expand_home(config) -> None:
  """Put the home folder for ~ in the paths of a config: shells leave it alone behind a =."""
  for key in _PATHS:
    section, name = key.split(".")
    value = config.get(section, {}).get(name)
    if isinstance(value, str):
      config[section][name] = ",".join(map(os.path.expanduser, value.split(",")))


def _run_many(config) -> None:
  settings = runs.check_config(config)
  if _SUMMARISE.value:
    folder = sweeps.find_folder(config, _WORKDIR.value)[0]
    if not (folder / "config.json").is_file():
      raise ValueError(f"--workdir={str(folder)!r} holds no run: nothing has been restored there.")
    shard, complete = (0, 1), True
  else:
    shard = (0, 1) if _DISTRIBUTED.value else sweeps.find_shard(_SHARD.value, os.environ)
    runs.use_compilation_cache(settings.compute.compilation_cache)
    with runs.Signals() as signals:
      folder, complete = sweeps.run_all(config, _WORKDIR.value, shard, signals)
  if _SUMMARISE.value or jax.process_index() == 0:
    with files.writing_into(folder):
      table = sweeps.write_tables(folder)
      report = [f"report: {sweeps.write_report(folder)}", sweeps.say_plot(folder)] if settings.output.figures else []
    print(f"share {shard[0]}/{shard[1]} has ended" if shard[1] > 1 else table)
    restored = folder / "restored"
    print("\n".join([f"cases of this config: {len(sweeps.expand(config))}",
                     f"restored images: {restored} ({sum(1 for _ in restored.glob('*'))})",
                     f"table: {folder / 'results.md'}", *report]))
  if not complete:
    sys.exit(1)


def _run_one(config) -> None:
  for flag in (_SHARD, _DISTRIBUTED, _SUMMARISE):
    if flag.present:
      raise ValueError(f"--{flag.name} is for many restorations; allowed: a data.source that lists "
                       "images, ensemble > 1, or values in sweep.")
  job = runs.prepare(config, _WORKDIR.value)
  runs.use_compilation_cache(job.settings.compute.compilation_cache)
  with runs.Signals() as signals:
    summary = runs.run_job(job, signals)
  print(files.closing_table(summary))
  print(f"restored image: {job.workdir / summary['output']}")
  if (job.workdir / files.REPORT).is_file():
    print(f"report: {job.workdir / files.REPORT}")


def main(argv):
  if len(argv) > 1:
    _fail(f"unexpected argument {argv[1]!r}; flags begin with --.", 2)
  logging.set_verbosity(logging.WARNING)  # Orbax reports every file it writes
  # The lines are for who restores: what is warned of, without the place in the program.
  logging.get_absl_handler().setFormatter(standard_logging.Formatter("%(levelname)s: %(message)s"))
  config = _CONFIG.value
  try:
    runs.read_settings(config)
    _expand_home(config)
    if _DISTRIBUTED.value:
      if _SHARD.value is not None:
        raise ValueError(f"--shard={_SHARD.value!r} goes without --distributed; allowed: one of them.")
      sweeps.join_program()
    (_run_many if sweeps.is_many(config) else _run_one)(config)
  except runs.Interrupted as error:
    _fail(error, 128 + error.signal_number)
  except ValueError as error:
    _fail(error, 2)
  except (runs.Failed, runs.Busy) as error:
    _fail(error, 1)
  except OSError as error:
    _fail(error, os.EX_IOERR)


def run(argv: list[str]) -> None:
  """Run the program as a command line does: it ends with sys.exit.

  Args:
    argv: name of the program, and its arguments.
  """
  sys.argv = argv  # where ml_collections looks for the keys of a config that are set
  runs.drop_output_that_nobody_takes()
  runs.end_at_once_by_ctrl_c()
  app.run(main, argv, flags_parser=_parse_flags)


if __name__ == "__main__":
  run(sys.argv)
