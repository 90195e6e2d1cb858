"""Classical restorations of a linear problem."""

import importlib.util

import jax
import numpy as np
import pytest

from oes_jax import fitting
from oes_jax import metrics
from oes_jax import noise
from oes_jax import operators

_SIGMA = 0.1


def _truth():
  rows, columns = np.indices((16, 16))
  return np.float32(0.2 + 0.6 * ((rows - 7) ** 2 + (columns - 8) ** 2 < 25))[..., None]


def _problem(operator):
  """Return the Problem of the truth through an operator, with values held out."""
  op_params = operator.init(np.random.default_rng(0))
  values = np.asarray(operator.apply(op_params, _truth()))
  values = values + np.float32(_SIGMA * operator.unit) * np.random.default_rng(1).standard_normal(values.shape).astype(np.float32)
  seen = operator.seen(op_params)
  return fitting.pose(operator, op_params, values if seen is None else values * seen, noise.Noise("gaussian"), None, seen=seen,
                      held_out=(jax.random.key(2), 0.1), recorruption=fitting.Recorruption(noise.gaussian(_SIGMA)))


_OPERATORS = {"identity": operators.identity((16, 16, 1)), "inpainting": operators.inpainting((16, 16, 1), kept=0.6),
              "own": operators.blur((16, 16, 1), kernel=operators.gaussian_kernel(0.8))}


@pytest.mark.parametrize("name", _OPERATORS)
def test_each_restores_and_sees_nothing_that_is_held_out(name):
  problem = _problem(_OPERATORS[name])
  held = np.asarray(problem.held_out.pixels) > 0
  spoiled = problem.replace(measurement=np.where(held, 0.9, problem.measurement))
  given = metrics.psnr(np.asarray(problem.first_image(problem.measurement, None))[..., :1].clip(0, 1), _truth())
  found = {}
  for method, restore in fitting.classical_restorations(name, (16, 16, 1)):
    image = restore(problem)
    np.testing.assert_allclose(restore(spoiled), image, atol=2e-5, err_msg=method)
    assert image.shape == (16, 16, 1) and image.dtype == np.float32 and 0 <= image.min() and image.max() <= 1
    found[method] = metrics.psnr(image, _truth())
  assert all(psnr > given for psnr in found.values()), (given, found)
  denoisers = ["BM3D"] if name == "identity" and importlib.util.find_spec("bm3d") else []
  assert list(found) == ["plug-and-play", "non-local means", "total variation", *denoisers]
