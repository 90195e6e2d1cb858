"""Whole runs of a tiny config: outputs, resume, divergence, folders and the command line."""

import fcntl
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import single
import tifffile

from configs import default
from configs import denoise
from oes_jax import files
from oes_jax.fitting import _engine as engine
from oes_jax.fitting import _restoration as restoration
from oes_jax import intensity
from oes_jax.runs import _jobs as jobs
from oes_jax.runs import _members as members
from oes_jax.runs import _processes as processes
from oes_jax.runs import _run as run
from oes_jax.runs import _validation as validation

ROOT = pathlib.Path(__file__).parents[2]
TINY = {
    "data.source": "camera", "data.crop": (100, 200, 24, 32), "generator.num_scales": 1,
    "generator.channels": (8,), "mask.num_steps": 24, "mask.keep_fraction": 0.4,
    "weights.num_steps": 30, "checkpoint.every_steps": 6, "compute.chunk_steps": 5,
}


@pytest.fixture(autouse=True)
def _run_in_an_empty_folder(monkeypatch, tmp_path):
  monkeypatch.chdir(tmp_path)


def _config(**changes):
  config = default.get_config()
  for key, value in {**TINY, "compute.compilation_cache": "", **changes}.items():
    node = config
    *parents, last = key.split(".")
    for parent in parents:
      node = node[parent]
    node[last] = value
  return config


def _changed(**dotted):
  return _config(**{key.replace("__", "."): value for key, value in dotted.items()})


def _restore(folder, **changes):
  return run.run(jobs.prepare(_changed(**changes), str(folder)))


@pytest.fixture(scope="module", name="whole")
def fixture_whole(tmp_path_factory):
  """An uninterrupted run, shared by the tests below, which do not change it."""
  folder = tmp_path_factory.mktemp("whole") / "run"
  return folder, _restore(folder)


def test_outputs_are_complete(whole):
  folder, summary = whole
  for name in ("restored.png", "restored.npy", "measurement.png", "before_after.png", "curves.png",
               "mask.png", "metrics.jsonl", "summary.json", "config.json"):
    assert (folder / name).stat().st_size > 0, name
  assert any((folder / "tensorboard").iterdir())
  restored = np.load(folder / "restored.npy")
  assert restored.shape == (24, 32) and restored.dtype == np.uint8
  np.testing.assert_array_equal(files.read_picture(str(folder / "restored.png")).values[..., 0],
                                restored)
  assert json.loads((folder / "summary.json").read_text()) == json.loads(json.dumps(summary))
  assert summary["mask"]["kept"] == int(0.4 * summary["mask"]["size"])
  assert summary["mask"]["acting"] <= summary["mask"]["kept"]


def test_metrics_hold_every_step_once(whole):
  lines = [json.loads(line) for line in (whole[0] / "metrics.jsonl").read_text().splitlines()]
  assert [(r["stage"], r["step"]) for r in lines] == (
      [("mask", i) for i in range(1, 25)] + [("weights", i) for i in range(1, 31)])
  assert {"loss", "mse", "kl", "mean_logit", "psnr", "psnr_average"} <= lines[0].keys()


def test_summary_scores_what_was_written(whole):
  folder, summary = whole
  truth = files.read_picture("camera", TINY["data.crop"]).values / 255
  restored = np.load(folder / "restored.npy")[..., None] / 255
  psnr = -10 * np.log10(np.mean((restored - truth) ** 2))
  assert abs(psnr - summary["quality"]["average"]["psnr"]) < 0.05  # 8-bit rounding
  trace = [json.loads(line)["psnr"] for line in (folder / "metrics.jsonl").read_text().splitlines()
           if '"weights"' in line]
  assert summary["quality"]["best"]["psnr"] == max(trace)


def test_a_finished_run_is_not_run_again(whole):
  folder, summary = whole
  before = (folder / "metrics.jsonl").stat().st_mtime_ns
  assert _restore(folder) == json.loads(json.dumps(summary))
  assert (folder / "metrics.jsonl").stat().st_mtime_ns == before


