"""One command that measures an accelerator: parts in processes of their own, and a record after every row of each."""

import importlib.metadata
import json
import os
import pathlib
import platform
import signal
import subprocess
import sys
import time
from typing import Any

import jax

from oes_jax import files
from oes_jax.bench import _device_parts
from oes_jax.bench import _flags
from oes_jax.bench import _records

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "chex", "numpy", "scikit-image", "torch", "ml_collections",
             "tensorboardX", "pydicom")


def _version(package: str) -> str | None:
  try:
    return importlib.metadata.version(package)
  except importlib.metadata.PackageNotFoundError:
    return None


def _driver() -> str | None:
  """Return name, driver, memory and power limit of NVIDIA cards, as their tool tells; None: it does not."""
  try:
    told = subprocess.run(["nvidia-smi", "--query-gpu=name,driver_version,memory.total,power.limit", "--format=csv,noheader"],
                          capture_output=True, text=True, check=False, timeout=60)
  except (FileNotFoundError, subprocess.TimeoutExpired):
    return None
  return told.stdout.strip() if told.returncode == 0 else None


def _write(folder: pathlib.Path, part: str, rows: list[dict[str, Any]]) -> None:
  files.write_atomically(folder / f"{part}.json", json.dumps({"part": part, "rows": rows}, indent=2).encode())


def run_part(part: str, small: bool, folder: pathlib.Path) -> None:
  """Run one part in this process; its file holds every row that is there so far.

  Args:
    part: a name of `_device_parts.PARTS`.
    small: whether sizes are those of a trial on a CPU.
    folder: the folder of the records.
  """
  rows: list[dict[str, Any]] = []
  _write(folder, part, rows)
  for row in _device_parts.PARTS[part][0](small, folder):
    rows.append(row)
    _write(folder, part, rows)
    print(json.dumps(row), flush=True)


def _supervise(part: str, small: bool, folder: pathlib.Path, seconds: float) -> dict[str, Any]:
  """Run a part in a process of its own, for some seconds at most; return its rows, and how it ended."""
  command = [sys.executable, "-m", "oes_jax.bench", "device", "--out", str(folder), "--part", part, *(["--small"] if small else [])]
  began = time.perf_counter()
  log, path = folder / f"{part}.log", folder / f"{part}.json"
  path.unlink(missing_ok=True)  # of an earlier call
  with open(log, "w", encoding="utf-8") as stream:
    # PyTorch needs some of the card's memory too; and the last line of an error is to be the error.
    process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True, env={
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false", "JAX_TRACEBACK_FILTERING": "off", **os.environ})
    try:
      state = "done" if process.wait(seconds) == 0 else "failed"
    except subprocess.TimeoutExpired:
      state = "out of time"
    finally:
      if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)  # the programs that it has started too
        process.wait()
  rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.is_file() else []
  said = [] if state == "done" else log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
  return {"part": part, "state": state, "seconds": time.perf_counter() - began, "rows": rows, **({"said": said} if said else {})}


def _cell(value: Any) -> str:
  if isinstance(value, float):
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
  return "" if value is None else str(value)


def tabulate(part: dict[str, Any]) -> list[list[str]]:
  """Return header and cells of the rows of a part; a value that is a tree of values is left out.

  Args:
    part: what `_supervise` returns.
  """
  names = list(dict.fromkeys(name for row in part["rows"] for name, value in row.items() if not isinstance(value, dict)))
  return files.without_empty_columns([names, *([_cell(row.get(name)) for name in names] for row in part["rows"])])


def run_device(arguments) -> None:
  """Measure every part; write a record after each, and print the tables."""
  folder = pathlib.Path(arguments.out)
  folder.mkdir(parents=True, exist_ok=True)
  if arguments.part:
    run_part(arguments.part, arguments.small, folder)
    return
  began, parts = time.perf_counter(), []
  header = {"small": arguments.small, "driver": _driver(), "python": platform.python_version(),
            "versions": {package: _version(package) for package in _PACKAGES}}
  print(json.dumps(header), flush=True)
  spare = 0.0
  for name, (_, share) in _device_parts.PARTS.items():
    allowed = share * arguments.seconds + spare
    parts.append(_supervise(name, arguments.small, folder, allowed))
    spare = max(0.0, allowed - parts[-1]["seconds"])
    print(f"\n{name}: {parts[-1]['state']} after {parts[-1]['seconds']:.0f} s", *parts[-1].get("said", ()), sep="\n", flush=True)
    table = tabulate(parts[-1])
    if parts[-1]["rows"]:
      print(files.format_table(table), flush=True)
    parts[-1]["table"] = files.format_markdown(table) if parts[-1]["rows"] else ""
    files.write_atomically(folder / "parts.json", json.dumps({**header, "parts": parts}, indent=2).encode())
  _records.write_benchmark(str(folder / "device.json"), {
      "backend": jax.default_backend(), **header, "seconds": time.perf_counter() - began, "parts": parts})


def add_command(commands) -> None:
  """Add the command `device` and its flags."""
  parser = _flags.add_parser(commands, "device", run_device, "measure an accelerator, within minutes: every part leaves what it has")
  parser.add_argument("--out", default="runs/bench_device", metavar="DIR", help="folder of the records")
  parser.add_argument("--small", action="store_true", help="tiny sizes, to try it on a CPU")
  parser.add_argument("--seconds", type=_flags.positive, default=460, help="time of all parts (default 460)")
  parser.add_argument("--part", choices=tuple(_device_parts.PARTS), help="run this part alone, in this process")
