"""One restoration as a straight line: prepare, mask stage, mask, weight stage, outputs."""

import dataclasses
import json
import logging
import os
import pathlib
import platform
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
from oes_jax import compaction
from oes_jax import convolution
from oes_jax import engine
from oes_jax import generators
from oes_jax import images
from oes_jax import masks
from oes_jax import metrics
from oes_jax import noise
from oes_jax import objectives
from oes_jax import records
from oes_jax import reports
from oes_jax import restoration
from oes_jax import validation

# A chunk is about this many pixels times steps: one to two seconds on 2 CPU cores, measured
# 2026-11-24 (33 ms a dense step at 128x128). GPU and TPU: not measured, a guess of 50 times more.
_CHUNK_WORK = {"cpu": 1_000_000, "gpu": 50_000_000, "tpu": 50_000_000}


class Interrupted(Exception):
  """A SIGTERM or SIGINT was served: the state is saved and the same command resumes."""

  def __init__(self, signal_number: int):
    super().__init__(f"stopped by {signal.Signals(signal_number).name}; the state is saved, the "
                     "same command resumes")
    self.signal_number = signal_number


class Diverged(Exception):
  """The loss became NaN or infinite; the last good state is saved."""


@dataclasses.dataclass(frozen=True)
class Job:
  """What `prepare` has checked, read and chosen, before anything is compiled or written."""
  config: Any
  workdir: pathlib.Path
  identity: dict[str, Any]
  picture: images.Picture
  limits: tuple[float, float]
  sigma: float
  truth: np.ndarray | None
  generator: generators.Generator
  given_mask: Any
  keep_fraction: float
  conv: str
  chunk_steps: int