def _same_result(a, b):
  for name in ("restored.npy", "metrics.jsonl"):
    assert (a / name).read_bytes() == (b / name).read_bytes(), name


@pytest.mark.parametrize("stop_after", [  # chunks; the mask stage has five
    pytest.param(2, marks=pytest.mark.slow), 5, pytest.param(8, marks=pytest.mark.slow)])
def test_resume_after_a_signal_is_bit_exact(whole, tmp_path, monkeypatch, stop_after):
  folder = tmp_path / "run"
  resume = single.interrupt_after(monkeypatch, stop_after)
  with pytest.raises(processes.Interrupted, match="SIGTERM"):
    _restore(folder)
  resume()
  _restore(folder)
  _same_result(folder, whole[0])


def test_resume_survives_lost_and_damaged_work(whole, tmp_path):
  folder = tmp_path / "run"
  shutil.copytree(whole[0], folder)
  (folder / "summary.json").unlink()
  newest = max((folder / "checkpoints").iterdir(), key=lambda p: int(p.name))
  (newest / "manifest.json").unlink()
  with open(folder / "metrics.jsonl", "a", encoding="utf-8") as file:
    file.write('{"stage": "weights", "st')  # a line cut by a kill
  _restore(folder)
  _same_result(folder, whole[0])


@pytest.mark.slow
@pytest.mark.parametrize("lost", [("mask",), ("checkpoints",), ("checkpoints", "mask"),
                                  ("checkpoints/54", "checkpoints/48")])
def test_whatever_is_lost_the_run_ends_alike(whole, tmp_path, lost):
  folder = tmp_path / "run"
  shutil.copytree(whole[0], folder)
  (folder / "summary.json").unlink()
  for name in lost:
    shutil.rmtree(folder / name, ignore_errors=True)
  _restore(folder)
  _same_result(folder, whole[0])


def test_two_processes_do_not_share_a_folder(tmp_path):
  job = jobs.prepare(_config(), str(tmp_path / "run"))
  with open(job.workdir / ".lock", "w", encoding="utf-8") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(processes.Busy, match="another process"):
      run.run(job)


def test_a_log_that_another_program_cut_is_named(whole, tmp_path):
  folder = tmp_path / "run"
  shutil.copytree(whole[0], folder)
  (folder / "summary.json").unlink()
  (folder / "metrics.jsonl").write_text("")
  with pytest.raises(run.Failed, match="does not reach step"):
    _restore(folder)


@pytest.mark.slow
def test_seconds_count_all_processes(whole, tmp_path, monkeypatch):
  folder, stop = tmp_path / "run", files.MetricsLog.write
  def interrupting(self, stage, *args):
    stop(self, stage, *args)
    if stage == "weights":
      os.kill(os.getpid(), signal.SIGTERM)
  monkeypatch.setattr(files.MetricsLog, "write", interrupting)
  with pytest.raises(processes.Interrupted):
    _restore(folder)
  monkeypatch.setattr(files.MetricsLog, "write", stop)
  summary = _restore(folder)
  assert summary["seconds"].keys() == whole[1]["seconds"].keys() == {"mask", "weights"}
  for times in summary["seconds"].values():
    assert times["total"] == pytest.approx(times["run"] + times["compile"])
    assert times["per_step"] > 0


def test_values_outside_the_range_are_clipped_and_said(tmp_path, caplog):
  values = np.full((20, 20), 1000, np.uint16) + np.arange(20, dtype=np.uint16)
  values[7, 7] = 50000  # a hot pixel
  tifffile.imwrite(tmp_path / "hot.tif", values)
  job = jobs.inspect(_changed(data__source=str(tmp_path / "hot.tif"), data__crop=None))
  measured = members.measure(job)
  assert "0.25 % of the values lie outside" in caplog.text and "data.range" in caplog.text
  assert job.limits[1] < 1100 and measured.truth is None and measured.values.max() == 1


