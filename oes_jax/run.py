"""One restoration as a straight line: prepare, mask stage, mask, weight stage, outputs."""

import dataclasses
import fcntl
import json
import logging
import os
import signal
import sys
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

import oes_jax
from oes_jax import checkpoints
from oes_jax import engine
from oes_jax import generators
from oes_jax import images
from oes_jax import jobs
from oes_jax import masks
from oes_jax import noise
from oes_jax import objectives
from oes_jax import outputs
from oes_jax import records
from oes_jax import restoration
from oes_jax import tiles
from oes_jax import validation


class Interrupted(Exception):
  """A SIGTERM or SIGINT was served: the state is saved and the same command resumes."""

  def __init__(self, signal_number: int):
    super().__init__(f"stopped by {signal.Signals(signal_number).name}; the state is saved, the "
                     "same command resumes")
    self.signal_number = signal_number


class Diverged(Exception):
  """The loss became NaN or infinite; the last good state is saved."""


class Busy(Exception):
  """Another process works in the same folder."""


class _Signals:
  """Remembers the first SIGTERM or SIGINT, so that it is served between chunks."""

  def __init__(self):
    self.received: int | None = None
    self._previous = {}

  def __enter__(self):
    for number in (signal.SIGTERM, signal.SIGINT):
      self._previous[number] = signal.signal(number, self._remember)
    return self

  def _remember(self, number, frame):
    del frame
    self.received = number
    print(f"\n{signal.Signals(number).name}: saving the state ...", flush=True)
    self.__exit__()  # a second signal acts at once

  def __exit__(self, *exception):
    for number, handler in self._previous.items():
      signal.signal(number, handler)


class _Session(NamedTuple):
  """What the stages of one process share.

  `resume` is the restored (stage, step) or None. `seconds` holds what each stage has taken so far,
  over all processes that worked on it; it travels in the checkpoints' records.
  """
  job: jobs.Job
  store: checkpoints.Checkpoints
  resume: tuple[str, int] | None
  log: records.MetricsLog
  signals: _Signals
  seconds: dict[str, dict[str, float]]


def _run_stage(session: _Session, make_stage, offset: int):
  """Compile and run a stage from where it stands; return its final state.

  Checkpoints are numbered over both stages: `offset` is the steps of the stage before.
  """
  job, store, resume, log, signals, seconds = session
  began = time.perf_counter()
  stage = make_stage()
  compiled = time.perf_counter()
  start = resume[1] if resume and resume[0] == stage.name else 0
  state = store.restore(offset + start, stage.state) if start else stage.state
  spent = seconds.get(stage.name, {"run": 0.0, "compile": 0.0})
  def save(state):
    step = int(state.step)
    seconds[stage.name] = {"run": spent["run"] + time.perf_counter() - compiled,
                           "compile": spent["compile"] + compiled - began}
    log.sync()
    store.save(offset + step, state, {"stage": stage.name, "step": step, "seconds": seconds})
  done, every = start, job.config.checkpoint.every_steps
  bar = tqdm.tqdm(total=stage.num_steps, initial=start, desc=f"{stage.name} stage", unit="step",
                  mininterval=1 if sys.stderr.isatty() else 15, dynamic_ncols=True)
  try:
    for state, record in stage.iterate(state):
      log.write(stage.name, done + 1, record)
      previous, done = done, int(state.step)
      bar.set_postfix({name: f"{record[name][-1]:.4g}" for name in ("loss", "psnr_average")
                       if name in record}, refresh=False)
      bar.update(done - previous)
      if done == stage.num_steps or done // every > previous // every or signals.received:
        save(state)
      if signals.received:
        raise Interrupted(signals.received)
  except engine.NonFiniteLoss as error:
    log.write(stage.name, done + 1, error.metrics)
    if done > 0:  # the state before the first step needs no saving
      save(error.last_good)
    raise Diverged(f"{error} of the {stage.name} stage; the state of step {done} is saved in "
                   f"{job.workdir}. Lower {stage.name}.learning_rate.") from error
  finally:
    bar.close()
  return state


