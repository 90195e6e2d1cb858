"""Flags that commands of the benchmarks share."""

import argparse


def positive(text: str) -> int:
  """Return the whole number above 0 that a flag holds.

  Raises:
    argparse.ArgumentTypeError: the text is no such number.
  """
  if not (text.isdecimal() and int(text) > 0):
    raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed: a whole number above 0")
  return int(text)


def add_parser(commands, name: str, function, text: str) -> argparse.ArgumentParser:
  """Add a command to a command line and return its parser.

  Args:
    commands: the subparsers of the command line, as `add_subparsers` returns them.
    name: the command's name.
    function: what runs the command, given the parsed arguments.
    text: the command's help.
  """
  parser = commands.add_parser(name, help=text, description=text)
  parser.set_defaults(function=function)
  return parser


def add_folder_and_output(parser: argparse.ArgumentParser, name: str) -> None:
  """Add --folder and --output, with defaults named after the command."""
  parser.add_argument("--folder", default=f"runs/bench_{name}", help="where the restorations run")
  parser.add_argument("--output", default=f"runs/bench_{name}.json", help="JSON record")


def add_seeds(parser: argparse.ArgumentParser, default: int) -> None:
  """Add --seeds, the number of seeds."""
  parser.add_argument("--seeds", type=positive, default=default, metavar="N",
                      help=f"seeds 0 to N - 1 (default {default})")


def add_config(parser: argparse.ArgumentParser, name: str) -> None:
  """Add --config, a config of many methods, and --folder and --output, whose defaults follow from it."""
  parser.add_argument("--config", default="configs/benchmark.py:quick", metavar="FILE:PRESET")
  parser.add_argument("--folder", help=f"where the restorations run; default: runs/<experiment>/{name}")
  parser.add_argument("--output", help=f"JSON record; default: runs/<experiment>/{name}.json, or the preset's own name")


def add_extends(parser: argparse.ArgumentParser) -> None:
  """Add --extends, a record of the same config whose results are taken over."""
  parser.add_argument("--extends", metavar="RECORD",
                      help="JSON record of the same measurements: what it holds is not run again")
