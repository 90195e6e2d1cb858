"""The rules of the house hold in the package, and each of them reports the violation planted for it."""

import ast
import configparser
import functools
import pathlib
import re
import sys
from typing import Iterator, NamedTuple

import pytest

PACKAGE = pathlib.Path(__file__).parent.parent / "oes_jax"

# Files over 250 lines, functions over 45 lines ("oes_jax/files/_pictures.py:read") and why: one sentence each.
ALLOWED_LONG = {}
ALLOWED_LONG_FUNCTIONS = {
    "oes_jax/api.py:restore": "The one-line call: every argument has a default, and its docstring is the manual.",
}
# The modules, three at most, that read sections of a config.
CONFIG_READERS = ("oes_jax/runs/_presets.py", "oes_jax/runs/_settings.py", "oes_jax/sweeps/_cases.py")

# The only file that catches every exception: those of the libraries that decode files.
BROAD_CATCHER = "oes_jax/files/_boundary.py"

MOST_LINES, MOST_FUNCTION_LINES, MOST_PARAMETERS, MOST_CONFIG_READERS = 250, 45, 10, 3
LEAVES = ("random", "settings", "metrics", "noise", "recorruption", "sliding_dct", "intensity", "tiles", "backends",
          "parallel")
LIBRARY = (*LEAVES, "generators", "operators", "masks", "fitting", "inspection")
# "" is oes_jax/__init__.py, which loads anything lazily; only what stands right of it takes its names from there.
RANKS = {**{leaf: 0 for leaf in LEAVES}, **{unit: rank for rank, unit in enumerate(
    ("generators", "operators", "masks", "fitting", "inspection", "shipped_configs", "files", "runs", "sweeps", "", "bench", "api",
     "stacks", "inspect", "main", "command", "__main__"), start=1)}}
PLACES = {"flax": ("generators",), "orbax": ("files",), "matplotlib": ("files",), "pydicom": ("files",),
          "astropy": ("files",), "h5py": ("files",), "jinja2": ("files",), "tensorflow_datasets": ("files",), "shtab": ("command",),
          "tensorboardX": ("files",), "torch": ("bench",), "ml_collections": ("runs", "main"), "absl": ("main",),
          "tqdm": ("fitting", "runs", "sweeps", "bench")}
EMPTY_NAMES = {"util", "utils", "utility", "utilities", "helper", "helpers", "manager", "managers", "common", "misc"}
SECOND_WORDS = {"Planned", "Member", "Prior", "Measured", "CompactProblem"}
NAMEDTUPLE_NAMES = {"_asdict", "_replace", "_fields", "_make", "_field_defaults"}
# Methods of a ConfigDict: to pass a config on is not to read its sections.
CONFIG_METHODS = {"copy_and_resolve_references", "update", "update_from_flattened_dict", "to_dict", "to_json", "lock",
                  "unlock", "items", "keys", "values"}


class Allowed(NamedTuple):
  """Exceptions: reasons by file and by "file:function", and the files that read config sections."""
  long: dict[str, str] = {}
  long_functions: dict[str, str] = {}
  config_readers: tuple[str, ...] = ()


class Import(NamedTuple):
  """What an import names in full, and the local name that it binds, None where it binds nothing."""
  line: int
  target: str
  bound: str | None


class Module(NamedTuple):
  """A file of the package.

  Attributes:
    path: name of the file from the folder above the package, such as oes_jax/files/_scans.py.
    name: dotted name; that of its package for an __init__.py.
    is_package: whether the file is an __init__.py.
    unit: package, or file beside the packages, that it belongs to; "" for oes_jax/__init__.py.
    lines: number of lines.
    nodes: every node of its syntax tree.
    functions: qualified name and node of every function, inner ones included.
    imports: every import, at any depth.
    names: what local names stand for in full, as far as imports bind them.
  """
  path: str
  name: str
  is_package: bool
  unit: str
  lines: int
  nodes: list[ast.AST]
  functions: list[tuple[str, ast.FunctionDef]]
  imports: list[Import]
  names: dict[str, str]

  def at(self, line: int, text: str) -> str:
    return f"{self.path}:{line}: {text}"


def _walk(node: ast.AST, nodes: list, functions: list, prefix: str = "") -> None:
  nodes.append(node)
  if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
    functions.append((prefix + node.name, node))
  if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
    prefix += node.name + "."
  for child in ast.iter_child_nodes(node):
    _walk(child, nodes, functions, prefix)