def _choose_mask(job: jobs.Job, scores, params, problem):
  """Threshold scores; where the density is automatic, find it, and raise it while the mask collapses.

  Returns:
    (mask, findings): findings is empty unless the mask has collapsed.
  """
  fraction, automatic = job.keep_fraction, job.config.mask.keep_fraction is None
  if automatic:
    target = restoration.acting_target(problem.measurement.size)
    fraction = restoration.fraction_that_acts(
        job.generator, scores, target, scope=job.config.mask.scope)
    print(f"{100 * fraction:.2f} % of the weights are kept, so that about {target:,} can act")
  while True:
    mask = restoration.threshold_scores(scores, fraction, scope=job.config.mask.scope)
    image = restoration.masked_output(job.generator, params, mask, problem.net_input)
    findings = restoration.find_collapse(job.generator, mask, image)
    if not findings or not automatic or fraction >= restoration.LARGEST_AUTO_FRACTION:
      return mask, findings
    larger = min(1.5 * fraction, restoration.LARGEST_AUTO_FRACTION)
    logging.warning("a mask that keeps %.2f %% collapses (%s): trying %.2f %%", 100 * fraction,
                    findings[0], 100 * larger)
    fraction = larger


def _find_resume(job: jobs.Job, store: checkpoints.Checkpoints):
  """Return ((stage, step) or None, seconds so far) of the newest usable checkpoint."""
  latest = store.latest()
  if latest is None:
    return None, {}
  record = latest[1]
  if record["stage"] == "weights" and not checkpoints.has_valid_manifest(job.workdir / "mask"):
    logging.warning("the mask in %s is damaged: this run starts over", job.workdir)
    store.clear()
    return None, {}
  return (record["stage"], record["step"]), record["seconds"]


def _warn_of_collapse(findings: list[str]) -> None:
  for finding in findings:
    logging.warning("the mask has COLLAPSED: %s. The weight stage will not restore the image; set "
                    "a larger mask.keep_fraction or a narrower generator.channels.", finding)


def _obtain_mask(session: _Session, params, mask_logits, problem, truth):
  """Learn, load, draw or fill the mask, and store it alone; return it."""
  job, config = session.job, session.job.config.mask
  folder = job.workdir / "mask"
  # A stored mask counts only where the steps that made it are on record.
  stands = (config.source != "learn" or session.resume == ("mask", config.num_steps)
            or (session.resume is not None and session.resume[0] == "weights"))
  if stands and checkpoints.has_valid_manifest(folder):
    mask, metadata = checkpoints.load_mask(folder)
    _warn_of_collapse(metadata["collapse"])
    return validation.masks_like(mask, params)
  findings = []
  if config.source == "learn":
    make_stage = lambda: restoration.make_mask_stage(
        job.generator, params, mask_logits, problem, truth, seed=job.config.seed,
        num_steps=config.num_steps, keep_fraction=job.keep_fraction, kl_weight=config.kl_weight,
        temperature=config.temperature, learning_rate=config.learning_rate,
        schedule=config.schedule, average_decay=job.config.weights.average_decay,
        length=job.chunk_steps, use_scan=_use_scan(job))
    state = _run_stage(session, make_stage, 0)
    mask, findings = _choose_mask(job, state.trainable, params, problem)
  elif config.source == "random":
    key = restoration.stream_key(job.config.seed, "random_mask")
    scores = restoration.random_scores(key, params)
    mask, findings = _choose_mask(job, scores, params, problem)
  elif config.source in ("file", "bundled"):
    mask = job.given_mask
    image = restoration.masked_output(job.generator, params, mask, problem.net_input)
    findings = restoration.find_collapse(job.generator, mask, image)
  else:
    mask = restoration.dense_mask(params)
  _warn_of_collapse(findings)
  checkpoints.save_mask(folder, mask, {
      "generator": job.generator.spec, "seed": job.config.seed, "source": config.source,
      "density": masks.density(mask), "collapse": findings, "version": oes_jax.__version__,
      "names": [row.name for row in jobs.density_report(job, mask)]})
  return mask


