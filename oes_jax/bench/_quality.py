"""What savings cost in quality: whole restorations of bundled images, compared.

Every restoration is an ordinary run in a folder of its own: what is finished is not run again,
and what was interrupted resumes.
"""

import json
import pathlib
import shutil
import time
from typing import Any, Iterable, Sequence

import tqdm

from configs import denoise
from oes_jax.bench import _cases
from oes_jax.bench import _records
from oes_jax.bench import _steps
from oes_jax import files
from oes_jax import generators
from oes_jax import runs

# 64 x 64 crops, the size at which masks of many steps are affordable.
SMALL_CROPS = {"astronaut": (60, 190, 64, 64), "chelsea": (90, 130, 64, 64),
               "coffee": (100, 250, 64, 64)}
# Where a shipped mask is compared with others: images that no shipped mask was learned on.
TRANSFER_CROPS = {"chelsea": (60, 100, 128, 128), "coffee": (100, 200, 128, 128),
                  "rocket": (120, 260, 128, 128)}
LONGER = 10  # how many times more steps the masks have that ours are held against
_NOT_COMPARED = {"checkpoint.every_steps": 5000}


def _restore(folder: pathlib.Path, preset: str, changes: dict[str, Any]) -> dict[str, Any]:
  """Run the denoising config with `changes` of its keys; return the summary."""
  config = denoise.get_config(preset)
  config.update_from_flattened_dict({**_NOT_COMPARED, **changes})
  return runs.run(runs.prepare(config, str(folder)))


def _rows(folder: pathlib.Path, methods: dict[str, dict[str, Any]], crops: dict[str, Any],
          seeds: Iterable[int], common: dict[str, Any]) -> list[dict[str, Any]]:
  """Restore every crop with every method and seed; return one flat row for each."""
  cases = [(method, image, seed) for seed in seeds for image in crops for method in methods]
  rows = []
  for method, image, seed in tqdm.tqdm(cases, desc="restorations", unit="run"):
    summary = _restore(folder / f"{method}-{image}-{seed}".replace(" ", "_"), "quick", {
        "data.source": image, "data.crop": crops[image], "seed": seed, **common, **methods[method]})
    rows.append({
        "method": method, "image": image, "seed": seed,
        **{f"{name} psnr": summary["quality"][name]["psnr"]
           for name in ("measurement", "last", "average", "best")},
        **{name: summary["mask"][name] for name in ("kept", "acting", "size")},
        "seconds": {stage: times["total"] for stage, times in summary["seconds"].items()}})
  return rows