def _imports(nodes: list[ast.AST], name: str, is_package: bool) -> Iterator[Import]:
  for node in nodes:
    if isinstance(node, ast.Import):
      for alias in node.names:
        yield Import(node.lineno, alias.name, alias.asname or alias.name.split(".")[0])
    elif isinstance(node, ast.ImportFrom):
      start = [node.module] if node.module else []
      if node.level:
        parts = name.split(".")
        start = parts[:len(parts) - node.level + is_package] + start
      for alias in node.names:
        yield Import(node.lineno, ".".join([*start, alias.name]), alias.asname or alias.name)
    elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
      called = getattr(node.func, "attr", getattr(node.func, "id", None))
      if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
        yield Import(node.lineno, node.args[0].value, None)


def _read_module(path: pathlib.Path, folder: pathlib.Path) -> Module:
  text = path.read_text(encoding="utf-8")
  parts = path.relative_to(folder).with_suffix("").parts
  is_package = parts[-1] == "__init__"
  parts = parts[:-1] if is_package else parts
  name, nodes, functions = ".".join((folder.name, *parts)), [], []
  _walk(ast.parse(text), nodes, functions)
  imports = list(_imports(nodes, name, is_package))
  names = {}
  for given in imports:
    if given.bound is not None:  # `import a.b` binds a
      names[given.bound] = given.bound if given.target.startswith(given.bound + ".") else given.target
  return Module(path.relative_to(folder.parent).as_posix(), name, is_package, parts[0] if parts else "",
                len(text.splitlines()), nodes, functions, imports, names)


@functools.lru_cache(maxsize=1)
def read_package(folder: pathlib.Path = PACKAGE) -> dict[str, Module]:
  """Return the files of a package by dotted name."""
  modules = (_read_module(path, folder) for path in sorted(folder.rglob("*.py")))
  return {module.name: module for module in modules}


def _dotted(node: ast.AST, module: Module) -> str | None:
  """Return what a chain of names such as masks.top_k stands for in full, None where no import binds its root."""
  parts = []
  while isinstance(node, ast.Attribute):
    parts.append(node.attr)
    node = node.value
  if not isinstance(node, ast.Name) or node.id not in module.names:
    return None
  return ".".join([module.names[node.id], *reversed(parts)])


def _is_private(name: str) -> bool:
  return name.startswith("_") and not name.endswith("__") and name not in NAMEDTUPLE_NAMES


def _is_getattr(node: ast.AST) -> bool:
  return (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr"
          and len(node.args) > 1)


def _links(package: dict[str, Module], module: Module) -> Iterator[tuple[int, str, str]]:
  """Yield (line, what is named in full, file that it lies in) for every use of the package's own files."""
  root = next(iter(package)).split(".")[0]
  named = [(given.line, given.target) for given in module.imports]
  named += [(node.lineno, f"{root}.{node.attr}") for node in module.nodes
            if isinstance(node, ast.Attribute) and _dotted(node.value, module) == root]
  for line, target in named:
    parts = target.split(".")
    found = [".".join(parts[:length]) for length in range(len(parts), 0, -1) if ".".join(parts[:length]) in package]
    if found:
      yield line, target, found[0]


def layers(package: dict[str, Module], allowed: Allowed) -> list[str]:
  """A package imports only what stands left of it; leaf modules may import each other."""
  del allowed
  found = []
  for module in package.values():
    if module.unit not in RANKS:
      found.append(module.at(1, f"{module.unit} has no place among the layers"))
      continue
    for line, target, file in _links(package, module) if module.unit else ():
      unit = package[file].unit
      if not unit and (target == file or target.endswith("__")):
        continue  # a bare `import oes_jax` and oes_jax.__version__ load nothing
      if unit not in (module.unit, *LEAVES) and RANKS.get(unit, -1) >= RANKS[module.unit]:
        found.append(module.at(line, f"{module.unit} imports {target}, which does not stand left of it"))
  return found


def public_names(package: dict[str, Module], allowed: Allowed) -> list[str]:
  """Another package's private files and names stay its own."""
  del allowed
  found = []
  root = next(iter(package)).split(".")[0]
  for module in package.values():
    named = [(given.line, given.target) for given in module.imports]
    for node in module.nodes:
      if isinstance(node, ast.Attribute) and _is_private(node.attr):
        named.append((node.lineno, f"{_dotted(node.value, module)}.{node.attr}"))
      elif _is_getattr(node) and isinstance(node.args[1], ast.Constant):
        named.append((node.lineno, f"{_dotted(node.args[0], module)}.{node.args[1].value}"))
    for line, target in named:
      parts = target.split(".")
      first = next((place for place, part in enumerate(parts) if _is_private(part)), None)
      if parts[0] != root or first is None:
        continue
      owner = ".".join(parts[:first])  # the package, or the public file, that holds the private name
      while owner not in package:
        owner = owner.rpartition(".")[0]
      if module.name != owner and not module.name.startswith(owner + "."):
        found.append(module.at(line, f"{target} is private to {owner}"))
  return found