def _use_scan(job: jobs.Job) -> bool:
  return not (job.conv == "lax" and jax.default_backend() == "cpu")


def run(job: jobs.Job) -> dict[str, Any]:
  """Run a job to its end, from the start or from its last checkpoint; return its summary.

  Raises:
    Interrupted: after SIGTERM or SIGINT, with the state saved.
    Diverged: the loss became NaN or infinite, with the last good state saved.
    Busy: another process runs the same job.
    records.DamagedLog: another program has changed metrics.jsonl.
    OSError: the folder can no longer be written.
  """
  finished = job.workdir / "summary.json"
  if finished.is_file():
    print(f"{job.workdir} is finished: nothing was run again")
    return json.loads(finished.read_text(encoding="utf-8"))
  with open(job.workdir / ".lock", "w", encoding="utf-8") as lock, _Signals() as signals:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a dead process holds nothing
    except BlockingIOError as error:
      raise Busy(f"another process works in {job.workdir}") from error
    return _run(job, signals)


def _run(job: jobs.Job, signals: _Signals) -> dict[str, Any]:
  if job.config.compute.compilation_cache:
    jax.config.update("jax_compilation_cache_dir",
                      os.path.expanduser(job.config.compute.compilation_cache))
  _announce(job)
  measurement, truth = _measure(job)
  if job.tile is None:
    return _restore(job, measurement, truth, signals)
  return _restore_tiles(job, measurement, truth, signals)


def _measure(job: jobs.Job):
  """Return (measurement, truth or None), [H, W, C] in the unit range."""
  dtype = jnp.result_type(float)
  truth = None if job.truth is None else jnp.asarray(images.to_unit(job.truth, job.limits), dtype)
  measurement = jnp.asarray(images.to_unit(job.picture.values, job.limits), dtype)
  outside = float(jnp.mean((measurement < 0) | (measurement > 1)))
  if outside > 0:
    logging.warning("%.3g %% of the values lie outside %g to %g and are clipped; set data.range to "
                    "keep them", 100 * outside, *job.limits)
    measurement = jnp.clip(measurement, 0, 1)
  if job.sigma > 0:
    key = restoration.stream_key(job.config.seed, "noise")
    measurement = noise.add_gaussian_noise(key, measurement, sigma=job.sigma)
  return measurement, truth


def _restore(job: jobs.Job, measurement, truth, signals: _Signals) -> dict[str, Any]:
  """Both stages and the outputs of one measurement."""
  config = job.config
  params, mask_logits = job.generator.init(restoration.stream_key(config.seed, "params"))
  net_input = generators.sample_net_input(
      restoration.stream_key(config.seed, "net_input"), job.generator.net_input_shape)
  problem = objectives.Problem(net_input, measurement)

  store = checkpoints.Checkpoints(job.workdir / "checkpoints")
  resume, seconds = _find_resume(job, store)
  if resume:
    print(f"resuming after step {resume[1]} of the {resume[0]} stage")
  log = records.MetricsLog(job.workdir, resume)
  session = _Session(job, store, resume, log, signals, seconds)
  try:
    mask = _obtain_mask(session, params, mask_logits, problem, truth)
    trained = (restoration.compact_problem(job.generator, params, mask, problem)
               if config.compute.compaction else
               restoration.CompactProblem(None, params, mask, problem))
    make_stage = lambda: restoration.make_weight_stage(
        job.generator, trained.params, trained.mask, trained.problem, truth, seed=config.seed,
        num_steps=config.weights.num_steps, learning_rate=config.weights.learning_rate,
        schedule=config.weights.schedule, average_decay=config.weights.average_decay,
        length=job.chunk_steps, use_scan=_use_scan(job))
    state = _run_stage(session, make_stage, _stage_steps(job).get("mask", 0))
  finally:
    log.close()
  return outputs.write(job, measurement, truth, mask, state, _summarise_seconds(job, seconds))