def prepare(config, workdir: str | None = None) -> Job:
  """Check the config and its files, choose what is automatic, and make the run's folder.

  Raises:
    ValueError, OSError: with one line that names the value, what is allowed and the config key.
  """
  validation.check_config(config)
  picture = images.read_picture(config.data.source, config.data.crop)
  limits = images.intensity_range(picture.values, config.data.range)
  sigma = config.noise.sigma if config.noise.sigma is not None else 0.1 * picture.bundled
  truth, truth_digest = picture.values if sigma > 0 else None, None
  if config.data.truth is not None:
    clean = images.read_picture(config.data.truth, config.data.crop)
    truth, truth_digest = clean.values, clean.digest
    if truth.shape != picture.values.shape:
      raise ValueError(f"data.truth={config.data.truth!r} has shape {truth.shape}, data.source "
                       f"{picture.values.shape}; allowed: equal shapes.")
  backend = jax.default_backend()
  conv = convolution.resolve_implementation(config.compute.conv, backend)
  generator = generators.make_generator(
      config.generator.name, image_shape=picture.values.shape,
      num_scales=config.generator.num_scales, channels=config.generator.channels, conv=conv,
      precision=config.compute.precision)
  params = jax.eval_shape(generator.init, jax.random.key(0))[0]
  size = masks.count_weights(params)
  keep_fraction = config.mask.keep_fraction
  if keep_fraction is None:
    keep_fraction = restoration.automatic_keep_fraction(picture.values.size, size)
  masks.keep_count(keep_fraction, size)
  work = _CHUNK_WORK.get(backend, _CHUNK_WORK["gpu"])
  pixels = picture.values.shape[0] * picture.values.shape[1]
  identity = {"config": validation.plain(config),
              "inputs": {"source": picture.digest, "truth": truth_digest}}
  given_mask = validation.read_mask(config.mask, generator, params)
  folder = validation.claim_workdir(workdir, config.experiment, identity)  # last: it writes
  return Job(
      config=config, workdir=folder, identity=identity, picture=picture, limits=limits,
      sigma=float(sigma), truth=truth, generator=generator, given_mask=given_mask,
      keep_fraction=keep_fraction, conv=conv,
      chunk_steps=config.compute.chunk_steps or int(np.clip(work // pixels, 1, 1000)))


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
  """What the stages of one process share; `resume` is the restored (stage, step) or None."""
  job: Job
  store: checkpoints.Checkpoints
  resume: tuple[str, int] | None
  log: records.MetricsLog
  signals: _Signals


def _run_stage(session: _Session, make_stage, offset: int):
  """Compile and run a stage from where it stands; return (final state, seconds).

  Checkpoints are numbered over both stages: `offset` is the steps of the stage before.
  """
  job, store, resume, log, signals = session
  began = time.perf_counter()
  stage = make_stage()
  compiled = time.perf_counter()
  start = resume[1] if resume and resume[0] == stage.name else 0
  state = store.restore(offset + start, stage.state) if start else stage.state
  def save(state):
    step = int(state.step)
    store.save(offset + step, state, {"stage": stage.name, "step": step})
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
    save(error.last_good)
    raise Diverged(f"{error} of the {stage.name} stage; the state of step "
                   f"{int(error.last_good.step)} is saved in {job.workdir}. Lower "
                   f"{stage.name}.learning_rate.") from error
  finally:
    bar.close()
  finished = time.perf_counter()
  return state, {"total": finished - began, "compile": compiled - began,
                 "per_step": (finished - compiled) / max(1, done - start), "steps": done - start}


def _choose_mask(job: Job, scores, params, net_input):
  """Threshold scores; where the density is automatic, raise it until the mask is no collapse.

  Returns:
    (mask, findings): findings is empty unless the mask has collapsed.
  """
  fraction, automatic = job.keep_fraction, job.config.mask.keep_fraction is None
  while True:
    mask = restoration.threshold_scores(scores, fraction, scope=job.config.mask.scope)
    image = restoration.masked_output(job.generator, params, mask, net_input)
    findings = restoration.find_collapse(job.generator, mask, image)
    if not findings or not automatic or fraction >= restoration.LARGEST_AUTO_FRACTION:
      return mask, findings
    larger = min(1.5 * fraction, restoration.LARGEST_AUTO_FRACTION)
    logging.warning("a mask that keeps %.2f %% collapses (%s): trying %.2f %%", 100 * fraction,
                    findings[0], 100 * larger)
    fraction = larger


def _obtain_mask(session: _Session, params, mask_logits, problem, truth):
  """Learn, load, draw or fill the mask and store it alone; return (mask, seconds or None)."""
  job, config = session.job, session.job.config.mask
  folder = job.workdir / "mask"
  if checkpoints.has_valid_manifest(folder):
    return validation.masks_like(checkpoints.load_mask(folder)[0], params), None
  seconds, findings = None, []
  if config.source == "learn":
    make_stage = lambda: restoration.make_mask_stage(
        job.generator, params, mask_logits, problem, truth, seed=job.config.seed,
        num_steps=config.num_steps, keep_fraction=job.keep_fraction, kl_weight=config.kl_weight,
        temperature=config.temperature, learning_rate=config.learning_rate,
        schedule=config.schedule, average_decay=job.config.weights.average_decay,
        length=job.chunk_steps, use_scan=_use_scan(job))
    state, seconds = _run_stage(session, make_stage, 0)
    mask, findings = _choose_mask(job, state.trainable, params, problem.net_input)
  elif config.source == "random":
    key = restoration.stream_key(job.config.seed, "random_mask")
    scores = restoration.random_scores(key, params)
    mask, findings = _choose_mask(job, scores, params, problem.net_input)
  elif config.source == "file":
    mask = job.given_mask
    image = restoration.masked_output(job.generator, params, mask, problem.net_input)
    findings = restoration.find_collapse(job.generator, mask, image)
  else:
    mask = restoration.dense_mask(params)
  for finding in findings:
    logging.warning("the mask has COLLAPSED: %s. The weight stage will not restore the image; set "
                    "a larger mask.keep_fraction or a narrower generator.channels.", finding)
  checkpoints.save_mask(folder, mask, {
      "generator": job.generator.spec, "seed": job.config.seed, "source": config.source,
      "density": masks.density(mask), "collapse": findings, "version": oes_jax.__version__,
      "names": [row.name for row in _density_report(job, mask)]})
  return mask, seconds


def _use_scan(job: Job) -> bool:
  return not (job.conv == "lax" and jax.default_backend() == "cpu")


def _density_report(job: Job, mask) -> list[compaction.LayerReport]:
  return compaction.density_report(job.generator.graph, mask, job.generator.net_input_shape[-1])


def run(job: Job) -> dict[str, Any]:
  """Run a job to its end, from the start or from its last checkpoint; return its summary.

  Raises:
    Interrupted: after SIGTERM or SIGINT, with the state saved.
    Diverged: the loss became NaN or infinite, with the last good state saved.
  """
  workdir, config = job.workdir, job.config
  finished = workdir / "summary.json"
  if finished.is_file():
    return json.loads(finished.read_text(encoding="utf-8"))
  if config.compute.compilation_cache:
    jax.config.update("jax_compilation_cache_dir",
                      os.path.expanduser(config.compute.compilation_cache))
  _announce(job)

  dtype = jnp.result_type(float)
  truth = None if job.truth is None else jnp.asarray(images.to_unit(job.truth, job.limits), dtype)
  measurement = jnp.asarray(images.to_unit(job.picture.values, job.limits), dtype)
  if job.sigma > 0:
    key = restoration.stream_key(config.seed, "noise")
    measurement = noise.add_gaussian_noise(key, measurement, sigma=job.sigma)
  params, mask_logits = job.generator.init(restoration.stream_key(config.seed, "params"))
  net_input = generators.sample_net_input(
      restoration.stream_key(config.seed, "net_input"), job.generator.net_input_shape)
  problem = objectives.Problem(net_input, measurement)

  store = checkpoints.Checkpoints(workdir / "checkpoints")
  latest = store.latest()
  resume = (latest[1]["stage"], latest[1]["step"]) if latest else None
  if resume:
    print(f"resuming after step {resume[1]} of the {resume[0]} stage")
  log = records.MetricsLog(workdir, resume)
  mask_steps = config.mask.num_steps if config.mask.source == "learn" else 0
  try:
    with _Signals() as signals:
      session = _Session(job, store, resume, log, signals)
      mask, mask_seconds = _obtain_mask(session, params, mask_logits, problem, truth)
      make_stage = lambda: restoration.make_weight_stage(
          job.generator, params, mask, problem, truth, seed=config.seed,
          num_steps=config.weights.num_steps, learning_rate=config.weights.learning_rate,
          schedule=config.weights.schedule, average_decay=config.weights.average_decay,
          length=job.chunk_steps, use_scan=_use_scan(job))
      state, weight_seconds = _run_stage(session, make_stage, mask_steps)
  finally:
    log.close()
  seconds = {"mask": mask_seconds, "weights": weight_seconds}
  return _write_outputs(job, measurement, truth, mask, state,
                        {name: times for name, times in seconds.items() if times})


def _announce(job: Job) -> None:
  spec, shape = job.generator.spec, job.picture.values.shape
  print(f"workdir: {job.workdir}")
  print(f"image: {job.config.data.source}, {shape[0]}x{shape[1]}, {shape[2]} channels, "
        f"{job.picture.values.dtype}; values {job.limits[0]:g} to {job.limits[1]:g} map to 0 to 1; "
        + (f"simulated noise, sigma {job.sigma:g}" if job.sigma else "no noise added"))
  print(f"device: {jax.devices()[0].device_kind} ({jax.default_backend()}); convolutions: {job.conv}; "
        f"chunks of {job.chunk_steps} steps")
  if spec["num_scales"] < job.config.generator.num_scales:
    logging.warning("generator.num_scales=%d is lowered to %d: the deepest map of a %dx%d image "
                    "must be at least 4 pixels wide", job.config.generator.num_scales,
                    spec["num_scales"], shape[0], shape[1])


def _quality(image, truth) -> dict[str, float]:
  return {"psnr": float(metrics.psnr(image, truth)), "ssim": metrics.ssim(image, truth)}


def _write_outputs(job: Job, measurement, truth, mask, state, seconds) -> dict[str, Any]:
  """Write images, figures and, last of all, summary.json; return the summary."""
  workdir, config = job.workdir, job.config
  last = np.asarray(state.output)
  average = np.asarray(engine.averaged_output(
      state.average, state.step, config.weights.average_decay))
  restored = {"last": last, "average": average}[config.output.image]
  dtype = job.picture.values.dtype
  values = images.from_unit(restored, job.limits, dtype)
  np.save(workdir / "restored.npy", values[..., 0] if job.picture.squeezed else values)
  written = images.write_picture(workdir / "restored", values, job.picture)
  images.write_picture(workdir / "measurement",
                       images.from_unit(measurement, job.limits, dtype), job.picture)

  curves = reports.read_metrics(workdir / "metrics.jsonl")
  quality, titles = None, {"measurement": "measurement", "restored": "restored"}
  if truth is not None:
    quality = {"measurement": _quality(np.asarray(measurement), truth),
               "average": _quality(average, truth), "last": _quality(last, truth)}
    trace = curves["weights"]["psnr"]
    quality["best"] = {"psnr": float(trace.max()), "step": int(trace.argmax()) + 1}
    for title, entry in (("measurement", "measurement"), ("restored", config.output.image)):
      titles[title] = f"{title}\n{quality[entry]['psnr']:.2f} dB, SSIM {quality[entry]['ssim']:.3f}"
  panels = [(titles["measurement"], np.asarray(measurement)), (titles["restored"], restored)]
  if truth is not None:
    panels.append(("truth", np.asarray(truth)))
  reports.save_comparison(workdir / "before_after.png", panels)
  reports.save_curves(workdir / "curves.png", curves)
  report = _density_report(job, mask)
  reports.save_mask_figure(workdir / "mask.png", report)
  summary = {
      "output": written.name, "output_image": config.output.image, "truth": _truth_name(job),
      "quality": quality, "seconds": seconds, "limits": job.limits, "sigma": job.sigma,
      "mask": {"kept": sum(r.kept for r in report), "acting": sum(r.acting for r in report),
               "size": sum(r.size for r in report), "density": masks.density(mask),
               "layers": [r._asdict() for r in report]},
      "generator": job.generator.spec, "conv": job.conv, "chunk_steps": job.chunk_steps,
      "device": f"{jax.devices()[0].device_kind} ({jax.default_backend()})",
      "versions": {"oes_jax": oes_jax.__version__, "jax": jax.__version__,
                   "python": platform.python_version(), "numpy": np.__version__},
      **job.identity}
  checkpoints.write_atomically(workdir / "summary.json", json.dumps(summary, indent=2).encode())
  return summary


def _truth_name(job: Job) -> str | None:
  if job.config.data.truth is not None:
    return job.config.data.truth
  return job.config.data.source if job.truth is not None else None