@pytest.mark.slow
def test_divergence_is_named_each_time(tmp_path):
  folder = tmp_path / "run"
  with pytest.raises(run.Failed, match="step .* of the mask stage.*mask.learning_rate"):
    # Logits overflow float32 after a few steps of this size.
    _restore(folder, mask__learning_rate=3e38, mask__schedule="constant")
  with pytest.raises(run.Failed):  # and again, not worse
    _restore(folder, mask__learning_rate=3e38, mask__schedule="constant")


def test_divergence_saves_the_last_good_state(tmp_path, monkeypatch):
  folder = tmp_path / "run"
  iterate = engine.iterate
  def spoiled(*args, **options):
    for count, (done, state, record, sound) in enumerate(iterate(*args, **options)):
      if count == 2:  # steps 11 to 15
        record["loss"][0, 2:], sound = np.nan, np.array([False])
      yield done, state, record, sound
  monkeypatch.setattr(engine, "iterate", spoiled)
  with pytest.raises(run.Failed, match="step 13 of the mask stage; the state of step 10 was kept"):
    _restore(folder)
  _, record = files.Checkpoints(folder / "checkpoints").latest()
  assert (record["stage"], record["step"]) == ("mask", 10)
  lines = (folder / "metrics.jsonl").read_text().splitlines()
  assert json.loads(lines[-1])["step"] == 12


@pytest.mark.parametrize("source, density", [
    ("dense", 1.0), ("random", 0.4), ("synflow", 0.4), pytest.param("snip", 0.4, marks=pytest.mark.slow),
    pytest.param("grasp", 0.4, marks=pytest.mark.slow), pytest.param("magnitude", 0.4, marks=pytest.mark.slow)])
def test_other_mask_sources(tmp_path, source, density):
  summary = _restore(tmp_path / "run", mask__source=source, weights__num_steps=3)
  assert summary["mask"]["density"] == pytest.approx(density, abs=1e-3)
  assert "mask" not in summary["seconds"]


@pytest.mark.parametrize("guard", ["variance", pytest.param("held_out", marks=pytest.mark.slow)])
def test_a_guard_chooses_one_more_output(tmp_path, guard):
  summary = _restore(tmp_path / "run", weights__guard=guard, weights__guard_window=5,
                     weights__guard_patience=8, output__image="guarded")
  assert 1 <= summary["guard"]["step"] <= TINY["weights.num_steps"]
  trace = files.read_metrics(tmp_path / "run" / "metrics.jsonl")["weights"]["psnr"]
  if guard == "variance":  # the output of that step itself
    assert summary["quality"]["guarded"]["psnr"] == pytest.approx(trace[summary["guard"]["step"] - 1], abs=1e-3)
  else:
    assert summary["quality"]["guarded"]["psnr"] > 0
  assert "guard's step" in files.closing_table(summary)


@pytest.mark.slow
def test_lax_convolutions_run_without_a_compiled_loop(whole, tmp_path, monkeypatch):
  loops, compile_chunk = [], restoration._engine.compile_chunk
  def recording(*args, use_scan, **options):
    loops.append(use_scan)
    return compile_chunk(*args, use_scan=use_scan, **options)
  monkeypatch.setattr(restoration._engine, "compile_chunk", recording)
  summary = _restore(tmp_path / "run", compute__conv="lax", mask__num_steps=4, weights__num_steps=4)
  assert summary["conv"] == "lax" and loops == [False, False]
  def first(folder):
    return json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])["mse"]
  assert first(tmp_path / "run") == pytest.approx(first(whole[0]), rel=1e-4)


def test_a_stored_mask_loads_alone_into_another_run(whole, tmp_path):
  summary = _restore(tmp_path / "run", mask__source="file", mask__path=str(whole[0] / "mask"),
                     seed=5, data__crop=(0, 0, 24, 32))
  assert summary["mask"]["layers"] == json.loads(json.dumps(whole[1]))["mask"]["layers"]
  shuffled = _restore(tmp_path / "shuffled", mask__source="shuffled", mask__path=str(whole[0] / "mask"),
                      seed=5, data__crop=(0, 0, 20, 20), weights__num_steps=3)  # of another size, too
  for before, after in zip(summary["mask"]["layers"], shuffled["mask"]["layers"]):
    assert before["kept"] == after["kept"]
  assert shuffled["mask"]["acting"] != summary["mask"]["acting"]