def cycles(package: dict[str, Module], allowed: Allowed) -> list[str]:
  """The files inside a package, and the leaf modules, import each other in one direction."""
  del allowed
  group = {name: "leaf" if module.unit in LEAVES else module.unit for name, module in package.items()}
  links = {name: {} for name in package}
  for name, module in package.items():
    for line, _, file in _links(package, module):
      if group[name] == group[file]:
        links[name].setdefault(file, line)
  found, seen = [], set()
  for name, module in package.items():
    paths, waiting = {}, [(name,)]
    while waiting:
      path = waiting.pop(0)
      for after in links[path[-1]]:
        if after not in paths:
          paths[after] = (*path, after)
          waiting.append(paths[after])
    if name in paths and name not in seen:
      seen |= set(paths[name])
      found.append(module.at(links[name][paths[name][1]], "cycle: " + " -> ".join(paths[name])))
  return found


def no_configs(package: dict[str, Module], allowed: Allowed) -> list[str]:
  """The files in configs/ import oes_jax, never the other way round."""
  del allowed
  return [module.at(given.line, f"imports {given.target}") for module in package.values() for given in module.imports
          if given.target.split(".")[0] == "configs"]


def _is_config(name: str) -> bool:
  return name == "config" or name.endswith("_config")


def _parameters(function: ast.FunctionDef | ast.Lambda) -> list[ast.arg]:
  given = function.args
  listed = [*given.posonlyargs, *given.args, *given.kwonlyargs]
  return listed + [argument for argument in (given.vararg, given.kwarg) if argument]


def pure_library(package: dict[str, Module], allowed: Allowed) -> list[str]:
  """The library half touches no files, screen, signals or global settings, and takes no config."""
  del allowed
  found = []
  for module in package.values():
    if module.unit not in LIBRARY:
      continue
    for given in module.imports:
      if given.target.split(".")[0] in ("logging", "pathlib", "signal", "os") or given.target in (
          "sys.stdout", "sys.stderr"):
        found.append(module.at(given.line, f"imports {given.target}"))
    for node in module.nodes:
      if isinstance(node, ast.Name) and node.id in ("open", "print"):
        found.append(module.at(node.lineno, f"uses {node.id}()"))
      elif isinstance(node, ast.Attribute):
        if _dotted(node, module) in ("sys.stdout", "sys.stderr"):
          found.append(module.at(node.lineno, f"uses {_dotted(node, module)}"))
        elif _dotted(node.value, module) == "jax.config" and (
            node.attr == "update" or not isinstance(node.ctx, ast.Load)):
          found.append(module.at(node.lineno, f"changes jax.config ({node.attr})"))
      elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        found += [module.at(argument.lineno, f"has a parameter {argument.arg}") for argument in _parameters(node)
                  if _is_config(argument.arg)]
      elif isinstance(node, ast.ClassDef):  # a field of a NamedTuple or dataclass is a parameter too
        found += [module.at(field.lineno, f"has a field {ast.unparse(field.target)}") for field in node.body
                  if isinstance(field, ast.AnnAssign) and _is_config(ast.unparse(field.target))]
  return found


def _config_reads(module: Module) -> list[tuple[int, str]]:
  """Return (line, what is read) for config.mask, job.config.mask, config["mask"] and getattr(config, ...)."""
  found = []
  for node in module.nodes:
    if isinstance(node, ast.Attribute) and node.attr not in CONFIG_METHODS:
      base, read = node.value, f".{node.attr}"
    elif isinstance(node, ast.Subscript):
      base, read = node.value, "[...]"
    elif _is_getattr(node):
      base, read = node.args[0], "[...]"
    else:
      continue
    name = base.id if isinstance(base, ast.Name) else getattr(base, "attr", "")
    if _is_config(name) and _dotted(base, module) is None:
      found.append((node.lineno, ast.unparse(base) + read))
  return sorted(found)


