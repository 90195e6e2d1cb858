"""Many cases by several real processes, one of which is killed: as one program, and as shares."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from oes_jax.sweeps import _results as results

ROOT = pathlib.Path(__file__).parents[2]
TINY = {
    "data.source": "camera,coins", "data.crop": "(100,150,24,30)", "generator.num_scales": "1",
    "generator.channels": "(8,)", "mask.num_steps": "400", "mask.keep_fraction": "0.4",
    "weights.num_steps": "600", "checkpoint.every_steps": "100", "compute.images_per_device": "1",
    "sweep.mask_sources": "('learn',)", "sweep.keep_fractions": "(0.4,)", "sweep.seeds": "(0,1,2)",
}
SHARES = [[f"--shard={i}/2"] for i in range(2)]
pytestmark = pytest.mark.slow


def _start(folder, flags=(), **environment):
  """Start one process of the sweep; the compilation cache makes the later ones quick."""
  kept = {name: value for name, value in os.environ.items() if name not in ("JAX_DISABLE_MOST_OPTIMIZATIONS", "XLA_FLAGS")}
  return subprocess.Popen(
      [sys.executable, "-m", "oes_jax.main", f"--config={ROOT / 'configs/sweep.py'}",
       f"--workdir={folder}", *(f"--config.{key}={value}" for key, value in TINY.items()), *flags],
      env={**kept, "PYTHONPATH": str(ROOT), **environment}, cwd=folder.parent, text=True,
      stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def _start_program(folder):
  """Start two processes as one program."""
  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    address = f"127.0.0.1:{free.getsockname()[1]}"
  return [_start(folder, ["--distributed"], JAX_COORDINATOR_ADDRESS=address, JAX_NUM_PROCESSES="2",
                 JAX_PROCESS_ID=str(i)) for i in range(2)]


def _start_shares(folder):
  return [_start(folder, flags) for flags in SHARES]


def _finish(processes):
  outputs = [process.communicate(timeout=300)[0] for process in processes]
  assert [process.returncode for process in processes] == [0] * len(processes), "\n".join(outputs)
  return outputs


def _kill_after(folder, process, lines):
  """Kill a process when the logs of all cases have so many lines together."""
  while process.poll() is None:
    logs = folder.glob("cases/*/metrics.jsonl")
    if sum(log.read_text().count("\n") for log in logs) >= lines:
      process.send_signal(signal.SIGKILL)
      break
    time.sleep(0.02)
  process.wait()
  assert process.returncode == -signal.SIGKILL, process.communicate()[0]


def _same_results(a, b):
  lines = [{case: {**line, "seconds": None} for case, line in results.read_results(folder).items()}
           for folder in (a, b)]
  assert lines[0] == lines[1] and len(lines[0]) == 6
  images = [{path.name: path.read_bytes() for path in (folder / "restored").iterdir()}
            for folder in (a, b)]
  assert images[0] == images[1]
  assert not any((b / "batches").iterdir())


@pytest.fixture(scope="module", name="program")
def fixture_program(tmp_path_factory):
  """Two processes as one program, undisturbed."""
  folder = tmp_path_factory.mktemp("program") / "run"
  _finish(_start_program(folder))
  return folder


@pytest.mark.parametrize("victim", [0, 1])
def test_one_program_goes_on_after_a_kill(program, tmp_path, victim):
  seed = time.time_ns()
  print(f"seed {seed}")
  lines = int(np.random.default_rng(seed).integers(500, 5500))  # of 6 x 1,000
  processes = _start_program(tmp_path / "run")
  _kill_after(tmp_path / "run", processes[victim], lines)
  survivor = processes[1 - victim]
  survivor.communicate(timeout=60)  # it does not wait for the dead one
  assert survivor.returncode not in (0, 2)
  output = _finish(_start_program(tmp_path / "run"))[0]
  assert "finished earlier" in output
  _same_results(program, tmp_path / "run")


def test_a_share_that_is_killed_harms_no_other(tmp_path):
  _finish(_start_shares(tmp_path / "whole"))
  seed = time.time_ns()
  print(f"seed {seed}")
  lines = int(np.random.default_rng(seed).integers(500, 4000))
  dead, survivor = _start_shares(tmp_path / "run")
  _kill_after(tmp_path / "run", dead, lines)
  _finish([survivor])
  assert len(results.read_results(tmp_path / "run")) >= 3
  _finish([_start(tmp_path / "run", SHARES[0])])
  _same_results(tmp_path / "whole", tmp_path / "run")


def _losses(folder):
  return {path.parent.name: [json.loads(line)["loss"] for line in path.read_text().splitlines()]
          for path in folder.glob("cases/*/metrics.jsonl")}


def test_eight_devices_give_what_one_gives(tmp_path):
  """The same draws; in float64 the same steps, to the 8 digits that are written; alike in float32."""
  few = ["--config.mask.num_steps=50", "--config.weights.num_steps=50"]
  folders = {(precise, count): tmp_path / f"{precise}{count}" for precise in "01" for count in "18"}
  for (precise, count), folder in folders.items():
    output, = _finish([_start(folder, few if precise == "1" else [], JAX_ENABLE_X64=precise,
                              JAX_NUM_CPU_DEVICES=count)])
    assert f"images on each of {count} devices" in output
  one, eight = (results.read_results(folders["1", count]) for count in "18")
  assert len(one) == 6 and {c: line["can_act"] for c, line in one.items()} == {
      c: line["can_act"] for c, line in eight.items()}
  losses = _losses(folders["1", "8"])
  for case, values in _losses(folders["1", "1"]).items():
    assert len(values) == 100
    np.testing.assert_allclose(losses[case], values, rtol=2e-8)
  for case, line in results.read_results(folders["0", "1"]).items():
    other = results.read_results(folders["0", "8"])[case]
    assert line["psnr"]["measurement"] == other["psnr"]["measurement"]
    assert line["psnr"]["average"] == pytest.approx(other["psnr"]["average"], abs=0.3)
