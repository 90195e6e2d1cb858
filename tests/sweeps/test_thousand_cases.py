"""A thousand tiny cases in four shares, of which some process is killed every few seconds."""

import collections
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parents[2]
NUM_CASES, NUM_SHARES, NUM_KILLS = 1000, 4, 16
TINY = {
    "data.source": "camera", "data.crop": "(100,150,16,16)", "generator.num_scales": "1", "generator.channels": "(8,)",
    "mask.num_steps": "20", "mask.keep_fraction": "0.6", "weights.num_steps": "40", "checkpoint.every_steps": "20",
    "compute.chunk_steps": "10", "compute.images_per_device": "25", "output.figures": "False",
    "sweep.mask_sources": "('learn',)", "sweep.keep_fractions": "(0.6,)", "sweep.seeds": str(tuple(range(NUM_CASES)))}


def _start(folder, share):
  """Start a share; one that is started again goes on with its log."""
  kept = {name: value for name, value in os.environ.items() if name not in ("JAX_DISABLE_MOST_OPTIMIZATIONS", "XLA_FLAGS")}
  with open(folder.parent / f"share_{share}.log", "a", encoding="utf-8") as log:
    return subprocess.Popen(
        [sys.executable, "-m", "oes_jax.main", f"--config={ROOT / 'configs/sweep.py'}", f"--workdir={folder}",
         f"--shard={share}/{NUM_SHARES}", *(f"--config.{key}={value}" for key, value in TINY.items())],
        env={**kept, "PYTHONPATH": str(ROOT)}, cwd=folder.parent, stdout=log, stderr=subprocess.STDOUT)


def _lines(folder):
  path = folder / "results.jsonl"
  return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def _run(folder, draws=None):
  """Run all shares to their end (1: some mask has collapsed); return how many were killed.

  Args:
    folder: the sweep's folder.
    draws: random numbers: some share is killed soon after each of some numbers of cases is done; None: none is.
  """
  folder.parent.mkdir(exist_ok=True)
  shares = {share: _start(folder, share) for share in range(NUM_SHARES)}
  kills = NUM_KILLS if draws else 0
  at = sorted(draws.sample(range(1, NUM_CASES), kills)) if draws else []
  while shares:
    time.sleep(0.1)
    for share, process in list(shares.items()):
      if process.poll() is not None:
        assert process.returncode in (0, 1), (folder.parent / f"share_{share}.log").read_text()[-3000:]
        del shares[share]
    if at and shares and len(_lines(folder)) >= at[0]:
      at.pop(0)
      share = draws.choice(sorted(shares))
      time.sleep(draws.uniform(0, 5))
      if shares[share].poll() is None:
        shares[share].send_signal(signal.SIGKILL)
        shares[share].wait()
        shares[share] = _start(folder, share)
      else:
        kills -= 1
  return kills


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_is_done_twice(tmp_path):
  seed = time.time_ns()
  print(f"seed {seed}")
  began = time.perf_counter()
  assert _run(tmp_path / "whole" / "run") == 0
  middle = time.perf_counter()
  kills = _run(tmp_path / "killed" / "run", random.Random(seed))
  print(f"{kills} kills; {middle - began:.0f} s undisturbed, {time.perf_counter() - middle:.0f} s with them")
  assert kills > NUM_KILLS / 2
  whole, killed = (tmp_path / name / "run" for name in ("whole", "killed"))
  records = [[{**json.loads(line), "seconds": None, "checksum": None} for line in _lines(folder)] for folder in (whole, killed)]
  counts = collections.Counter(record["case"] for record in records[1])
  assert len(counts) == NUM_CASES and set(counts.values()) == {1}
  by_case = [{record["case"]: record for record in lines} for lines in records]
  assert by_case[0] == by_case[1]
  images = [{path.name: path.read_bytes() for path in (folder / "restored").iterdir()} for folder in (whole, killed)]
  assert images[0] == images[1] and len(images[0]) == sum(record["failure"] is None for record in records[0]) > NUM_CASES / 2
  assert not any((killed / "batches").iterdir())
