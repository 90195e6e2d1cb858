"""The masks of a batch: thresholded, taken over, drawn or filled; stored, and read again."""

import itertools
import logging
import pathlib
from typing import Any, Sequence

import jax
import numpy as np

import oes_jax
from oes_jax import files
from oes_jax import fitting
from oes_jax import generators
from oes_jax import masks
from oes_jax import parallel
from oes_jax.runs import _finished
from oes_jax.runs import _saying
from oes_jax.runs._job import Job
from oes_jax.runs._measure import Row


def mask_folder(job: Job, share: float = 1) -> pathlib.Path:
  """Return where the mask of a job is stored, or that of a round after which `share` is pruned."""
  return job.workdir / ("mask" if share == 1 else f"mask_{share:.4f}")


def density_report(job: Job, mask) -> list[masks.LayerReport]:
  """Return kept and acting weights of every array of the job's generator."""
  return masks.density_report(job.generator.graph, mask, job.generator.net_input_shape[-1])


def _warn_of_collapse(job: Job, findings: list[str]) -> None:
  if findings:
    logging.warning("the mask of %s (%s, seed %d) has COLLAPSED: %s. The weight stage will not restore the "
                    "image; set a larger mask.keep_fraction or a narrower generator.channels.",
                    job.settings.data.source, job.workdir.name, job.settings.experiment.seed, "; ".join(findings))


def _warn_of_its_own_image(job: Job, params) -> None:
  """Say it where a shipped mask was learned on the image that it is to restore."""
  learned_on, source = files.read_bundled_mask(job.generator, params)[1], job.settings.data.source
  if learned_on in files.BUNDLED_CROPS.get(source, (source,)):
    logging.warning("the shipped mask was learned on the clean %s: its score here says nothing "
                    "about other images", learned_on)


def _make_mask(generator: generators.Generator, row: Row, scores, share: float) -> dict[str, Any]:
  """Make the mask of one image; set it, and return its metadata."""
  job, source, seed = row.job, row.job.settings.mask.source, row.job.settings.experiment.seed
  if source == "bundled":
    _warn_of_its_own_image(job, row.params)
  chosen = fitting.make_mask(
      generator, row.params, row.problem, source=source, settings=job.settings.learn, density=job.density, seed=seed,
      scores=scores, given=job.given_mask, share=share)
  for note in chosen.notes:
    if "collapses" in note:
      logging.warning("%s", note)
    else:
      _saying.say(note)
  row.mask, row.collapse = chosen.mask, chosen.findings
  return {"generator": job.generator.spec, "seed": seed, "source": source,
          "density": masks.density(row.mask), "collapse": row.collapse, "version": oes_jax.__version__,
          "names": [report.name for report in density_report(job, row.mask)]}


def _to_text(mask) -> str:
  """Return a mask's bits as hexadecimal text, the arrays of the tree one after another."""
  bits = np.concatenate([np.ravel(np.asarray(leaf)) != 0 for leaf in jax.tree.leaves(mask)])
  return np.packbits(bits).tobytes().hex()


def _from_text(text: str, like) -> Any:
  """Return the mask of `_to_text`, shaped like a tree of params."""
  bits = np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8), count=masks.count_weights(like))
  return masks.split_like(like, bits.astype(bool))


def stored_beside(rows: Sequence[Row]) -> list[Any]:
  """Return the masks that the jobs of rows that only fill up a batch have stored: of cases that ended in it earlier."""
  folders = [(mask_folder(row.job), row.params) for row in rows if row.filling]
  return [files.masks_like(files.load_mask(folder)[0], params) for folder, params in folders
          if files.has_valid_manifest(folder)]


def obtain_masks(generator: generators.Generator, rows: Sequence[Row], scores: Sequence[Any], *, stands: bool,
                 share: float = 1) -> None:
  """Set the mask of every image that is being restored, and store those that are new.

  Every process calls it with its rows; the first one stores the masks of all, since Orbax writes NumPy arrays in
  no other.

  Args:
    generator: Generator of the batch's frame.
    rows: rows of this process.
    scores: scores that the stage before has found, one tree a row; None where it did not run.
    stands: whether a stored mask counts: the steps that made it are on record.
    share: share of the pruning that is done by now; less than 1 after all rounds but the last.
  """
  made = []
  for row, learned in zip(rows, scores):
    if not row.alive:
      continue
    folder = mask_folder(row.job, share)
    if stands and files.has_valid_manifest(folder):
      try:
        mask, metadata = files.load_mask(folder)
        if not _finished.matches(metadata, {"collapse": [str]}):
          raise ValueError("it does not say whether it collapsed")
        row.mask, row.collapse = files.masks_like(mask, row.params), metadata["collapse"]
      except (ValueError, TypeError, KeyError) as error:
        row.failure = f"{folder} is not the mask of this run; remove it, and the run starts over ({error})"
        continue
    else:
      metadata = _make_mask(generator, row, learned, share)
      made.append([str(folder.absolute()), _to_text(row.mask), metadata])
    if share == 1:
      _warn_of_collapse(row.job, row.collapse)
  for folder, text, metadata in itertools.chain.from_iterable(parallel.gather(made)):
    if jax.process_index() == 0:
      files.save_mask(pathlib.Path(folder), _from_text(text, rows[0].params), metadata)
  parallel.gather(None)  # all are stored


def mask_like(mask: Any, job: Job):
  """Return a mask that is given as 0 and 1 in the types of the params of a job's generator.

  Args:
    mask: tree of 0 and 1.
    job: job whose generator it is to go with.

  Raises:
    ValueError: it has another structure or other shapes, or holds something else.
  """
  params = jax.eval_shape(job.generator.init, jax.random.key(0))[0]
  if jax.tree.structure(mask) != jax.tree.structure(params) or any(
      np.shape(leaf) != param.shape for leaf, param in zip(jax.tree.leaves(mask), jax.tree.leaves(params))):
    raise ValueError("mask has another structure or other shapes than the params of the generator; allowed: a tree of "
                     "0 and 1 like generator.init(key)[0], such as the mask of a Restoration.")
  mask = jax.tree.map(np.asarray, mask)
  if any(((leaf != 0) & (leaf != 1)).any() for leaf in jax.tree.leaves(mask)):
    raise ValueError("mask holds other values than 0 and 1; allowed: 0, 1, or booleans.")
  return files.masks_like(mask, params)
