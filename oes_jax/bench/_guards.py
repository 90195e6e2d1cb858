"""How often each guard stops near the best of a run, and how often it gives the noise back, for runs of several lengths."""

import functools
import hashlib
import json
import pathlib
from typing import Any, NamedTuple, Sequence

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import tqdm

from oes_jax.bench import _flags
from oes_jax.bench import _records
from oes_jax.bench import _tables
from oes_jax import files
from oes_jax import fitting
from oes_jax import generators
from oes_jax import noise
from oes_jax import random
from oes_jax import runs

_SIDE = 64
# Bundled images that no guard was chosen on: name, top and left of the crop, and sigma of the noise.
PHOTOGRAPHS = (("rocket", 100, 280, 0.1), ("immunohistochemistry", 200, 200, 0.1), ("retina", 600, 600, 0.1),
               ("hubble_deep_field", 300, 300, 0.1), ("coins", 100, 100, 0.1), ("moon", 200, 200, 0.1), ("page", 60, 100, 0.1),
               ("gravel", 100, 100, 0.2), ("cell", 280, 200, 0.05), ("microaneurysms", 3, 3, 0.05), ("ct_slice", 32, 32, 0.05),
               ("mr_slice", 0, 0, 0.2))
# Pages as of a fluorescence microscope, drawn: seed, photons at the value 1, and sigma of the read noise.
PAGES = ((0, 30, 0.05), (1, 10, 0.05), (2, 100, 0.02), (3, 30, 0.02), (4, 10, 0.02), (5, 30, 0.1), (6, 60, 0.05), (7, 20, 0.05))
# Name: (guard, window, patience), None where they follow from the run's length.
GUARDS = {"ES-WMV as published (100, 1,000)": ("variance", 100, 1000), "variance": ("variance", None, None),
          "held_out": ("held_out", None, None)}
NETS = {"dense": None, "SynFlow mask": "synflow"}
# What is near the best of a run, and near the measurement, in dB.
_NEAR = 0.5


class _Case(NamedTuple):
  """An image [H, W, C] of the unit range, and the noise that it gets."""
  name: str
  clean: np.ndarray
  noise: Any


def draw_page(seed: int, side: int = _SIDE) -> np.ndarray:
  """Return cells and filaments above a dim background, [side, side, 1] in the unit range.

  Args:
    seed: seed of what is drawn.
    side: pixels along a side.
  """
  draws = np.random.default_rng(seed)
  y, x = np.mgrid[:side, :side] / side
  image = np.full((side, side), 0.05)
  for _ in range(6):
    (top, left), radius, squeeze = draws.uniform(0.1, 0.9, 2), draws.uniform(0.05, 0.14), draws.uniform(0.6, 1.6)
    distance = np.hypot((y - top) * squeeze, (x - left) / squeeze) / radius
    image += draws.uniform(0.2, 0.6) / (1 + np.exp(6 * (distance - 1)))
  for _ in range(4):
    angle, offset, bend = draws.uniform(0, np.pi), draws.uniform(-0.3, 0.3), draws.uniform(-0.3, 0.3)
    along = (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle)
    across = (y - 0.5) * np.cos(angle) - (x - 0.5) * np.sin(angle)
    image += draws.uniform(0.2, 0.5) * np.exp(-0.5 * ((across - offset - bend * along ** 2) / 0.02) ** 2)
  return np.clip(image, 0, 1)[..., None]


def _cases() -> list[_Case]:
  cases = []
  for name, top, left, sigma in PHOTOGRAPHS:
    values = np.asarray(files.read_picture(name, (top, left, _SIDE, _SIDE)).values)
    low, high = (0, 255) if values.dtype == np.uint8 else (values.min(), values.max())
    cases.append(_Case(name, (values - low) / (high - low), noise.gaussian(sigma)))
  pages = [_Case(f"page {seed}", draw_page(seed), noise.poisson_gaussian(peak, sigma)) for seed, peak, sigma in PAGES]
  return cases + pages


def _decibel(images, clean) -> np.ndarray:
  return -10 * np.log10(np.mean((np.asarray(images) - clean) ** 2, (-3, -2, -1)))


@functools.lru_cache(maxsize=None)
def _generator(shape) -> generators.Generator:
  return generators.hourglass(shape, num_scales=4)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _train(shape, num_steps, params, mask, problem):
  settings = fitting.TrainWeights(num_steps=num_steps)
  traces = fitting.train_weights(_generator(shape), params, mask, problem, random.stream_key(0, "weights"), settings,
                                 score=lambda image: {"image": image}).traces["weights"]
  return traces["image"], traces["image_average"]


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def replay(name: str, window: int | None, patience: int | None, num_steps: int, outputs, averages, problem):
  """Return the GuardState after the first steps of a run, had a guard followed them.

  Args:
    name: a key of fitting.GUARDS.
    window: number of outputs, or None.
    patience: number of steps, or None.
    num_steps: number of the first steps that count as the run.
    outputs: [steps, H, W, C], what every step gave.
    averages: their averages, of the same shape.
    problem: Problem with held-out values.
  """
  guard = fitting.GUARDS[name](num_steps=num_steps, window=window, patience=patience)
  def step(state, ended):
    return guard.update(state, *ended[1:], problem, ended[0]), None
  ended = (jnp.arange(1, num_steps + 1), outputs[:num_steps], averages[:num_steps])
  return lax.scan(step, guard.init(outputs.shape[1:], outputs.dtype), ended)[0]._replace(memory=())


