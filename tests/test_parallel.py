"""The image mesh on eight virtual devices, in a program of its own; and a batch against its images."""

import os
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oes_jax import fitting
from oes_jax import generators
from oes_jax import metrics
from oes_jax import parallel
from oes_jax import random

_ON_EIGHT_DEVICES = """
    import re, warnings
    import jax, jax.numpy as jnp, numpy as np
    from oes_jax import parallel
    assert jax.device_count() == 8
    mesh = parallel.image_mesh()
    f = lambda scale, x, w: jnp.tanh(x @ w) * scale
    x = np.random.default_rng(0).normal(size=(16, 3, 4)).astype(np.float32)
    w = np.random.default_rng(1).normal(size=(16, 4, 5)).astype(np.float32)
    over = parallel.over_images(f, mesh, shared=1)
    batch = parallel.put(mesh, (x, w))
    got = over(jnp.float32(2), *batch)
    assert len(got.addressable_shards) == 8
    warnings.simplefilter("ignore")
    mapped = jax.pmap(jax.vmap(f, in_axes=(None, 0, 0)), in_axes=(None, 0, 0))
    want = mapped(jnp.float32(2), x.reshape(8, 2, 3, 4), w.reshape(8, 2, 4, 5)).reshape(16, 3, 5)
    np.testing.assert_array_equal(parallel.rows(got), want)
    np.testing.assert_array_equal(parallel.rows(batch[0]), x)
    text = over.lower(jnp.float32(2), *batch).compile().as_text()
    collective = r"all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter"
    assert not re.search(collective, text)
    summed = jax.jit(lambda x: x - x.sum(0)).lower(batch[0]).compile().as_text()
    assert re.search(collective, summed)  # the search can find one
    # One image a device is the program of an image alone.
    alone = parallel.over_images(f, parallel.image_mesh(jax.devices()[:1]), shared=1)
    eight = over(jnp.float32(2), *parallel.put(mesh, (x[:8], w[:8])))
    for i in range(8):
      np.testing.assert_array_equal(
          parallel.rows(eight)[i], alone(jnp.float32(2), x[i:i + 1], w[i:i + 1])[0])
"""


def test_over_images_is_pmap_of_vmap_without_a_collective():
  environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "8"}
  done = subprocess.run([sys.executable, "-c", textwrap.dedent(_ON_EIGHT_DEVICES)], env=environment,
                        capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr


def _case(shape, seed, frame=None):
  """A small problem, its params and logits; in a larger frame its pixels are marked as valid."""
  generator = generators.make_generator("hourglass", image_shape=frame or shape, num_scales=1, channels=(6,))
  params, logits = generator.init(random.stream_key(seed, "params"))
  net_input = generator.sample_input(random.stream_key(seed, "net_input"))
  measurement = jax.random.uniform(random.stream_key(seed, "noise"), shape)
  if frame is None:
    return generator, params, logits, fitting.Problem(measurement, net_input=net_input)
  inside = generators.centre(frame, shape)
  valid = jnp.zeros((*frame[:2], 1)).at[inside].set(1)
  problem = fitting.Problem(jnp.zeros(frame).at[inside].set(measurement), net_input=net_input,
                            valid=metrics.Valid(valid, valid.sum()))
  return generator, params, logits, problem


def _stack(trees):
  return jax.tree.map(jnp.asarray, parallel.stack(trees))


@pytest.mark.slow
def test_images_of_a_batch_are_those_alone_over_fifty_steps(x64):
  """Mixed sizes in one frame, each with its own density and KL weight, against each alone."""
  frame, shapes = (20, 24, 1), [(19, 24, 1), (20, 23, 1)]
  learn = fitting.LearnMask(num_steps=50, learning_rate=0.01, schedule="constant")
  settings = [(0.2, 1e-6), (0.5, 1e-4)]
  framed = [_case(shape, seed, frame) for seed, shape in enumerate(shapes)]
  frozen = [(params, jnp.asarray(fraction), jnp.asarray(weight))
            for (_, params, _, _), (fraction, weight) in zip(framed, settings)]
  keys = [random.stream_key(seed, "mask") for seed in range(2)]
  args = (_stack(frozen), _stack([case[3] for case in framed]), None, _stack(map(jax.random.key_data, keys)))
  logits = _stack([case[2] for case in framed])
  program = fitting.compile_stage(fitting.mask_stage(framed[0][0], learn), logits, args,
                                  mesh=parallel.image_mesh(jax.devices()[:1]), length=50)
  (_, state, record, sound), = program.iterate(program.init(logits), args)
  assert sound.all()
  row, shape = 1, shapes[1]  # of the other size than the first
  generator, params, logits, problem = _case(shape, row)
  alone = jax.jit(lambda *args: fitting.run_stage(fitting.mask_stage(generator, learn), *args))
  expected, expected_record = alone(
      logits, (params, jnp.asarray(settings[row][0]), jnp.asarray(settings[row][1])), problem, keys[row])
  np.testing.assert_allclose(record["loss"][row], expected_record["loss"], rtol=1e-9)
  np.testing.assert_allclose(
      state.output[row][generators.centre(frame, shape)], expected.output, atol=1e-9)
  for got, want in zip(jax.tree.leaves(state.trainable), jax.tree.leaves(expected.trainable)):
    # Adam makes of a gradient that is zero but for rounding a small step of its own.
    np.testing.assert_allclose(got[row], want, atol=1e-6)
