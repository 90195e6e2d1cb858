"""What benchmarks of many methods share: their config, their cases, and how those are restored."""

import hashlib
import json
import logging
import pathlib
import runpy
from typing import Any, Iterator, Sequence

from oes_jax.bench import _methods
from oes_jax import runs
from oes_jax import shipped_configs
from oes_jax import sweeps

# (image, seed).
Key = tuple[str, int]


def read_config(argument: str):
  """Return the config of a file.

  Args:
    argument: FILE or FILE:PRESET.

  Raises:
    ValueError: there is no such file, or what it returns is no benchmark's config.
  """
  found, said = shipped_configs.find(argument)
  if said:
    print(said, flush=True)
  path, _, preset = found.partition(":")
  if not pathlib.Path(path).is_file():
    raise ValueError(f"--config={argument!r} does not exist; allowed: a file such as configs/benchmark.py, "
                     "with a preset after a colon.")
  config = runpy.run_path(path)["get_config"](*([preset] if preset else []))
  if "benchmark" not in config:
    raise ValueError(f"--config={argument!r} has no section `benchmark`; allowed: configs/benchmark.py.")
  names = [image for image, _ in config.benchmark.crops]
  for key in ("transfer_crops", "texture_crops", "tuning_crops"):
    both = [*names, *(image for image, _ in config.benchmark[key])]
    if len(set(both)) < len(both):
      raise ValueError(f"benchmark.crops and benchmark.{key} hold {both}; allowed: every image once.")
  unknown = [name for name in (*config.benchmark.methods, *config.benchmark.networks) if name not in _methods.METHODS]
  if unknown:
    raise ValueError(f"benchmark.methods or benchmark.networks holds {unknown[0]!r}; allowed: {', '.join(_methods.METHODS)}.")
  return config


def read_arguments(arguments, command: str) -> tuple[Any, pathlib.Path, str]:
  """Return (config, folder of the restorations, path of the record) that a command's flags ask for.

  Args:
    arguments: the parsed flags, those of `_flags.add_config`.
    command: the command's name.
  """
  config = read_config(arguments.config)
  base = f"runs/{config.experiment}/{command}"
  return config, pathlib.Path(arguments.folder or base), arguments.output or f"{base}.json"


def noise_seed(image: str, seed: int) -> int:
  """Return the seed of a measurement's noise: another one for every image and seed."""
  return int(hashlib.sha256(f"{image} {seed}".encode()).hexdigest()[:7], 16)


def keys_of(config) -> list[Key]:
  """Return every image with every seed."""
  return [(image, seed) for image, _ in config.benchmark.crops for seed in config.benchmark.seeds]


def list_cases(config, changes: dict[Key, dict[str, Any]]) -> list[sweeps.Case]:
  """Return one case for every image and seed that has changes.

  Args:
    config: the benchmark's config.
    changes: {(image, seed): {dotted key: value}}.
  """
  crops, listed = dict(config.benchmark.crops), []
  for (image, seed), change in changes.items():
    case = config.copy_and_resolve_references().unlock()
    del case.benchmark
    case.update_from_flattened_dict({
        "data.source": image, "data.crop": tuple(crops[image]), "seed": seed,
        "noise.seed": noise_seed(image, seed), **change})
    listed.append(sweeps.Case(case.lock(), len(listed), 0))
  return listed


def of_crops(config, crops: Sequence[Any]):
  """Return a benchmark's config with other images.

  Args:
    config: the benchmark's config.
    crops: ((image's name, (top, left, height, width)), ...), in pixels.
  """
  config = config.copy_and_resolve_references().unlock()
  config.benchmark.crops = tuple(crops)
  return config.lock()


def restore_cases(config, folder: pathlib.Path, name: str,
                  changes: dict[Key, dict[str, Any]]) -> dict[Key, dict[str, Any]]:
  """Restore cases of one kind; return the summaries of those that ended with one, and say which did not.

  What is finished in the folder stays and is not run again.

  Args:
    config: the benchmark's config.
    folder: the folder where this kind of case runs.
    name: the name of the kind, for the log and the folder's identity.
    changes: what every case changes in the config, {(image, seed): {dotted key: value}}.

  Returns:
    {(image, seed): the run's summary, and "folder", the path of its folder}.
  """
  if not changes:
    return {}
  listed = list_cases(config, changes)
  identity = {"format": runs.FORMAT, "many": True, "benchmark": name}
  folder = runs.find_workdir(str(folder), config.experiment, identity)[0]
  print(f"\n{name}", flush=True)
  found = {}
  runs.use_compilation_cache(config.compute.compilation_cache)
  with runs.Signals() as signals:
    names = sweeps.run_cases(listed, folder, identity, images_per_device=config.compute.images_per_device, signals=signals)
  for case, key in zip(names, changes):
    path = folder / "cases" / case / "summary.json"
    if path.is_file():
      found[key] = {**json.loads(path.read_text(encoding="utf-8")), "folder": str(path.parent)}
    else:
      logging.warning("%s: %s, seed %d, did not end with a result", name, *key)
  return found


def folder_name(name: str) -> str:
  """Return a method's name with nothing but letters, digits and hyphens."""
  return "".join(letter if letter.isalnum() else "-" for letter in name)


def learned_of(config, image: str, summary: dict[str, Any]) -> _methods.Learned:
  """Return what other methods take from a learned mask.

  Args:
    config: the benchmark's config.
    image: the name of the image that the mask was learned on.
    summary: the summary of the run that learned it, as `restore_cases` returns it.
  """
  height, width = dict(config.benchmark.crops)[image][2:]
  mask, spec = summary["mask"], summary["generator"]
  return _methods.Learned(
      str(pathlib.Path(summary["folder"]) / "mask"), mask["kept"], mask["acting"], mask["size"], spec,
      (height, width, spec["image_channels"]), config.weights.num_steps)


def changes_of(config, name: str, learned: dict[Key, dict[str, Any]],
               common: dict[str, Any]) -> dict[Key, dict[str, Any]]:
  """Return what a method changes for every image and seed; a case without the learned mask it needs is left out.

  Args:
    config: the benchmark's config.
    name: the method's name.
    learned: the summaries of the learned masks, as `restore_cases` returns them.
    common: what every method changes, {dotted key: value}.
  """
  found = {}
  for key in keys_of(config):
    told = learned_of(config, key[0], learned[key]) if key in learned else None
    changes = _methods.changes_of(name, config.weights.num_steps, told, common.get("operator.name", "identity"))
    if changes is None:
      logging.warning("%s: %s, seed %d, has no learned mask to go by", name, *key)
    else:
      found[key] = {**common, **changes}
  return found


def methods_for(names: Sequence[str], noise_model: str) -> list[str]:
  """Return the names of those methods that restore noise of a model, and say which do not.

  Args:
    names: names of methods.
    noise_model: the value of noise.model.
  """
  for name in names:
    if not _methods.goes_with(name, noise_model):
      logging.warning("%s is left out: noise of model %s cannot be drawn anew", name, noise_model)
  return [name for name in names if _methods.goes_with(name, noise_model)]


def inspected(config, changes: dict[Key, dict[str, Any]]) -> Iterator[tuple[Key, runs.Job]]:
  """Yield (key, job) of every case that can be run, and say of the others why not.

  Args:
    config: the benchmark's config.
    changes: {(image, seed): {dotted key: value}}.
  """
  for key, case in zip(changes, list_cases(config, changes)):
    try:
      yield key, runs.inspect(case.config)
    except (ValueError, OSError) as error:
      logging.warning("%s, seed %d: %s", *key, error)
