"""oes-jax: what a command stands for, what --help says of it, and what is completed."""

import pathlib
import shlex
import subprocess
import sys

import pytest

import oes_jax
from oes_jax import command as program
from oes_jax import main
from oes_jax import runs
from oes_jax import shipped_configs
from oes_jax.command import _arguments as arguments
from oes_jax.command import _commands as commands

ROOT = pathlib.Path(__file__).parents[2]
OPTIONS = [pytest.param(name, option, spec, id=f"{name} {option}")
           for name, command in commands.COMMANDS.items() for option, spec in command.options.items()]


def _told(name, line):
  config, *rest = arguments.arguments_of(name, shlex.split(line))
  assert config.startswith("--config=")
  return config.removeprefix(f"--config={ROOT / 'configs'}/"), rest


@pytest.mark.parametrize("name, line, config, told", [
    ("denoise", "my.tif --steps 300 --workdir runs/a", "denoise.py", [
        "--config.data.source=my.tif", "--config.weights.num_steps=300", "--workdir=runs/a"]),
    ("denoise", "", "denoise.py", []),
    ("denoise", "--steps 2 a.png b.png --preset oes --config.seed=3", "denoise.py:oes", [
        "--config.data.source=a.png,b.png", "--config.weights.num_steps=2", "--config.seed=3"]),
    ("denoise", "-- -odd.png", "denoise.py", ["--config.data.source=-odd.png"]),
    ("inpaint", "a.png --mask m.npy --crop 1,2,30,40 --range=-5,2e3", "inpaint.py", [
        "--config.data.source=a.png", "--config.operator.mask=m.npy", "--config.data.range=(-5,2e3,)",
        "--config.data.crop=(1,2,30,40,)"]),
    ("upscale", "a.png --factor 2", "super_resolution.py", ["--config.data.source=a.png", "--config.operator.factor=2"]),
    ("mri", "a.npz --coil-axis -1", "mri.py", ["--config.data.source=a.npz", "--config.operator.coil_axis=-1"]),
    ("sweep", "a.png --seeds 0 --mask-sources learn,dense --sigmas '(0.1,)' --summarise", "sweep.py", [
        "--config.data.source=a.png", "--config.sweep.seeds=(0,)", "--config.sweep.sigmas=(0.1,)",
        "--config.sweep.mask_sources=('learn','dense',)", "--summarise"])])
def test_a_command_is_a_shipped_config_with_keys(name, line, config, told):
  assert _told(name, line) == (config, told)


@pytest.mark.parametrize("line, said", [
    ("denois a.png", "'denois' is no command; did you mean denoise? allowed: denoise, inpaint"),
    ("denoise a.png --stepps 3", "'--stepps' is no option of oes-jax denoise; did you mean --steps?"),
    ("denoise --weights.num_steps=3", "did you mean --config.weights.num_steps?"),
    ("denoise --config.seed 3", "--config.seed has no value; allowed: --config.seed=VALUE."),
    ("denoise --steps", "argument --steps: expected one argument; oes-jax denoise --help lists the options."),
    ("sweep --preset oes", "'--preset' is no option of oes-jax sweep"),
    ("denoise --steps 3 --config.weights.num_steps=4", "--steps and --config.weights.num_steps are one setting; allowed: one"),
    ("denoise a.png --config.data.source=b.png", "FILE and --config.data.source are one setting; allowed: one"),
    ("--completion fish", "invalid choice: 'fish'")])
def test_a_fault_is_one_line_and_ends_with_2(capsys, line, said):
  with pytest.raises(SystemExit) as ended:
    program.main(shlex.split(line))
  error = capsys.readouterr().err
  assert ended.value.code == 2 and error.startswith("error: ") and said in error and error.count("\n") == 1


