"""The command line: a whole run, faults in one line, and kills."""

import os
import pathlib
import signal
import subprocess
import sys
import time
import types

from absl import flags
from ml_collections import config_flags
import numpy as np
import pytest

from configs import default
from oes_jax import files
from oes_jax import main
from oes_jax import runs
from runs import tiny_run

ROOT = pathlib.Path(__file__).parents[1]


def _command(*arguments, optimised=False, **options):
  environment = {**os.environ, "PYTHONPATH": str(ROOT)}
  if optimised:
    for name in ("JAX_DISABLE_MOST_OPTIMIZATIONS", "XLA_FLAGS"):
      environment.pop(name, None)
  return subprocess.Popen(
      [sys.executable, "-m", "oes_jax.main", f"--config={ROOT / 'configs/denoise.py'}:oes", *arguments],
      env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


_FLAGS = [f"--config.{key}={value}" for key, value in tiny_run.TINY.items()]


def test_command_line(tmp_path):
  process = _command(*_FLAGS, "--config.compute.compilation_cache=", "--workdir=out", cwd=tmp_path)
  output = process.communicate()[0]
  assert process.returncode == 0, output
  assert "\nWARNING: camera: " in output and "average" in output and "oracle" in output and "weights stage: 100%" in output
  assert (tmp_path / "out" / "restored.png").is_file()


@pytest.mark.parametrize("flags, said", [
    pytest.param(["--config.data.sorce=x"], 'Did you mean "source"', marks=pytest.mark.slow),
    pytest.param(["--config.seed=abc"], "--config.seed='abc' is not allowed; allowed: a whole number", marks=pytest.mark.slow),
    pytest.param(["--config.mask.source=learned"], "learn, random, magnitude, snip", marks=pytest.mark.slow),
    (["--config.data.source=missing.png"], "data.source='missing.png' does not exist"),
])
def test_command_line_faults_are_one_line(tmp_path, flags, said):
  process = _command(*flags, cwd=tmp_path)
  output = process.communicate()[0]
  assert process.returncode == 2
  assert output.startswith("error: ") and said in output and output.count("\n") == 1, output
  assert list(tmp_path.iterdir()) == []


_SOUND = "from configs import default\nget_config = default.get_config\n"


@pytest.mark.parametrize("text, said, flag", [
    (_SOUND, 'Did you mean "source"', "data.sorce=x"),
    (_SOUND, "--config.seed='abc' is not allowed; allowed: a whole number", "seed=abc"),
    *((text, said, None) for text, said in (
        ("def get_config():\n  raise RuntimeError('my\\nfault')\n", "cannot be read: my. (RuntimeError, own.py, line 2)"),
        ("def get_config(:\n", "cannot be read: invalid syntax (own.py, line 1). (SyntaxError)"),
        ("", "has no attribute 'get_config'"), (None, "--config='own.py' cannot be read: [Errno 2] No such file"),
        ("def get_config():\n  return 3\n", None)))])
def test_a_fault_of_a_config_file_or_a_flag_is_one_line(tmp_path, monkeypatch, capsys, text, said, flag):
  monkeypatch.chdir(tmp_path)
  if text is not None:
    (tmp_path / "own.py").write_text(text)
  argv = ["main", "--config=own.py", *([f"--config.{flag}"] if flag else [])]
  monkeypatch.setattr(sys, "argv", argv)
  monkeypatch.delitem(sys.modules, "config_config", raising=False)  # ml_collections loads every config file under this name
  values = flags.FlagValues()
  holder = config_flags.DEFINE_config_file("config", None, "", flag_values=values, lock_config=True)
  monkeypatch.setattr(main.flags, "FLAGS", values)
  monkeypatch.setattr(main, "_CONFIG", holder)
  if said is None:
    main._parse_flags(argv)
    monkeypatch.setattr(main, "_DISTRIBUTED", types.SimpleNamespace(value=False))
    with pytest.raises(SystemExit, match="2"):
      main.main(["main"])
    said = "the config is a int; allowed: a ConfigDict"
  else:
    with pytest.raises(SystemExit, match="2"):
      main._parse_flags(argv)
  lines = capsys.readouterr().err.replace(f"{tmp_path}/", "").splitlines()
  assert len(lines) == 1 and lines[0].startswith("error: ") and said in lines[0], lines


@pytest.mark.parametrize("error, code", [
    (ValueError("bad"), 2), (runs.Failed("not finite"), 1), (runs.Busy("another process"), 1),
    (files.Unwritable("the disk of x is full"), 74), (runs.Interrupted(signal.SIGTERM), 143)])
def test_exit_codes_tell_faults_apart(monkeypatch, capsys, error, code):
  def failing(config):
    raise error
  for name, value in {"_CONFIG": default.get_config(), "_DISTRIBUTED": False}.items():
    monkeypatch.setattr(main, name, types.SimpleNamespace(value=value))
  monkeypatch.setattr(main, "_run_one", failing)
  monkeypatch.setattr(main.sweeps, "end_at_once", sys.exit)
  with pytest.raises(SystemExit) as ended:
    main.main(["main"])
  assert ended.value.code == code and capsys.readouterr().err == f"error: {error}\n"


def test_the_home_folder_stands_for_a_tilde_in_paths(monkeypatch):
  monkeypatch.setenv("HOME", "/home/me")
  config = default.get_config()
  config.data.source, config.operator.mask = "~/a.png,camera,~/b.png", "a~b.png"
  main._expand_home(config)
  assert (config.data.source, config.operator.mask, config.data.truth) == (
      "/home/me/a.png,camera,/home/me/b.png", "a~b.png", None)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_the_state_is_saved_where_the_reader_of_the_output_has_gone_first(tmp_path, number):
  process = _command(*_FLAGS, "--config.mask.num_steps=100000", "--config.checkpoint.every_steps=100000",
                     "--config.compute.compilation_cache=", "--workdir=out", cwd=tmp_path)
  log = tmp_path / "out" / "metrics.jsonl"
  while process.poll() is None and not (log.exists() and log.read_text().count("\n")):
    time.sleep(0.05)
  process.stdout.close()
  process.send_signal(number)
  assert process.wait() == 128 + number
  steps = [int(path.name) for path in (tmp_path / "out" / "checkpoints").iterdir()]
  assert steps == [log.read_text().count("\n")]


@pytest.mark.slow
@pytest.mark.parametrize("redirected", ["| head -n 1", "2>&1 | head -n 1", "2>&-", ">&-"])
def test_a_run_ends_where_its_output_does_not_arrive(tmp_path, redirected):
  environment = {**os.environ, "PYTHONPATH": str(ROOT)}
  script = f'set -o pipefail; "$0" -m oes_jax.main "$@" {redirected}'
  done = subprocess.run(
      ["bash", "-c", script, sys.executable, f"--config={ROOT / 'configs/denoise.py'}:oes", *_FLAGS,
       "--config.compute.compilation_cache=", "--config.sweep.seeds=(0,1)", "--config.compute.images_per_device=1",
       "--workdir=out"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr
  assert len(list((tmp_path / "out").glob("cases/*/summary.json"))) == 2


@pytest.mark.slow
def test_five_kills_end_in_the_uninterrupted_result(tmp_path):
  flags = [*_FLAGS, "--config.mask.num_steps=600", "--config.weights.num_steps=600",
           "--config.checkpoint.every_steps=60"]
  undisturbed = _command(*flags, "--workdir=a", cwd=tmp_path, optimised=True)
  output = undisturbed.communicate()[0]
  assert undisturbed.returncode == 0, output
  seed, kills = time.time_ns(), 0
  print(f"seed {seed}")
  rng = np.random.default_rng(seed)
  lines = len((tmp_path / "a" / "metrics.jsonl").read_text().splitlines())
  for target in np.sort(rng.integers(1, lines, size=5)):
    process = _command(*flags, "--workdir=b", cwd=tmp_path, optimised=True)
    log = tmp_path / "b" / "metrics.jsonl"
    while process.poll() is None:
      if log.exists() and log.read_text().count("\n") >= target:
        time.sleep(rng.uniform(0, 0.3))
        process.kill()
        kills += 1
        break
      time.sleep(0.01)
    process.communicate()
  assert kills == 5
  process = _command(*flags, "--workdir=b", cwd=tmp_path, optimised=True)
  output = process.communicate()[0]
  assert process.returncode == 0, output
  tiny_run.same_result(tmp_path / "a", tmp_path / "b")
