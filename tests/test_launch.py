"""launch/: the scripts are run with stand-ins for python, srun, scancel, scontrol and gcloud."""

import copy
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import jsonschema
import pytest
import yaml

_ROOT = pathlib.Path(__file__).parents[1]
_LAUNCH = _ROOT / "launch"
_SHELL = ("local.sh", "tpu_pod.sh", "slurm.sbatch")
_SECONDS = 60  # no script takes longer, on a busy machine either; each of these tests takes about one second

# Becomes a command that hears SIGINT: nohup and "&" pass on that it is ignored.
_LISTENING = ("import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
              "os.execvp(sys.argv[1], sys.argv[1:])")
# Writes down its arguments; waits for SIGTERM or, without the file "wait", ends at once, with the
# code in "code.i" for share i. Share 0 takes longer to stop.
_PYTHON = r"""#!/usr/bin/env bash
stop() {
  echo TERM >> "$STUB/signals"
  case "$*" in *--shard=0/*) sleep 0.6 ;; *) sleep 0.2 ;; esac
  echo saved >> "$STUB/saved"
  exit "$(cat "$STUB/code.stopped" 2> /dev/null || echo 143)"
}
trap 'stop "$@"' TERM
echo $$ > "$STUB/pid"
(IFS='|'; echo "$*" >> "$STUB/calls")
case "$*" in *--summarise*) exit 0 ;; esac
while [ -e "$STUB/wait" ]; do sleep 0.02; done
share=$(sed -n 's/.*--shard=\([0-9]*\).*/\1/p' <<< "$*")
exit "$(cat "$STUB/code.$share" 2> /dev/null || echo 0)"
"""
_SLURM = {
    "srun": r"""echo "$*" > "$STUB/srun"; while [[ $1 == --* ]]; do shift; done; exec "$@" """,
    "scancel": r"""echo "$*" >> "$STUB/scancel"; kill -TERM "$(cat "$STUB/pid")" """,
    "scontrol": r"""echo "$*" >> "$STUB/scontrol" """,
}
# Every worker's home is a folder; ssh runs the command in each at once and gives a failure, if any.
_GCLOUD = r"""
echo "${*//$'\n'/ }" >> "$STUB/gcloud"
case "$*" in "compute tpus tpu-vm ssh "*--worker=all*) ;; *) exit 0 ;; esac
for argument; do [[ $argument == --command=* ]] && command=${argument#--command=}; done
[[ $command == *requirements.txt* ]] && { echo "$command" > "$STUB/install"; exit 0; }
pids=()
for worker in 0 1; do
  (cd "$STUB/worker$worker" && HOME=$PWD STUB=$PWD bash -c "$command") & pids+=($!)
done
code=0
for pid in "${pids[@]}"; do wait "$pid" || code=$?; done
exit $code
"""


def _call(*arguments):
  return "|".join(("-m", "oes_jax.main") + arguments)


def _write_program(path, text):
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(text if text.startswith("#!") else "#!/usr/bin/env bash\n" + text)
  path.chmod(0o755)


