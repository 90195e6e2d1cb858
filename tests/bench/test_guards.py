"""How often guards are right: what they would have chosen, and the table."""

import jax
import numpy as np
import pytest

from oes_jax import fitting
from oes_jax import generators
from oes_jax import noise
from oes_jax.bench import _guards


@pytest.mark.parametrize("name", ["variance", "held_out"])
def test_a_guard_chooses_afterwards_what_it_chooses_in_a_run(name):
  clean = _guards.draw_page(0, 16)
  generator = generators.deep_decoder(clean.shape, num_scales=1, channels=(8, 8))
  params, _ = generator.init(jax.random.key(0))
  noisy = noise.gaussian(0.1).add(jax.random.key(1), clean.astype(np.float32))
  problem = fitting.hold_out(fitting.with_input(fitting.Problem(noisy), generator), jax.random.key(2), 0.2)
  settings = fitting.TrainWeights(num_steps=30, guard=name, learning_rate=0.1)
  ran = fitting.train_weights(generator, params, None, problem, jax.random.key(3), settings, score=lambda image: {"image": image})
  trace = ran.traces["weights"]
  ended = _guards.replay(name, None, None, 30, trace["image"], trace["image_average"], problem)
  assert int(ended.step) == int(ran.guarded.step) and bool(ended.stopped) == bool(ran.guarded.stopped)
  np.testing.assert_allclose(ended.output, ran.guarded.output, atol=1e-6)


def test_the_table_counts_what_is_near_the_best_and_what_is_the_measurement():
  row = {"net": "dense", "steps": 1500, "guard": "variance", "measurement psnr": 20.0, "best psnr": 29.0, "stands": True}
  rows = [{**row, "psnr": 28.6}, {**row, "psnr": 28.9, "stands": False}, {**row, "psnr": 20.3, "stands": False}]
  assert _guards.tabulate(rows)[1] == ["dense", "1,500", "variance", "2 of 3", "1", "3.07", "8.70", "2", "1"]


def test_pages_are_images_of_their_own():
  first, second = _guards.draw_page(0), _guards.draw_page(1)
  assert first.shape == (64, 64, 1) and 0 <= first.min() < 0.1 and first.max() > 0.5 and np.abs(first - second).max() > 0.3