def tabulate(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
  """Return header and cells: mean and standard deviation over all images and seeds, then per image."""
  images = list(dict.fromkeys(row["image"] for row in rows))
  table = [["mask", "last", "averaged", *(f"{image}, averaged" for image in images), "kept", "can act"]]
  for method in dict.fromkeys(row["method"] for row in rows):
    mine = [row for row in rows if row["method"] == method]
    kept, size = (sum(row[name] for row in mine) for name in ("kept", "size"))
    table.append([method, _cases.spread(mine, "last psnr"), _cases.spread(mine, "average psnr"), *(
        _cases.mean([row for row in mine if row["image"] == image], "average psnr", 2) for image in images),
        f"{100 * kept / size:.1f} %", _cases.mean(mine, "acting")])
  return table


def _finish(arguments, rows, **settings) -> None:
  table = tabulate(rows)
  print(files.format_table(table))
  _records.write_benchmark(arguments.output, {**settings, "rows": rows, "table": files.format_markdown(table)})


def run_schedule(arguments) -> None:
  """Compare masks of the default schedule with masks of LONGER times its steps."""
  config = denoise.get_config()
  steps = config.mask.num_steps
  methods = {f"default schedule, {steps:,} steps": {"mask.num_steps": steps},
             f"{LONGER} times longer, {LONGER * steps:,} steps": {"mask.num_steps": LONGER * steps}}
  common = {"generator.num_scales": 4, "weights.num_steps": 1000}
  rows = _rows(pathlib.Path(arguments.folder), methods, SMALL_CROPS, range(arguments.seeds), common)
  _finish(arguments, rows, mask=config.mask.to_dict(), crops=SMALL_CROPS, **common)


def run_masks(arguments) -> None:
  """Compare the shipped mask with a mask learned on the image, a random half, and all weights."""
  methods = {"bundled": {"mask.source": "bundled"}, "learned on the image": {},
             "random, 50 %": {"mask.source": "random", "mask.keep_fraction": 0.5},
             "dense": {"mask.source": "dense"}}
  rows = _rows(pathlib.Path(arguments.folder), methods, TRANSFER_CROPS, range(arguments.seeds),
               {"generator.num_scales": 5})
  _finish(arguments, rows, crops=TRANSFER_CROPS)


def run_bundle(arguments) -> None:
  """Write the mask that a finished run learned as a shipped mask.

  Raises:
    ValueError: it was not learned, has collapsed, or belongs to other than the published widths.
  """
  folder = pathlib.Path(arguments.run)
  summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
  mask, metadata = files.load_mask(folder / "mask")
  spec, config = metadata["generator"], summary["config"]
  published = generators.make_generator(
      spec["name"], image_shape=(512, 512, spec["image_channels"]), num_scales=spec["num_scales"])
  if metadata["source"] != "learn" or metadata["collapse"] or spec != published.spec:
    raise ValueError(f"the mask of {folder} cannot be shipped: its source is {metadata['source']!r}, "
                     f"its findings {metadata['collapse']}, its widths {spec['channels']}; allowed: a "
                     f"learned mask without findings, widths {published.spec['channels']}.")
  path = files.bundled_path(spec)
  path.parent.mkdir(exist_ok=True)
  files.write_atomically(path, files.pack_mask(mask, {
      "generator": spec, "source": config["data"]["source"], "crop": config["data"]["crop"],
      "sigma": summary["sigma"], "seed": config["seed"], "steps": config["mask"]["num_steps"],
      "mask": config["mask"], "versions": summary["versions"]}))
  print(f"written: {path}, {path.stat().st_size:,} bytes")


def run_time_to_quality(arguments) -> None:
  """Total seconds and PSNR of our default and of the authors' schedule, 128 x 128, 5 scales.

  The authors' schedule (100,000 steps, nothing compacted) takes hours; its finished run may be
  given as a kept record. The ratios are of its steps as timed here, without compilation, to the
  wall time of the whole default run: the first on a machine, and the next image of that size
  (seed 1), which finds some programs compiled.
  """
  folder = pathlib.Path(arguments.folder)
  timed = folder / "timed"  # it is emptied every time
  shutil.rmtree(timed, ignore_errors=True)
  common = {"data.source": "astronaut_face", "data.crop": (16, 16, 128, 128),
            "generator.num_scales": 5}
  walls, summaries = {}, {}
  for name in ("first", "second"):
    began = time.perf_counter()
    summaries[name] = _restore(timed / name, "quick", {
        **common, "seed": int(name == "second"), "compute.compilation_cache": str(timed / "cache")})
    walls[name] = time.perf_counter() - began
  if arguments.faithful_record:
    record = pathlib.Path(arguments.faithful_record)
    faithful = json.loads(record.read_text(encoding="utf-8"))
    print(f"authors' schedule: {record}, of {faithful['date']}, {faithful['cores']} cores")
  else:
    faithful = _restore(folder / "faithful", "paper", {**common, "compute.compaction": False})
    _records.write_benchmark(str(folder / "faithful.json"), {
        name: faithful[name] for name in ("quality", "seconds", "config")})
  total = lambda summary: sum(stage["total"] for stage in summary["seconds"].values())
  timed = _steps.time_own_steps(128, num_scales=5)
  config = faithful["config"]
  steps = {"mask": config["mask"]["num_steps"], "dense": config["weights"]["num_steps"]}
  today = sum(timed[name] * count for name, count in steps.items())
  result = {"default": {"seconds": walls, "quality": summaries["first"]["quality"]},
            "faithful": {"seconds": total(faithful), "quality": faithful["quality"],
                         "seconds by steps timed with the default": today},
            "ratio": {name: today / wall for name, wall in walls.items()}}
  for name, seconds in (("default", walls["first"]), ("faithful", total(faithful))):
    quality = result[name]["quality"]
    print(f"{name}: {seconds:.0f} s; last {quality['last']['psnr']:.2f} dB, averaged "
          f"{quality['average']['psnr']:.2f} dB (measurement {quality['measurement']['psnr']:.2f})")
  print(f"authors' schedule by steps timed just now ({1e3 * timed['mask']:.0f} ms a mask step, "
        f"{1e3 * timed['dense']:.0f} ms a weight step): {today:.0f} s\n"
        f"default: {walls['first']:.0f} s the first time, ratio: {result['ratio']['first']:.0f}; "
        f"{walls['second']:.0f} s the second time, ratio: {result['ratio']['second']:.0f}")
  _records.write_benchmark(arguments.output, result)
