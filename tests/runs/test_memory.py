"""The estimate of a run's memory against XLA's own count, and what there is."""

import jax
import jax.numpy as jnp
import pytest

from oes_jax import fitting
from oes_jax import generators
from oes_jax.runs import _memory as memory


def _arrays(size):
  """Estimated bytes of the arrays alone."""
  generator = generators.make_generator("hourglass", image_shape=(size, size, 3), num_scales=3)
  shape, small = (size, size, 3), (32, 32, 3)
  smaller = generators.make_generator("hourglass", image_shape=small, num_scales=3)
  return sum(memory.estimate_memory(generator, shape, shape, "float32")) - sum(
      memory.estimate_memory(smaller, small, small, "float32"))


@pytest.mark.slow
def test_estimate_grows_with_the_pixels():
  assert _arrays(256) / _arrays(128) == pytest.approx((256**2 - 32**2) / (128**2 - 32**2), rel=0.02)


@pytest.mark.slow
def test_estimate_covers_what_xla_allocates(monkeypatch):
  monkeypatch.setattr(memory, "_PROGRAM", 0)
  shape = (96, 96, 3)
  generator = generators.make_generator("hourglass", image_shape=shape, num_scales=2)
  params, logits = jax.eval_shape(generator.init, jax.random.key(0))
  problem = fitting.Problem(jax.ShapeDtypeStruct(shape, jnp.float32),
                            net_input=jax.ShapeDtypeStruct(generator.net_input_shape, jnp.float32))
  objective = fitting.mask_objective(generator.apply, temperature=0.2)
  compiled = jax.jit(jax.value_and_grad(objective, has_aux=True)).lower(
      logits, (params, 0.05, 1e-8), problem, jax.random.key(0)).compile().memory_analysis()
  used = (compiled.temp_size_in_bytes + compiled.argument_size_in_bytes
          + compiled.output_size_in_bytes)
  assert used <= sum(memory.estimate_memory(generator, shape, shape, "float32")) <= 4 * used


def test_what_the_process_holds_is_available_to_it(monkeypatch):
  monkeypatch.setattr(memory.files, "free_memory", lambda: 600_000)
  held = memory.psutil.Process().memory_info().rss
  assert 600_000 <= memory.available_memory() <= 600_000 + 1.2 * held


def test_available_is_a_plausible_number_of_bytes():
  assert 2 ** 26 < memory.available_memory() < 2 ** 50