def config_readers(package: dict[str, Module], allowed: Allowed) -> list[str]:
  """At most three modules of runs and sweeps, beside the benchmarks and the command line, read config sections."""
  found = []
  reads = {module.path: (module, _config_reads(module)) for module in package.values()
           if module.unit not in ("bench", "main")}
  for path, (module, listed) in reads.items():
    if listed and path not in allowed.config_readers:
      found.append(module.at(listed[0][0], f"reads {listed[0][1]} (and {len(listed) - 1} more)"))
  for path in allowed.config_readers:
    if path not in reads or not reads[path][1]:
      found.append(f"{path}:1: reads no config section and needs no entry in CONFIG_READERS")
    elif reads[path][0].unit not in ("runs", "sweeps"):
      found.append(f"{path}:1: lies neither in runs nor in sweeps and may not read config sections")
  for path in allowed.config_readers[MOST_CONFIG_READERS:]:
    found.append(f"{path}:1: is one module too many that reads config sections; allowed: {MOST_CONFIG_READERS}")
  return found


def _over(sizes: dict[str, tuple[Module, int, int]], most: int, reasons: dict[str, str]) -> list[str]:
  """Return what is longer than `most` without a reason, and reasons that are none or no longer needed.

  Args:
    sizes: (file, line to name, number of lines) by the key in `reasons`.
    most: number of lines allowed.
    reasons: one sentence for each exception.
  """
  found = [module.at(line, f"{key} has {length} lines; allowed: {most}, or a reason")
           for key, (module, line, length) in sizes.items() if length > most and key not in reasons]
  for key, reason in reasons.items():
    path = key if key.endswith(".py") else key.rpartition(":")[0]
    if key not in sizes or sizes[key][2] <= most:
      found.append(f"{path}:1: {key} has at most {most} lines and needs no reason")
    elif not re.fullmatch(r"\S+ \S+ .*\S\.", reason.strip()):
      found.append(f"{path}:1: {key}: {reason!r} is no reason; allowed: a sentence")
  return found


def file_lengths(package: dict[str, Module], allowed: Allowed) -> list[str]:
  """No file is over 250 lines without a reason."""
  return _over({module.path: (module, MOST_LINES + 1, module.lines) for module in package.values()},
               MOST_LINES, allowed.long)


def function_sizes(package: dict[str, Module], allowed: Allowed) -> list[str]:
  """No function is over 45 lines, docstring included, or has over 10 parameters, without a reason."""
  sizes, found = {}, []
  for module in package.values():
    for name, node in module.functions:
      sizes[f"{module.path}:{name}"] = (module, node.lineno, node.end_lineno - node.lineno + 1)
      count = sum(argument.arg not in ("self", "cls") for argument in _parameters(node))
      if count > MOST_PARAMETERS and f"{module.path}:{name}" not in allowed.long_functions:
        found.append(module.at(node.lineno, f"{name} has {count} parameters; allowed: {MOST_PARAMETERS}"))
  return _over(sizes, MOST_FUNCTION_LINES, allowed.long_functions) + found


def third_parties(package: dict[str, Module], allowed: Allowed) -> list[str]:
  """Third-party packages are used where they belong."""
  del allowed
  return [module.at(given.line, f"imports {given.target}; allowed in {', '.join(PLACES[name])}")
          for module in package.values() for given in module.imports
          if module.unit not in PLACES.get(name := given.target.split(".")[0], (module.unit,))]


def no_pyplot(package: dict[str, Module], allowed: Allowed) -> list[str]:
  """Figures leave the caller's backend alone."""
  del allowed
  return [module.at(given.line, f"imports {given.target}") for module in package.values() for given in module.imports
          if given.target == "matplotlib" or "pyplot" in given.target.split(".")]


def telling_names(package: dict[str, Module], allowed: Allowed) -> list[str]:
  """Names say what is inside; no file hides what it imports; one function is called restore."""
  del allowed
  found, restores = [], []
  for module in package.values():
    own = module.name.split(".")[-1].lstrip("_")
    named = [(1, own)] + [(node.lineno, node.name) for node in module.nodes
                          if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))]
    for line, name in named:
      if EMPTY_NAMES & {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)}:
        found.append(module.at(line, f"{name} does not say what is inside"))
    for given in module.imports:
      parts = given.target.split(".")
      if own in (parts[0], parts[-1]) and parts[0] != module.name.split(".")[0] and (
          parts[0] not in sys.stdlib_module_names):
        found.append(module.at(given.line, f"is called like {given.target}, which it imports"))
    restores += [module.at(node.lineno, "one of several functions called restore") for name, node in module.functions
                 if name == "restore"]
  return found + (restores if len(restores) > 1 else [])