def _restore_tiles(job: jobs.Job, measurement, truth, signals: _Signals) -> dict[str, Any]:
  """Restore every tile in a folder of its own, as a run of its own, and blend them."""
  overlap = job.config.compute.tile_overlap
  places = tiles.cut(measurement.shape, job.tile, overlap)
  restored, summaries, seconds = [], [], []
  for number, place in enumerate(places):
    if signals.received:
      raise Interrupted(signals.received)
    began = time.perf_counter()
    part = _tile_job(job, number, measurement[place])
    print(f"tile {number + 1} of {len(places)}: rows {place[0].start} to {place[0].stop}, "
          f"columns {place[1].start} to {place[1].stop}", flush=True)
    finished = part.workdir / "summary.json"
    if finished.is_file():
      summaries.append(json.loads(finished.read_text(encoding="utf-8")))
    else:
      part.workdir.mkdir(parents=True, exist_ok=True)
      summaries.append(_restore(part, measurement[place],
                                None if truth is None else truth[place], signals))
      seconds.append(time.perf_counter() - began)
      left = sum(seconds) / len(seconds) * (len(places) - number - 1)
      print(f"tiles left: {len(places) - number - 1}, about {tqdm.tqdm.format_interval(left)}",
            flush=True)
    restored.append(np.load(part.workdir / "restored.npy"))
  image = tiles.blend(restored, places, measurement.shape, overlap)
  return outputs.write_tiled(job, measurement, truth, image, summaries)


def _tile_job(job: jobs.Job, number: int, measurement) -> jobs.Job:
  """A tile is a job on a floating-point image that needs neither noise nor an intensity map."""
  picture = dataclasses.replace(
      job.picture, values=np.asarray(measurement), alpha=None, squeezed=False, suffix=".npy")
  return dataclasses.replace(job, workdir=job.workdir / "tiles" / f"{number:03d}", picture=picture,
                             limits=(0.0, 1.0), sigma=0.0, tile=None)


def _stage_steps(job: jobs.Job) -> dict[str, int]:
  """Steps of every stage that this job has, in order."""
  steps = {"mask": job.config.mask.num_steps, "weights": job.config.weights.num_steps}
  return steps if job.config.mask.source == "learn" else {"weights": steps["weights"]}


def _summarise_seconds(job: jobs.Job, seconds) -> dict[str, dict[str, float]]:
  return {name: {"total": seconds[name]["run"] + seconds[name]["compile"], **seconds[name],
                 "per_step": seconds[name]["run"] / steps}
          for name, steps in _stage_steps(job).items()}


def _announce(job: jobs.Job) -> None:
  spec, shape = job.generator.spec, job.picture.values.shape
  print(f"workdir: {job.workdir}")
  print(f"image: {job.config.data.source}, {shape[0]}x{shape[1]}, {shape[2]} channels, "
        f"{job.picture.values.dtype}; values {job.limits[0]:g} to {job.limits[1]:g} map to 0 to 1; "
        + (f"simulated noise, sigma {job.sigma:g}" if job.sigma else "no noise added"))
  print(f"device: {jax.devices()[0].device_kind} ({jax.default_backend()}); convolutions: {job.conv}; "
        f"chunks of {job.chunk_steps} steps; about {job.needed_bytes / 1e9:.1f} GB of memory")
  if job.tile is not None:
    count = len(tiles.cut(shape, job.tile, job.config.compute.tile_overlap))
    print(f"the image is cut into {count} tiles of up to {job.tile}x{job.tile} pixels, which are "
          "restored one after another and blended")
  if spec["num_scales"] < job.config.generator.num_scales:
    logging.warning("generator.num_scales=%d is lowered to %d: the deepest map of %dx%d pixels "
                    "must be at least 4 pixels wide", job.config.generator.num_scales,
                    spec["num_scales"], *(min(side, job.tile or side) for side in shape[:2]))
