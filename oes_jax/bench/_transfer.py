"""Transfer: the mask learned on one image restores another one, another corruption, from other weights."""

import itertools
import pathlib
from typing import Any

from oes_jax.bench import _cases
from oes_jax.bench import _flags
from oes_jax.bench import _methods
from oes_jax.bench import _tables
from oes_jax import files

# Initial weights and network input: those that the mask was learned with, or others.
INITS = ("of the mask", "new")
_OWN = "the image itself"
# Lies this far from the seeds of a config.
_NEW_SEED = 1000


def _from(corruption: str) -> str:
  """Return what a mask from another corruption is called."""
  return f"{_OWN}, {corruption}"


def _changes(config, folders: dict[Any, str], init: str) -> dict[Any, dict[str, Any]]:
  """Return what changes for every image and seed that a mask of `folders` (by key) is tried on."""
  changes = {}
  for key in _cases.keys_of(config):
    if key in folders:
      changes[key] = {"mask.source": "file", "mask.path": folders[key]}
      if init == "new":  # on the same measurement
        changes[key] |= {"seed": key[1] + _NEW_SEED}
  return changes


def _folders(learned: dict[Any, dict[str, Any]]) -> dict[Any, str]:
  return {key: str(pathlib.Path(summary["folder"]) / "mask") for key, summary in learned.items()}


def _learn(config, base: pathlib.Path) -> dict[str, dict[Any, str]]:
  """Learn all masks; return {where one comes from: its folder for every image and seed it is tried on}."""
  everything = _cases.of_crops(config, (*config.benchmark.crops, *config.benchmark.transfer_crops))
  name = _methods.LEARNED
  learned = _folders(_cases.restore_cases(
      everything, base / "learned", name, {key: {} for key in _cases.keys_of(everything)}))
  targets, sources = _cases.keys_of(config), {}
  sources[_OWN] = {key: learned[key] for key in targets if key in learned}
  for source, _ in everything.benchmark.crops:
    sources[source] = {key: learned[source, key[1]] for key in targets
                       if key[0] != source and (source, key[1]) in learned}
  for corruption, pairs in config.benchmark.transfer_corruptions:
    sources[_from(corruption)] = _folders(_cases.restore_cases(
        config, base / _cases.folder_name(f"learned-{corruption}"), f"{name}, {corruption}",
        {(image, seed): {**dict(pairs), "noise.seed": _cases.noise_seed(f"{image} {corruption}", seed)}
         for image, seed in targets}))
  return sources


def tabulate(config, rows) -> list[list[str]]:
  """Return header and cells: averaged PSNR of every target, by where its mask comes from.

  The difference is to the image's own mask with the weights it was learned with, on the same cases, with its standard
  error over the images.

  Args:
    config: the benchmark's config.
    rows: the results; a case without one has failed.
  """
  images, seeds = [image for image, _ in config.benchmark.crops], len(config.benchmark.seeds)
  own = [row for row in rows if (row["mask from"], row["init"]) == (_OWN, INITS[0])]
  table = [["mask learned on", "initial weights", *images, "against the image's own", "can act", "collapsed", "failed"]]
  others = dict((*config.benchmark.crops, *config.benchmark.transfer_crops))
  of_corruptions = (_from(corruption) for corruption, _ in config.benchmark.transfer_corruptions)
  for source, init in itertools.product((_OWN, *others, *of_corruptions), INITS):
    mine = [row for row in rows if (row["mask from"], row["init"]) == (source, init)]
    most = seeds * sum(image != source for image in images)
    if not most:  # the only image there is
      continue
    table.append([source, init, *(
        _tables.spread([row for row in mine if row["image"] == image], "average psnr") for image in images),
        "" if mine == own else _tables.paired(mine, own), _tables.mean(mine, "acting"),
        _tables.share_of(sum(bool(row["collapse"]) for row in mine), len(mine)),
        _tables.share_of(most - len(mine), most)])
  for init in INITS:
    mine = [row for row in rows if row["mask from"] in others and row["init"] == init]
    table.append(["all other images", init, *[""] * len(images), _tables.paired(mine, own), "", "", ""])
  return files.without_empty_columns(table)


def run_transfer(arguments) -> None:
  """Restore every image with the mask of every other; print and record the averaged PSNR."""
  config, base, output = _cases.read_arguments(arguments, "transfer")
  rows = []
  for source, folders in _learn(config, base).items():
    for init in INITS:
      name = f"mask of {source}, {init} initial weights"
      restored = _cases.restore_cases(
          config, base / _cases.folder_name(name), name, _changes(config, folders, init))
      rows += [{"mask from": source, "init": init, **_tables.row(name, *item)} for item in restored.items()]
  table = tabulate(config, rows)
  _tables.finish(base, output, config, "transfer", rows, table)
  files.save_matrix(base / "transfer.png", *_tables.averages(
      rows, lambda row: f"{row['mask from']}; {row['init']}", lambda row: row["image"]), title="averaged PSNR, dB")


def add_command(commands) -> None:
  """Add the command `transfer` and its flags."""
  parser = _flags.add_parser(
      commands, "transfer", run_transfer, "restore with the masks of other images and corruptions")
  _flags.add_config(parser, "transfer")