@pytest.mark.parametrize("name, option, spec", OPTIONS)
def test_an_option_sets_a_key_that_there_is(name, option, spec):
  assert runs.allowed_values(spec.key)
  assert any(f"--config.{spec.key}=" in each for each in _told(name, f"{option} 1")[1])


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_help_says_what_every_option_means_with_the_default_of_the_config(capsys, monkeypatch, name):
  monkeypatch.setenv("COLUMNS", "200")
  program.main([name, "--help"])
  said = " ".join(capsys.readouterr().out.split())
  for option, spec in commands.COMMANDS[name].options.items():
    at = said.index(f"{option} {spec.metavar}")
    assert said.index(f"[{spec.key}]", at) > said.index("(default ", at) > at
  for example in commands.COMMANDS[name].examples:
    assert f"oes-jax {name} {example}" in said
    _told(name, example)
  assert all(f"--{flag}" in said for flag in commands.FLAGS)


def test_help_has_the_default_and_the_presets_of_the_config(capsys, monkeypatch):
  monkeypatch.setenv("COLUMNS", "200")
  program.main(["denoise", "x.png", "-h"])
  said = " ".join(capsys.readouterr().out.split())
  assert "--steps N Steps of the weight stage: the time grows with them. The published OES takes 40,000. (default 600) [weights.num_steps]" in said
  listed = said.partition("Preset of all settings: ")[2].partition(" (default quick)")[0]
  assert set(listed.split(", ")) == set(runs.PRESETS)
  program.main(["denoise", "--help-all"])
  assert "--config.compute.conv" in capsys.readouterr().out


def test_what_starts_at_once_imports_no_jax():
  code = ("import sys\nfrom oes_jax import command\n"
          "for line in (['--help'], ['--version']):\n  try: command.main(line)\n  except SystemExit: pass\n"
          "command._program._arguments.arguments_of('denoise', ['a.png'])\n"
          "print({'jax', 'numpy', 'absl'} & set(sys.modules))\n")
  done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
  assert done.stdout.endswith(f"oes_jax {oes_jax.__version__}\nset()\n"), done
  assert "upscale" in done.stdout and "Denoise one image" in done.stdout


def test_what_is_completed_is_what_there_is(capsys, tmp_path):
  program.main(["--completion", "bash"])
  script = tmp_path / "oes-jax"
  script.write_text(capsys.readouterr().out)
  tried = ('source "$0"; for words in "de" "denoise --st" "denoise --noise rici" "denoise --preset pa" "inspect --js"; do\n'
           'COMP_WORDS=(oes-jax $words); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=(); _shtab_oes_jax oes-jax '
           '"${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"; echo "${COMPREPLY[@]}"; done')
  done = subprocess.run(["bash", "-c", tried, script], capture_output=True, text=True, check=False)
  assert done.stdout.splitlines() == ["denoise deblur", "--steps", "rician", "paper", "--json"], done.stderr


@pytest.mark.parametrize("argument, found", [
    ("configs/denoise.py", "denoise.py"), ("configs/denoise.py:oes", "denoise.py:oes"), ("denoise", "denoise.py"),
    ("./configs/ct.py", "ct.py"), ("mine.py", None), ("configs/mine.py", None), ("other/denoise.py", None)])
def test_a_config_that_is_not_here_is_the_shipped_one_and_that_is_said(tmp_path, monkeypatch, capsys, argument, found):
  monkeypatch.chdir(tmp_path)
  argv = main._with_shipped_config(["main", f"--config={argument}", "--config.seed=1"])
  said = capsys.readouterr().out
  if found is None:
    assert argv[1] == f"--config={argument}" and not said
  else:
    path = f"{ROOT / 'configs'}/{found}"
    assert argv == ["main", f"--config={path}", "--config.seed=1"]
    assert said == (f"config: there is no file {argument.partition(':')[0]} here; the one that comes with oes_jax is taken, "
                    f"{path.partition(':')[0]}\n")
    assert main._with_shipped_config(["main", "--config", argument])[2] == path


def test_a_config_of_the_current_folder_is_taken_first(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "configs").mkdir()
  (tmp_path / "configs" / "denoise.py").write_text("")
  assert shipped_configs.find("configs/denoise.py:oes") == ("configs/denoise.py:oes", None)