class _Stand:
  """A folder with stand-in programs, where a script is run."""

  def __init__(self, folder):
    self.folder = folder
    self.environment = {name: value for name, value in os.environ.items()
                        if not name.startswith(("SLURM_", "JOB_COMPLETION", "ONE_PROGRAM"))}
    self.environment |= {"STUB": str(folder), "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    _write_program(folder / "bin" / "python", _PYTHON)

  def add(self, programs):
    for name, text in programs.items():
      _write_program(self.folder / "bin" / name, text)

  def start(self, script, *arguments, **variables):
    command = [str(_LAUNCH / script), *arguments]
    if script.endswith(".sbatch"):
      command.insert(0, "bash")
    return subprocess.Popen(
        [sys.executable, "-c", _LISTENING, *command], cwd=self.folder, env=self.environment | variables,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

  def run(self, *command, **variables):
    process = self.start(*command, **variables)
    output, _ = process.communicate(timeout=_SECONDS)
    return process.returncode, output

  def lines(self, name):
    path = self.folder / name
    return path.read_text().splitlines() if path.exists() else []

  def wait_for(self, count, *names):
    """Wait until the files hold so many lines together."""
    end = time.monotonic() + _SECONDS
    while sum(len(self.lines(name)) for name in names) < count:
      assert time.monotonic() < end, {name: self.lines(name) for name in names}
      time.sleep(0.02)


@pytest.fixture(name="stand")
def _stand(tmp_path):
  return _Stand(tmp_path)


def _shellcheck(path):
  places = [str(pathlib.Path(sys.executable).parent), os.environ["PATH"]]
  program = shutil.which("shellcheck", path=os.pathsep.join(places))
  return subprocess.run([program, "--shell=bash", "--norc", path], capture_output=True, text=True,
                        check=False)


@pytest.mark.parametrize("name", _SHELL)
def test_shell_files_have_no_findings(name):
  result = _shellcheck(_LAUNCH / name)
  assert result.returncode == 0, result.stdout + result.stderr


def test_shellcheck_finds_faults(tmp_path):
  text = (_LAUNCH / "local.sh").read_text()
  (tmp_path / "local.sh").write_text(text.replace('main "$@"', "main $@"))
  assert "SC2068" in _shellcheck(tmp_path / "local.sh").stdout


@pytest.mark.parametrize("path", sorted(_LAUNCH.iterdir()), ids=lambda path: path.name)
def test_every_file_runs_the_program(path):
  code = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
  code = re.sub(r'[",\[\]]', " ", "\n".join(code))
  assert re.search(r"python +-m +oes_jax\.main", code)


# launch/local.sh


def test_local_starts_shares_and_summarises(stand):
  code, output = stand.run("local.sh", "3", "--config=c.py", "--workdir=a b")
  assert code == 0, output
  *shares, last = stand.lines("calls")
  assert sorted(shares) == [_call("--config=c.py", "--workdir=a b", f"--shard={i}/3")
                            for i in range(3)]
  assert last == _call("--config=c.py", "--workdir=a b", "--summarise")


def test_local_starts_one_share_by_default(stand):
  assert stand.run("local.sh", "--config=c.py")[0] == 0
  assert stand.lines("calls") == [_call("--config=c.py", "--shard=0/1"),
                                  _call("--config=c.py", "--summarise")]


def test_local_fails_with_a_share(stand):
  (stand.folder / "code.1").write_text("1")
  assert stand.run("local.sh", "3", "--config=c.py")[0] == 1
  assert len(stand.lines("calls")) == 4  # the others ran, and the table was made


@pytest.mark.parametrize("arguments", [(), ("2",), ("0", "--config=c.py"), ("x", "--config=c.py")])
def test_local_refuses_bad_usage(stand, arguments):
  code, output = stand.run("local.sh", *arguments)
  assert code == 2
  assert "usage" in output
  assert not stand.lines("calls")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_local_forwards_signals_once(stand, number):
  (stand.folder / "wait").touch()
  process = stand.start("local.sh", "2", "--config=c.py")
  stand.wait_for(2, "calls")
  pid = int(stand.lines("pid")[0])
  assert os.getpgid(pid) == pid  # a terminal's Ctrl-C does not reach it a second time
  process.send_signal(number)
  assert process.wait(_SECONDS) == 143
  assert len(stand.lines("signals")) == len(stand.lines("saved")) == 2
  assert len(stand.lines("calls")) == 2  # no table: it was stopped


# launch/slurm.sbatch

_ARRAY = {"SLURM_JOB_ID": "70", "SLURM_ARRAY_JOB_ID": "70", "SLURM_ARRAY_TASK_ID": "2",
          "SLURM_CPUS_PER_TASK": "8"}


def test_slurm_options_stand_before_the_first_command():
  lines = (_LAUNCH / "slurm.sbatch").read_text().splitlines()
  options = [number for number, line in enumerate(lines) if line.startswith("#SBATCH ")]
  commands = [number for number, line in enumerate(lines) if line and not line.startswith("#")]
  assert len(options) > 5
  assert max(options) < min(commands)


@pytest.mark.parametrize("one_program", [False, True])
def test_slurm_runs_the_program(stand, one_program):
  stand.add(_SLURM)
  variables = _ARRAY | ({"ONE_PROGRAM": "1"} if one_program else {})
  code, output = stand.run("slurm.sbatch", "--config=c.py", "--workdir=a b", **variables)
  assert code == 0, output
  assert stand.lines("calls") == [_call("--config=c.py", "--workdir=a b",
                                        *["--distributed"] * one_program)]
  assert "--cpus-per-task=8" in stand.lines("srun")[0]
  assert not stand.lines("scontrol")


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_slurm_queues_again_at_the_time_limit_only(stand, number):
  stand.add(_SLURM)
  (stand.folder / "wait").touch()
  process = stand.start("slurm.sbatch", "--config=c.py", **_ARRAY)
  stand.wait_for(1, "calls")
  process.send_signal(number)
  if number == signal.SIGTERM:  # Slurm signals the step as well
    os.kill(int(stand.lines("pid")[0]), number)
  assert process.wait(_SECONDS) == 143
  assert len(stand.lines("signals")) == len(stand.lines("saved")) == 1
  # 70 alone would be all tasks of the array.
  at_limit = number == signal.SIGUSR1
  assert stand.lines("scancel") == (["--signal=TERM 70_2"] if at_limit else [])
  assert stand.lines("scontrol") == (["requeue 70_2"] if at_limit else [])


def test_slurm_does_not_queue_again_what_ended_at_the_limit(stand):
  stand.add(_SLURM)
  (stand.folder / "wait").touch()
  (stand.folder / "code.stopped").write_text("0")
  process = stand.start("slurm.sbatch", "--config=c.py", **_ARRAY)
  stand.wait_for(1, "calls")
  process.send_signal(signal.SIGUSR1)
  assert process.wait(_SECONDS) == 0
  assert not stand.lines("scontrol")


def test_slurm_does_not_queue_a_failure_again(stand):
  stand.add(_SLURM)
  (stand.folder / "code.").write_text("1")
  assert stand.run("slurm.sbatch", "--config=c.py", **_ARRAY)[0] == 1
  assert not stand.lines("scontrol")


# launch/tpu_pod.sh

_SLICE = {"TPU_NAME": "t", "ZONE": "z"}
_CALLS = ("worker0/calls", "worker1/calls")


@pytest.fixture(name="tpu")
def _tpu(stand):
  stand.add({"gcloud": _GCLOUD})
  for worker in ("worker0", "worker1"):
    _write_program(stand.folder / worker / "oes_jax" / ".venv" / "bin" / "python", _PYTHON)
  return stand


def test_tpu_runs_one_program_on_all_workers(tpu):
  code, output = tpu.run("tpu_pod.sh", "--config=c.py", "--workdir=/a b", **_SLICE)
  assert code == 0, output
  for name in _CALLS:
    assert tpu.lines(name) == [_call("--config=c.py", "--workdir=/a b", "--distributed")]
  line, = tpu.lines("gcloud")
  assert line.startswith("compute tpus tpu-vm ssh t --zone=z --worker=all --command=")


def test_tpu_fails_with_a_worker(tpu):
  (tpu.folder / "worker1" / "code.").write_text("1")
  assert tpu.run("tpu_pod.sh", "--config=c.py", **_SLICE)[0] == 1
  (tpu.folder / "worker1" / "code.").unlink()
  assert tpu.run("tpu_pod.sh", "--config=c.py", **_SLICE)[0] == 0  # the same command again


def test_tpu_starts_one_program_only_and_stops_it(tpu):
  for worker in ("worker0", "worker1"):
    (tpu.folder / worker / "wait").touch()
  first = tpu.start("tpu_pod.sh", "--config=c.py", **_SLICE)
  tpu.wait_for(2, *_CALLS)
  second = tpu.start("tpu_pod.sh", "--config=c.py", **_SLICE)  # as after a broken connection
  tpu.wait_for(2, "gcloud")
  time.sleep(0.2)
  first.send_signal(signal.SIGINT)
  assert [process.wait(_SECONDS) for process in (first, second)] == [143, 143]
  assert [len(tpu.lines(name)) for name in _CALLS] == [1, 1]
  assert [len(tpu.lines(f"worker{i}/saved")) for i in (0, 1)] == [1, 1]
  assert [len(tpu.lines(f"worker{i}/signals")) for i in (0, 1)] == [1, 1]
  assert tpu.run("tpu_pod.sh", "stop", **_SLICE)[0] == 0  # nothing runs: nothing to do


def test_tpu_installs_what_is_committed(tpu):
  for command in (("git", "init", "-q"), ("git", "add", "bin"),
                  ("git", "-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "m")):
    subprocess.run(command, cwd=tpu.folder, check=True)
  code, output = tpu.run("tpu_pod.sh", "install", **_SLICE)
  assert code == 0, output
  assert re.fullmatch(r"compute tpus tpu-vm scp \S+ t:oes_jax\.tar\.gz --zone=z --worker=all",
                      tpu.lines("gcloud")[0])
  assert "jax[tpu]" in "\n".join(tpu.lines("install"))


def test_tpu_needs_a_name(tpu):
  code, output = tpu.run("tpu_pod.sh", "--config=c.py", ZONE="z")
  assert code != 0
  assert "TPU_NAME" in output


# launch/gke_jobset.yaml


def _manifest(tpu, one):
  """The manifest as kubectl gets it, through the sed expressions of its own head."""
  path = _LAUNCH / "gke_jobset.yaml"
  parts = re.findall(r"-e '([^']+)'", path.read_text())
  assert len(parts) == 4
  expressions = parts[:2] * tpu + parts[2:] * one
  text = path.read_text()
  if expressions:
    command = ["sed"] + [word for part in expressions for word in ("-e", part)] + [path]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
  return yaml.safe_load(text)


def _check(manifest):
  jsonschema.validate(manifest, json.loads((_ROOT / "tests" / "jobset_schema.json").read_text()))


def _job(manifest):
  return manifest["spec"]["replicatedJobs"][0]["template"]["spec"]


def _pod(manifest):
  return _job(manifest)["template"]["spec"]


@pytest.mark.parametrize("tpu", [False, True])
@pytest.mark.parametrize("one", [False, True])
def test_manifest(tpu, one):
  manifest = _manifest(tpu, one)
  _check(manifest)
  job, pod = _job(manifest), _pod(manifest)
  container, = pod["containers"]
  variables = {item["name"]: item.get("value") for item in container["env"]}
  assert container["command"] == ["python", "-m", "oes_jax.main"]
  assert job["parallelism"] == job["completions"] == int(variables.pop("JOB_COMPLETIONS"))
  assert ("--distributed" in container["args"]) == one
  assert job.get("backoffLimit", "per index") == (0 if one else "per index")
  assert list(container["resources"]["limits"]) == ["google.com/tpu" if tpu else "nvidia.com/gpu"]
  assert pod["nodeSelector"].get("cloud.google.com/gke-tpu-topology") == (
      ("4x4" if one else "2x2") if tpu else None)
  if one and not tpu:  # on TPUs JAX finds these itself
    name, run = manifest["metadata"]["name"], manifest["spec"]["replicatedJobs"][0]["name"]
    assert variables.pop("JAX_COORDINATOR_ADDRESS").startswith(f"{name}-{run}-0-0.{name}:")
    assert int(variables.pop("JAX_NUM_PROCESSES")) == job["completions"]
    assert "JAX_PROCESS_ID" in variables
    variables.pop("JAX_PROCESS_ID")
  assert not variables
  mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
  assert [volume["name"] for volume in pod["volumes"]] == list(mounts)
  workdir, = [value for value in container["args"] if value.startswith("--workdir=")]
  assert workdir.startswith(f"--workdir={mounts['runs']}/")


def _misspell(field):
  def walk(node):
    if isinstance(node, dict):
      if field in node:
        node[field + "s"] = node.pop(field)
      node = list(node.values())
    if isinstance(node, list):
      for child in node:
        walk(child)
  return walk


@pytest.mark.parametrize("change", [
    *(pytest.param(_misspell(field), id=field) for field in (
        "apiVersion", "failurePolicy", "maxRestarts", "onJobFailureReasons", "replicatedJobs",
        "completionMode", "completions", "backoffLimitPerIndex", "podFailurePolicy", "onExitCodes",
        "operator", "status", "restartPolicy", "terminationGracePeriodSeconds", "nodeSelector",
        "containers", "limits", "mountPath", "claimName")),
    pytest.param(lambda m: _pod(m).pop("restartPolicy"), id="no restart policy"),
    pytest.param(lambda m: _pod(m).update(restartPolicy="OnFailure"), id="restart policy"),
    pytest.param(lambda m: _job(m).update(completionMode="NonIndexed"), id="completion mode"),
    pytest.param(lambda m: _job(m).update(completions="4"), id="number as text"),
    pytest.param(lambda m: _job(m).update(backoffLimit=0), id="both limits"),
    pytest.param(lambda m: _pod(m)["containers"][0]["env"][0].update(value=4), id="text as number"),
    pytest.param(lambda m: m["spec"]["failurePolicy"]["rules"][0].update(action="Go"), id="action"),
    pytest.param(lambda m: m["metadata"].update(name="Oes_1"), id="name"),
])
def test_schema_rejects(change):
  manifest = copy.deepcopy(_manifest(tpu=False, one=False))
  change(manifest)
  with pytest.raises(jsonschema.ValidationError):
    _check(manifest)
