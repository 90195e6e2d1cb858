"""The command oes-jax, a front to oes_jax.main, oes_jax.inspect and oes_jax.bench: oes-jax denoise my_frame.tif --steps 300.

A command is a shipped config, a FILE is data.source, and an option is a key of the config, whose meaning and default are
read where they stand. All else, exit codes too, is as `python -m oes_jax.main` has it. Nothing of JAX is imported for --version
and the list of commands.
"""

import argparse
import difflib
import importlib
import inspect
import runpy
import shutil
import signal
import sys
from typing import Sequence

import oes_jax
from oes_jax import shipped_configs
from oes_jax.command import _arguments
from oes_jax.command._commands import COMMANDS
from oes_jax.command._commands import OTHERS

_SHELLS = ("bash", "zsh", "tcsh")  # of shtab


def _read_texts(command: str) -> _arguments.Texts:
  """Return the texts of a command, as the settings, its config and oes_jax.main have them."""
  # pylint: disable=import-outside-toplevel
  from oes_jax import main as program
  from oes_jax import runs
  found = runpy.run_path(str(shipped_configs.path_of(COMMANDS[command].file)))
  made = found["get_config"]()
  keys = ["data.source", *(option.key for option in COMMANDS[command].options.values())]
  presets = ()
  if _arguments.has_presets(command):
    first = inspect.signature(found["get_config"]).parameters["preset"].default
    presets = (first, *(name for name in found.get("PRESETS", runs.PRESETS) if name != first))
  return _arguments.Texts({key: runs.describe_key(key, made) for key in keys},
                          {key: runs.choices_of(key) for key in keys if runs.choices_of(key)}, program.describe_flags(), presets)


def _print_help(command: str) -> None:
  examples = "\n".join(f"  oes-jax {command} {example}" for example in COMMANDS[command].examples)
  parser = _arguments.Parser(
      prog=f"oes-jax {command}", usage=f"oes-jax {command} [FILE ...] [options]",
      formatter_class=argparse.RawDescriptionHelpFormatter, description=_arguments.description_of(command), epilog=(
          "Any other key of a config: --config.weights.learning_rate=0.001, say; --help-all lists all of them.\n\n"
          f"examples:\n{examples}"))
  _arguments.add_arguments(parser, command, _read_texts(command))
  parser.print_help()


def _make_parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
  """Return the parser of the program, and those of its commands, which have no arguments yet."""
  parser = _arguments.Parser(prog="oes-jax", usage="oes-jax COMMAND [FILE ...] [options]", description=(
      "Restore a corrupted image with nothing but that image."), epilog="oes-jax COMMAND --help lists what a command takes.")
  parser.add_argument("--version", action="version", version=f"oes_jax {oes_jax.__version__}")
  parser.add_argument("--completion", metavar="SHELL", choices=_SHELLS, help=(
      f"Print what completes commands and options in a shell: {', '.join(_SHELLS)}"))
  commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
  return parser, {name: commands.add_parser(name, help=_arguments.summary_of(name), add_help=False)
                  for name in (*COMMANDS, *OTHERS)}


def _completion_of(shell: str) -> str:
  """Return the script that completes the program in a shell."""
  # pylint: disable=import-outside-toplevel
  import shtab

  from oes_jax import inspect as inspection
  parser, commands = _make_parser()
  for name in COMMANDS:
    texts = _read_texts(name)
    brief = {key: _arguments.first_sentence(said) for key, said in {**texts.of_keys, **texts.of_flags}.items()}
    _arguments.add_arguments(commands[name], name, texts._replace(of_keys=brief, of_flags=brief))
  inspection.add_arguments(commands["inspect"])
  return f"{shtab.complete(parser, shell)}\n"


def main(argv: Sequence[str] | None = None) -> None:
  """Run the program as a command line does.

  Args:
    argv: arguments; None: those of the command line.
  """
  if argv is None and signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends the import of JAX, which takes seconds, without a traceback
  argv = list(sys.argv[1:] if argv is None else argv) or ["--help"]
  command, rest = argv[0], argv[1:]
  if command.startswith("-"):
    parser, _ = _make_parser()
    shell = parser.parse_args(argv).completion
    print(_completion_of(shell) if shell else parser.format_help(), end="")
  elif command not in (*COMMANDS, *OTHERS):
    near = difflib.get_close_matches(command, [*COMMANDS, *OTHERS], 1)
    _arguments.fail(f"{command!r} is no command{f'; did you mean {near[0]}?' if near else ';'} allowed: "
                    f"{', '.join([*COMMANDS, *OTHERS])}.")
  elif command in OTHERS:
    from oes_jax import runs  # pylint: disable=import-outside-toplevel
    runs.drop_output_that_nobody_takes()
    runs.end_at_once_by_ctrl_c()
    importlib.import_module(f"oes_jax.{OTHERS[command]}").main(rest, f"oes-jax {command}")
  elif "--help-all" in rest:
    from oes_jax import runs  # pylint: disable=import-outside-toplevel
    print(runs.describe_keys("--config.", shutil.get_terminal_size().columns - 2))
  elif {"-h", "--help"} & set(rest):
    _print_help(command)
  else:
    passed = _arguments.arguments_of(command, rest)
    from oes_jax import main as program  # pylint: disable=import-outside-toplevel
    program.run([f"oes-jax {command}", *passed])
