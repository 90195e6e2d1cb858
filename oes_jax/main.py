"""Command line: python -m oes_jax.main --config=configs/denoise.py [--workdir=DIR]."""

import sys

from absl import app
from absl import flags
from absl import logging
from ml_collections import config_flags

from oes_jax import jobs
from oes_jax import records
from oes_jax import reports
from oes_jax import run

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Config file, e.g. configs/denoise.py or configs/denoise.py:paper.",
    lock_config=True)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of the run. Default: runs/<experiment>-<hash of the config>.")
flags.mark_flags_as_required(["config"])


def _fail(message: object, code: int) -> None:
  lines = [line.strip() for line in str(message).splitlines() if line.strip()]
  # A fault inside a config file comes with its traceback: the last line says what is wrong.
  print(f"error: {lines[-1] if 'Traceback' in str(message) else ' '.join(lines)}", file=sys.stderr)
  sys.exit(code)


def _parse_flags(argv):
  """Parse the flags; a fault in a flag or a config's keys is one line, not a traceback."""
  try:
    return flags.FLAGS(argv)
  except (AttributeError, KeyError) as error:
    while error.args and isinstance(error.args[0], Exception):  # ml_collections nests them
      error = error.args[0]
    said = str(error.args[0]).replace("\n", ". ")
    _fail(f"unknown config key {said} Every key is in configs/default.py.", 2)
  except (flags.Error, TypeError, ValueError, OSError) as error:
    _fail(error, 2)


def main(argv):
  if len(argv) > 1:
    _fail(f"unexpected argument {argv[1]!r}; flags begin with --.", 2)
  logging.set_verbosity(logging.WARNING)  # Orbax reports every file it writes
  try:
    job = jobs.prepare(_CONFIG.value, _WORKDIR.value)
  except (ValueError, OSError) as error:
    _fail(error, 2)
  try:
    summary = run.run(job)
  except run.Interrupted as error:
    _fail(error, 128 + error.signal_number)
  except (run.Diverged, run.Busy, records.DamagedLog, OSError) as error:
    _fail(error, 1)
  print(reports.closing_table(summary))
  print(f"restored image: {job.workdir / summary['output']}")


if __name__ == "__main__":
  app.run(main, flags_parser=_parse_flags)