def one_word_a_thing(package: dict[str, Module], allowed: Allowed) -> list[str]:
  """A restoration is a Case, a Job, a Problem or a Restoration; no fifth word."""
  del allowed
  found = []
  for module in package.values():
    for node in module.nodes:
      names = [node.name] if isinstance(node, ast.ClassDef) else []
      if isinstance(node, ast.Assign):
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
      found += [module.at(node.lineno, f"{name}: a fifth word for a restoration") for name in names
                if name.lstrip("_") in SECOND_WORDS]
  return found


def narrow_excepts(package: dict[str, Module], allowed: Allowed) -> list[str]:
  """An except clause names what it expects; only the boundary to the decoders catches every exception."""
  del allowed
  found = []
  for module in package.values():
    for node in module.nodes:
      if isinstance(node, ast.ExceptHandler) and module.path != BROAD_CATCHER:
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        if any(kind is None or ast.unparse(kind) in ("Exception", "BaseException") for kind in caught):
          found.append(module.at(node.lineno, f"catches every exception; allowed in {BROAD_CATCHER}"))
  return found


RULES = (layers, public_names, cycles, no_configs, pure_library, config_readers, file_lengths, third_parties, no_pyplot,
         telling_names, one_word_a_thing, function_sizes, narrow_excepts)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps_the_rule(rule):
  found = rule(read_package(), Allowed(ALLOWED_LONG, ALLOWED_LONG_FUNCTIONS, CONFIG_READERS))
  assert not found, "\n" + "\n".join(found)


def test_every_file_of_the_package_is_read():
  assert len(read_package()) == len(list(PACKAGE.rglob("*.py"))) > len(LIBRARY)
  assert {"random", "generators", "operators", "masks", "fitting", "files", "runs", "sweeps", "bench", "main"} <= {
      module.unit for module in read_package().values()}


# A house that keeps every rule, close to the edge of most.
HOUSE = {
    "__init__.py": "def __getattr__(name):\n  from oes_jax import fitting\n  return getattr(fitting, name)\n",
    "random.py": "import jax\n\ndef key(seed):\n  del seed\n  return jax.config.jax_enable_x64\n",
    "noise.py": ("from oes_jax import random\nfrom skimage.noise import level\n\ndef draw():\n"
                 "  return random.key(0), level\n"),
    "generators/__init__.py": "from oes_jax.generators._layers import Layer\n",
    "generators/_layers.py": ("import flax.linen as nn\n\nclass Layer(nn.Module):\n  def restore(self, name):\n"
                              "    pass\n"),
    "operators/__init__.py": "",
    "masks/__init__.py": "from oes_jax.masks._top_k import top_k\n",
    "masks/_top_k.py": ("from oes_jax import generators\n\ndef top_k():\n"
                        "  return generators.Layer._replace(name='')\n"),
    "fitting/__init__.py": "from oes_jax.fitting._restore import restore\n",
    "fitting/_restore.py": ("import tqdm\nfrom oes_jax import masks\n\nclass Settings:\n  steps: int\n\n"
                            "def restore(optimizer):\n  optimizer.update(masks.top_k().value, masks.__doc__)\n"
                            "  return tqdm.tqdm\n"),
    "files/__init__.py": "from oes_jax.files._pictures import read\n",
    "files/_boundary.py": "def reading():\n  try:\n    pass\n  except Exception as error:\n    raise ValueError from error\n",
    "files/_dicom.py": "import pydicom\n\ndef _decode(path):\n  return open(path), pydicom\n",
    "files/_pictures.py": ("from matplotlib import figure\nimport orbax.checkpoint as ocp\n"
                           "from oes_jax import fitting\nfrom oes_jax.files import _dicom\n\ndef read(config):\n"
                           "  return _dicom._decode(config), figure, ocp, fitting\n"),
    "runs/__init__.py": "from oes_jax.runs._run import run\n",
    "runs/_run.py": ("import jax\nfrom ml_collections import config_dict\nimport oes_jax\nfrom oes_jax import files\n\n"
                     "def run(config):\n  jax.config.update('jax_enable_x64', True)\n"
                     "  print('flax', oes_jax.__version__, config_dict, config.to_dict(), jax._src)\n"
                     "  return files.read(config), isinstance(config, str), files.path.name, [][0]\n"),
    "runs/_signal.py": "import signal\n\ndef serve(self):\n  return self._signal, signal\n",
    "sweeps/__init__.py": "",
    "bench/__init__.py": "",
    "bench/_steps.py": ("import importlib\nfrom oes_jax.bench import peers\n\ndef time(config):\n"
                        "  return peers.net(config.mask.source), importlib.import_module(config.file)\n"),
    "bench/peers/__init__.py": "from oes_jax.bench.peers._torch_net import net\n",
    "bench/peers/_torch_net.py": "import torch\n\ndef net(source):\n  return torch, source\n",
    "api.py": "from oes_jax import runs\n",
    "main.py": ("from absl import app\nfrom oes_jax import api\nfrom oes_jax import sweeps\n\n"
                "def main(config):\n  return app, api, sweeps, config.mask.source\n"),
}
LONG = "values = 0\n" * 250
FUNCTION = "def long():\n" + "  pass\n" * 45
READER = "def check(config):\n  return config.mask.source\n"

