"""What tests of one image share: stages as batches of one on the first device, and an interruption."""

import os
import signal

import jax
import jax.numpy as jnp
import numpy as np

from oes_jax import files
from oes_jax.fitting import _objectives as objectives
from oes_jax.fitting import _restoration as restoration
from oes_jax import parallel


def mesh():
  return parallel.image_mesh(jax.devices()[:1])


def mask_stage(generator, params, logits, problem, *, seed, keep_fraction, kl_weight, **options):
  prior = objectives.Prior(params, jnp.asarray(keep_fraction), jnp.asarray(kl_weight))
  return restoration.make_mask_stage(
      generator, *map(parallel.as_batch, (logits, prior, problem)), mesh=mesh(), seeds=[seed],
      **options)


def weight_stage(generator, params, mask, problem, *, seed, **options):
  return restoration.make_weight_stage(
      generator, *map(parallel.as_batch, (params, mask, problem)), mesh=mesh(), seeds=[seed],
      **options)


def run(stage):
  """Run a stage; return (final state, metrics of all steps) of its image."""
  records = []
  for _, state, record, sound in stage.iterate():
    assert sound.all()
    records.append({name: values[0] for name, values in record.items()})
  return (jax.tree.map(lambda leaf: leaf[0], parallel.rows(state)),
          {name: np.concatenate([record[name] for record in records]) for name in records[0]})


def interrupt_after(monkeypatch, count):
  """Send SIGTERM once `count` chunks have been logged; return what undoes the counting."""
  chunks, write = [], files.MetricsLog.write
  def interrupting(self, *args):
    chunks.append(1)
    write(self, *args)
    if len(chunks) == count:
      os.kill(os.getpid(), signal.SIGTERM)
  monkeypatch.setattr(files.MetricsLog, "write", interrupting)
  return lambda: monkeypatch.setattr(files.MetricsLog, "write", write)
