"""What oes_jax.main is told for a command and its arguments. Nothing of JAX is imported for it."""

import argparse
import ast
import difflib
import pathlib
import re
import sys
from typing import NamedTuple, NoReturn, Sequence

from oes_jax import shipped_configs
from oes_jax.command._commands import COMMANDS
from oes_jax.command._commands import FLAGS
from oes_jax.command._commands import OTHERS

# What shtab completes an argument with.
_FILES = {"bash": "_shtab_compgen_files", "zsh": "_files", "tcsh": "f"}
_FOLDERS = {"bash": "_shtab_compgen_dirs", "zsh": "_files -/", "tcsh": "d"}
_NUMBER = re.compile(r"[-+]?[\d.]+(e[-+]?\d+)?", re.IGNORECASE)


def fail(message: str) -> NoReturn:
  """End the program as for a faulty flag."""
  print(f"error: {message}", file=sys.stderr)
  sys.exit(2)


class Parser(argparse.ArgumentParser):
  """A parser whose faults are one line, as those of oes_jax.main."""

  def error(self, message: str) -> NoReturn:
    fail(f"{message}; {self.prog} --help lists the options.")


def _syntax_of(command: str) -> ast.Module:
  """Return the syntax of a command's config or module, which is not imported."""
  if command in COMMANDS:
    path = shipped_configs.path_of(COMMANDS[command].file)
  else:
    path = pathlib.Path(__file__).parents[1] / f"{OTHERS[command].replace('.', '/')}.py"
  return ast.parse(path.read_text(encoding="utf-8"))


def description_of(command: str) -> str:
  """Return the first paragraph of what a command's config or module says of itself."""
  return (ast.get_docstring(_syntax_of(command)) or "").partition("\n\n")[0]


def summary_of(command: str) -> str:
  """Return the first sentence of what a command's config or module says of itself."""
  return first_sentence(" ".join(description_of(command).split()))


def first_sentence(text: str) -> str:
  """Return a text as far as its first full stop, colon or semicolon."""
  return re.split(r"[.:;](?: |$)", text)[0]


def has_presets(command: str) -> bool:
  """Whether the config of a command takes the name of a preset."""
  return any(isinstance(node, ast.FunctionDef) and node.name == "get_config" and node.args.args
             for node in _syntax_of(command).body)


class Texts(NamedTuple):
  """What --help says, and completion knows, of a command.

  Attributes:
    of_keys: meaning and default of the keys that the options set.
    choices: names that a key allows, where it allows names alone.
    of_flags: meaning of the flags of oes_jax.main.
    presets: names of the presets; the default first.
  """
  of_keys: dict[str, str] = {}
  choices: dict[str, tuple[str, ...]] = {}
  of_flags: dict[str, str] = {}
  presets: tuple[str, ...] = ()


def add_arguments(parser: argparse.ArgumentParser, command: str, texts: Texts = Texts()) -> None:
  """Add the usual options of a command that restores, with their texts; without these it parses all the same."""
  def add(name: str, said: str, **how) -> argparse.Action:
    return parser.add_argument(name, default=argparse.SUPPRESS, help=said.replace("%", "%%"), **how)  # argparse fills in %

  add("file", texts.of_keys.get("data.source", ""), nargs="*", metavar="FILE").complete = _FILES
  if has_presets(command):
    named = ", ".join(texts.presets)
    add("--preset", f"Preset of all settings: {named} (default {texts.presets[0] if named else None})", metavar="NAME",
        choices=texts.presets or None)
  for name, option in COMMANDS[command].options.items():
    action = add(name, f"{texts.of_keys.get(option.key, '')} [{option.key}]", metavar=option.metavar,
                 choices=texts.choices.get(option.key))
    if option.metavar in ("FILE", "KERNEL"):
      action.complete = _FILES
  for name, metavar in FLAGS.items():
    takes = {"action": "store_true"} if metavar is None else {"metavar": metavar}
    action = add(f"--{name}", texts.of_flags.get(name, ""), **takes)
    if metavar == "DIR":
      action.complete = _FOLDERS


def _as_tuple(value: str) -> str:
  """Return 1,2 and learn,dense as (1,2,) and ('learn','dense',); what is written as a tuple stays."""
  if value.startswith("(") or value in ("", "None"):
    return value
  parts = [part.strip() for part in value.split(",") if part.strip()]
  return "".join(["(", *(f"{part if _NUMBER.fullmatch(part) else repr(part)}," for part in parts), ")"])


def arguments_of(command: str, argv: Sequence[str]) -> list[str]:
  """Return the arguments of oes_jax.main that a command with its arguments stands for; faults end the program with 2.

  Args:
    command: one of COMMANDS.
    argv: arguments behind the command's name.
  """
  spec, parser = COMMANDS[command], Parser(prog=f"oes-jax {command}", allow_abbrev=False)
  add_arguments(parser, command)
  end = argv.index("--") if "--" in argv else len(argv)
  keys = [each for each in argv[:end] if each.startswith("--config.")]
  given, unknown = parser.parse_known_intermixed_args([each for each in argv[:end] if each not in keys])
  for each in (*unknown, *(key for key in keys if "=" not in key)):
    _refuse(each, command)
  told = vars(given)
  preset = f":{told['preset']}" if "preset" in told else ""
  passed = [f"--config={shipped_configs.path_of(spec.file)}{preset}"]
  sources = [*told.get("file", []), *argv[end + 1:]]
  set_by = {"FILE": ("data.source", ",".join(sources))} if sources else {}
  for name, option in spec.options.items():
    if (value := told.get(name.removeprefix("--").replace("-", "_"))) is not None:
      set_by[name] = (option.key, _as_tuple(value) if option.is_tuple else value)
  for name, (key, value) in set_by.items():
    if any(each.startswith(f"--config.{key}=") for each in keys):
      fail(f"{name} and --config.{key} are one setting; allowed: one of the two.")
    passed.append(f"--config.{key}={value}")
  flags = [f"--{name}" if told[name] is True else f"--{name}={told[name]}" for name in FLAGS if name in told]
  return [*passed, *keys, *flags]


def _refuse(argument: str, command: str) -> NoReturn:
  """End the program with what is said of an argument that a command does not know."""
  name, known = argument.partition("=")[0], ["--preset", *COMMANDS[command].options, *(f"--{flag}" for flag in FLAGS)]
  if name.startswith("--config."):
    fail(f"{argument} has no value; allowed: {argument}=VALUE.")
  near = f"--config.{name.lstrip('-')}" if "." in name else next(iter(difflib.get_close_matches(name, known, 1)), None)
  fail(f"{argument!r} is no option of oes-jax {command}{f'; did you mean {near}?' if near else '.'} "
       f"oes-jax {command} --help lists them.")