# (rule, planted file, its text, line reported; a cycle is reported at the first of its files)
PLANTS = [
    (layers, "masks/_x.py", "from oes_jax import fitting\n", 1),
    (layers, "masks/_x.py", "import oes_jax.fitting\n", 1),
    (layers, "masks/_x.py", "def f():\n  from ..fitting import restore\n  return restore\n", 2),
    (layers, "masks/_x.py", "import importlib\nimportlib.import_module('oes_jax.fitting')\n", 2),
    (layers, "masks/_x.py", "import oes_jax\n\ndef f():\n  return oes_jax.restore()\n", 4),
    (layers, "masks/_x.py", "import oes_jax\n\ndef f():\n  return oes_jax.runs.run()\n", 4),
    (layers, "fitting/_x.py", "from oes_jax import files\n", 1),
    (layers, "tiles.py", "from oes_jax.generators import Layer\n", 1),
    (layers, "runs/_x.py", "from oes_jax import sweeps\n", 1),
    (layers, "sweeps/_x.py", "from oes_jax import api\n", 1),
    (layers, "sweeps/_x.py", "from oes_jax import bench\n", 1),
    (layers, "sweeps/__init__.py", "from ..bench import peers\n", 1),
    (layers, "api.py", "from oes_jax import main\n", 1),
    (layers, "drawings.py", "", 1),
    (public_names, "runs/_x.py", "from oes_jax.files import _dicom\n", 1),
    (public_names, "runs/_x.py", "from oes_jax.files._dicom import decode\n", 1),
    (public_names, "runs/_x.py", "import oes_jax.files._dicom as dicom\n", 1),
    (public_names, "runs/_x.py", "from oes_jax import files\n\ndef f():\n  return files._dicom.decode()\n", 4),
    (public_names, "runs/_x.py", "import oes_jax.files as pictures\nREAD = pictures._dicom.decode\n", 2),
    (public_names, "runs/_x.py", "from oes_jax import files as pictures\nREAD = pictures._dicom.decode\n", 2),
    (public_names, "runs/_x.py", "from oes_jax import files\n\ndef f():\n  return getattr(files, '_dicom')\n", 4),
    (public_names, "runs/_x.py", "from oes_jax.files import Scan\n\ndef f():\n  return Scan._read()\n", 4),
    (public_names, "noise.py", "from oes_jax import random\nKEY = random._key\n", 2),
    (public_names, "bench/_x.py", "from oes_jax.bench.peers import _torch_net\n", 1),
    (cycles, "files/_dicom.py", "\nfrom oes_jax.files import _pictures\n", 2),
    (cycles, "files/_dicom.py", "def f():\n  from oes_jax.files import _pictures\n  return _pictures\n", 2),
    (cycles, "files/_dicom.py", "from oes_jax.files import _dicom\n", 1),
    (cycles, "runs/_run.py", "from oes_jax import runs\n", "runs/__init__.py:1"),
    (cycles, "random.py", "import jax\nfrom oes_jax import noise\n", "noise.py:1"),
    (no_configs, "runs/_x.py", "from configs import default\n", 1),
    (no_configs, "main.py", "def f():\n  import configs.mri\n  return configs.mri\n", 2),
    (no_configs, "bench/_x.py", "import importlib\nCT = importlib.import_module('configs.ct')\n", 2),
    (pure_library, "masks/_x.py", "def f(path):\n  with open(path) as file:\n    return file\n", 2),
    (pure_library, "noise.py", "def f():\n  print(1)\n", 2),
    (pure_library, "masks/_x.py", "import logging\n", 1),
    (pure_library, "masks/_x.py", "from pathlib import Path\n", 1),
    (pure_library, "masks/_x.py", "def f():\n  import signal\n  return signal\n", 2),
    (pure_library, "masks/_x.py", "import os.path\n", 1),
    (pure_library, "masks/_x.py", "import jax\njax.config.update('jax_enable_x64', True)\n", 2),
    (pure_library, "masks/_x.py", "from jax import config\nconfig.update('jax_enable_x64', True)\n", 2),
    (pure_library, "masks/_x.py", "import jax\njax.config.jax_enable_x64 = True\n", 2),
    (pure_library, "masks/_x.py", "import sys\nsys.stderr.write('')\n", 2),
    (pure_library, "masks/_x.py", "from sys import stdout\n", 1),
    (pure_library, "masks/_x.py", "def f(*,\n      config=None):\n  return config\n", 2),
    (pure_library, "masks/_x.py", "def f(mask_config):\n  return mask_config\n", 1),
    (pure_library, "masks/_x.py", "F = lambda config: config\n", 1),
    (pure_library, "masks/_x.py", "class Plan:\n  config: dict\n", 2),
    (config_readers, "runs/_x.py", "\n" + READER, 3),
    (config_readers, "runs/_x.py", "def f(job):\n  return job.config.weights\n", 2),
    (config_readers, "runs/_x.py", "def f(mask_config):\n  return mask_config['source']\n", 2),
    (config_readers, "files/_x.py", "def f(config, name):\n  return getattr(config, name)\n", 2),
    (config_readers, "api.py", "def f(config):\n  config.data.truth = None\n", 2),
    (file_lengths, "files/_x.py", LONG + "values = 1\n", 251),
    (third_parties, "runs/_x.py", "from flax import linen\n", 1),
    (third_parties, "runs/_x.py", "import orbax.checkpoint as ocp\n", 1),
    (third_parties, "bench/_x.py", "from matplotlib import figure\n", 1),
    (third_parties, "runs/_x.py", "import pydicom\n", 1),
    (third_parties, "operators/_x.py", "def f():\n  import torch\n  return torch\n", 2),
    (third_parties, "runs/_x.py", "import tensorboardX\n", 1),
    (third_parties, "runs/_x.py", "def f():\n  import jinja2\n  return jinja2\n", 2),
    (third_parties, "sweeps/_x.py", "from ml_collections import config_dict\n", 1),
    (third_parties, "runs/_x.py", "from absl import logging\n", 1),
    (third_parties, "masks/_x.py", "import tqdm\n", 1),
    (no_pyplot, "files/_x.py", "import matplotlib\n", 1),
    (no_pyplot, "files/_x.py", "import matplotlib.pyplot as plt\n", 1),
    (no_pyplot, "files/_x.py", "from matplotlib import pyplot\n", 1),
    (no_pyplot, "files/_x.py", "def f():\n  from matplotlib.pyplot import show\n  return show\n", 2),
    (telling_names, "runs/_utils.py", "", 1),
    (telling_names, "runs/_misc/__init__.py", "", 1),
    (telling_names, "runs/_x.py", "\nclass FolderManager:\n  pass\n", 2),
    (telling_names, "runs/_x.py", "class Run:\n  def plot_helper(self):\n    pass\n", 2),
    (telling_names, "files/_tifffile.py", "import tifffile\n", 1),
    (telling_names, "fitting/_restoration.py", "from skimage import restoration\n", 1),
    (one_word_a_thing, "runs/_x.py", "\nclass Member:\n  pass\n", 2),
    (one_word_a_thing, "masks/_x.py", "import collections\nPrior = collections.namedtuple('Prior', 'mean')\n", 2),
    (narrow_excepts, "files/_x.py", "try:\n  pass\nexcept Exception:\n  pass\n", 3),
    (narrow_excepts, "runs/_x.py", "try:\n  pass\nexcept (OSError, BaseException) as error:\n  raise ValueError from error\n", 3),
    (narrow_excepts, "masks/_x.py", "try:\n  pass\nexcept:\n  raise\n", 3),
    (function_sizes, "runs/_x.py", "class Run:\n  def f(self):\n" + "    pass\n" * 45, 2),
    (function_sizes, "runs/_x.py", "def f(a, b, c, d, e, *f, g, h, i, j, **k):\n  pass\n", 1),
]