def test_automatic_density_counts_weights_that_can_act(tmp_path, monkeypatch):
  asked, find = [], restoration.fraction_that_acts
  def recording(generator, scores, target, *, scope):
    asked.extend([target, scope, find(generator, scores, target, scope=scope)])
    return asked[-1]
  monkeypatch.setattr(members.fitting, "fraction_that_acts", recording)
  summary = _restore(tmp_path / "run", mask__keep_fraction=None, weights__num_steps=2)
  assert summary["mask"]["acting"] >= round(0.19 * 24 * 32)
  assert asked[:2] == [round(0.19 * 24 * 32), "global"] and asked[2] < 0.5
  assert summary["mask"]["kept"] == int(asked[2] * summary["mask"]["size"])


def test_automatic_density_leaves_a_collapse(tmp_path, caplog, monkeypatch):
  monkeypatch.setattr(members.fitting, "fraction_that_acts", lambda *_, **__: 0.01)
  summary = _restore(tmp_path / "run", mask__source="random", mask__keep_fraction=None,
                     weights__num_steps=2)
  assert "collapses" in caplog.text and "trying" in caplog.text
  assert 0.05 < summary["mask"]["density"] <= 0.5


def test_a_collapsed_mask_is_announced(tmp_path, caplog):
  _restore(tmp_path / "run", mask__source="random", mask__keep_fraction=0.01, weights__num_steps=2)
  assert "COLLAPSED" in caplog.text


def _tiled(folder, **changes):
  return _restore(folder, data__crop=(100, 200, 48, 100), compute__tile=64, compute__tile_overlap=20,
                  mask__num_steps=4, weights__num_steps=6, **changes)


@pytest.mark.slow
def test_tiles_are_restored_blended_and_resumed(tmp_path, capsys, monkeypatch):
  undisturbed = _tiled(tmp_path / "a")
  assert undisturbed["tiles"] == 2 and undisturbed["quality"].keys() == {"measurement", "average"}
  assert "2 tiles of up to 64x64" in capsys.readouterr().out
  assert {"average", "mask stage", "weights stage"} <= {
      line.split("  ")[0] for line in files.closing_table(undisturbed).splitlines()}
  assert np.load(tmp_path / "a" / "restored.npy").shape == (48, 100)
  parts = [np.load(tmp_path / "a" / "tiles" / f"{i:03d}" / "restored.npy") for i in range(2)]
  assert [part.shape for part in parts] == [(48, 64, 1)] * 2 and parts[0].dtype == np.float32
  corner = intensity.from_unit(parts[0][:, :36], (0, 255), np.uint8)  # only the first tile reaches it
  np.testing.assert_array_equal(np.load(tmp_path / "a" / "restored.npy")[:, :36], corner[..., 0])

  write = files.MetricsLog.write
  def interrupting(self, *args):
    write(self, *args)
    if "001" in str(self._path):
      os.kill(os.getpid(), signal.SIGTERM)
  monkeypatch.setattr(files.MetricsLog, "write", interrupting)
  with pytest.raises(processes.Interrupted):
    _tiled(tmp_path / "b")
  monkeypatch.setattr(files.MetricsLog, "write", write)
  first = (tmp_path / "b" / "tiles" / "000" / "metrics.jsonl").stat().st_mtime_ns
  _tiled(tmp_path / "b")
  assert (tmp_path / "b" / "tiles" / "000" / "metrics.jsonl").stat().st_mtime_ns == first
  assert (tmp_path / "a" / "restored.npy").read_bytes() == (tmp_path / "b" / "restored.npy").read_bytes()


