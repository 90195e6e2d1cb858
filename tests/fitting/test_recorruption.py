"""What a step feeds the generator with, and what it fits, through operators."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oes_jax import fitting
from oes_jax import masks
from oes_jax import noise
from oes_jax import operators

SHAPE = (8, 8, 1)
SIGMA = 0.1
OPERATORS = {
    "identity": operators.identity(SHAPE),
    "inpainting": operators.inpainting(SHAPE, kept=0.6),
    "deblurring": operators.blur(SHAPE, kernel=operators.gaussian_kernel(0.8)),
    "super_resolution": operators.downsampling(SHAPE, factor=2),
    "mri": operators.mri((8, 8, 2), coils=operators.simulated_coils(SHAPE, 2), acceleration=2),
    "tomography": operators.tomography(SHAPE, angles=np.arange(0, 180, 30)),
    "fourier_rows": operators.fourier_rows(SHAPE, share=0.5),
    "gaussian_rows": operators.gaussian_rows(SHAPE, share=0.5),
}
# What differs in kind: the image, lost values, complex parts and lines. The others are slow.
NAMED = [name if name in ("identity", "inpainting", "mri") else pytest.param(name, marks=pytest.mark.slow)
         for name in OPERATORS]


def _clean(operator):
  rows, columns = np.meshgrid(np.linspace(0, 1, 8), np.linspace(0, 1, 8), indexing="ij")
  channels = [0.3 + 0.4 * rows, 0.7 - 0.3 * columns][:operator.image_shape[2]]
  return jnp.asarray(np.stack(channels, -1))


def _network(params, net_input):
  """A network of one weight, not linear: it shrinks the first image, channel by channel, to its mean."""
  image = net_input[..., :params["w"].size]
  mean = image.mean((0, 1), keepdims=True)
  return mean + jnp.tanh(params["w"][None, None] * (image - mean))


def _pose(operator, measured, op_params, split=None, net_input=None):
  split = operator.split_share if split is None else split
  recorruption = fitting.Recorruption(noise.gaussian(SIGMA), 0.5, split, operator.split_axes if split < 1 else ())
  return fitting.pose(operator, op_params, measured, noise.gaussian(), net_input, seen=operator.seen(op_params),
                      recorruption=recorruption)


def _measure(operator, op_params, key):
  """Return a noisy measurement, 0 where nothing is measured."""
  clean = operator.apply(op_params, _clean(operator))
  measured = clean + operator.unit * SIGMA * jax.random.normal(key, clean.shape)
  seen = operator.seen(op_params)
  return measured if seen is None else measured * seen


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("split", [1.0, 0.7])
def test_the_expected_loss_is_the_true_error_and_a_constant(x64, name, split):
  operator = OPERATORS[name]
  if split < 1 and not operator.split_axes:
    pytest.skip("every value is fed: nothing can be left out")
  op_params = operator.init(np.random.default_rng(1))
  params = {"w": jnp.full(operator.image_shape[2], 0.6)}
  objective = fitting.weight_objective(_network)
  clean = operator.apply(op_params, _clean(operator))
  seen = operator.seen(op_params)
  weights = jnp.ones_like(clean) if seen is None else jnp.broadcast_to(jnp.asarray(seen), clean.shape).astype(clean.dtype)

  def once(key):
    measuring, stepping = jax.random.split(key)
    problem = _pose(operator, _measure(operator, op_params, measuring), op_params, split)
    loss, (image, _) = objective(params, masks.dense_mask(params), problem, stepping)
    error = jnp.sum(weights * jnp.square(operator.apply(op_params, image) - clean)) / weights.sum() / operator.unit ** 2
    return loss - error, error
  excess, error = jax.vmap(once)(jax.random.split(jax.random.key(3), 1500))
  # The target of what is fed has 1 / alpha^2 times more noise; it is fed with the probability `split`.
  constant = SIGMA ** 2 * (1 + split / 0.5 ** 2)
  spread = excess.std() / excess.size ** 0.5
  assert abs(excess.mean() - constant) < 4 * spread
  assert 4 * spread < 0.25 * constant


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMED)
def test_both_stages_draw_anew_in_every_step_and_only_by_the_key(name):
  operator = OPERATORS[name]
  op_params = operator.init(np.random.default_rng(1))
  params = {"w": jnp.full(operator.image_shape[2], 0.6)}
  problem = _pose(operator, _measure(operator, op_params, jax.random.key(0)), op_params)
  weights = lambda key: fitting.weight_objective(_network)(params, masks.dense_mask(params), problem, key)[0]
  logits = jax.tree.map(jnp.zeros_like, params)
  mask = lambda key: fitting.mask_objective(_network, temperature=0.5)(logits, (params, 0.5, 0.0), problem, key)[0]
  for objective in (weights, mask):
    first, again, other = (float(objective(jax.random.key(seed))) for seed in (1, 1, 2))
    assert first == again != other


def test_a_value_that_may_not_be_seen_is_never_fed():
  operator = OPERATORS["inpainting"]
  op_params = operator.init(np.random.default_rng(0))
  problem = _pose(operator, _measure(operator, op_params, jax.random.key(0)), op_params)
  problem = fitting.hold_out(problem, jax.random.key(1), 0.3)
  hidden = jnp.asarray(op_params) - problem.fitted.pixels
  changed = problem.replace(measurement=problem.measurement + 5 * hidden)
  assert hidden.sum() > 3
  net_inputs = [fitting.network_input(one) for one in (problem, changed)]
  np.testing.assert_array_equal(*net_inputs)
  assert net_inputs[0].shape == (8, 8, 2)
  np.testing.assert_array_equal(net_inputs[0][..., 1:], problem.fitted.pixels)
  losses = [fitting.weight_objective(_network)({"w": jnp.ones(1)}, {"w": jnp.ones(1)}, one, jax.random.key(2))[0]
            for one in (problem, changed)]
  assert losses[0] == losses[1]


def test_with_noise_as_the_input_only_the_target_is_drawn():
  operator = OPERATORS["identity"]
  problem = _pose(operator, jnp.full(SHAPE, 0.5), (), net_input=jnp.full((8, 8, 1), 0.2))
  seen = []
  def network(params, net_input):
    seen.append(net_input)
    return params["w"] * jnp.ones(SHAPE)
  params = {"w": jnp.full((1, 1, 1), 0.5)}
  loss = fitting.weight_objective(network)(params, masks.dense_mask(params), problem, jax.random.key(0))[0]
  np.testing.assert_array_equal(seen[0], problem.net_input)
  assert loss > 2 * SIGMA ** 2  # of noise of 2 standard deviations


def test_what_is_turned_is_turned_back():
  turned = []
  def network(params, net_input):
    turned.append(np.asarray(net_input[..., :1]))
    return net_input[..., :1]
  problem = fitting.Problem(jnp.arange(64.0).reshape(SHAPE) / 64, recorruption=fitting.Recorruption(
      noise.gaussian(1e-4), flips=True), first_image=lambda measured, seen: measured)
  params = {"w": jnp.ones(1)}
  for seed in range(12):
    _, (image, _) = fitting.weight_objective(network)(params, params, problem, jax.random.key(seed))
    np.testing.assert_allclose(image, problem.measurement, atol=1e-3)
  corners = {tuple(np.round(image[[0, 0, -1], [0, -1, 0], 0], 2)) for image in turned}
  assert len(corners) > 4


@pytest.mark.parametrize("model", ["salt_and_pepper", "rician", "speckle"])
def test_noise_that_cannot_be_drawn_anew_is_refused(model):
  with pytest.raises(ValueError, match=f"{model}.*gaussian, poisson, poisson_gaussian"):
    fitting.Recorruption(noise.Noise(model, noise.Strength(0.1, 10.0, 0.1)))
  with pytest.raises(ValueError, match=f"fit.objective='recorrupted'.*{model}.*plain"):
    fitting.FitSettings(objective="recorrupted").check_noise(model, "fit.")


def test_noise_without_a_strength_is_refused():
  with pytest.raises(ValueError, match="no strength; allowed.*noise.gaussian"):
    fitting.Recorruption(noise.Noise("gaussian"))