def _report(tmp_path: pathlib.Path, planted: dict[str, str], allowed: Allowed = Allowed()) -> dict[str, list[str]]:
  """Return what each rule reports of the house with some files more; rules without a report are left out."""
  for name, text in {**HOUSE, **planted}.items():
    path = tmp_path / "oes_jax" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
  package = read_package.__wrapped__(tmp_path / "oes_jax")
  return {rule.__name__: found for rule in RULES if (found := rule(package, allowed))}


def test_a_house_that_keeps_the_rules_is_reported_by_none(tmp_path):
  edge = {"files/_long.py": LONG, "files/_edge.py": FUNCTION[:-len("  pass\n")],
          "runs/_edge.py": "class Run:\n  def f(self, a, b, c, d, e, *, f, g, h, i, j):\n    pass\n"}
  assert not _report(tmp_path, edge)


@pytest.mark.parametrize("rule, path, text, line", PLANTS, ids=[f"{rule.__name__}-{path}" for rule, path, *_ in PLANTS])
def test_a_planted_violation_is_reported_by_its_rule_alone(tmp_path, rule, path, text, line):
  report = _report(tmp_path, {path: text})
  assert list(report) == [rule.__name__], report
  (found,) = report[rule.__name__]
  place = line if isinstance(line, str) else f"{path}:{line}"
  assert found.startswith(f"oes_jax/{place}: "), found