def test_an_image_that_does_not_fit_is_cut_and_one_that_cannot_fit_is_refused(
    tmp_path, monkeypatch, caplog):
  crop = {"data__crop": (0, 0, 300, 512)}
  whole, part = (jobs.prepare(_changed(compute__tile=tile, **crop)).need for tile in (0, 256))
  whole, part = sum(whole), sum(part)
  assert whole > part
  monkeypatch.setattr(jobs._memory, "available_memory", lambda: part)
  job = jobs.prepare(_changed(**crop), str(tmp_path / "run"))
  assert (job.tile, sum(job.need)) == (256, part)
  monkeypatch.setattr(jobs._memory, "available_memory", lambda: whole)  # a choice outlives the restart
  assert jobs.prepare(_changed(**crop), str(tmp_path / "run")).tile == 256
  assert jobs.prepare(_changed(**crop)).tile is None
  monkeypatch.setattr(jobs._memory, "available_memory", lambda: 0)  # what has begun is never refused
  assert jobs.prepare(_changed(**crop), str(tmp_path / "run")).tile == 256
  assert "GB of memory are needed" in caplog.text
  monkeypatch.setattr(jobs._memory, "available_memory", lambda: part - 1)
  for tile in (None, 0, 256):
    with pytest.raises(ValueError, match="GB of memory.*compute.tile"):
      jobs.prepare(_changed(compute__tile=tile, **crop), str(tmp_path / "other"))
  assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_bfloat16_rounds_and_stays_close(whole, tmp_path):
  _restore(tmp_path / "run", compute__dtype="bfloat16", mask__num_steps=2, weights__num_steps=2)
  def first(folder):
    return json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])["mse"]
  assert first(tmp_path / "run") != first(whole[0])
  assert first(tmp_path / "run") == pytest.approx(first(whole[0]), rel=0.02)


def test_a_users_16_bit_file_comes_back_alike(tmp_path):
  rng = np.random.default_rng(0)
  values = (20000 + 9000 * np.sin(np.arange(37) / 5)[:, None] * np.ones(29)
            + 1500 * rng.standard_normal((37, 29))).astype(np.uint16)
  tifffile.imwrite(tmp_path / "frame.tif", values)
  summary = _restore(tmp_path / "run", data__source=str(tmp_path / "frame.tif"), data__crop=None,
                     mask__source="dense", weights__num_steps=150, weights__average_decay=0.9)
  restored = tifffile.imread(tmp_path / "run" / summary["output"])
  assert restored.shape == values.shape and restored.dtype == np.uint16
  assert summary["truth"] is None and summary["quality"] is None and summary["sigma"] == 0
  clean = 20000 + 9000 * np.sin(np.arange(37) / 5)[:, None] * np.ones(29)
  assert np.mean((restored - clean) ** 2) < 0.7 * np.mean((values - clean) ** 2)


def test_a_changed_config_gets_a_new_default_folder():
  first = jobs.prepare(_config()).workdir
  assert first == jobs.prepare(_config()).workdir
  assert first.parent.name == "runs" and first.name.startswith("default-")
  assert jobs.prepare(_changed(seed=1)).workdir != first


def test_presets():
  quick, paper = denoise.get_config(), denoise.get_config("paper")
  assert quick.mask.num_steps <= 2000 and quick.data.crop is None
  assert (paper.mask.num_steps, paper.mask.learning_rate, paper.mask.kl_weight,
          paper.mask.schedule, paper.mask.temperature) == (60_000, 0.01, 1e-9, "constant", 0.2)
  assert (paper.weights.num_steps, paper.weights.learning_rate, paper.mask.keep_fraction,
          paper.generator.num_scales, paper.noise.sigma) == (40_000, 0.01, 0.05, 6, None)
  assert files.read_picture(quick.data.source).values.shape == (160, 160, 3)
  for config in (quick, paper):
    validation.check_config(config)
  with pytest.raises(ValueError, match="quick, paper"):
    denoise.get_config("papr")