def _pose(case: _Case, source: str | None):
  """Return (params, mask, problem) of a run: 5 % of the pixels are held out, channels that cannot act are removed."""
  shape = case.clean.shape
  generator, seed = _generator(shape), int(hashlib.sha256(case.name.encode()).hexdigest()[:7], 16)
  noisy = jnp.clip(case.noise.add(random.stream_key(seed, "noise"), jnp.asarray(case.clean, jnp.float32)), 0, 1)
  problem = fitting.Problem(noisy, loss=case.noise, net_input=generator.sample_input(random.stream_key(0, "net_input")))
  problem = fitting.hold_out(problem, random.stream_key(0, "held_out"))
  params, _ = generator.init(random.stream_key(0, "params"))
  if source is None:
    return params, jax.tree.map(jnp.ones_like, params), problem
  learn = fitting.LearnMask()
  density = fitting.choose_density(source, learn, params, noisy.size)
  mask = fitting.make_mask(generator, params, problem, source=source, settings=learn, density=density, seed=0).mask
  plan = fitting.plan_compaction(generator, mask, problem)
  return fitting.compact(generator, plan, *jax.device_get((params, mask)), problem)


def score(case: _Case, net: str, num_steps: Sequence[int]) -> list[dict[str, Any]]:
  """Run one image with one net; return a row for every length and guard.

  Args:
    case: the image.
    net: a key of NETS.
    num_steps: lengths of runs; shorter ones are the first steps of the longest.
  """
  params, mask, problem = _pose(case, NETS[net])
  outputs, averages = _train(case.clean.shape, max(num_steps), params, mask, problem)
  of_outputs, of_averages = _decibel(outputs, case.clean), _decibel(averages, case.clean)
  rows = []
  for length in num_steps:
    common = {"net": net, "image": case.name, "steps": length,
              "measurement psnr": float(_decibel(problem.measurement, case.clean)),
              "best psnr": float(max(of_outputs[:length].max(), of_averages[:length].max())),
              "best average step": int(of_averages[:length].argmax()) + 1, "last average psnr": float(of_averages[length - 1])}
    for guard, rule in GUARDS.items():
      ended = replay(*rule, length, outputs, averages, problem)
      rows.append({**common, "guard": guard, "psnr": float(_decibel(ended.output, case.clean)), "step": int(ended.step),
                   "stands": bool(ended.stopped)})
    rows.append({**common, "guard": "none: the last average", "psnr": common["last average psnr"], "step": length})
  return rows


def tabulate(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
  """Return header and cells: every net, length and guard.

  Args:
    rows: the results.
  """
  table = [["net", "steps", "guard", "within 0.5 dB of the best", "the noise given back", "below the best, dB", "at worst",
            "did not stand until the end", "of these within 0.5 dB"]]
  for net, steps, guard in dict.fromkeys((row["net"], row["steps"], row["guard"]) for row in rows):
    mine = [row for row in rows if (row["net"], row["steps"], row["guard"]) == (net, steps, guard)]
    lost = np.array([row["best psnr"] - row["psnr"] for row in mine])
    tail = np.array([not row.get("stands", True) for row in mine])
    given = sum(row["psnr"] <= row["measurement psnr"] + _NEAR for row in mine)
    table.append([net, f"{steps:,}", guard, f"{np.sum(lost <= _NEAR)} of {len(mine)}", str(given), f"{lost.mean():.2f}",
                  f"{lost.max():.2f}", str(tail.sum()), str(np.sum(tail & (lost <= _NEAR))) if tail.any() else ""])
  return table


def run_guards(arguments) -> None:
  """Run every image with every net; print and record what each guard chose. What has ended in the folder is not run again."""
  folder, rows = pathlib.Path(arguments.folder), []
  runs.use_compilation_cache("~/.cache/oes_jax")
  for net, case in tqdm.tqdm([(net, case) for net in NETS for case in _cases()], desc="runs", unit="run"):
    path = folder / f"{net}-{case.name}.json".replace(" ", "_")
    if not path.is_file():
      folder.mkdir(parents=True, exist_ok=True)
      files.write_atomically(path, json.dumps(score(case, net, arguments.steps)).encode())
    rows += json.loads(path.read_text(encoding="utf-8"))
  rows.sort(key=lambda row: (row["net"] != "dense", row["steps"]))
  table = tabulate(rows)
  _tables.show(folder, "guards", rows, table)
  _records.write_benchmark(arguments.output, {"steps": arguments.steps, "rows": rows, "table": files.format_markdown(table)})


def add_command(commands) -> None:
  """Add the command `guards` and its flags."""
  parser = _flags.add_parser(commands, "guards", run_guards, "how often each guard stops near the best of a run")
  _flags.add_folder_and_output(parser, "guards")
  parser.add_argument("--steps", type=_flags.positive, nargs="+", default=[300, 600, 1000, 1500], metavar="N",
                      help="lengths of the runs (default 300 600 1000 1500)")