def test_every_rule_has_a_plant():
  assert {rule for rule, *_ in PLANTS} == set(RULES)


def test_a_second_function_called_restore_is_reported_with_the_first(tmp_path):
  report = _report(tmp_path, {"sweeps/_x.py": "\ndef restore():\n  pass\n"})
  assert list(report) == ["telling_names"]
  assert [text.split(" ")[0] for text in report["telling_names"]] == [
      "oes_jax/fitting/_restore.py:7:", "oes_jax/sweeps/_x.py:2:"]


@pytest.mark.parametrize("rule, planted, allowed", [
    (file_lengths, {}, Allowed(long={"oes_jax/files/_x.py": "It was long once upon a time."})),
    (file_lengths, {"files/_x.py": LONG}, Allowed(long={"oes_jax/files/_x.py": "It was long once upon a time."})),
    (file_lengths, {"files/_x.py": LONG * 2}, Allowed(long={"oes_jax/files/_x.py": " "})),
    (file_lengths, {"files/_x.py": LONG * 2}, Allowed(long={"oes_jax/files/_x.py": "long"})),
    (function_sizes, {"files/_x.py": FUNCTION}, Allowed(long_functions={"oes_jax/files/_x.py:long": ""})),
    (function_sizes, {}, Allowed(long_functions={"oes_jax/files/_x.py:gone": "It reads one format in one go."})),
    (config_readers, {}, Allowed(config_readers=("oes_jax/files/_x.py",))),
    (config_readers, {"runs/_x.py": "VALUE = 0\n"}, Allowed(config_readers=("oes_jax/runs/_x.py",))),
    (config_readers, {"files/_x.py": READER}, Allowed(config_readers=("oes_jax/files/_x.py",))),
])
def test_an_exception_without_need_or_reason_is_reported(tmp_path, rule, planted, allowed):
  report = _report(tmp_path, planted, allowed)
  assert list(report) == [rule.__name__], report
  (found,) = report[rule.__name__]
  (exception,) = (*allowed.long, *allowed.long_functions, *allowed.config_readers)
  assert found.startswith(exception.removesuffix(":long").removesuffix(":gone") + ":1: "), found


def test_exceptions_with_a_reason_are_left_out_and_readers_are_counted(tmp_path):
  readers = [f"runs/_{name}.py" for name in "abcd"]
  planted = {**{name: READER for name in readers}, "files/_long.py": LONG * 2, "files/_x.py": FUNCTION}
  allowed = Allowed({"oes_jax/files/_long.py": "It is one table of numbers."},
                    {"oes_jax/files/_x.py:long": "It reads one format in one go."},
                    tuple(f"oes_jax/{name}" for name in readers))
  report = _report(tmp_path, planted, allowed)
  assert list(report) == ["config_readers"]
  (found,) = report["config_readers"]
  assert found.startswith("oes_jax/runs/_d.py:1: ")


def test_only_oes_jax_is_installed():
  """A project of the user's may have a configs/ of its own, which ours must neither hide nor be hidden by."""
  read = configparser.ConfigParser()
  read.read(PACKAGE.parent / "setup.cfg")
  folders = {path.parent.relative_to(PACKAGE.parent).as_posix().replace("/", ".") for path in PACKAGE.rglob("__init__.py")}
  assert set(read["options"]["packages"].split()) == folders | {"oes_jax.configs"}
  assert read["options"]["package_dir"].split() == ["oes_jax.configs", "=", "configs"]
  assert "py_modules" not in read["options"]