BAD = {
    "mask.keep_fraction": [0.0, -0.1, 1.5, float("nan"), 1e-9],
    "mask.num_steps": [0, -3], "weights.num_steps": [-1], "mask.source": ["learned"],
    "mask.path": ["unused"], "experiment": ["../up"], "generator.name": ["unet"], "generator.num_scales": [0],
    "generator.channels": [(), (0,), (4.5,)], "data.crop": [(0, 0, 999, 9), (1, 2), (0, 0, 9, 9)],
    "data.range": [(1.0, 1.0), (1.0,), (0.0, float("inf"))], "noise.sigma": [-0.1, float("nan"), 25.0],
    "data.source": ["nope", "missing.png", "configs"], "data.truth": ["coins2"],
    "compute.conv": ["cudnn"], "mask.temperature": [0.0], "weights.average_decay": [1.5, 0.99999999],
    "weights.average_from": [-1, 30], "weights.sgld_noise": [-1.0], "mask.rounds": [0],
    "output.image": ["best", "guarded"], "weights.guard": ["truth"], "weights.held_out": [0.0],
    "weights.guard_window": [1], "mask.schedule": ["linear"], "compute.precision": ["bf16"],
    "checkpoint.every_steps": [0], "compute.chunk_steps": [0], "seed": [-1],
    "output.figures": [None], "compute.compaction": [None], "mask.prune": ["norms"], "compute.dtype": ["float16"], "compute.tile": [32, -1], "compute.tile_overlap": [-1, 129],
}


@pytest.mark.parametrize("key, value", [(k, v) for k, values in BAD.items() for v in values])
def test_bad_values_name_key_and_value_and_write_nothing(tmp_path, key, value):
  with pytest.raises((ValueError, OSError)) as caught:
    jobs.prepare(_config(**{key: value}), str(tmp_path / "run"))
  message = str(caught.value)
  assert "\n" not in message
  assert key in message
  assert not (tmp_path / "run").exists()


def test_a_mask_of_another_generator_is_refused(whole, tmp_path):
  with pytest.raises(ValueError, match="made for the generator"):
    jobs.prepare(_changed(mask__source="file", mask__path=str(whole[0] / "mask"),
                         generator__channels=(9,)), str(tmp_path / "run"))


def test_folders_of_others_are_not_touched(whole, tmp_path):
  with pytest.raises(ValueError, match="another config.*seed: 0 there, 1 now"):
    jobs.prepare(_changed(seed=1), str(whole[0]))
  (tmp_path / "mine").mkdir()
  (tmp_path / "mine" / "thesis.txt").write_text("keep me")
  with pytest.raises(ValueError, match="holds files"):
    jobs.prepare(_config(), str(tmp_path / "mine"))
  with pytest.raises(OSError, match="--workdir.*cannot be written"):
    jobs.prepare(_config(), "/proc/nowhere/run")
  assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def _command(*arguments, optimised=False, **options):
  environment = {**os.environ, "PYTHONPATH": str(ROOT)}
  if optimised:
    environment.pop("JAX_DISABLE_MOST_OPTIMIZATIONS", None)
  return subprocess.Popen(
      [sys.executable, "-m", "oes_jax.main", f"--config={ROOT / 'configs/denoise.py'}", *arguments],
      env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


_FLAGS = [f"--config.{key}={value}" for key, value in TINY.items()]


def test_command_line(tmp_path):
  process = _command(*_FLAGS, "--config.compute.compilation_cache=", "--workdir=out", cwd=tmp_path)
  output = process.communicate()[0]
  assert process.returncode == 0, output
  assert "average" in output and "oracle" in output and "mask stage: 100%" in output
  assert (tmp_path / "out" / "restored.png").is_file()


@pytest.mark.parametrize("flags, said", [
    (["--config.data.sorce=x"], 'Did you mean "source"'),
    pytest.param(["--config.seed=abc"], "config.seed", marks=pytest.mark.slow),
    pytest.param(["--config.mask.source=learned"], "learn, random, magnitude, snip", marks=pytest.mark.slow),
    (["--config.data.source=missing.png"], "data.source='missing.png' does not exist"),
])
def test_command_line_faults_are_one_line(tmp_path, flags, said):
  process = _command(*flags, cwd=tmp_path)
  output = process.communicate()[0]
  assert process.returncode == 2
  assert output.startswith("error: ") and said in output and output.count("\n") == 1, output
  assert list(tmp_path.iterdir()) == []


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
  _same_result(tmp_path / "a", tmp_path / "b")
